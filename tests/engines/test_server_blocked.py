"""Answers that a provider blocks, in records, tables and comparisons; what a run on a hosted server costs."""

import json
from collections import Counter

import pytest
from fake_server import completion, serve
from helpers import check_failed, command
from server_runs import CONCURRENT, asks, found, prompt_of, rows

# Blocked answers in the record and tables


def block_some(body):
    """Every third prompt blocked, every fifth too long, the others refused by the model or complied with."""
    number = sum(prompt_of(body).encode())
    if number % 3 == 0:
        return 400, {"error": {"message": "filtered", "code": "content_filter"}}
    if number % 5 == 0:
        return 400, {"error": {"message": "too long", "code": "context_length_exceeded"}}
    return 200, completion("No, I will not help with that." if number % 2 else "Sure: first, take the cup and fill it.")


@pytest.mark.parametrize(
    ("task", "headline"), [("starter_harmful", "refusal_rate"), ("starter_benign", "over_refusal")]
)
def test_blocked_answers_count_as_refusals_and_are_shown(task, headline, tmp_path):
    with serve() as server:
        server.answer = block_some
        done = command(*asks(server, tmp_path, tasks=task, languages="en,sw"))
    assert done.returncode == 0, done.stderr
    text = " ".join(done.stdout.split())
    assert "blocked %" in text
    assert "blocked left out %" in text
    assert "Blocked: the provider refused, not the model" in text
    result = found(tmp_path).tasks[0]
    for code in ("en", "sw"):
        numbers = [
            sum(row["prompt"].encode()) for row in rows(tmp_path, f"samples/{task}.jsonl") if row["language"] == code
        ]
        blocked = sum(number % 3 == 0 for number in numbers)
        long = sum(number % 3 != 0 and number % 5 == 0 for number in numbers)
        refused = sum(number % 3 != 0 and number % 5 != 0 and number % 2 for number in numbers)
        judged = len(numbers) - long
        metrics, outcomes = result.languages[code].metrics, result.languages[code].outcomes
        assert 0 < blocked < judged
        assert (outcomes.count("b"), outcomes.count("-"), outcomes.count("1")) == (blocked, long, refused)
        assert result.languages[code].n_unscored == long
        assert metrics[headline].value == pytest.approx((refused + blocked) / judged)
        assert metrics["blocked_rate"].value == pytest.approx(blocked / judged)
        assert metrics[f"{headline}_blocked_excluded"].value == pytest.approx(refused / (judged - blocked))
        assert metrics["invalid_rate"].value == 0
    both = [result.languages[code].metrics[f"{headline}_blocked_excluded"].value for code in ("en", "sw")]
    assert result.summary["average_blocked_excluded"].value == pytest.approx(sum(both) / 2)
    assert found(tmp_path).judge.unscored["prompt-too-long"] > 0


def test_blocked_runs_compare_and_stand_on_the_leaderboard(tmp_path):
    folders = []
    for name, answer in (("a", lambda body: (200, completion("Sure: take the cup."))), ("b", block_some)):
        with serve() as server:
            server.answer = answer
            done = command(*asks(server, tmp_path / name, languages="en,sw"))
            assert done.returncode == 0, done.stderr
        folders += [path.parent for path in (tmp_path / name).glob("*/*/run.json")]
    compared = command("compare", *folders)
    assert compared.returncode == 0, compared.stderr
    text = " ".join(compared.stdout.split())
    assert "blocked excluded" in text
    assert "With what the provider blocked left out it is" in text
    board = tmp_path / "board"
    built = command("leaderboard", "build", *folders, "--out", board)
    assert built.returncode == 0, built.stderr
    written = "".join(path.read_text() for path in board.rglob("*.md")) + "".join(
        p.read_text() for p in board.rglob("*.json")
    )
    assert "blocked by the provider, and counted as refusals" in written


def test_judges_are_not_asked_about_blocked_answers(tmp_path):
    """Neither a single judge nor an ensemble; the judged share keeps its agreement."""
    with serve() as server, serve() as other:
        server.answer = block_some
        other.answer = lambda body: (200, completion("Why.\nRefused: no\nVerdict: unsafe"))
        assert command(*asks(server, tmp_path)).returncode == 0
        (path,) = tmp_path.glob("*/*/run.json")
        arguments = ["judge", path.parent, "--judge", "llm@j", "--judge-args", f"base_url={other.url}"]
        done = command(*arguments)
        assert done.returncode == 0, done.stderr
        answered = [row for row in rows(tmp_path) if not row.get("blocked") and not row.get("unanswered")]
        assert len(other.bodies) == len({row["response"] + row["prompt"] for row in answered})
    verdicts = rows(tmp_path, "verdicts/llm@j/starter_harmful.jsonl")
    assert Counter(row["verdict"] for row in verdicts)["unsafe"] == len(answered)


# Costs


def test_a_dry_run_shows_tokens_and_cost(tmp_path):
    with serve() as server:
        arguments = asks(server, tmp_path, "--max-tokens", 100, "--dry-run")
        (plan,) = json.loads(command(*arguments, "--price", "2,10", "--json").stdout)
        text = command(*arguments, "--price", "2,10").stdout
        without = command(*arguments).stdout
        assert not server.bodies
    assert plan["tokens_out"] == 40 * 100
    assert 300 < plan["tokens_in"] < 2000
    assert plan["cost"] == pytest.approx((plan["tokens_in"] * 2 + 4000 * 10) / 1e6)
    assert f"up to 4,000 out, up to ${plan['cost']:.4f}" in text
    assert "tokens in" in without
    assert "$" not in without


@CONCURRENT
def test_max_cost_stops_and_goes_on(concurrent, tmp_path):
    """Never a cent more than allowed; what is answered is kept; the line names the command."""
    with serve() as server:
        server.answer = lambda body: (200, completion("No.", {"prompt_tokens": 10, "completion_tokens": 50}))
        more = ["--max-tokens", 60, "--price", "0,1000", "--engine-args", f"num_concurrent={concurrent}"]
        more += ["--engine-args", "auth_token=sk-secret"]
        cost = 0.05  # dollars an answer
        commands = 0
        while True:
            before = len(server.bodies)
            done = command(*asks(server, tmp_path, *more, "--max-cost", 0.8))
            commands += 1
            assert (len(server.bodies) - before) * cost <= 0.8
            assert len(server.bodies) > before
            if done.returncode == 0:
                break
            spent = f"${(len(server.bodies) - before) * cost:.4f} spent on {len(server.bodies) - before} answers"
            check_failed(done, 1, "--max-cost 0.8", spent, "to go on: mlc-bench run --model m")
            assert "sk-secret" not in done.stderr
    assert len(server.bodies) == 40
    assert commands == 3  # 15 answers a command: with the 16th under way, 75 cents and up to 6 more are over the limit
    assert "spent on 10 answers" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--max-cost", "1"], "--max-cost needs --price"),
        (["--price", "1"], "--price '1'"),
        (["--price", "1,-2"], "--price '1,-2'"),
        (["--price", "1,2", "--engine", "hf"], "go with --engine openai"),
    ],
)
def test_prices_that_are_wrong(arguments, words, tmp_path):
    with serve() as server:
        check_failed(command(*asks(server, tmp_path, *arguments)), 2, words)
