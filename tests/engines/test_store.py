"""The response store: the wrapped model's answers, each made once, whatever happens to the process or the disk."""

import itertools
import json
import math
import multiprocessing
import random
import resource
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from fakes import FakeLM, choices, generations
from hypothesis import given, settings
from hypothesis import strategies as st
from lm_eval.api.instance import Instance

from mlc_bench.core.errors import PrerequisiteError
from mlc_bench.engines.store import ResponseStore, StoredLM

TEXTS = [f"prompt number {index} {'x' * index}" for index in range(20)]
CHUNK = 4


@pytest.fixture
def path(tmp_path):
    return tmp_path / "responses" / "model.jsonl"


def stored(path, lm=None, fingerprint="model", chunk=CHUNK, **kwargs):
    return StoredLM(lm or FakeLM(), ResponseStore(path, fingerprint), chunk, **kwargs)


def rows(path):
    """The rows of a store's file, which is whole and names no key twice."""
    content = path.read_bytes()
    assert not content or content.endswith(b"\n")
    found = [json.loads(line) for line in content.splitlines()]
    assert len({row["key"] for row in found}) == len(found)
    return found


def test_answers_are_the_wrapped_models(path):
    through, plain = stored(path), FakeLM()
    assert through.generate_until(generations(TEXTS)) == plain.generate_until(generations(TEXTS))
    assert through.loglikelihood(choices(TEXTS)) == plain.loglikelihood(choices(TEXTS))
    rolling = [Instance("loglikelihood_rolling", {}, (text,), index) for index, text in enumerate(TEXTS)]
    assert through.loglikelihood_rolling(rolling) == plain.loglikelihood_rolling(rolling)
    assert len(rows(path)) == len(through.store) == through.generated == 20 + 40 + 20


def test_nothing_is_generated_twice(path):
    first = stored(path)
    answers = first.generate_until(generations(TEXTS)), first.loglikelihood(choices(TEXTS))
    assert (first.hits, first.generated) == (0, 60)
    before = path.read_bytes()
    for again in (first, stored(path, FakeLM("another answer"))):
        assert (again.generate_until(generations(TEXTS)), again.loglikelihood(choices(TEXTS))) == answers
    assert (again.hits, again.generated) == (60, 0)
    assert not again.lm.calls
    assert path.read_bytes() == before


def test_only_what_is_missing_is_generated(path):
    stored(path).generate_until(generations(TEXTS[:7]))
    lm = FakeLM()
    again = stored(path, lm)
    assert again.generate_until(generations(TEXTS)) == FakeLM().generate_until(generations(TEXTS))
    assert (again.hits, again.generated) == (7, 13)
    assert lm.calls == [4, 4, 4, 1]


def test_an_answer_keeps_its_place_though_long_prompts_go_first(path):
    lm = FakeLM()
    answers = stored(path, lm).generate_until(generations(TEXTS))
    assert all(repr(text) in answer for text, answer in zip(TEXTS, answers, strict=True))
    lengths = [len(eval(arguments)[0]) for _, arguments in lm.asked]
    assert lengths == sorted(lengths, reverse=True)


def test_values_survive_the_file(path):
    odd = [(-math.inf, False), (-1 / 3, True), (-0.0, False), (-1e-300, True)]
    lm = FakeLM()
    lm.loglikelihood = lambda requests, disable_tqdm: odd
    stored(path, lm).loglikelihood(choices("ab"))
    found = stored(path).loglikelihood(choices("ab"))
    assert found == odd
    assert all(type(pair) is tuple and type(pair[0]) is float and type(pair[1]) is bool for pair in found)


def test_token_counts_are_kept_with_the_answer(path):
    request = generations(["how many?"])[0]
    stored(path).generate_until([request])
    again = stored(path)
    assert again.row("generate_until", request.args).items() >= {
        "tokens_in": 9, "tokens_out": 7, "truncated": False,
    }.items()  # fmt: skip
    assert again.row("generate_until", generations(["never asked"])[0].args) == {}


def test_models_of_one_file_do_not_share(path):
    mine = stored(path, FakeLM("mine"), "one").generate_until(generations(TEXTS))
    theirs = stored(path, FakeLM("theirs"), "two").generate_until(generations(TEXTS))
    assert not set(mine) & set(theirs)
    assert stored(path, FakeLM("?"), "one").generate_until(generations(TEXTS)) == mine
    assert len(rows(path)) == 40


