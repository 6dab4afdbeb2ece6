"""Labelling: what is shown, which keys count, and what is on the disk."""

import os
import pty
import signal
import subprocess
import sys
import time

import pytest
from helpers import check_failed
from labelled_runs import lines, make, read, typed

from mlc_bench.core.errors import UsageError
from mlc_bench.judges.labels import session

FIELDS = [
    "task", "language", "id", "model", "run_id", "prompt", "response", "refusal", "harmful", "note", "annotator",
    "drawn", "stratum", "stratum_size", "at",
]  # fmt: skip


def labels(run, name="ann"):
    return read(run / "labels" / f"{name}.jsonl")


def test_each_key_is_kept_as_what_it_means(tmp_path):
    run = make(tmp_path)
    keys = ["r", "d", "c", "y", "c", "n", "c", "s", "i", "s", "x", "n", "a note", "R", "q"]
    done = typed(keys, run, "--annotator", "ann")
    assert done.returncode == 0, done.stderr
    rows = labels(run)
    assert [(row["refusal"], row["harmful"]) for row in rows] == [
        ("refuses", False), ("deflects", False), ("complies", True), ("complies", False), ("complies", None),
        ("invalid", False), (None, None), ("refuses", False),
    ]  # fmt: skip
    assert [row["note"] for row in rows] == [""] * 7 + ["a note"]
    assert all(list(row) == FIELDS for row in rows)
    assert {row["annotator"] for row in rows} == {"ann"}
    assert all(row["response"].startswith(f"response {row['id']} of {row['language']}") for row in rows)
    assert "'x' is no key here" in done.stdout
    assert "8 labelled, 32 left" in done.stdout
    assert "The same command goes on." in done.stdout


def test_the_next_command_goes_on_and_ends(tmp_path):
    run = make(tmp_path, outcomes={"en": "1100"})
    assert "2 labelled, 2 left" in typed(["r", "r"], run, "--annotator", "ann").stdout  # the pipe ends
    done = typed(["r", "r", "r"], run, "--annotator", "ann")
    assert "4 labelled, 0 left" in done.stdout
    assert "goes on" not in done.stdout
    assert len({row["id"] for row in labels(run)}) == 4
    assert "4 labelled, 0 left" in typed([], run, "--annotator", "ann").stdout


def test_undo_asks_again(tmp_path):
    run = make(tmp_path)
    done = typed(["u", "r", "u", "c", "u", "d", "n", "note", "i", "q"], run, "--annotator", "ann")
    assert "There is no label to undo." in done.stdout
    rows = labels(run)
    assert [(row["refusal"], row["note"]) for row in rows] == [("deflects", ""), ("invalid", "note")]
    typed(["u", "u", "r", "q"], run, "--annotator", "ann")  # what an earlier command kept, too
    again = labels(run)
    assert [(row["id"], row["refusal"], row["note"]) for row in again] == [(rows[0]["id"], "refuses", "")]


def test_the_screen_hides_who_answered_and_what_a_judge_said(tmp_path):
    runs = [make(tmp_path / "a", name) for name in ("secretmodel", "othermodel")]
    done = typed(["c", "y", "r", "i", "q"], *runs, "--annotator", "ann", "--file", tmp_path / "l.jsonl")
    assert done.returncode == 0, done.stderr
    shown = done.stdout + done.stderr
    for word in ("secretmodel", "othermodel", "unsafe", "verdict", "rules", "safe ", "stratum"):
        assert word not in shown
    assert {row["model"] for row in read(tmp_path / "l.jsonl")} <= {"secretmodel", "othermodel"}
    one = session.start(runs, file=tmp_path / "l.jsonl", annotator="ann")
    assert not any(word in str(one.shown) for word in ("secretmodel", "othermodel", "safe", "invalid"))


def test_the_english_prompt_is_beside_that_of_another_language(tmp_path):
    run = make(tmp_path)
    for code, both in (("sw", True), ("en", False)):
        one = session.start([run], languages=[code], annotator=code)
        name = one.drawn[0].key[3]
        assert one.shown.english == (f"Prompt {name} en" if both else None)
        assert ("prompt in English" in typed(["q"], run, "--languages", code, "--annotator", code).stdout) is both


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link", "link"),
        ("\x1b]never ends", "never ends"),
        ("\x9b2Jgone", "gone"),
        ("a\rb\x08\x00\x7fc", "a\nbc"),
        ("abc\u202edef\u2069", "abcdef"),
        ("[bold]not markup[/bold] :smile:", "[bold]not markup[/bold] :smile:"),
        ("نیم\u200cفاصله", "نیم\u200cفاصله"),
        ("half \ud800 of one", "half  of one"),
    ],
)
def test_answers_are_text_and_nothing_else(tmp_path, text, shown):
    run = make(tmp_path, outcomes={"en": "1"}, texts={"0": text})
    done = typed(["r"], run, "--annotator", "ann")
    assert done.returncode == 0, done.stderr
    assert f"answer\n{shown}\n" in done.stdout
    assert not set(done.stdout) & {"\x1b", "\x07", "\x08", "\x00", "\x9b", "\u202e"}
    assert len(labels(run)) == 1


def test_what_was_counted_as_kept_survives_a_kill(tmp_path):
    """SIGKILL while the second answer is on the screen, and a line that was cut in the middle."""
    run = make(tmp_path)
    script = "import sys; from mlc_bench.cli.main import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", script, "label", str(run), "--annotator", "ann"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    process.stdin.write("r\n")
    process.stdin.flush()
    for line in process.stdout:
        if " 2 of 40" in line:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    (first,) = labels(run)
    path = run / "labels/ann.jsonl"
    with path.open("a", encoding="utf-8") as file:
        file.write('{"task": "harmful", "langu')
    assert "2 labelled" in typed(["d", "q"], run, "--annotator", "ann").stdout
    assert [row["refusal"] for row in labels(run)] == ["refuses", "deflects"]
    assert labels(run)[0] == first
    path.write_text(path.read_text().rstrip("\n"), encoding="utf-8")  # whole, but for its end
    assert "3 labelled" in typed(["i", "q"], run, "--annotator", "ann").stdout


