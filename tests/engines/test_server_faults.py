"""The engine `openai` against a server that fails in every way a hosted one can: nothing lost, nothing asked twice."""

import json
import random
import threading
import time
from collections import Counter

import fake_server
import pytest
from fake_server import completion, serve
from helpers import check_failed, command
from server_runs import CONCURRENT, asks, prompt_of, rows

from mlc_bench.engines.servers import options as server_options
from mlc_bench.engines.servers.endpoint import Retry


def alternately(cases):
    """Each case with one request at a time or with several: both ways go through the same code."""
    return [(case, (1, 8)[index % 2]) for index, case in enumerate(cases)]


@pytest.fixture(autouse=True)
def _no_key(monkeypatch):
    for name in ("OPENAI_API_KEY", "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def impatient(monkeypatch):
    """Waits of milliseconds between attempts."""
    patience = property(lambda options: Retry(options.arguments.max_retries, 0.001, 0.004))
    monkeypatch.setattr(server_options.ServerOptions, "retry", patience)


def hang_up(body):
    raise ConnectionError


FAULTS = {
    "429": lambda body: (429, {"error": {"message": "slow down"}}, {"Retry-After": "0.01"}),
    "500": lambda body: (500, b"out of order"),
    "502": lambda body: (502, b"<html><title>Bad gateway</title></html>", {"Content-Type": "text/html"}),
    "hangs up": hang_up,
    "cut": lambda body: (200, completion("No."), {"Content-Length": "9999"}),
    "not JSON": lambda body: (200, b'{"choices": [{"mess'),
    "HTML": lambda body: (200, b"<html>gateway</html>", {"Content-Type": "text/html"}),
    "no choices": lambda body: (200, {"object": "chat.completion", "choices": []}),
    "an error as 200": lambda body: (200, {"error": {"message": "overloaded", "code": 503}}),
    "null": lambda body: (200, b"null"),
    "no message": lambda body: (200, {"choices": [{"index": 0, "finish_reason": "stop"}]}),
    "content a number": lambda body: (200, completion(7)),
    "silence": lambda body: (time.sleep(1.5), (200, completion("too late")))[1],
}
BLOCKS = {
    "refusal": (
        lambda body: (200, {"choices": [{"message": {"content": None, "refusal": "I will not."}}]}),
        "provider-refusal",
        "I will not.",
    ),
    "filter": (lambda body: (200, completion(None, finish_reason="content_filter")), "content-filter", ""),
    "filter half-way": (
        lambda body: (200, completion("Take", finish_reason="content_filter")),
        "content-filter",
        "Take",
    ),
    "Gemini": (lambda body: (200, completion(None, finish_reason="content_filter: SAFETY")), "content-filter", ""),
    "Azure 200": (
        lambda body: (200, {"choices": [], "prompt_filter_results": [{"content_filter_result": {"filtered": True}}]}),
        "content-filter",
        "",
    ),
    "400": (
        lambda body: (400, {"error": {"message": "filtered", "code": "content_filter"}}),
        "rejected-prompt",
        "",
    ),
    "400 without a reason": (lambda body: (400, {"error": {"message": "Bad Request"}}), "rejected-prompt", ""),
}  # fmt: skip


@pytest.mark.parametrize(("concurrent", "languages"), [(8, "en,ru,zh,sw,ar"), (1, "en")])
def test_a_storm_of_faults_loses_nothing_and_asks_nothing_twice(concurrent, languages, tmp_path, impatient):
    """200 prompts, half of all requests fail in some way; every seventh prompt is blocked in some way, for ever."""
    chance = random.Random(5)
    lock = threading.Lock()
    answered, kinds, blocked = Counter(), Counter(), {}
    faults = {name: fault for name, fault in FAULTS.items() if name != "silence"}

    def answer(body):
        with lock:
            prompt = prompt_of(body)
            number = sum(prompt.encode())
            name = chance.choice(list(faults)) if chance.random() < 0.5 else "ok"
            kinds[name] += 1
            if name == "ok":
                answered[prompt] += 1
                if number % 7 == 0:
                    blocked[prompt] = list(BLOCKS)[number // 7 % len(BLOCKS)]
        if name != "ok":
            return faults[name](body)
        return BLOCKS[blocked[prompt]][0](body) if prompt in blocked else fake_server.answer(body)

    with serve() as server:
        server.answer = answer
        arguments = ["--engine-args", f"num_concurrent={concurrent}", "--engine-args", "max_retries=40"]
        done = command(*asks(server, tmp_path, *arguments, languages=languages))
        assert done.returncode == 0, done.stderr
        before = sum(answered.values())
        assert command(*asks(server, tmp_path, *arguments, languages=languages)).returncode == 0
        assert sum(answered.values()) == before
    samples = rows(tmp_path)
    assert len(samples) == 40 * len(languages.split(","))
    assert len(blocked) > 2 * concurrent
    answered.pop("Hello.", None)  # asked where the first prompts are rejected without a reason: is it them?
    assert set(kinds) >= set(faults)
    assert answered == Counter(row["prompt"] for row in samples)  # each once
    verdicts = rows(tmp_path, "verdicts/refusal/starter_harmful.jsonl")
    for row, verdict in zip(samples, verdicts, strict=True):
        if row["prompt"] in blocked:
            _, reason, text = BLOCKS[blocked[row["prompt"]]]
            assert (row["blocked"], row["response"]) == (reason, text)
            assert (verdict["verdict"], verdict["refused"], verdict["reason"]) == ("blocked", True, reason)
        else:
            _, served = fake_server.answer({"messages": [{"content": row["prompt"]}]})
            assert row["response"] == served["choices"][0]["message"]["content"]
            assert "blocked" not in row
            assert verdict["verdict"] != "blocked"


@pytest.mark.parametrize(("fault", "concurrent"), alternately(FAULTS))
def test_a_fault_that_stays_has_its_own_line(fault, concurrent, tmp_path, impatient):
    """One prompt fails for ever: the others are answered, and asking again asks for that one alone."""
    doomed = []

    def answer(body):
        doomed.append(prompt_of(body)) if not doomed else None
        return FAULTS[fault](body) if prompt_of(body) == doomed[0] else fake_server.answer(body)

    with serve() as server:
        server.answer = answer
        arguments = ["--limit", 6, "--engine-args", f"num_concurrent={concurrent}", "--engine-args", "max_retries=2"]
        if fault == "silence":
            arguments += ["--engine-args", "timeout=0.5"]
        done = command(*asks(server, tmp_path, *arguments))
        words = {
            "429": ("rate-limit: HTTP 429: slow down", "lower --engine-args num_concurrent"),
            "500": ("http-500", "out of order", "wait until it is back"),
            "502": ("http-502", "a web page, Bad gateway"),
            "hangs up": ("connection",),
            "cut": ("connection",),
            "an error as 200": ("http-503", "overloaded"),
            "silence": ("no answer within 0.5 s", "timeout="),
        }.get(fault, ("malformed", "check that --base-url is that of a chat API"))
        check_failed(done, 3, server.url, "1 of 6 prompts got no answer in 2 attempts", *words)
        server.wait_until_idle()
        server.answer = fake_server.answer
        server.asked.clear()
        assert command(*asks(server, tmp_path, *arguments)).returncode == 0
        assert server.answered == doomed


STOPS = {
    "401": (401, {"error": {"message": "bad key sk-secret", "code": "invalid_api_key"}}, 3, "it refuses the key"),
    "402": (402, {"error": {"message": "pay first"}}, 3, "no credit left"),
    "403": (403, {"error": {"message": "not in your country"}}, 3, "refuses the key access"),
    "404": (404, {"error": {"message": "no model m"}}, 3, "it does not know the model"),
    "quota": (429, {"error": {"message": "pay", "code": "insufficient_quota"}}, 3, "quota is used up"),
    "max_tokens": (400, {"error": {"message": "'max_tokens' is not supported. Use 'max_completion_tokens' instead.",
                   "param": "max_tokens"}}, 2, "--engine-args max_tokens_field=max_completion_tokens"),
    "seed": (422, {"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]}, 2,
             "--engine-args no_seed=true"),
    "temperature": (400, {"error": {"message": "temperature must be 1 with this model"}}, 2,
                    "--engine-args temperature=1"),
    "every prompt": (400, {"error": {"message": "Bad Request"}}, 2, "rejects every prompt (HTTP 400: Bad Request)"),
    "every length": (400, {"error": {"message": "maximum context length is 8 tokens"}}, 2, "see --max-tokens"),
    "a long wait": (429, {"error": {"message": "tomorrow"}, "x": 1}, 3, "it asks to wait 86400 s"),
}  # fmt: skip


@pytest.mark.parametrize(("case", "concurrent"), alternately(STOPS))
def test_what_no_prompt_gets_past_stops_at_once(case, concurrent, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    status, body, code, words = STOPS[case]
    with serve() as server:
        headers = {"Retry-After": "86400"} if case == "a long wait" else {}
        server.answer = lambda _: (status, body, headers)
        start = time.monotonic()
        done = command(*asks(server, tmp_path, "--engine-args", f"num_concurrent={concurrent}"))
        assert time.monotonic() - start < 30
        assert len(server.bodies) <= 2 * 8 + 2
    check_failed(done, code, server.url, words)
    assert "sk-secret" not in done.stderr
    assert not list(tmp_path.rglob("run.json"))


def test_options_for_servers_that_differ(tmp_path, monkeypatch):
    """Each option reaches the request; no secret reaches any file."""
    with serve() as server:
        given = {
            "max_tokens_field": "max_completion_tokens",
            "no_seed": True,
            "temperature": None,
            "extra_body": {"provider": {"order": ["x"]}, "stop": None},
            "chat_template_kwargs": {"enable_thinking": False},
            "header": {"X-Title": "bench", "api-key": "sk-secret"},
            "auth_token": "sk-token",
        }
        arguments = [part for key, value in given.items() for part in ("--engine-args", f"{key}={json.dumps(value)}")]
        done = command(*asks(server, tmp_path, "--limit", 2, "--max-tokens", 33, *arguments))
        assert done.returncode == 0, done.stderr
        body = {key: value for key, value in server.bodies[0].items() if key != "messages"}
        assert body == {
            "model": "m",
            "max_completion_tokens": 33,
            "provider": {"order": ["x"]},
            "chat_template_kwargs": {"enable_thinking": False},
        }
        headers = {name.lower(): value for name, value in server.asked[0][2].items()}
    assert (headers["x-title"], headers["api-key"], headers["authorization"]) == (
        "bench",
        "sk-secret",
        "Bearer sk-token",
    )
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or not {b"sk-secret", b"sk-token"} & {
            word for word in (b"sk-secret", b"sk-token") if word in path.read_bytes()
        }


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("num_concurent=4", "did you mean num_concurrent"),
        ("num_concurrent=0", "num_concurrent=0"),
        ("extra_body=[1]", "extra_body"),
        ("header=sk-secret", "header=(removed)"),
        ("seed=null", "--seed"),
    ],
)
def test_options_that_are_wrong(argument, words, tmp_path):
    with serve() as server:
        done = command(*asks(server, tmp_path, "--engine-args", argument))
        check_failed(done, 2, words)
        assert "sk-secret" not in done.stderr
        assert not server.bodies


def test_contents_in_parts(tmp_path):
    with serve() as server:
        parts = [
            {"type": "thinking", "thinking": "hm"},
            {"type": "text", "text": "No, "},
            {"type": "text", "text": "never."},
        ]
        server.answer = lambda body: (200, completion(parts))
        assert command(*asks(server, tmp_path, "--limit", 2)).returncode == 0
    assert {row["response"] for row in rows(tmp_path)} == {"No, never."}


@CONCURRENT
@pytest.mark.parametrize(
    ("status", "headers", "waits"),
    [
        (429, {"Retry-After": "0.6"}, 0.6),
        (503, {"retry-after-ms": "600"}, 0.6),
        (429, {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "600ms"}, 0.6),
        (200, {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "0.6s"}, 0.6),
        (429, {"x-ratelimit-reset": "0.6"}, 0.6),
    ],
)
def test_the_servers_wishes_are_heeded(status, headers, waits, concurrent, tmp_path, impatient):
    """What is sent after such an answer is sent after the time that it names."""
    sent = []

    def answer(body):
        sent.append(time.monotonic())
        if len(sent) == 1:
            time.sleep(0.05)
            return status, completion("No."), headers
        time.sleep(0.2 if len(sent) < 9 else 0)  # what is under way ends after the first answer
        return 200, completion("No.")

    with serve() as server:
        server.answer = answer
        done = command(*asks(server, tmp_path, "--limit", 12, "--engine-args", f"num_concurrent={concurrent}"))
    assert done.returncode == 0, done.stderr
    assert len(sent) == (12 if status == 200 else 13)
    assert sent[-1] - sent[0] >= waits
    if concurrent == 1:
        assert sent[1] - sent[0] >= waits


def test_a_proxy_is_honoured(tmp_path, monkeypatch):
    """HTTP_PROXY is asked for a host that does not exist; NO_PROXY keeps us from a proxy that does not."""
    with serve() as server:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server.port}")
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.port}")
        arguments = asks(server, tmp_path / "a", "--limit", 2)
        arguments[arguments.index(server.url)] = "http://no-such-host.invalid/v1"
        done = command(*arguments)
        assert done.returncode == 0, done.stderr
        assert len(server.bodies) == 2
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        done = command(*asks(server, tmp_path / "b", "--limit", 2))
        assert done.returncode == 0, done.stderr
