"""A judge behind a server: faults, storms of faults, what is sent."""

import json
import random
import threading
import time
from collections import Counter

import pytest
from api_judges import FAST, SAYS, USAGE, number, open_api, quiet, rows
from fake_server import completion, serve
from helpers import check_failed, command

from mlc_bench.core.errors import PrerequisiteError
from mlc_bench.judges import judging


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