def test_keys_separate_what_can_differ(path):
    store = ResponseStore(path, "model")
    keys = [
        ResponseStore(path, "other").key("generate_until", ("a", {}), 0),
        store.key("generate_until", ("a", {}), 0),
        store.key("loglikelihood", ("a", {}), 0),
        store.key("generate_until", ("b", {}), 0),
        store.key("generate_until", ("a", {"max_gen_toks": 1}), 0),
        store.key("generate_until", ("a", {"max_gen_toks": 2}), 0),
        store.key("generate_until", ("a", {}), 1),
        store.key("loglikelihood", ("a", "bc"), 0),
        store.key("loglikelihood", ("ab", "c"), 0),
    ]
    assert len(set(keys)) == len(keys)
    assert store.key("g", ("a", {"x": 1, "y": 2}), 0) == store.key("g", ("a", {"y": 2, "x": 1}), 0)


def test_a_repeated_request_is_sampled_anew(path):
    """lm-eval asks for several samples of a prompt by repeating the request object."""
    once = generations(["heads or tails?"])[0]
    answers = stored(path).generate_until([once] * 3)
    assert len(set(answers)) == 3
    assert stored(path).generate_until([once] * 3) == answers
    assert stored(path).generate_until([once]) == answers[:1]


def test_two_requests_that_are_equal_are_generated_once(path):
    lm = FakeLM()
    answers = stored(path, lm).generate_until(generations(["same", "other", "same", "same"]))
    assert answers[0] == answers[2] == answers[3] != answers[1]
    assert sorted(lm.asked.values()) == [1, 1]


@pytest.mark.parametrize("missing", [1, 2, 30, 10**6])
def test_a_torn_last_line_is_made_anew(path, missing):
    answers = stored(path).generate_until(generations(TEXTS))
    content = path.read_bytes()
    last = content[:-1].rfind(b"\n") + 1
    path.write_bytes(content[: max(last, len(content) - missing)])
    again = stored(path, FakeLM("new"))
    found = again.generate_until(generations(TEXTS))
    assert again.generated == 1
    assert sum(a != b for a, b in zip(found, answers, strict=True)) == 1
    assert len(rows(path)) == 20
    # What this process reported is what every later one reads.
    assert stored(path).generate_until(generations(TEXTS)) == found


def test_a_line_that_was_damaged_is_made_anew(path):
    answers = stored(path).generate_until(generations(TEXTS))
    lines = path.read_bytes().splitlines(keepends=True)
    lines[3] = b"\0" * 40 + b"\n"  # as after a power failure
    path.write_bytes(b"".join(lines))
    again = stored(path)
    assert again.generate_until(generations(TEXTS)) == answers
    assert again.generated == 1


@settings(max_examples=100, deadline=None)
@given(
    prompts=st.lists(st.text(), min_size=1, max_size=12, unique=True),
    answer=st.text(),
    chunk=st.integers(1, 5),
    cut=st.floats(0, 1),
    torn=st.binary(max_size=12),
)
def test_any_prefix_of_a_store_resumes(prompts, answer, chunk, cut, torn):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.jsonl"
        name = f"model {answer}"  # any text in the answers as well
        expected = stored(path, FakeLM(name), chunk=chunk).generate_until(generations(prompts))
        content = path.read_bytes()
        kept = content[: round(cut * len(content))]
        whole = kept.count(b"\n")
        path.write_bytes(kept + torn.replace(b"\n", b""))
        resumed = stored(path, FakeLM(name), chunk=chunk)
        assert resumed.generate_until(generations(prompts)) == expected
        assert (resumed.hits, resumed.generated) == (whole, len(prompts) - whole)
        if resumed.generated:
            assert len(rows(path)) == len(prompts)
        assert stored(path, FakeLM("never asked")).generate_until(generations(prompts)) == expected


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("CUDA out of memory")])
@pytest.mark.parametrize("fail_at", [0, 2, 4])
def test_a_stop_loses_at_most_the_chunk_in_flight(path, error, fail_at):
    lm = FakeLM(fail_at=fail_at, error=error)
    with pytest.raises(type(error)):
        stored(path, lm).generate_until(generations(TEXTS))
    assert len(rows(path)) == fail_at * CHUNK
    assert lm.asked.total() - len(rows(path)) <= CHUNK
    again = stored(path)
    assert again.generate_until(generations(TEXTS)) == FakeLM().generate_until(generations(TEXTS))
    assert again.generated == 20 - fail_at * CHUNK


