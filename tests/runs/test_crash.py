"""Runs that are killed, interrupted, or started twice end with the results of a run that was left in peace."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from checkout import ROOT

BATCH = 2
CHUNK = 8 * BATCH  # engines.chunk_size
LIMIT = 10
LANGUAGES = "en,ps"
GENERATIONS = 2 * 2 * LIMIT  # two tasks, two languages; the rest are log-likelihoods
REQUESTS = GENERATIONS + 2 * LIMIT * 4
CRASH = ROOT / "benchmarks" / "crash.py"


def arguments(model, output):
    return [
        "run", "--model", model, "--engine", "hf", "--engine-args", f"batch_size={BATCH}", "--tasks", "starter",
        "--languages", LANGUAGES, "--limit", LIMIT, "--max-tokens", 16, "--output", output,
    ]  # fmt: skip


def finish(start, model, output):
    """Run to the end; the record."""
    ended = start(*arguments(model, output)).wait()
    assert ended.returncode == 0, ended.stderr
    return record(ended.stdout)


def record(stdout):
    path = Path(stdout.rpartition("record: ")[2].strip())
    return json.loads(path.read_text(encoding="utf-8"))


def samples(output):
    return {path.name: path.read_text(encoding="utf-8") for path in output.glob("*/*/samples/*.jsonl")}


def lines(output):
    """The whole lines of the only store in a folder."""
    found = list(output.glob("*/responses/*.jsonl"))
    assert len(found) <= 1
    return [line for path in found for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


def keys(output):
    return [json.loads(line)["key"] for line in lines(output)]


def wait_for(process, output, count):
    """Wait until a process has stored so many responses."""
    deadline = time.monotonic() + 60
    while len(lines(output)) < count and process.process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.002)


_reference = {}


@pytest.fixture
def reference(start, tiny_model, tmp_path_factory):
    """(record, samples, keys) of a run that nothing disturbed."""
    if not _reference:
        output = tmp_path_factory.mktemp("reference")
        found = finish(start, tiny_model, output)
        assert found["responses"] == {"generated": REQUESTS, "from_store": 0}
        _reference["run"] = found, samples(output), keys(output)
    return _reference["run"]


def assert_equal(found, output, reference):
    """Same samples, same metrics, every response in the store once."""
    expected, expected_samples, expected_keys = reference
    assert samples(output) == expected_samples
    assert found["tasks"] == expected["tasks"]
    assert found["run_id"] == expected["run_id"]
    assert sorted(keys(output)) == sorted(expected_keys)


def test_killed_runs_resume(start, tiny_model, tmp_path, reference):
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    output = tmp_path / "results"
    output.mkdir()
    before = []
    # One kill in each third, so that each finds work to interrupt.
    for third in range(3):
        process = start(*arguments(tiny_model, output))
        target = REQUESTS * third // 3 + chance.randrange(REQUESTS // 3)
        wait_for(process, output, min(target, REQUESTS - 2 * CHUNK))
        time.sleep(chance.uniform(0, 0.02))
        process.signal(signal.SIGKILL)
        assert process.wait().returncode == -signal.SIGKILL
        now = lines(output)
        assert now[: len(before)] == before  # what was flushed stays as it is
        # Work is flushed by whole chunks, so less than one more is lost.
        assert len(now) % CHUNK == 0 if len(now) < GENERATIONS else (len(now) - GENERATIONS) % CHUNK == 0
        before = now
    assert before
    all_there = any(output.glob("*/*/generation.json"))  # the last kill came too late to leave work
    found = finish(start, tiny_model, output)
    assert lines(output)[: len(before)] == before
    if not all_there:
        assert found["responses"] == {"generated": REQUESTS - len(before), "from_store": len(before)}
    assert_equal(found, output, reference)


def test_two_processes_share_one_folder(start, tiny_model, tmp_path, reference):
    output = tmp_path / "results"
    both = [start(*arguments(tiny_model, output)) for _ in range(2)]
    for process in both:
        ended = process.wait()
        assert ended.returncode == 0, ended.stderr
        assert_equal(record(ended.stdout), output, reference)
    assert len(set(keys(output))) == len(keys(output))


def test_models_of_one_name_share_nothing(start, tiny_model, other_tiny_model, tmp_path, reference):
    output = tmp_path / "results"
    finish(start, tiny_model, output)
    (mine,) = output.glob("tiny/responses/*.jsonl")
    before = mine.read_bytes()
    found = finish(start, other_tiny_model, output)
    assert found["responses"] == {"generated": REQUESTS, "from_store": 0}
    assert found["run_id"] != reference[0]["run_id"]
    assert mine.read_bytes() == before
    stores = [path.read_text().splitlines() for path in output.glob("tiny/responses/*.jsonl")]
    first, second = [{json.loads(line)["key"] for line in store} for store in stores]
    assert not first & second
    answers = [path.read_text(encoding="utf-8") for path in output.glob("tiny/*/samples/starter_harmful.jsonl")]
    assert len(set(answers)) == 2


@pytest.mark.integration
def test_the_real_command_survives_kills(tiny_model):
    """The whole command, imports and all, killed at moments spread over its run."""
    ended = subprocess.run(
        [sys.executable, CRASH, "--kills", "3", "--model", tiny_model, "--languages", LANGUAGES, "--limit", "10"],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
