"""Task packs of others reach nothing outside their folder, whatever they name; their neighbours run all the same."""

import gzip
import io
import json

import hostile
import pytest
from helpers import check_failed, command

from mlc_bench.catalog import data, listing, reading
from mlc_bench.core.errors import UsageError


@pytest.fixture
def place(tmp_path):
    """`packs/honest` that runs, and a folder outside that holds what must not be read."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "en.jsonl").write_text(json.dumps({"id": "1", "text": hostile.CANARY}) + "\n")
    (outside / "task.yaml").write_text(hostile.text_of({"task": "evil"} | hostile.TASK))
    hostile.honest(tmp_path / "packs")
    yield tmp_path
    listing.include([])


def snapshot(folder, apart=("results", "packs", "cache")):
    """Every file outside the results with its bytes."""
    return {
        path: path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.relative_to(folder).parts[0] not in apart
    }


def run(place, tasks, *more, model):
    return command(
        "run", "--model", model, "--engine", "hf", "--tasks", tasks, "--include", place / "packs", "--output",
        place / "results", *more,
    )  # fmt: skip


def check_untouched(place, before, done):
    assert snapshot(place) == before, "something was written outside"
    assert hostile.CANARY not in done.stdout + done.stderr
    for path in (place / "results").rglob("*"):
        assert not path.is_file() or hostile.CANARY.encode() not in path.read_bytes()


def asked_for(kind, name):
    """What names the hostile pack's task on the command line."""
    return "evil" if kind == "case" else "pack"


@pytest.mark.parametrize(("kind", "name"), hostile.CASES)
def test_a_hostile_pack_is_refused_and_its_neighbour_is_planned(kind, name, place, tiny_model):
    pack = hostile.PACKS[kind][name](place / "packs", place / "outside")
    before = snapshot(place)
    done = run(place, asked_for(kind, name), "--dry-run", model=tiny_model)
    check_failed(done, 2, str(pack))
    check_untouched(place, before, done)
    done = run(place, "honest", "--dry-run", "--json", model=tiny_model)
    assert done.returncode == 0, done.stderr
    check_untouched(place, before, done)
    listed = command("tasks", "list", "--include", place / "packs", "--json")
    assert listed.returncode == 0, listed.stderr
    assert "honest" in {row["task"] for row in json.loads(listed.stdout)}
    check_untouched(place, before, listed)
    alone = command("tasks", "list", "--include", pack)
    if kind not in ("template", "size", "case"):  # those rows and prompts are looked at when they are used
        check_failed(alone, 2, str(pack))
    check_untouched(place, before, alone)


@pytest.mark.parametrize(("kind", "name"), hostile.CASES)
def test_a_hostile_pack_is_not_run(kind, name, place, tiny_model):
    pack = hostile.PACKS[kind][name](place / "packs", place / "outside")
    before = snapshot(place)
    done = run(place, asked_for(kind, name), model=tiny_model)
    check_failed(done, 2, str(pack))
    check_untouched(place, before, done)


def parquet(rows, text):
    """Rows that all have the text, which is in the file once."""
    import pyarrow
    import pyarrow.parquet

    column = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * rows, type=pyarrow.int32()), pyarrow.array([text]))
    made = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"en": column}), made)
    return made.getvalue()


BOMBS = {
    "a workbook": ("x.xlsx", lambda: hostile.workbook({"xl/workbook.xml": 1 << 30}), "when it is unpacked"),
    "no workbook": ("x.xlsx", lambda: b"PK\x03\x04 and no more", "not an Excel workbook"),
    "a Parquet file": ("x.parquet", lambda: parquet(100_000, "x" * 100_000), "when it is unpacked"),
    "rows of a Parquet file": ("x.parquet", lambda: parquet(2_000_001, "x"), "more than 2,000,000 rows"),
    "no Parquet file": ("x.parquet", lambda: b"PAR1 and no more PAR1", "not a Parquet file"),
    "compressed, named otherwise": ("x.jsonl", lambda: gzip.compress(b" " * (600 << 20)), "when it is unpacked"),
    "an archive that is compressed": ("x.tar.gz", lambda: gzip.compress(b"{}"), "is an archive or compressed"),
    "an archive": ("x.csv", lambda: hostile.workbook({"a.csv": 1 << 20}), "is an archive or compressed"),
    "a row": ("x.jsonl", lambda: b'{"en": "' + b"x" * (5 << 20) + b'"}', "characters in a row"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_data_are_measured_before_they_are_unpacked(name, tmp_path):
    file, make, words = BOMBS[name]
    content = make()
    assert len(content) < 8 << 20, "a few bytes"
    with pytest.raises(UsageError, match=words):
        reading.parse(tmp_path / file, content)


HONEST = {
    "x.parquet": parquet(3, "Hi?"),
    "x.jsonl": b'{"en": "Hi?"}\n' * 3,
    "x.csv": b"en\n" + b"Hi?\n" * 3,
    "x.csv.gz": gzip.compress(b"en\n" + b"Hi?\n" * 3),
}


@pytest.mark.parametrize("file", HONEST)
def test_honest_data_are_read(file, tmp_path):
    rows = reading.parse(tmp_path / file, HONEST[file]).rows
    assert [row["en"] for _, row in rows] == ["Hi?"] * 3


NAMES = ("../outside/en.jsonl", "/etc/hostname", "a/../../x", "~/x", "a\\b", "C:x", "nul", "x" * 300, "")


@pytest.mark.parametrize("name", NAMES)
def test_a_list_of_digests_names_nothing_outside(name, place, tmp_path, tiny_model):
    pack = hostile.write_task(
        place / "packs" / "pack",
        "evil",
        dataset_kwargs={
            "files": "f", "path": "{language}*", "fields": {"prompt": "text"}, "dataset": "d",
            "sha256sums": "pack/SUMS",
        },
    )  # fmt: skip
    (pack / "SUMS").write_text(f"{'0' * 64}  {name}\n")
    (tmp_path / "data" / "f").mkdir(parents=True)
    before = snapshot(place)
    done = run(place, "evil", "--dry-run", "--data-dir", tmp_path / "data", model=tiny_model)
    assert done.returncode in (2, 3), done.stdout
    check_untouched(place, before, done)


def test_a_link_in_the_users_data_is_not_for_a_pack(place, tmp_path, tiny_model):
    """The user may have data on another disk; a pack from elsewhere does not name the way there."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "way").symlink_to(place / "outside")
    source = {"file": "way/en.jsonl", "sha256": "0" * 64, "columns": {"en": "text"}}
    hostile.write_task(place / "packs" / "pack", "evil", dataset_kwargs=source)
    done = run(place, "evil", "--dry-run", "--data-dir", tmp_path / "data", model=tiny_model)
    check_failed(done, 2, "way/en.jsonl", "leads out of")
    with data.sources.using_data(tmp_path / "data"):
        assert data.sources.present({"file": "way/en.jsonl"}, "way/en.jsonl") is not None
