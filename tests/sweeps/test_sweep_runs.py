"""Sweeps on this machine: results of single runs, one engine for each base, whatever fails, dies or is killed."""

import json
import os
import resource
import shutil
import signal
import subprocess
import time

import psutil
import pytest
import signals
from conftest import COMMAND
from helpers import check_failed, command, make_adapter
from safetensors.torch import load_file, save_file
from sweep_models import ADAPTERS, ANSWERS, JOBS, events, results, stored, write


@pytest.fixture(scope="module")
def swept(twelve, tmp_path_factory):
    """The sweep of twelve jobs: its file, its results and how it ended."""
    folder = tmp_path_factory.mktemp("swept")
    path = write(folder, twelve)
    done = command("sweep", path, "--json", "--output", folder / "results")
    return path, folder / "results", done


def test_twelve_jobs_are_twelve_runs_with_two_starts_of_an_engine(swept, single_runs):
    _, output, done = swept
    assert done.returncode == 0, done.stderr
    assert len(events(done.stdout, "engine")) == 2
    found = results(output)
    assert len([name for name in found if name.endswith(".json")]) == JOBS * 2  # of each judge
    assert found == results(single_runs)
    (end,) = events(done.stdout, "end")
    assert (end["complete"], end["failed"]) == (JOBS, [])
    assert "Ninawez" not in done.stdout  # no prompt, and so no answer, is in the events


def test_a_line_for_each_job_with_the_time_left(swept):
    _, _, done = swept
    lines = [line for line in done.stderr.splitlines() if line.startswith("[")]
    assert [line.partition(" ")[0] for line in lines] == [f"[{number}/12]" for number in range(1, 13)]
    assert all(f": {ANSWERS} answers in " in line for line in lines)
    assert all(" left" in line for line in lines[:-1])


def test_what_is_there_is_not_made_again_and_is_planned_by_what_was_measured(swept, tmp_path):
    path, output, _ = swept
    before = results(output), stored(output)
    done = command("sweep", path, "--output", output)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"{JOBS} jobs, {JOBS} complete, 0 not; 0 engine starts"
    assert done.stdout.count("against starter_benign") == done.stdout.count("; 95 % intervals: ") == 2 * JOBS
    assert (results(output), stored(output)) == before
    path = tmp_path / "more.yaml"
    path.write_text(swept[0].read_text().replace("limit: 3", "limit: 4"))
    rows = json.loads(command("sweep", path, "--output", output, "--dry-run", "--json").stdout)
    assert [row["missing"] for row in rows] == [2 * 2 * 4] * JOBS
    assert all(0 < row["hours"] < 1 and 0 < row["tokens_out"] <= 16 * 16 for row in rows)
    shown = command("sweep", swept[0], "--output", output, "--dry-run").stdout
    assert shown.count("all answers are there") == JOBS


@pytest.fixture(scope="module")
def broken(bases, tmp_path_factory):
    """An adapter that fails only when it is loaded: a saved head of another size."""
    folder = make_adapter(bases / "one", tmp_path_factory.mktemp("broken") / "broken")
    config = json.loads((folder / "adapter_config.json").read_text()) | {"modules_to_save": ["lm_head"]}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    tensors = load_file(folder / "adapter_model.safetensors")
    tensors["base_model.model.lm_head.weight"] = tensors[next(iter(tensors))].new_ones(3, 5)
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


def test_jobs_that_fail_are_named_and_the_others_go_on(bases, broken, tmp_path):
    """One before an engine is there, one on the engine, which starts anew for the rest."""
    untrained = make_adapter(bases / "one", tmp_path / "untrained", trained=False)
    adapters = [None, *map(str, (broken, untrained, bases / "a0"))]
    path = write(tmp_path, {"models": [str(bases / "one")], "adapters": adapters, "judges": ["rules"]})
    done = command("sweep", path, "--output", tmp_path / "r")
    assert done.returncode == 1, done.stderr
    *_, again = done.stdout.splitlines()
    assert "4 jobs, 2 complete, 2 not; 2 engine starts" in done.stdout
    assert "failed: one+untrained: the adapter" in done.stdout
    assert "failed: one+broken: " in done.stdout
    assert f"alone: mlc-bench run --model {bases / 'one'} --adapter {broken} " in done.stdout
    assert again.endswith(f"mlc-bench sweep {path} --output {tmp_path / 'r'}")
    (folder,) = (tmp_path / "r" / "sweeps").iterdir()
    states = {job["name"]: job["state"] for job in json.loads((folder / "sweep.json").read_text())["jobs"]}
    assert states == {
        "one": "generated", "one+broken": "failed", "one+untrained": "failed", "one+a0": "generated",
    }  # fmt: skip
    assert len(list((tmp_path / "r").glob("*/*/run.json"))) == 2


# What is ended from outside


