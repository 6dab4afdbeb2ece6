"""The response store by hand: the key of a response, what a failed call leaves, and what is asked first."""

import json

import pytest
from fakes import FakeLM, choices, generations
from lm_eval.api.instance import Instance

from mlc_bench.engines.store import ResponseStore, StoredLM


def stored(path, lm=None, chunk=4, **kwargs):
    return StoredLM(lm or FakeLM(), ResponseStore(path, "model"), chunk, **kwargs)


def test_repetitions_of_a_request_are_numbered_from_nought(tmp_path):
    once = generations(["heads or tails?"])[0]
    found = stored(tmp_path / "m.jsonl")
    answers = found.generate_until([once] * 3)
    rows = [found.store.get(found.store.key("generate_until", once.args, repeat)) for repeat in range(3)]
    assert [row["response"] for row in rows] == answers
    assert found.store.get(found.store.key("generate_until", once.args, 3)) is None
    assert found.row("generate_until", once.args)["response"] == answers[0]
    assert found.row("generate_until", ("another", {})) == {}


class Halting(FakeLM):
    """Answers the first half of a call, which the meter has, and fails."""

    def generate_until(self, requests, disable_tqdm=False):
        assert disable_tqdm
        assert not self.meter.answers, "answers of an earlier call are no answers of this one"
        for request in requests[: (len(requests) + 1) // 2]:
            self.meter.answers[request.args[0]] = f"answer to {request.args[0]}"
            self.meter.usage[request.args[0]] = {"tokens_in": 1, "tokens_out": 2, "truncated": True}
        raise RuntimeError("the server stopped")


def test_what_was_answered_before_a_call_failed_is_kept(tmp_path):
    lm = Halting()
    lm.meter.answers["d"] = "of an earlier call"
    found = stored(tmp_path / "m.jsonl", lm)
    with pytest.raises(RuntimeError, match="stopped"):
        found.generate_until(generations(["aaaa", "bbb", "cc", "d"]))
    rows = [json.loads(line) for line in (tmp_path / "m.jsonl").read_text().splitlines()]
    assert [row["response"] for row in rows] == ["answer to aaaa", "answer to bbb"]
    assert [(row["tokens_in"], row["tokens_out"], row["truncated"]) for row in rows] == [(1, 2, True)] * 2
    assert found.generated == 2


def test_of_two_requests_with_one_context_the_answered_one_is_kept(tmp_path):
    """They are asked in two calls, so that it is known which of the two an answer belongs to."""
    found = stored(tmp_path / "m.jsonl", Halting())
    first, second = generations(["same"]) + generations(["same"], temperature=1)
    with pytest.raises(RuntimeError):
        found.generate_until([first, second])
    assert found.row("generate_until", first.args)["response"] == "answer to same"
    assert found.row("generate_until", second.args) == {}


def test_a_failed_call_for_scores_keeps_nothing(tmp_path):
    """In a batch of others a score has other last digits, so that a run that goes on asks for the same batches."""

    class Failing(FakeLM):
        def loglikelihood(self, requests, disable_tqdm=False):
            assert disable_tqdm
            self.meter.answers[requests[0].args[0]] = "no score"
            raise RuntimeError("stopped")

    found = stored(tmp_path / "m.jsonl", Failing())
    with pytest.raises(RuntimeError, match="stopped"):
        found.loglikelihood(choices(["a"]))
    assert len(found.store) == 0


class ByLimit(FakeLM):
    """Answers as long as each request's limit, and writes its settings anew, as vLLM's class does."""

    def generate_until(self, requests, disable_tqdm=False):
        self.calls.append(len(requests))
        contexts = [request.args[0] for request in requests]
        assert len(set(contexts)) == len(contexts), "the meter could not tell these apart"
        for request in requests:
            limit = request.args[1]["max_gen_toks"]
            usage = {"tokens_in": len(request.args[0]), "tokens_out": limit, "truncated": limit < 5}
            self.meter.pending.append(usage)
            self.meter.add_partial("generate_until", (request.args[0], {"rewritten": True}), "a" * limit)
        return ["a" * request.args[1]["max_gen_toks"] for request in requests]


@pytest.mark.parametrize("chunk", [1, 2, 3, 50])
@pytest.mark.parametrize("limits", [(4, 8), (8, 4), (4, 8, 12, 2)])
def test_equal_prompts_keep_their_own_usage(tmp_path, chunk, limits):
    """Two tasks may ask the same words, each with its own limit."""
    texts = ["one", "two", "one", "three"]
    requests = [one for limit in limits for one in generations(texts, max_gen_toks=limit)]
    found = stored(tmp_path / "m.jsonl", ByLimit(), chunk=chunk)
    answers = found.generate_until(requests)
    for request, answer in zip(requests, answers, strict=True):
        limit = request.args[1]["max_gen_toks"]
        row = found.row("generate_until", request.args)
        assert (answer, row["tokens_out"], row["truncated"]) == ("a" * limit, limit, limit < 5)
        assert row["tokens_in"] == len(request.args[0])


def test_an_answer_without_usage_gets_none_of_an_earlier_call(tmp_path):
    class Mute(FakeLM):
        def generate_until(self, requests, disable_tqdm=False):
            if not self.calls:
                return super().generate_until(requests)
            return ["without"] * len(requests)

    found = stored(tmp_path / "m.jsonl", Mute())
    found.generate_until(generations(["same"]))
    again = generations(["same"], temperature=1)
    found.generate_until(again)
    assert found.row("generate_until", again[0].args) == {
        "key": found.store.key("generate_until", again[0].args, 0),
        "response": "without",
    }


def test_half_a_character_pair_is_kept_as_text(tmp_path):
    class Half(FakeLM):
        def generate_until(self, requests, disable_tqdm=False):
            return ["whole \ud83d"] * len(requests)

    found = stored(tmp_path / "m.jsonl", Half())
    assert found.generate_until(generations(["a"])) == ["whole ?"]
    assert stored(tmp_path / "m.jsonl").generate_until(generations(["a"])) == ["whole ?"]


def test_the_longest_go_first_by_tokens(tmp_path):
    class Ordered(FakeLM):
        def tok_encode(self, text):
            return list(range({"short but many": 9, "a": 1, "b": 1}[text]))

        def generate_until(self, requests, disable_tqdm=False):
            order.extend(request.args[0] for request in requests)
            return super().generate_until(requests)

    order = []
    steps = []
    found = stored(tmp_path / "m.jsonl", Ordered(), chunk=2, progress=lambda done, total: steps.append((done, total)))
    found.generate_until(generations(["b", "a", "short but many"]))
    assert order == ["short but many", "a", "b"]
    assert steps == [(0, 3), (2, 3), (3, 3)]
    assert (found.hits, found.generated) == (0, 3)


def test_a_context_that_is_no_text_is_measured_in_characters(tmp_path):
    """A server encodes for itself."""
    lm = FakeLM()
    lm.tok_encode = None
    turns = [Instance("generate_until", {}, (turn, {"until": []}), 0) for turn in (("x",), ("longer", "turns"))]
    order = []
    lm.generate_until = lambda requests, disable_tqdm: [str(order.append(one.args[0])) for one in requests]
    stored(tmp_path / "m.jsonl", lm).generate_until(turns)
    assert order == [("longer", "turns"), ("x",)]


def test_what_another_process_stored_meanwhile_is_a_hit(tmp_path):
    path = tmp_path / "m.jsonl"
    other = stored(path, FakeLM("other"))

    class Slow(FakeLM):
        def generate_until(self, requests, disable_tqdm=False):
            if not self.calls:
                other.generate_until(generations(["b"]))
            return super().generate_until(requests)

    found = stored(path, Slow("mine"), chunk=1)
    answers = found.generate_until(generations(["a", "b", "c"]))
    assert [answer.split(" ", 1)[0] for answer in answers] == ["mine", "other", "mine"]
    assert (found.hits, found.generated) == (1, 2)


def test_a_store_that_was_set_aside_is_read_from_its_start(tmp_path):
    path = tmp_path / "m.jsonl"
    store = ResponseStore(path, "model")
    store.append([{"key": "long", "response": "x" * 100}])
    path.unlink()
    ResponseStore(path, "model").append([{"key": "new", "response": "y"}])
    store.refresh()
    assert store.get("new")["response"] == "y"
    assert len(store) == 2


def test_a_key_keeps_its_first_row(tmp_path):
    path = tmp_path / "m.jsonl"
    store = ResponseStore(path, "model")
    store.append([{"key": "k", "response": "first"}])
    store.append([{"key": "k", "response": "second"}, {"key": "l", "response": "ü"}])
    assert store.get("k")["response"] == "first"
    assert path.read_text(encoding="utf-8").count("\n") == 2
    assert "ü" in path.read_text(encoding="utf-8")
    assert ResponseStore(path, "model").get("l")["response"] == "ü"
