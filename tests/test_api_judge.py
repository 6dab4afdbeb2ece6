"""Judges behind an OpenAI-compatible server that fails in every way a server can: nothing lost, nothing asked twice."""

import asyncio
import email.utils
import json
import random
import shutil
import signal
import threading
import time
from collections import Counter

import pytest
from fake_server import completion, serve
from helpers import check_failed, command

from mlc_bench import judging, record
from mlc_bench.errors import PrerequisiteError
from mlc_bench.judges import api
from mlc_bench.judges.api import duration, retry_after

SAYS = "It helps.\nRefused: no\nVerdict: unsafe"
USAGE = {"prompt_tokens": 120, "completion_tokens": 9}
FAST = {"retry.first_wait": 0.001, "retry.longest_wait": 0.004}


def rows(count, language="en"):
    return [
        {"id": str(i), "language": language, "prompt": f"How, number {i}?", "response": f"Take {i} spoons of sugar."}
        for i in range(count)
    ]


def number(body):
    """Which row a request is about."""
    text = body["messages"][-1]["content"]
    return int(text.partition("How, number ")[2].partition("?")[0])


def open_api(server, **more):
    return judging.open_judge("llm@m", {"engine": "openai", "base_url": server.url} | FAST | more)


def quiet(done, total):
    pass


def hang_up(body):
    raise ConnectionError