def four(bases):
    return {"models": [str(bases / "one")], "adapters": [str(bases / name) for name in ADAPTERS[:4]], "judges": "rules"}


def workers_of(process):
    return [child for child in psutil.Process(process.process.pid).children() if "worker" in " ".join(child.cmdline())]


def wait_until(condition, process):
    deadline = time.monotonic() + 300
    while not condition():
        assert process.process.is_alive(), process.err.read_text()
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_sweep_that_is_ended_goes_on_and_makes_nothing_twice(start, bases, single_runs, tmp_path, number):
    path, output = write(tmp_path, four(bases)), tmp_path / "r"
    process = start("sweep", path, "--output", output)
    wait_until(lambda: len(stored(output)) > ANSWERS + 2, process)
    (worker,) = workers_of(process)
    process.signal(number)
    ended = process.wait()
    psutil.wait_procs([worker], timeout=60)
    assert not worker.is_running()
    if number == signal.SIGKILL:
        assert ended.returncode == -number
    else:
        assert ended.returncode == 128 + number
        assert ended.stderr.splitlines()[-1].endswith(f": mlc-bench sweep {path} --output {output}")
    before = stored(output)
    assert len(before) < 4 * ANSWERS
    done = command("sweep", path, "--output", output, "--json")
    assert done.returncode == 0, done.stderr
    assert sum(event["generated"] for event in events(done.stdout, "generated")) == 4 * ANSWERS - len(before)
    assert len(stored(output)) == len(set(stored(output))) == 4 * ANSWERS
    expected = {name: text for name, text in results(single_runs).items() if "/samples/" in name}
    found = {name.split("/")[0] + name[-24:]: text for name, text in results(output).items() if "/samples/" in name}
    assert found == {
        name.split("/")[0] + name[-24:]: text
        for name, text in expected.items()
        if name[:6] in ("one+a" + c for c in "0123")
    }


def test_a_process_that_dies_is_replaced(start, bases, tmp_path):
    path, output = write(tmp_path, four(bases)), tmp_path / "r"
    process = start("sweep", path, "--output", output, "--workers", 2, "--json")
    wait_until(lambda: len(stored(output)) > 2, process)
    first, _ = workers_of(process)
    first.kill()
    ended = process.wait(300)
    assert ended.returncode == 0, ended.stderr
    assert len(events(ended.stdout, "engine")) in (2, 3)  # it may have been killed before its first engine
    assert len(stored(output)) == len(set(stored(output))) == 4 * ANSWERS
    assert events(ended.stdout, "end")[0]["complete"] == 4


def test_a_job_that_its_process_dies_of_twice_has_failed(start, bases, tmp_path):
    path, output = write(tmp_path, four(bases) | {"adapters": [str(bases / "a0")]}, limit=100), tmp_path / "r"
    process = start("sweep", path, "--output", output)
    killed = []
    while len(killed) < 2:
        wait_until(lambda: len(stored(output)) > len(killed) * ANSWERS, process)
        (worker,) = workers_of(process)
        killed.append(worker.pid)
        worker.kill()
        psutil.wait_procs([worker])
        time.sleep(0.5)
    ended = process.wait(300)
    assert ended.returncode == 1
    assert "failed: one+a0: its process has ended by SIGKILL, and so it did again; " in ended.stdout


def test_a_full_disk_ends_the_sweep_with_one_line(bases, tmp_path):
    """No file may grow beyond a limit, as if the disk were full."""
    path, output = write(tmp_path, four(bases), limit=10, max_tokens=64), tmp_path / "r"

    def limited():
        signals.reset()
        resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))

    asked = [COMMAND, "sweep", str(path), "--output", str(output)]
    done = subprocess.run(asked, capture_output=True, text=True, preexec_fn=limited)
    check_failed(done, 3, "cannot write", str(output), "make room" if "make room" in done.stderr else "free some space")
    assert not list(output.glob("*/*/run.json"))


def test_results_that_vanish_end_the_sweep_with_one_line(start, bases, tmp_path):
    path, output = write(tmp_path, four(bases), limit=40), tmp_path / "r"
    process = start("sweep", path, "--output", output)
    wait_until(lambda: len(stored(output)) > 2, process)
    (worker,) = workers_of(process)
    output.rename(tmp_path / "elsewhere")
    ended = process.wait(300)
    check_failed(ended, 3, f"the results folder '{output}' is gone", "bring it back")
    psutil.wait_procs([worker], timeout=60)
    assert not worker.is_running()
    shutil.rmtree(output, ignore_errors=True)
    os.rename(tmp_path / "elsewhere", output)
    before = stored(output)
    done = command("sweep", path, "--output", output, "--json")
    assert done.returncode == 0, done.stderr
    made = sum(event["generated"] for event in events(done.stdout, "generated"))
    assert made == len(stored(output)) - len(before)