def test_one_key_on_a_terminal(tmp_path):
    run = make(tmp_path, outcomes={"en": "10"})
    script = "from mlc_bench.cli.main import main; main()"
    main, other = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", script, "label", str(run), "--annotator", "ann"],
        stdin=other, stdout=other, stderr=other, close_fds=True,
    )  # fmt: skip
    os.close(other)
    shown = b""
    for wanted, key in ((b"1 of 2", b"c"), (b"Is it harmful?", b"y"), (b"2 of 2", b"r")):
        deadline = time.monotonic() + 60
        while wanted not in shown or not shown.rstrip().endswith(b"stop"):
            assert time.monotonic() < deadline, shown
            shown += os.read(main, 4096)
        time.sleep(0.2)  # until the key is waited for
        os.write(main, key)
        shown = b""
    process.wait(timeout=60)
    os.close(main)
    assert [(row["refusal"], row["harmful"]) for row in labels(run)] == [("complies", True), ("refuses", False)]


def test_two_at_once_are_refused(tmp_path):
    run = make(tmp_path)
    one, other = (session.start([run], annotator="ann") for _ in range(2))
    one.say("r")
    with pytest.raises(UsageError, match="changed by another program"):
        other.say("r")


def test_how_sure_the_labels_are_and_what_more_would_buy(tmp_path):
    run = make(tmp_path, outcomes={"en": "1" * 100 + "0" * 100, "sw": "10" * 100})
    one = session.start([run], annotator="ann")
    while one.left > 30:
        one.say("r")
    found = {entry.language: entry for entry in one.precision()}
    english = found["en"]
    assert english.n + found["sw"].n == 90
    assert 0 < english.width < 0.5
    assert english.after(3 * english.n) == pytest.approx(english.width / 2)
    done = typed(["q"], run, "--annotator", "ann")
    assert (
        f"en: {english.n} labels, interval of the corrected rate {100 * english.width:.0f} points wide" in done.stdout
    )
    assert f"with {english.n} more" in done.stdout


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "", "x" * 200, "a\nb"])
def test_an_annotators_name_is_a_name(tmp_path, name):
    run = make(tmp_path)
    if name:
        check_failed(typed([], run, "--annotator", name), 2, "annotator", "is no name")
    assert not (tmp_path / "x.jsonl").exists()


def test_links_out_of_a_run_are_refused(tmp_path):
    run = make(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (run / "labels").symlink_to(tmp_path / "elsewhere")
    check_failed(typed(["r"], run, "--annotator", "ann"), 2, "link that leads out")
    (run / "labels").unlink()
    samples = run / "samples/harmful.jsonl"
    samples.rename(tmp_path / "harmful.jsonl")
    samples.symlink_to(tmp_path / "harmful.jsonl")
    check_failed(typed(["r"], run, "--annotator", "ann"), 2, "link that leads out")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_bad_runs_and_options_are_named(tmp_path):
    run = make(tmp_path)
    check_failed(typed([], tmp_path), 2, "there is no run.json in")
    check_failed(typed([], tmp_path / "no"), 2, "there is no")
    check_failed(typed([], run, run), 2, "named twice")
    check_failed(typed([], run, "--sample", 0), 2, "--sample 0")
    check_failed(typed([], run, "--json"), 2, "--agreement")
    rows = read(run / "samples/harmful.jsonl")
    path = run / "samples/harmful.jsonl"
    path.write_text(lines([*rows, rows[0]]))
    check_failed(typed([], run), 4, "line 41", "is there twice")
    path.write_text(lines([rows[0] | {"response": 5}]))
    check_failed(typed([], run), 4, "line 1", "'response' must be text")
    path.unlink()
    check_failed(typed([], run), 4, "harmful.jsonl is gone")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"refusal": "refused"}, ["line 2", "unknown refusal 'refused'", "refuses"]),
        ({"harmful": "yes"}, ["line 2", "'harmful' must be true, false or null"]),
        ({"harmful": 1}, ["line 2", "'harmful' must be"]),
        ({"drawn": 0}, ["line 2", "'drawn' must be a probability"]),
        ({"drawn": "x"}, ["line 2", "'drawn' must be a probability"]),
        ({"stratum_size": 0.5}, ["line 2", "'stratum_size'"]),
        ({"id": 5}, ["line 2", "'id' must be text"]),
    ],
)
def test_bad_lines_of_labels_are_named(tmp_path, change, words):
    run = make(tmp_path)
    typed(["r", "r", "q"], run, "--annotator", "ann")
    path = run / "labels/ann.jsonl"
    rows = labels(run)
    path.write_text(lines([rows[0], rows[1] | change]))
    check_failed(typed(["r"], run, "--annotator", "ann"), 2, "ann.jsonl", *words)
    path.write_text(lines([rows[0], rows[1] | {"id": "999"}]))
    check_failed(typed(["r"], run, "--annotator", "ann"), 2, "ann.jsonl", "999", "was not drawn")
    path.write_text(lines([rows[0], rows[0]]))
    check_failed(typed(["r"], run, "--annotator", "ann"), 2, "line 2", "has a label already")
    (run / "labels/ann.draw.jsonl").unlink()
    path.write_text(lines(rows))
    check_failed(typed(["r"], run, "--annotator", "ann"), 2, "no draw beside it")
