"""Labels from a page that speakers open without our software: what is taken in, and what is refused."""

import json
import re

import pytest
from helpers import check_failed, command
from labelled_runs import lines, make, read, typed

from mlc_bench.judges.labels import session
from mlc_bench.judges.labels.file import digest
from mlc_bench.judges.labels.take import mark


def page_of(run, tmp_path, *options, annotator="amina"):
    target = tmp_path / "page.html"
    done = command("label", run, "--page", target, "--annotator", annotator, *options)
    assert done.returncode == 0, done.stderr
    return target.read_text(encoding="utf-8"), done


def answered(run, said=lambda place: {"refusal": "refuses", "harmful": False}, annotator="amina", n=None):
    """The rows that the page of an annotator saves."""
    one = session.start([run], annotator=annotator)
    draw = digest(one.file.path)
    rows = [{"page": 1, "draw": draw, "annotator": annotator}]
    for place, drawn in enumerate(one.drawn[:n]):
        rows.append({"answer": mark(draw, drawn.key), "note": "", "at": "2026-01-31T10:00:00+00:00"} | said(place))
    return rows


def test_a_page_holds_the_drawn_answers_and_says_nothing_of_the_run(tmp_path):
    run = make(tmp_path, name="secretmodel")
    page, done = page_of(run, tmp_path)
    assert "40 answers for amina" in done.stdout
    assert "do not publish it" in done.stdout
    assert page.count("<article ") == 40
    assert page.count("response 3 of sw in harmful") == 1
    assert "may be harmful" in page
    for word in ("secretmodel", run.name, "rules", "verdict", "stratum"):
        assert word not in page.partition("<body>")[2].partition("<script>")[0]
    assert re.findall(r'(?:src|href)="(?!#)', page) == []
    assert not (run / "labels/amina.jsonl").exists()


def test_labels_come_back_and_calibrate_takes_them(tmp_path):
    run = make(tmp_path)
    page_of(run, tmp_path)

    def said(place):
        kinds = [("refuses", False), ("deflects", False), ("complies", True), ("complies", None), ("invalid", False)]
        refusal, harmful = kinds[place % 5] if place else (None, None)
        return {"refusal": refusal, "harmful": harmful, "note": " a note " if place == 1 else ""}

    given = tmp_path / "labels-amina.jsonl"
    given.write_text(lines(answered(run, said)))
    done = command("label", run, "--take", given)
    assert done.returncode == 0, done.stderr
    assert "40 labels taken, 0 left" in done.stdout
    rows = read(run / "labels/amina.jsonl")
    one = session.start([run], annotator="amina")
    assert [(row["run_id"], row["task"], row["language"], row["id"]) for row in rows] == [d.key for d in one.drawn]
    assert [row["drawn"] for row in rows] == [d.probability for d in one.drawn]
    assert {row["annotator"] for row in rows} == {"amina"}
    assert rows[1]["note"] == "a note"
    assert rows[0]["refusal"] is None
    typed(["r", "q"], run, "--annotator", "bo")
    assert set(rows[0]) == set(read(run / "labels/bo.jsonl")[0])
    assert command("calibrate", run / "labels/amina.jsonl", "--run", run).returncode == 0
    check_failed(command("label", run, "--page", tmp_path / "x.html", "--annotator", "amina"), 2, "all answers have")


def test_a_later_file_of_the_same_page_goes_on(tmp_path):
    run = make(tmp_path)
    page_of(run, tmp_path)
    given = tmp_path / "l.jsonl"
    given.write_text(lines(answered(run, n=10)))
    assert "10 labels taken, 30 left" in command("label", run, "--take", given).stdout
    assert "0 labels taken, 30 left" in command("label", run, "--take", given).stdout
    given.write_text(lines(answered(run, lambda place: {"refusal": "invalid" if place < 2 else "refuses",
                                                        "harmful": False}, n=12)))  # fmt: skip
    done = command("label", run, "--take", given)
    assert "4 labels taken (2 of them labelled otherwise before), 28 left" in done.stdout
    assert [row["refusal"] for row in read(run / "labels/amina.jsonl")] == ["invalid"] * 2 + ["refuses"] * 10
    assert "13 labelled, 27 left" in typed(["d", "q"], run, "--annotator", "amina").stdout


@pytest.mark.parametrize(
    ("at", "change", "words"),
    [
        (0, {"page": 2}, "not a file of a page"),
        (0, {"draw": None}, "not a file of a page"),
        (0, {"draw": "0" * 64}, "another draw"),
        (0, {"annotator": "../x"}, "is no name"),
        (0, {"annotator": "nobody"}, "has no draw"),
        (2, {"answer": "0" * 20}, "is none of this draw"),
        (2, {"answer": 5}, "is none of this draw"),
        (2, {"refusal": "refused"}, "'refusal' must be"),
        (2, {"refusal": ["refuses"]}, "'refusal' must be"),
        (2, {"refusal": None, "harmful": False}, "'harmful' must be"),
        (2, {"harmful": True}, "'harmful' must be"),
        (2, {"harmful": 0}, "'harmful' must be"),
        (2, {"note": "x" * 2001}, "'note' must be"),
        (2, {"note": 1}, "'note' must be"),
        (2, {"at": {}}, "'at' must be"),
        (2, None, "is there twice"),
    ],
)
def test_a_wrong_line_is_named_and_nothing_is_kept(tmp_path, at, change, words):
    run = make(tmp_path)
    page_of(run, tmp_path)
    rows = answered(run, n=5)
    rows[at] = rows[at - 1] if change is None else rows[at] | change
    given = tmp_path / "l.jsonl"
    given.write_text(lines(rows))
    check_failed(command("label", run, "--take", given), 2, words)
    assert not (run / "labels/amina.jsonl").exists()


def test_what_is_no_such_file_is_said(tmp_path):
    run = make(tmp_path)
    page_of(run, tmp_path)
    check_failed(command("label", run, "--take", tmp_path / "no.jsonl"), 2, "no.jsonl")
    for content in ("", "{", "[1]\n", json.dumps({"page": 1}) + "\n"):
        (tmp_path / "l.jsonl").write_text(content)
        check_failed(command("label", run, "--take", tmp_path / "l.jsonl"), 2, "l.jsonl")
    check_failed(command("label", run, "--take", tmp_path / "l.jsonl", "--page", tmp_path / "p.html"), 2, "name one")
    check_failed(command("label", run, "--page", tmp_path), 2, "is a folder")
    other = make(tmp_path / "other", name="other")
    (tmp_path / "l.jsonl").write_text(lines(answered(run, n=2)))
    check_failed(command("label", other, "--take", tmp_path / "l.jsonl"), 2, "has no draw")
