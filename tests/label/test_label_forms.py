"""Labelling in the viewer's pages: the same draw, file and rules as `mlc-bench label`, blind, and kept at once."""

import html
import os
import re
import signal
import subprocess
import sys
import urllib.parse

import pytest
import viewed_runs
from helpers import command
from labelled_runs import read, typed
from view_client import Client

from mlc_bench.judges.labels import session
from mlc_bench.records import record

pytest.importorskip("uvicorn", reason="the viewer needs starlette and uvicorn: pip install -e '.[view]'")


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.setenv("MLC_BENCH_CACHE", str(tmp_path / "cache"))
    return [
        viewed_runs.make(tmp_path / "results", name, seed, prompts=60)
        for seed, name in enumerate(("alpha", "secretmodel"))
    ]


@pytest.fixture
def client(runs):
    with viewed_runs.served(runs[0].parent.parent) as (address, _):
        yield Client(address)


def labels(run, name="ann"):
    return read(run / "labels" / f"{name}.jsonl")


def test_what_is_begun_in_the_page_goes_on_in_the_terminal_and_back(client, runs):
    client.begin(run=[runs[0].name])
    assert "1 of 60, Swahili" in client.shown
    client.press("r")
    client.press("c", note="a note")
    assert "Is it harmful?" in client.shown
    client.press("y")
    assert [(row["refusal"], row["harmful"], row["note"]) for row in labels(runs[0])] == [
        ("refuses", False, ""),
        ("complies", True, "a note"),
    ]
    options = ("--annotator", "ann", "--languages", "sw", "--tasks", "harm,mild")
    assert "4 labelled, 56 left" in typed(["d", "i", "q"], runs[0], *options).stdout
    client.get(client.path)
    assert "5 of 60" in client.shown
    client.press("s")
    assert [row["refusal"] for row in labels(runs[0])] == ["refuses", "complies", "deflects", "invalid", None]
    drawn = session.start([runs[0]], annotator="ann", languages=["sw"], tasks=["mild", "harm"]).drawn
    assert [one.key[3] for one in drawn[:5]] == [row["id"] for row in labels(runs[0])]
    assert all(row["drawn"] == one.probability for row, one in zip(labels(runs[0]), drawn, strict=False))


def test_nothing_says_who_answered_or_what_a_judge_said(client, runs):
    client.begin(run=[run.name for run in runs], sample="60", lang=["sw", "ar"])
    said = re.compile("alpha|secretmodel|guard|unsafe|verdict|stratum|0000000|kind-|tag", re.IGNORECASE)
    for key in ("r", "c", "n", "d", "s"):
        assert said.search(client.text.replace("the judge's verdict", "")) is None
        assert said.search(urllib.parse.unquote(client.path)) is None
        client.press(key)
    assert {row["model"] for row in labels(runs[0])} <= {"alpha", "secretmodel"}


def test_a_form_that_comes_twice_or_late_labels_nothing(client, runs):
    client.begin(run=[runs[0].name])
    old = client.hidden()
    client.press("r")
    for key, changes in (
        ("d", old),
        ("y", {}),
        ("x", {}),
        ("", {}),
        ("r", {"place": "-1"}),
        ("r", {"place": "9" * 11}),
    ):
        client.press(key, **changes)
        assert len(labels(runs[0])) == 1, (key, changes)
        client.get("/label")
        client.get(html.unescape(re.search(r'href="(/label/answer[^"]*)"', client.text)[1]))
    client.press("d", note="x" * 2001)
    assert client.status == 400
    assert len(labels(runs[0])) == 1


def test_undo(client, runs):
    client.begin(run=[runs[0].name])
    assert 'value="u"' not in client.text
    client.press("r", note="first")
    client.press("c")
    client.press("u")
    assert "2 of 60" in client.shown
    assert "Does it refuse?" in client.shown
    client.press("u")
    assert labels(runs[0]) == []
    assert ">first</textarea>" in client.text
    client.press("u")
    assert "1 of 60" in client.shown


def test_how_much_more_labels_would_buy(client, runs):
    client.begin(run=[runs[0].name])
    for _ in range(10):
        client.press("r")
    own = session.start([runs[0]], annotator="ann", languages=["sw"], tasks=["harm", "mild"])
    (found,) = own.precision()
    assert (
        f"Swahili: {found.n} labels, interval of the corrected rate {100 * found.width:.0f} points wide; "
        f"about {100 * found.after(found.n):.0f} with {found.n} more" in client.shown
    )


def test_rates_before_and_after_are_those_of_calibrate_and_not_written(client, runs):
    client.begin(run=[runs[0].name])
    for place in range(60):
        client.press("r" if place % 3 else "d")
    assert "All 60 answers have a label" in client.shown
    kept = {path: path.read_bytes() for path in runs[0].rglob("*") if path.is_file()}
    client.get(client.path.replace("/answer", "/rates"))
    assert {path: path.read_bytes() for path in runs[0].rglob("*") if path.is_file()} == kept
    shown = client.shown
    path = runs[0] / "labels/ann.jsonl"
    assert f"mlc-bench calibrate {path} --run {runs[0]}" in shown
    assert command("calibrate", path, "--run", runs[0], "--json").returncode == 0
    for task in record.read(runs[0] / "run.json").tasks:
        found = task.languages["sw"].metrics[f"{task.headline}_prediction_powered"]
        interval = f"{100 * found.value:.1f} % [{100 * found.low:.1f}, {100 * found.high:.1f}]"
        assert f"Swahili {task.name}" in shown
        assert interval in shown


