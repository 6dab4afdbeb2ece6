"""The index: made once, brought up to date, thrown away without loss; and the command around it."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest
import viewed_runs
from conftest import COMMAND
from helpers import check_failed, command

from mlc_bench.core.errors import StaleError, UsageError
from mlc_bench.view import ahead, files, index, schema, selection, serve


@pytest.fixture
def results(tmp_path):
    viewed_runs.make(tmp_path / "results", prompts=6)
    return tmp_path / "results"


def whole(results):
    """All that the index says: words, verdicts, texts."""
    found = serve.queries([results])
    by_judge = {}
    for judge in ("refusal", "guard"):
        for task in ("harm", "mild"):
            runs = ",".join(found.contents.runs)
            chosen = selection.parsed(f"task={task}&judge={judge}&run={runs}", found.contents)
            words = selection.parsed(f"task={task}&judge={judge}&run={runs}&q=警察", found.contents)
            lines = sorted(
                (
                    line.name,
                    line.english or "",
                    sorted((key, one.marks, one.response) for key, one in line.cells.items()),
                )
                for line in found.lines(chosen, found.items(chosen))
            )
            by_judge[task, judge] = found.counts(chosen), found.counts(words)[0], lines
    found.db.close()
    return by_judge


def reads(monkeypatch):
    """The samples that are read from now on."""
    seen, real = [], files.samples
    monkeypatch.setattr(files, "samples", lambda path: (seen.append(path.parent.parent), real(path))[1])
    return seen


def test_it_is_made_once(results, monkeypatch):
    seen = reads(monkeypatch)
    first = whole(results)
    assert len(seen) == 2
    assert whole(results) == first
    assert len(seen) == 2


def test_it_is_thrown_away_without_loss(results):
    first = whole(results)
    schema.place([results]).unlink()
    assert whole(results) == first


@pytest.mark.parametrize("damage", [b"", b"nothing of SQLite", None])
def test_a_damaged_one_is_made_anew(results, damage):
    first = whole(results)
    place = schema.place([results])
    if damage is None:
        content = bytearray(place.read_bytes())
        content[4096 : len(content) - 4096] = b"x" * (len(content) - 8192)
        place.write_bytes(content)
        viewed_runs.make(results, "new", 9, prompts=2)  # so that it is read
        serve.queries([results]).db.close()
        shutil.rmtree(results / "new")
    else:
        place.write_bytes(damage)
    assert whole(results) == first


def test_one_of_another_version_is_made_anew(results, monkeypatch):
    first = whole(results)
    with sqlite3.connect(schema.place([results])) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    seen = reads(monkeypatch)
    assert whole(results) == first
    assert seen


def test_it_follows_the_files(results, monkeypatch):
    """A run that comes, one that is judged again, one that goes: always what an index made at once says."""
    whole(results)
    second = viewed_runs.make(results, "beta", 1, prompts=6)
    seen = reads(monkeypatch)
    added = whole(results)
    assert set(seen) == {second}
    path = second / "verdicts" / "refusal" / "harm.jsonl"
    rows = viewed_runs.read(path)
    viewed_runs.write(path, [row | {"verdict": "refuses", "refused": True} for row in rows])
    changed = whole(results)
    assert changed != added
    samples = second / "samples" / "harm.jsonl"
    viewed_runs.write(samples, [row | {"response": row["response"] + " 警察"} for row in viewed_runs.read(samples)])
    longer = whole(results)
    assert longer["harm", "refusal"][1].k > changed["harm", "refusal"][1].k
    schema.place([results]).unlink()
    assert whole(results) == longer
    shutil.rmtree(second)
    gone = whole(results)
    schema.place([results]).unlink()
    assert whole(results) == gone


def test_answers_are_for_their_owner_only(results):
    whole(results)
    assert schema.place([results]).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("large", [0, index._LARGE])
def test_what_cannot_be_read_of_one_run_leaves_the_others(results, capsys, monkeypatch, large):
    monkeypatch.setattr(index, "_LARGE", large)
    bad = viewed_runs.make(results, "bad", 3, prompts=2)
    viewed_runs.make(results, "zeta", 4, prompts=2)
    path = bad / "samples" / "harm.jsonl"
    path.write_text(path.read_text(encoding="utf-8") + "{torn", encoding="utf-8")
    found = serve.queries([results])
    assert [run.label for run in found.contents.runs.values()] == ["alpha", "zeta"]
    said = capsys.readouterr().err
    assert f"left out: {path}, line 11: not JSON" in said
    found.db.close()
    for name in ("alpha", "zeta"):
        (results / name).rename(results.parent / name)
    with pytest.raises(StaleError, match="no run in"):
        serve.queries([results])


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"language": "en", "prompt": "x"}, "'id' and 'language'"),
        ({"id": 1, "prompt": "x"}, "'id' and 'language'"),
        ({"id": 1, "language": "en"}, "'prompt' must be text"),
        ([1], "a JSON object is expected"),
    ],
)
def test_a_bad_row_is_named(tmp_path, row, said):
    path = tmp_path / "samples.jsonl"
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(UsageError, match=f"line 1: .*{said}"):
        list(files.samples(path))


def test_half_a_pair_and_controls_are_no_obstacle(tmp_path):
    path = tmp_path / "samples.jsonl"
    path.write_text('{"id": 1, "language": "en", "prompt": "a\\ud800b", "response": "\\u0000 \\ud83d\\ude00"}\n')
    (row,) = files.samples(path)
    assert (row.prompt, row.response) == ("a?b", "\0 😀")


def test_another_process_reads_the_same(results):
    path = next(results.glob("*/*/samples/harm.jsonl"))
    assert list(ahead.ahead(files.samples, path)) == list(files.samples(path))
    path.write_text("{")
    with pytest.raises(UsageError, match="line 1"):
        list(ahead.ahead(files.samples, path))


def test_a_process_that_is_killed_leaves_none_behind():
    code = "from itertools import repeat; from mlc_bench.view.ahead import ahead; rows = ahead(repeat, 'x' * 100_000)"
    code += "; next(rows); print('begun', flush=True); import time; time.sleep(100)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "begun\n"
        children = psutil.Process(process.pid).children()
        process.kill()
    assert len(children) == 1
    assert not psutil.wait_procs(children, timeout=30)[1]


def test_large_files_are_read_ahead(results, monkeypatch):
    first = whole(results)
    schema.place([results]).unlink()
    monkeypatch.setattr(index, "_LARGE", 0)
    assert whole(results) == first


# The command


def test_a_file_holds_the_selection_without_harmful_answers(results, tmp_path):
    run = viewed_runs.make(results, "beta", 1, prompts=6, texts={("harm", "en", "p1"): "SECRET harmful"})
    target = tmp_path / "out" / "page.html"
    done = command("view", results, "--static", target, "--select", f"run={run.name}&lang=en,sw")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(target)
    text = target.read_text(encoding="utf-8")
    assert "SECRET" not in text
    assert "left out" in text
    assert "WORDS" not in text
    assert text.count('scope="row"') == 6
    assert "thinking about" not in text
    done = command("view", results, "--static", target, "--select", f"run={run.name}", "--with-answers")
    assert "SECRET harmful" in target.read_text(encoding="utf-8")
    done = command("view", results, "--static", target, "--select", "task=mild&lang=sw")
    assert "Siwezi" in target.read_text(encoding="utf-8") or "Kwanza" in target.read_text(encoding="utf-8")


def test_what_is_wrong_is_one_line(results, tmp_path):
    check_failed(command("view", tmp_path / "no"), 2, "no folder or record")
    (tmp_path / "empty").mkdir()
    check_failed(command("view", tmp_path / "empty"), 2, "no finished run with samples")
    check_failed(command("view", results, "--with-answers"), 2, "--static")
    check_failed(command("view", results, "--static", tmp_path / "a", "--select", "lang=xx"), 2, "xx", "known: ar")
    check_failed(command("view", results, "--static", tmp_path), 2, "is a folder")
    check_failed(command("view", results, "--select", "find=x"), 2, "unknown filter")


def test_it_serves_until_it_is_ended(results):
    process = subprocess.Popen(
        [COMMAND, "view", results], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    try:
        address = re.search(r"http://127\.0\.0\.1:\d+/\?\S*token=\S+", process.stdout.readline())[0]
        with urllib.request.urlopen(address, timeout=30) as answer:
            assert b"p0" in answer.read()
        port = address.split(":")[2].split("/")[0]
        check_failed(command("view", results, "--port", port), 2, f"port {port} cannot be used")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
        assert "token" not in out + err
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def test_without_its_packages_it_says_how_to_get_them(results, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    check_failed(command("view", results), 3, "uvicorn", "pip install 'mlc-bench[view]'")


def test_one_run_and_one_record_are_results_too(results):
    (record,) = results.glob("*/*/run.json")
    assert files.runs([record]) == files.runs([record.parent]) == files.runs([results])
    assert Path(files.runs([results])[0].folder).is_absolute()


def test_the_votes_of_an_ensemble_are_judges_too(tmp_path):
    run = viewed_runs.make(tmp_path / "results", judges=("refusal",), prompts=4)
    path = run / "verdicts" / "refusal" / "harm.jsonl"
    rows = viewed_runs.read(path)
    says = {"verdict": "refuses", "refused": True}, {"verdict": "complies", "refused": False}
    for place, row in enumerate(rows):
        row |= says[0] | {"votes": {"one": says[0], "two": says[place % 2]}}
    viewed_runs.write(path, rows)
    found = serve.queries([tmp_path / "results"])
    whole, _ = found.counts(selection.parsed("find=disagree", found.contents))
    assert (whole.k, whole.n) == (len(rows) // 2, len(rows))


def test_prompts_that_are_no_translations_have_rows_of_their_own(results):
    (path,) = results.glob("*/*/run.json")
    for one in path.parent.glob("run*.json"):
        content = json.loads(one.read_text(encoding="utf-8"))
        for task in content["tasks"]:
            task["parallel"] = False
        one.write_text(json.dumps(content), encoding="utf-8")
    found = serve.queries([results])
    chosen = selection.parsed("find=gap", found.contents)
    assert found.counts(chosen)[0].n == 0  # there is no English prompt to compare with
    everything = selection.parsed("", found.contents)
    lines = found.lines(everything, found.items(everything))
    assert len(lines) == 6 * len(viewed_runs.LANGUAGES)
    assert all(len(line.cells) == 1 for line in lines)
    assert found.answer(path.parent.name, "harm", "sw", "p1").english is None
