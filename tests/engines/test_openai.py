"""Runs against an OpenAI-compatible server: what it serves is recorded as it is, and is not asked again."""

import json
import threading
import time

import fake_server
import pytest
from fake_server import completion, serve
from helpers import check_failed, command

from mlc_bench.catalog import data, listing


def asks(server, output, *more, languages="en"):
    return [
        "run", "--model", "m", "--engine", "openai", "--base-url", server.url, "--tasks", "starter_harmful",
        "--languages", languages, "--output", output, *more,
    ]  # fmt: skip


def samples(output, task="starter_harmful"):
    (path,) = output.glob(f"*/*/samples/{task}.jsonl")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(("concurrent", "limit"), [(8, 30), (1, 5)])
def test_samples_hold_what_was_served(concurrent, limit, tmp_path):
    """Answers, token counts and cuts stay together though answers overtake each other."""
    busy, most, lock = set(), [0], threading.Lock()

    def answer(body):
        with lock:
            busy.add(threading.get_ident())
            most[0] = max(most[0], len(busy))
        try:
            return fake_server.answer(body)
        finally:
            with lock:
                busy.discard(threading.get_ident())

    with serve() as server:
        server.answer = answer
        arguments = ("--limit", limit, "--engine-args", f"num_concurrent={concurrent}", "--system-prompt", "Be brief.")
        done = command(*asks(server, tmp_path, *arguments, "--max-tokens", 77, languages="en,ru,zh"))
    assert done.returncode == 0, done.stderr
    assert (most[0] > 1) == (concurrent > 1)
    assert most[0] <= concurrent
    expected = data.read(listing.tasks()["starter_harmful"].source)
    rows = samples(tmp_path)
    assert [row["id"] for row in rows] == [doc["id"] for code in ("en", "ru", "zh") for doc in expected[code][:limit]]
    cut = 0
    for row in rows:
        _, served = fake_server.answer({"messages": [{"content": row["prompt"]}]})
        (choice,) = served["choices"]
        assert row["response"] == choice["message"]["content"]
        assert row["tokens_in"] == served["usage"]["prompt_tokens"]
        assert row["tokens_out"] == served["usage"]["completion_tokens"]
        assert row["truncated"] is (choice["finish_reason"] == "length")
        cut += row["truncated"]
    assert 0 < cut < len(rows)
    assert sorted(server.answered) == sorted(row["prompt"] for row in rows)  # each once
    for body in server.bodies:
        assert [message["role"] for message in body["messages"]] == ["system", "user"]
        assert body["messages"][0]["content"] == "Be brief."
        assert (body["model"], body["max_tokens"], body["temperature"], body["seed"]) == ("m", 77, 0, 1234)
        assert "stop" not in body
    (path,) = tmp_path.glob("*/*/run.json")
    found = json.loads(path.read_text())
    assert found["model"]["weights_digest"] is None
    assert found["prompting"]["chat_template"] is None
    assert sum(result["truncated"] for result in found["tasks"][0]["languages"].values()) == cut


def test_an_answer_without_text_is_empty_and_invalid(tmp_path):
    def answer(body):
        texts = [None, "", "   ", "No."]
        return 200, completion(texts[len(body["messages"][0]["content"]) % 4], {"prompt_tokens": 9})

    with serve() as server:
        server.answer = answer
        done = command(*asks(server, tmp_path))
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("*/*/verdicts/refusal/starter_harmful.jsonl")
    verdicts = [json.loads(line) for line in path.read_text().splitlines()]
    rows = samples(tmp_path)
    assert {row["response"] for row in rows} == {"", "   ", "No."}
    for row, verdict in zip(rows, verdicts, strict=True):
        assert (verdict["verdict"] == "invalid") == (row["response"].strip() == ""), row
        assert (row["tokens_in"], row["tokens_out"]) == (9, None)


def test_a_server_without_usage(tmp_path):
    with serve() as server:
        server.answer = lambda body: (200, completion("No."))
        done = command(*asks(server, tmp_path, "--limit", 3, "--json"))
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)
    result = found["tasks"][0]["languages"]["en"]
    assert (result["n"], result["tokens_in"], result["tokens_out"], result["truncated"]) == (3, None, None, 0)


def test_a_server_that_fails_now_and_then(tmp_path):
    """A request that fails once is asked again, and the run does not notice."""
    seen, lock = set(), threading.Lock()

    def answer(body):
        prompt = body["messages"][0]["content"]
        with lock:
            again = prompt in seen or len(seen) >= 3
            seen.add(prompt)
        return fake_server.answer(body) if again else (503, b"busy")

    with serve() as server:
        server.answer = answer
        done = command(*asks(server, tmp_path, "--limit", 6))
    assert done.returncode == 0, done.stderr
    assert "503" not in done.stderr
    assert len(samples(tmp_path)) == 6


def _hang_up(body):
    raise ConnectionError


@pytest.mark.parametrize("end", [_hang_up, lambda body: (500, b"out of order")], ids=["hangs up", "500"])
def test_a_server_that_stops_half_way(end, start, tmp_path):
    """One line, exit code 3; the same command then asks for what was not answered, and for nothing else."""
    with serve() as server:
        served = []

        def answer(body):
            if len(served) >= 25:
                while len(server.answered) < len(served):  # what is being answered arrives first
                    time.sleep(0.01)
                time.sleep(0.3)
                return end(body)
            served.append(body["messages"][0]["content"])
            return fake_server.answer(body)

        server.answer = answer
        arguments = asks(server, tmp_path, "--engine-args", "max_retries=1")
        # A process of its own: what asyncio says about the other requests comes at its end.
        stopped = start(*arguments).wait() if end is _hang_up else command(*arguments)
        check_failed(stopped, 3, server.url, "run the same command again")
        assert not list(tmp_path.rglob("run.json"))
        first = list(server.answered)
        assert len(first) >= 25
        server.answer = fake_server.answer
        server.asked.clear()
        done = command(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        assert set(server.answered) | set(first) == {row["prompt"] for row in samples(tmp_path)}
        assert not set(server.answered) & set(first)
    (found,) = json.loads(done.stdout)
    assert found["responses"] == {"generated": 40 - len(first), "from_store": len(first)}
    for row in samples(tmp_path):
        _, expected = fake_server.answer({"messages": [{"content": row["prompt"]}]})
        assert row["response"] == expected["choices"][0]["message"]["content"]
        assert row["tokens_out"] == expected["usage"]["completion_tokens"]


def test_a_task_that_needs_likelihoods_fails_alone(tmp_path):
    with serve() as server:
        done = command(*asks(server, tmp_path, "--tasks", "starter_choice", "--limit", 2))
        assert done.returncode == 1
        assert "starter_choice failed: starter_choice needs log-likelihoods" in " ".join(done.stdout.split())
        assert len(samples(tmp_path)) == 2
        alone = ["starter_choice" if part == "starter_harmful" else part for part in asks(server, tmp_path / "alone")]
        check_failed(command(*alone), 2, "needs log-likelihoods", "--engine hf or vllm")