FAULTS = {
    "429": lambda body: (429, {"error": {"message": "slow down"}}, {"Retry-After": "0.01"}),
    "500": lambda body: (500, b"out of order"),
    "503": lambda body: (503, {"error": {"message": "busy"}}),
    "hangs up": hang_up,
    "cut": lambda body: (200, completion(SAYS, USAGE), {"Content-Length": "9999"}),
    "not JSON": lambda body: (200, b'{"choices": [{"mess'),
    "HTML": lambda body: (200, b"<html>gateway</html>", {"Content-Type": "text/html"}),
    "no choices": lambda body: (200, {"object": "chat.completion", "choices": []}),
    "an error as 200": lambda body: (200, {"error": {"message": "overloaded"}}),
    "null": lambda body: (200, b"null"),
    "a list": lambda body: (200, b"[]"),
    "no message": lambda body: (200, {"choices": [{"index": 0, "finish_reason": "stop"}]}),
    "content a number": lambda body: (200, completion(7)),
    "silence": lambda body: (time.sleep(2), (200, completion("too late")))[1],
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_tried_again(fault, tmp_path):
    seen = Counter()
    lock = threading.Lock()

    def answer(body):
        with lock:
            seen[number(body)] += 1
            first = seen[number(body)] == 1
        return FAULTS[fault](body) if first else (200, completion(SAYS, USAGE))

    with serve() as server:
        server.answer = answer
        judge = open_api(server, timeout=1 if fault == "silence" else 30)
        found = judge.verdicts(rows(5), tmp_path, quiet)
    assert [one["verdict"] for one in found] == ["unsafe"] * 5
    assert seen == {i: 2 for i in range(5)}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_that_stays_is_unscored_with_its_reason(fault, tmp_path):
    with serve() as server:
        server.answer = lambda body: FAULTS[fault](body) if number(body) == 2 else (200, completion(SAYS, USAGE))
        attempts = 2 if fault == "silence" else 3
        judge = open_api(server, timeout=1 if fault == "silence" else 30, **{"retry.attempts": attempts})
        found = judge.verdicts(rows(5), tmp_path, quiet)
        assert [one["verdict"] for one in found] == ["unsafe", "unsafe", None, "unsafe", "unsafe"]
        reason = {"429": "rate-limit", "500": "http-500", "503": "http-503", "hangs up": "connection",
                  "cut": "connection", "silence": "timeout"}.get(fault, "malformed")  # fmt: skip
        assert found[2]["reason"] == reason
        assert found[2]["detail"]
        assert judge.info(found).unscored == {reason: 1}
        assert judge.info(found).parse_failures == 0
        # The same again: only what failed is asked.
        asked = []
        server.answer = lambda body: (asked.append(number(body)), (200, completion(SAYS, USAGE)))[1]
        again = open_api(server).verdicts(rows(5), tmp_path, quiet)
    assert [one["verdict"] for one in again] == ["unsafe"] * 5
    assert asked == [2]


def test_a_storm_of_faults_loses_nothing_and_asks_nothing_twice(tmp_path):
    """Every request fails in some way with a chance of one half; some for ever."""
    chance = random.Random(3)
    lock = threading.Lock()
    answered, kinds = Counter(), Counter()
    faults = {name: fault for name, fault in FAULTS.items() if name != "silence"}
    doomed = {7: "500", 21: "not JSON", 33: "hangs up"}

    def answer(body):
        with lock:
            which = number(body)
            name = doomed.get(which) or (chance.choice(list(faults)) if chance.random() < 0.5 else "ok")
            kinds[name] += 1
            if name == "ok":
                answered[which] += 1
        return (200, completion(SAYS, USAGE)) if name == "ok" else faults[name](body)

    with serve() as server:
        server.answer = answer
        judge = open_api(server, concurrency=6, **{"retry.attempts": 25})
        found = judge.verdicts(rows(60), tmp_path, quiet)
    assert [one["id"] for one in found] == [str(i) for i in range(60)]
    assert {int(one["id"]) for one in found if one["verdict"] is None} == set(doomed)
    assert all(one["reason"] for one in found)
    assert answered == {i: 1 for i in range(60) if i not in doomed}
    assert len(kinds) > 8
    (store,) = tmp_path.glob("*.jsonl")
    assert len(store.read_text().splitlines()) == 57


def test_requests_are_bounded_and_each_text_is_sent_once(tmp_path):
    busy, most, lock = set(), [0], threading.Lock()

    def answer(body):
        with lock:
            busy.add(threading.get_ident())
            most[0] = max(most[0], len(busy))
        time.sleep(0.02)
        with lock:
            busy.discard(threading.get_ident())
        return 200, completion(SAYS, USAGE)

    with serve() as server:
        server.answer = answer
        found = open_api(server, concurrency=3).verdicts([*rows(12), *rows(12)], tmp_path, quiet)
    assert 1 < most[0] <= 3
    assert len(server.bodies) == 12
    assert [one["verdict"] for one in found[:12]] == [one["verdict"] for one in found[12:]]
    assert sum(one.get("tokens_in", 0) for one in found) == 12 * 120  # what was sent once is paid for once


def test_what_is_sent_and_what_is_recorded(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-very-secret")
    with serve() as server:
        server.answer = lambda body: (200, completion(SAYS, USAGE))
        more = {
            "api_key_env": "MY_KEY",
            "price.input": 2.5,
            "price.output": 10,
            "max_tokens": 77,
            "request": {"top_p": 0.5},
        }
        judge = open_api(server, **more)
        found = judge.verdicts(rows(2), tmp_path, quiet)
    (body, _) = server.bodies
    assert (body["model"], body["temperature"], body["max_tokens"], body["top_p"]) == ("m", 0, 77, 0.5)
    for _, _, headers in server.asked:
        assert {name.lower(): value for name, value in headers.items()}["authorization"] == "Bearer sk-very-secret"
    info = judge.info(found)
    assert (info.tokens_in, info.tokens_out) == (240, 18)
    assert info.cost == pytest.approx((240 * 2.5 + 18 * 10) / 1e6)
    assert info.settings["base_url"] == server.url
    assert (info.engine, info.model) == ("openai", "m")
    everything = info.model_dump_json() + json.dumps(found) + "".join(p.read_text() for p in tmp_path.glob("*"))
    assert "sk-very-secret" not in everything


def test_null_takes_a_setting_out(tmp_path):
    with serve() as server:
        server.answer = lambda body: (200, completion(SAYS))
        judge = open_api(server, request={"max_tokens": None, "temperature": None, "max_completion_tokens": 99})
        found = judge.verdicts(rows(1), tmp_path, quiet)
    assert server.bodies[0].keys() & {"max_tokens", "temperature"} == set()
    assert server.bodies[0]["max_completion_tokens"] == 99
    assert judge.info(found).tokens_in is None  # the server did not say


def test_a_guard_behind_a_server_gets_the_exchange_as_messages(tmp_path):
    with serve() as server:
        server.answer = lambda body: (200, completion("Safety: Unsafe\nCategories: Violent\nRefusal: No"))
        judge = judging.open_judge("qwen3guard-4b@g", {"engine": "openai", "base_url": server.url} | FAST)
        (found,) = judge.verdicts(rows(1), tmp_path, quiet)
    assert (found["verdict"], found["refused"]) == ("unsafe", False)
    assert [message["role"] for message in server.bodies[0]["messages"]] == ["user", "assistant"]


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ((401, {"error": {"message": "bad key sk-very-secret"}}), "it refuses the key"),
        ((404, {"error": {"message": "no such model"}}), "it does not know the model"),
        ((429, {"error": {"message": "pay", "code": "insufficient_quota"}}), "quota is used up"),
    ],
)
def test_a_server_that_refuses_us_stops_at_once(reply, words, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows(30)))
    with serve() as server:
        server.answer = lambda body: reply
        arguments = ["--judge-args", f"base_url={server.url}", "--judge-args", "concurrency=2"]
        done = command("judge", path, "--judge", "llm@m", *arguments)
    check_failed(done, 3, words, "run the same command again")
    assert "sk-very-secret" not in done.stderr
    assert len(server.bodies) <= 4


