"""Rows without ids of their own have one each, whatever their files are called."""

import json

import pytest

from mlc_bench.baselines.data import training_data
from mlc_bench.core.errors import UsageError

ROWS = [
    {"prompt": f"How {word}?", "prompt_sw": f"Vipi {word}?", "chosen": "No.", "rejected": "Sure."}
    for word in ("one", "two")
]


def write(path, rows=ROWS):
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(rows) if path.suffix == ".json" else "".join(json.dumps(row) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "names",
    [
        ("a/x.jsonl", "b/x.jsonl"),
        ("x.jsonl", "x.json"),
        ("x.jsonl", "x.txt"),
        ("a/x.jsonl", "b/x.jsonl", "x.jsonl", "y.jsonl"),
        ("a/x.jsonl", "a/b/x.jsonl"),
    ],
)
def test_files_of_one_stem(names, tmp_path):
    found = training_data.load([write(tmp_path / name) for name in names])
    ids = [row["id"] for row in found.rows]
    assert len(set(ids)) == len(ids) == 2 * len(names)


def test_a_file_alone_keeps_its_short_ids(tmp_path):
    found = training_data.load([write(tmp_path / "x.jsonl"), write(tmp_path / "y.jsonl")])
    assert [row["id"] for row in found.rows] == ["x-1", "x-2", "y-1", "y-2"]


def test_an_id_that_somebody_else_has(tmp_path):
    one, two = (write(tmp_path / name / "x.jsonl", [ROWS[0] | {"id": "k"}]) for name in "ab")
    with pytest.raises(UsageError, match=r"b/x.jsonl, row 1: the id 'k' is already that of .*a/x.jsonl, row 1"):
        training_data.load([one, two])


def test_a_file_that_is_named_twice(tmp_path):
    path = write(tmp_path / "x.jsonl")
    with pytest.raises(UsageError, match=r"the id 'x-1' is already that of"):
        training_data.load([path, path])
