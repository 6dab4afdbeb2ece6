"""A judge behind a server: waits by a clock of our own; runs that are killed."""

import asyncio
import email.utils
import json
import shutil
import signal
import threading
import time
from collections import Counter

import pytest
from api_judges import SAYS, USAGE, open_api, quiet, rows
from fake_server import completion, serve
from helpers import command

from mlc_bench.engines.servers.endpoint import duration, retry_after
from mlc_bench.judges import judging
from mlc_bench.judges.models import api
from mlc_bench.records import record

# Waiting, by a clock of our own


class Clock:
    """Sleeping moves it on and takes no time."""

    def __init__(self):
        self.time = 100.0
        self.slept = []

    def now(self):
        return self.time

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.time += seconds
        await asyncio.sleep(0)


def with_clock(server, **more):
    clock = Clock()
    judge = open_api(server, concurrency=1, **more)
    judge.asker.sleep, judge.asker.now = clock.sleep, clock.now
    return judge, clock


@pytest.mark.parametrize(
    ("status", "headers", "waits"),
    [
        (429, {"Retry-After": "7"}, 7),
        (503, {"Retry-After": "2.5"}, 2.5),
        (429, {"retry-after-ms": "1500"}, 1.5),
        (429, {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m30s"}, 90),
        (200, {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "40s"}, 40),
        (200, {"x-ratelimit-remaining-tokens": "3", "x-ratelimit-reset-tokens": "40s"}, 0),
    ],
)
def test_the_servers_wishes_are_heeded(status, headers, waits, tmp_path):
    """The next request of any worker waits as long as the server said."""
    sent = []
    with serve() as server:
        judge, clock = with_clock(server)

        def answer(body):
            sent.append(clock.time)
            return (status, completion(SAYS, USAGE), headers) if len(sent) == 1 else (200, completion(SAYS, USAGE))

        server.answer = answer
        found = judge.verdicts(rows(2), tmp_path, quiet)
    assert {one["verdict"] for one in found} == {"unsafe"}
    assert len(sent) == (2 if status == 200 else 3)
    assert sent[1] - sent[0] >= waits
    assert sent[1] - sent[0] <= waits + 0.01


def test_waits_grow_and_are_drawn_at_random(tmp_path):
    with serve() as server:
        judge, clock = with_clock(server, **{"retry.first_wait": 1, "retry.longest_wait": 20, "retry.attempts": 40})
        server.answer = lambda body: (500, b"no")
        judge.verdicts(rows(1), tmp_path, quiet)
    assert len(clock.slept) == 39
    assert clock.slept[0] <= 1
    assert clock.slept[1] <= 2
    assert 10 < max(clock.slept) <= 20
    assert len({round(wait, 3) for wait in clock.slept}) > 20


def test_a_server_that_asks_for_hours_is_not_waited_for(tmp_path):
    with serve() as server:
        judge, clock = with_clock(server)
        server.answer = lambda body: (429, {"error": {"message": "tomorrow"}}, {"Retry-After": "86400"})
        (found,) = judge.verdicts(rows(1), tmp_path, quiet)
    assert found["reason"] == "refused-by-server"
    assert "86400 s" in found["detail"]
    assert clock.slept == []


def test_headers_that_say_how_long():
    assert duration("6m0s") == 360
    assert duration("1h2m3s") == 3723
    assert duration("20ms") == 0.02
    assert duration("1.5s") == 1.5
    assert duration("12") == 12
    assert duration("soon") == duration("") == duration("1.2.3s") == 0
    assert retry_after({"retry-after": "3"}) == 3
    in_a_minute = email.utils.formatdate(time.time() + 60, usegmt=True)
    assert 55 < retry_after({"retry-after": in_a_minute}) <= 60
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    assert retry_after({"retry-after": "never"}) == retry_after({}) == 0


# Kills


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Results with one run of 40 answers."""
    output = tmp_path_factory.mktemp("results") / "r"
    with serve() as server:
        arguments = ["--model", "m", "--engine", "openai", "--base-url", server.url, "--languages", "en"]
        done = command("run", *arguments, "--tasks", "starter_harmful", "--output", output)
        assert done.returncode == 0, done.stderr
    return output


@pytest.fixture
def judged_run(results, tmp_path):
    (path,) = shutil.copytree(results, tmp_path / "r").glob("m/*/run.json")
    return path.parent


def test_killed_and_resumed_costs_no_call_twice(start, judged_run):
    asked, lock = Counter(), threading.Lock()

    def answer(body):
        text = body["messages"][-1]["content"]
        with lock:
            asked[text] += 1
        time.sleep(0.03)
        return 200, completion(SAYS, USAGE)

    samples = (judged_run / "samples" / "starter_harmful.jsonl").read_bytes()
    concurrency = 2
    with serve() as server:
        server.answer = answer
        arguments = ["judge", judged_run, "--judge", "llm@j", "--judge-args", f"base_url={server.url}"]
        arguments += ["--judge-args", f"concurrency={concurrency}"]
        stored = 0
        for kill in range(2):
            process = start(*arguments)
            deadline = time.monotonic() + 60
            while len(lines(judged_run)) < 12 * (kill + 1) and time.monotonic() < deadline:
                time.sleep(0.002)
            process.signal(signal.SIGKILL)
            assert process.wait().returncode == -signal.SIGKILL
            assert len(lines(judged_run)) >= stored
            stored = len(lines(judged_run))
            assert not list(judged_run.glob("run.llm*"))
        assert 0 < stored < 40
        again = start(*arguments).wait()
    assert again.returncode == 0, again.stderr
    # What was under way when a process died is asked again, and nothing that was answered before.
    assert len(asked) == 40
    assert sum(asked.values()) - 40 <= 2 * concurrency
    keys = [json.loads(line)["key"] for line in lines(judged_run)]
    assert len(keys) == len(set(keys)) == 40
    assert (judged_run / "samples" / "starter_harmful.jsonl").read_bytes() == samples
    found = record.read(judged_run / "run.llm@j.json")
    assert found.tasks[0].languages["en"].metrics["attack_success_rate"].value == 1.0
    before = sum(asked.values())
    with serve() as server:
        server.answer = answer
        moved = ["judge", judged_run, "--judge", "llm@j", "--judge-args", f"base_url={server.url}"]
        assert command(*moved).returncode == 0
    assert sum(asked.values()) == before + 40, "another address may be another model: asked anew"


def lines(folder):
    return [line for path in folder.parent.parent.glob("judgements/*.jsonl") for line in path.read_bytes().splitlines()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_the_replies_and_one_line(start, judged_run, number):
    with serve() as server:
        server.answer = lambda body: (time.sleep(0.05), (200, completion(SAYS, USAGE)))[1]
        process = start("judge", judged_run, "--judge", "llm@j", "--judge-args", f"base_url={server.url}")
        while not lines(judged_run):
            time.sleep(0.01)
        process.signal(number)
        done = process.wait()
    assert done.returncode == 128 + number
    said = done.stderr.splitlines()[-1]
    assert said.startswith("interrupted; the same command goes on where this one stopped: mlc-bench judge ")
    assert done.stderr.count("interrupted") == 1


def test_the_address_is_shown_without_its_credentials(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    judge = judging.open_judge("llm@m", {"base_url": "http://me:hush@host:1/v1"})
    assert judge.asker.address == "http://host:1/v1"
    assert "hush" not in judge.info([]).model_dump_json()
    assert isinstance(judge.asker, api.Api)