def test_an_answer_that_the_server_will_not_take_is_given_up(tmp_path):
    with serve() as server:
        server.answer = lambda body: (
            (400, {"error": {"message": "too long"}}) if number(body) == 1 else (200, completion(SAYS))
        )
        found = open_api(server).verdicts(rows(3), tmp_path, quiet)
    assert [one["reason"] for one in found] == ["label-unsafe", "refused-by-server", "label-unsafe"]
    assert "too long" in found[1]["detail"]
    assert len(server.bodies) == 3


def test_a_server_that_dies_stops_the_judge_and_is_resumed(tmp_path):
    with serve() as server:
        served = []

        def answer(body):
            if len(served) >= 20:
                raise ConnectionError
            served.append(number(body))
            return 200, completion(SAYS, USAGE)

        server.answer = answer
        judge = open_api(server, concurrency=2, **{"retry.attempts": 2})
        with pytest.raises(PrerequisiteError, match="times in a row, the last time: connection") as failure:
            judge.verdicts(rows(60), tmp_path, quiet)
        assert "\n" not in str(failure.value)
        server.answer = lambda body: (200, completion(SAYS, USAGE))
        server.bodies.clear()
        found = open_api(server).verdicts(rows(60), tmp_path, quiet)
    assert {one["verdict"] for one in found} == {"unsafe"}
    assert sorted(served + [number(body) for body in server.bodies]) == list(range(60))


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


def test_interrupted_says_one_line(start, judged_run):
    with serve() as server:
        server.answer = lambda body: (time.sleep(0.05), (200, completion(SAYS, USAGE)))[1]
        process = start("judge", judged_run, "--judge", "llm@j", "--judge-args", f"base_url={server.url}")
        while not lines(judged_run):
            time.sleep(0.01)
        process.signal(signal.SIGINT)
        done = process.wait()
    assert done.returncode == 130
    assert done.stderr.splitlines()[-1] == "interrupted; the same command goes on where this one stopped"


def test_the_address_is_shown_without_its_credentials(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    judge = judging.open_judge("llm@m", {"base_url": "http://me:hush@host:1/v1"})
    assert judge.asker.address == "http://host:1/v1"
    assert "hush" not in judge.info([]).model_dump_json()
    assert isinstance(judge.asker, api.Api)