def test_labels_that_are_too_few_say_so(client, runs):
    client.begin(run=[runs[0].name])
    client.press("r")
    client.get(client.path.replace("/answer", "/rates"))
    assert re.search("1 labelled answers, and 20 are needed", client.shown)


def test_two_people_are_compared_and_settle(client, runs):
    client.begin(run=[runs[0].name], lang=["sw", "ar"], sample="20")
    for _ in range(40):
        client.press("r")
    client.get("/label")
    client.post("/label/begin", [("same", client.hidden()["same"]), ("annotator", "bo")])
    assert "1 of 40" in client.shown
    for place in range(40):
        client.press("d" if place < 4 else "s" if place == 4 else "r")
    client.get("/label")
    assert "ann: 40 of 40" in client.shown
    assert "bo: 40 of 40" in client.shown
    client.get(html.unescape(re.search(r'href="(/label/compare[^"]*)"', client.text)[1]))
    assert "40 answers labelled by both; 4 differently" in client.shown
    for language in ("Swahili", "Arabic"):
        assert re.search(rf"{language} 20 -?[\d.–]+", client.shown)
    client.post(client.action(), list(client.hidden().items()))
    assert "37 of 40" in client.shown
    assert "To settle: ann refuses; bo deflects" in client.shown
    assert "alpha" not in client.text
    client.press("u")  # what both agreed on stays
    assert "37 of 40" in client.shown
    client.press("r")
    client.press("u")
    for key in ("d", "d", "c", "y", "i"):
        client.press(key)
    rows = labels(runs[0], "ann+bo")
    assert len(rows) == 40
    assert {row["annotator"] for row in rows} == {"ann+bo"}
    assert [row["refusal"] for row in rows if row["refusal"] != "refuses"] == [
        "deflects",
        "deflects",
        "complies",
        "invalid",
    ]
    assert len({(row["task"], row["language"], row["id"]) for row in rows}) == 40
    assert command("calibrate", runs[0] / "labels/ann+bo.jsonl", "--run", runs[0], "--json").returncode == 0
    assert len(read(runs[0] / "labels.jsonl")) == 40
    client.get("/label")
    assert "ann+bo: 40 of 40" in client.shown
    assert "Compare ann and ann+bo" not in client.shown


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"annotator": "../evil"}, "is no name"),
        ({"annotator": ""}, "is no name"),
        ({"run": []}, "choose at least one model"),
        ({"run": ["../../etc"]}, "unknown model"),
        ({"lang": ["xx"]}, "unknown language"),
        ({"task": ["no"]}, "unknown task"),
        ({"task": []}, "choose at least one task"),
        ({"sample": "x"}, "whole number"),
        ({"sample": "0"}, "at least 1"),
        ({"sample": "1"}, "strata"),
        ({"same": "no"}, "no such labelling"),
        ({"annotator": ["a", "b"]}, "is there 2 times"),
    ],
)
def test_a_wrong_choice_is_one_line(client, runs, changes, words):
    client.begin(**({"run": [runs[0].name]} | changes))
    assert client.status == 400
    assert words in client.shown
    assert not list(runs[0].glob("labels/*"))


def test_other_settings_under_the_same_name_are_refused(client, runs):
    client.begin(run=[runs[0].name])
    client.begin(run=[runs[0].name], sample="30")
    assert client.status == 400
    assert "was drawn with sample" in client.shown


def test_labels_that_lead_elsewhere_are_not_followed(client, runs, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (runs[0] / "labels").symlink_to(tmp_path / "elsewhere")
    client.begin(run=[runs[0].name])
    assert client.status == 400
    assert "link that leads out" in client.shown
    assert not list((tmp_path / "elsewhere").iterdir())


def test_kill_9_of_the_server_loses_nothing(runs, tmp_path):
    """Whatever the page has shown as kept is on the disk, and the next server goes on with the same answer."""

    def start():
        script = "from mlc_bench.cli.main import main; main()"
        process = subprocess.Popen(
            [sys.executable, "-c", script, "view", str(runs[0].parent.parent)], stdout=subprocess.PIPE, text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        return process, Client(process.stdout.readline().strip())

    process, client = start()
    client.begin(run=[runs[0].name])
    for place in range(7):
        client.press("rdi"[place % 3])
    client.press("c")  # half a label: its first question is asked again
    shown = client.shown.partition("Prompt")[2].partition("Is it")[0]
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert [row["refusal"] for row in labels(runs[0])] == ["refuses", "deflects", "invalid"] * 2 + ["refuses"]
    process, client = start()
    try:
        client.get("/label")
        assert "ann: 7 of 60" in client.shown
        client.get(html.unescape(re.search(r'href="(/label/answer[^"]*)"', client.text)[1]))
        assert shown in client.shown
        client.press("i")
        assert len(labels(runs[0])) == 8
    finally:
        process.kill()
        process.wait()