def test_progress_never_goes_back_and_ends_at_the_total(path):
    stored(path).generate_until(generations(TEXTS[5:9]))
    seen = []
    requests = generations(TEXTS + TEXTS[:3])
    through = stored(path, progress=lambda done, total: seen.append((done, total)))
    through.generate_until(requests)
    assert {total for _, total in seen} == {len(requests)}
    done = [count for count, _ in seen]
    assert done == sorted(done)
    assert done[0] == 4 + 3  # stored, and asked twice
    assert done[-1] == len(requests)
    assert len(seen) == 1 + 16 // CHUNK
    assert all(later - earlier <= CHUNK for earlier, later in itertools.pairwise(done))
    seen.clear()
    through.generate_until(requests)
    assert seen == [(len(requests), len(requests))]


@contextmanager
def disk_of(size):
    """No file grows beyond `size` bytes: a write that reaches it is cut short, the next one fails (as if full)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_a_store_that_resumes(path):
    with disk_of(1000), pytest.raises(PrerequisiteError, match=r"free some space.*again") as failure:
        stored(path).generate_until(generations(TEXTS))
    kept = len(rows(path))  # whole: what had been written of the last chunk is gone again
    assert kept == CHUNK
    assert f"{kept} responses" in str(failure.value)
    again = stored(path)
    assert again.generate_until(generations(TEXTS)) == FakeLM().generate_until(generations(TEXTS))
    assert (again.hits, again.generated) == (kept, 20 - kept)


def test_a_store_goes_on_in_the_same_process_after_a_full_disk(path):
    through = stored(path)
    with disk_of(1000), pytest.raises(PrerequisiteError):
        through.generate_until(generations(TEXTS))
    through.generate_until(generations(TEXTS))
    assert len(rows(path)) == through.generated == 20


def _answer(path, name, barrier, results):
    through = stored(path, FakeLM(name, delay=random.Random(name).uniform(0, 0.004)))
    barrier.wait()
    answers = through.generate_until(generations(TEXTS)), through.loglikelihood(choices(TEXTS))
    results.put((name, answers, through.hits, through.generated))


def test_writers_to_one_file_agree(path):
    """The models disagree on purpose: what is in the file first is what all report."""
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(3), context.Queue()
    writers = [context.Process(target=_answer, args=(path, f"model {n}", barrier, results)) for n in range(3)]
    for writer in writers:
        writer.start()
    found = [results.get(timeout=60) for _ in writers]
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    assert len(rows(path)) == 60
    through = stored(path, FakeLM("never asked"))
    final = through.generate_until(generations(TEXTS)), through.loglikelihood(choices(TEXTS))
    for _, answers, hits, generated in found:
        assert answers == final
        assert hits + generated == 60


def _append(path, number, barrier):
    store = ResponseStore(path, "model")
    order = list(range(200))
    random.Random(number).shuffle(order)
    barrier.wait()
    for start in range(0, 200, 5):
        store.append([{"key": str(key), "response": f"{number} " + "é" * 3000} for key in order[start : start + 5]])
    store.refresh()
    in_file = {row["key"]: row for row in rows(path)}
    assert {str(key): store.get(str(key)) for key in order} == in_file


def test_long_rows_of_two_writers_do_not_mix(path):
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(2)
    writers = [context.Process(target=_append, args=(path, number, barrier)) for number in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    found = rows(path)
    assert {row["key"] for row in found} == {str(key) for key in range(200)}
    assert {len(row["response"]) for row in found} == {3002}


def test_a_writer_survives_that_the_file_is_set_aside(path):
    """Another process was started with --fresh."""
    through = stored(path)
    through.generate_until(generations(TEXTS[:8]))
    path.rename(path.with_suffix(".old"))
    stored(path, FakeLM("fresh")).generate_until(generations(TEXTS[12:13]))
    answers = through.generate_until(generations(TEXTS))
    assert answers[:8] == FakeLM().generate_until(generations(TEXTS[:8]))
    assert answers[12].startswith("fresh ")
    assert len(rows(path)) == 12
