"""A translation that a reader marks as wrong: where the mark goes, what is refused, and who counts it."""

import json

import pytest
import viewed_runs
from helpers import command
from own_task import TASK
from view_client import Client

from mlc_bench.catalog import listing, review
from mlc_bench.core.errors import UsageError

pytest.importorskip("uvicorn", reason="the viewer needs starlette and uvicorn: pip install -e '.[view]'")
PROMPT = "bomu harm 1"


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("MLC_BENCH_CACHE", str(tmp_path / "cache"))
    return viewed_runs.make(tmp_path / "results", prompts=3)


@pytest.fixture
def pack(tmp_path, run):
    """The pack that the run's task `harm` is from, among the tasks that are known."""
    folder = tmp_path / "packs" / "mine"
    rows = viewed_runs.read(run / "samples/harm.jsonl")
    for code in ("en", "sw", "ar"):
        own = [{"id": row["id"], "text": row["prompt"], "draft": "a model"} for row in rows if row["language"] == code]
        viewed_runs.write(folder / "rows" / f"{code}.jsonl", own)
    (folder / "harm.yaml").write_text(TASK.replace("task: mine", "task: harm").replace("pack/rows", "mine/rows"))
    (folder / "card.md").write_text("# Mine\n")
    with listing.including([folder.parent]):
        yield folder


def mark(run, task="harm", language="sw", name="p1", **fields):
    """Send the form of an answer's page."""
    with viewed_runs.served(run.parent.parent) as (address, _):
        client = Client(address)
        client.get(f"/answer?answer={run.name}/{task}/{language}/{name}")
        if "How it should be" in client.shown:
            client.post(client.action(), list(fields.items()))
        return client


def test_a_mark_is_a_line_of_the_reviews_of_its_task(run, pack):
    client = mark(run, who="Amina", correction="Nifanyeje bomu?", note="bomu <b>mbili</b>")
    assert client.status == 200
    assert "Marked as wrong by Amina" in client.shown
    assert "Nifanyeje bomu?" in client.shown
    assert "<b>mbili" not in client.text
    (row,) = viewed_runs.read(pack / "reviews.jsonl")
    assert row == {
        "language": "sw", "who": "Amina", "date": row["date"], "ids": ["p1"], "task": "harm", "wrong": True,
        "note": "bomu <b>mbili</b>", "correction": "Nifanyeje bomu?",
    }  # fmt: skip
    assert not (run / "reviews.jsonl").exists()
    mark(run, language="ar", who="Bo", note="no")
    assert len(viewed_runs.read(pack / "reviews.jsonl")) == 2


def test_the_card_counts_it_until_it_is_corrected(run, pack, tmp_path):
    mark(run, who="Amina", correction="Nifanyeje bomu?")
    mark(run, who="Bo", note="wrong verb", name="p2")
    include = ("--include", pack.parent)
    said = "translations marked as wrong, sw: 2 prompts (p1, p2)"
    assert said in command("tasks", "show", "harm", *include).stdout
    path = pack / "rows/sw.jsonl"
    rows = viewed_runs.read(path)
    rows[1]["text"] = "Nifanyeje bomu?"
    viewed_runs.write(path, rows)
    assert "translations marked as wrong, sw: 1 prompt (p2)" in command("tasks", "show", "harm", *include).stdout


def test_a_mark_lifts_no_draft(run, pack):
    mark(run, who="Amina", note="wrong")
    entry = listing.tasks()["harm"]
    assert "sw" in review.unreviewed(entry)
    assert "reviews.jsonl" not in command("tasks", "validate", pack).stdout


def test_a_task_that_is_not_here_has_its_marks_beside_the_run(run):
    client = mark(run, who="Amina", note="wrong")
    assert f"It goes into {run / 'reviews.jsonl'} : send that file to who keeps the task" in client.shown
    assert "Marked as wrong by Amina" in client.shown
    assert viewed_runs.read(run / "reviews.jsonl")[0]["ids"] == ["p1"]


def test_a_pack_that_cannot_be_written_has_its_marks_beside_the_run(run, pack, monkeypatch):
    from mlc_bench.view.label import wrong

    monkeypatch.setattr(wrong.os, "access", lambda path, mode: False)
    mark(run, who="Amina", note="wrong")
    assert not (pack / "reviews.jsonl").exists()
    assert (run / "reviews.jsonl").exists()


def test_an_english_prompt_is_no_translation(run, pack):
    assert "Is this translation wrong?" not in mark(run, language="en").shown


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"note": "wrong"}, "say who you are"),
        ({"who": "Amina"}, "say what is wrong"),
        ({"who": "x" * 81, "note": "wrong"}, "80 are allowed"),
        ({"who": "Amina", "note": "x" * 2001}, "2,000 are allowed"),
        ({"who": "Amina", "note": "wrong", "file": "/etc/passwd"}, "has no field"),
    ],
)
def test_a_form_that_says_nothing_is_refused(run, pack, fields, words):
    client = mark(run, **fields)
    assert client.status == 400
    assert words in client.shown
    assert not (pack / "reviews.jsonl").exists()


def test_a_prompt_that_has_changed_since_is_refused(run, pack):
    path = pack / "rows/sw.jsonl"
    viewed_runs.write(path, [row | {"text": "another"} for row in viewed_runs.read(path)])
    client = mark(run, who="Amina", note="wrong")
    assert client.status == 400
    assert "has another text there now: another" in client.shown


def test_bad_reviews_are_said_and_nothing_is_added(run, pack):
    (pack / "reviews.jsonl").write_text('{"language": "sw"}\n')
    client = mark(run, who="Amina", note="wrong")
    assert "reviews.jsonl, line 1: 'who' is missing" in client.shown
    assert (pack / "reviews.jsonl").read_text() == '{"language": "sw"}\n'


def test_a_file_without_a_last_newline_stays_whole(run, pack):
    line = {"language": "sw", "who": "A. Speaker", "date": "2026-01-31", "ids": "all"}
    (pack / "reviews.jsonl").write_text(json.dumps(line))
    mark(run, who="Amina", note="wrong")
    assert viewed_runs.read(pack / "reviews.jsonl")[0] == line
    assert len(viewed_runs.read(pack / "reviews.jsonl")) == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"wrong": "yes"}, "'wrong' is neither"),
        ({"wrong": True, "ids": ["a", "b"], "correction": "c"}, "of one id"),
        ({"wrong": True, "ids": "all", "correction": "c"}, "of one id"),
        ({"wrong": True}, "'note' must say"),
        ({"wrong": True, "note": 5}, "'note' is not text"),
        ({"correction": "c"}, "goes with"),
        ({"wrong": True, "note": "n", "severity": 1}, "unknown field"),
    ],
)
def test_a_line_that_is_no_mark_is_refused(change, words):
    line = {"language": "sw", "who": "A. Speaker", "date": "2026-01-31", "ids": ["a"]}
    with pytest.raises(UsageError, match=words):
        review.parse(line | change)
