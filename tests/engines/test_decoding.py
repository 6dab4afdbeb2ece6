"""What chooses the tokens is ours, equal on all engines and in the record; a checkpoint's wishes only where asked."""

import json
import shutil

import pytest
from bad_input import hf
from fake_server import serve
from helpers import check_failed, command
from server_runs import asks

from mlc_bench.core.errors import UsageError
from mlc_bench.core.spec import RunSpec
from mlc_bench.engines import identity, lifecycle
from mlc_bench.engines.settings import resolved, sampling
from mlc_bench.records import record

END, SAID = 257, 65  # the tiny model's end token, and the byte "b" (token of its alphabet)


def suggesting(model, folder, place="generation_config.json", **settings):
    """A copy of a model whose checkpoint suggests settings."""
    made = shutil.copytree(model, folder)
    path = made / place
    content = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(content | settings))
    if place == "config.json":
        (made / "generation_config.json").unlink()
    return made


def found(output):
    (path,) = output.glob("*/*/run.json")
    return record.read(path)


def answers(output):
    (path,) = output.glob("*/*/samples/starter_harmful.jsonl")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [(row["response"], row["tokens_out"], row["truncated"]) for row in rows]


def key(output):
    return found(output).tasks[0].languages["en"].comparability_key


def small(model, output, *more, tokens=24):
    arguments = hf(model, output, *more)
    arguments[arguments.index("--max-tokens") + 1] = str(tokens)
    return arguments


@pytest.fixture(scope="module")
def plain(tiny_model, tmp_path_factory):
    """Answers of the model as it is: 24 tokens."""
    output = tmp_path_factory.mktemp("plain")
    done = command(*small(tiny_model, output))
    assert done.returncode == 0, done.stderr
    return output


# What a checkpoint may suggest, and what it does to the answers where it counts.
SUGGESTIONS = {
    "fewer tokens": {"max_new_tokens": 3},
    "a length of all": {"max_length": 20},
    "repetition": {"repetition_penalty": 5.0},
    "no n-gram twice": {"no_repeat_ngram_size": 1},
    "suppressed": {"suppress_tokens": list(range(32, 200))},
    "suppressed first": {"begin_suppress_tokens": list(range(0, 250))},
    "forced first": {"forced_bos_token_id": SAID},
    "forced last": {"forced_eos_token_id": SAID},
    "sampling": {"do_sample": True, "temperature": 3.0, "top_k": 40, "top_p": 0.9},
    "a minimum": {"min_new_tokens": 24},
    "stop strings": {"stop_strings": ["e", "a", "\\u00"]},
    "all": {"max_new_tokens": 3, "repetition_penalty": 5.0, "suppress_tokens": [1, 2], "forced_bos_token_id": SAID},
    "beams": {"num_beams": 3},
    "an exponential end": {"exponential_decay_length_penalty": [1, 3.0]},
    "custom": {"temperature": None, "no_such_setting": 3},
}


@pytest.mark.parametrize("place", ["generation_config.json", "config.json"])
@pytest.mark.parametrize("name", SUGGESTIONS)
def test_suggestions_are_ignored(name, place, plain, tiny_model, tmp_path):
    model = suggesting(tiny_model, tmp_path / "m", place, **SUGGESTIONS[name])
    done = command(*small(model, tmp_path / "results"))
    assert done.returncode == 0, done.stderr
    assert answers(tmp_path / "results") == answers(plain)
    assert key(tmp_path / "results") == key(plain)
    assert found(tmp_path / "results").tasks[0].decoding == found(plain).tasks[0].decoding


def test_the_record_has_every_setting_and_old_keys_hold(plain):
    task = found(plain).tasks[0]
    assert task.generation == {
        "until": [], "do_sample": False, "temperature": 0.0, "max_gen_toks": 24, "num_fewshot": 0, "repeats": 1,
    }  # fmt: skip
    assert set(task.decoding) == set(sampling.Generation.model_fields)
    assert sampling.Generation.model_validate(task.decoding).active == {"max_tokens": 24}
    assert found(plain).spec.sampling == "neutral"


USED = {  # what answers then are
    "fewer tokens": lambda text, tokens: tokens <= 3,
    "forced first": lambda text, tokens: text.startswith("b"),
    "suppressed": lambda text, tokens: set(text) <= set(map(chr, range(65))) | {"\ufffd"},
    "stop strings": lambda text, tokens: not set(text) & {"e", "a"},
    "all": lambda text, tokens: text.startswith("b") and tokens <= 3,
}


@pytest.mark.parametrize("name", [name for name in SUGGESTIONS if name not in ("beams", "an exponential end")])
def test_suggestions_count_where_they_are_asked_for(name, plain, tiny_model, tmp_path):
    model = suggesting(tiny_model, tmp_path / "m", **SUGGESTIONS[name])
    arguments = small(model, tmp_path / "results", "--sampling", "model")
    if "max_new_tokens" in SUGGESTIONS[name]:  # the user's limit would go before it
        at = arguments.index("--max-tokens")
        del arguments[at : at + 2]
    done = command(*arguments)
    assert done.returncode == 0, done.stderr
    run = found(tmp_path / "results")
    assert run.spec.sampling == "model"
    if name in ("a length of all", "custom"):
        assert answers(tmp_path / "results") == answers(plain)
        assert key(tmp_path / "results") == key(plain)
        return
    assert key(tmp_path / "results") != key(plain)
    for setting, value in SUGGESTIONS[name].items():
        setting = {"stop_strings": "until", "max_new_tokens": "max_gen_toks"}.get(setting, setting)
        assert run.tasks[0].generation[setting] == value
    if name not in ("stop strings", "a minimum"):  # this model writes no end in so few tokens
        assert answers(tmp_path / "results") != answers(plain)
    holds = USED.get(name, lambda text, tokens: True)
    assert all(holds(text, tokens) for text, tokens, _ in answers(tmp_path / "results"))


def test_the_users_limit_goes_before_the_checkpoints(tiny_model, tmp_path):
    model = suggesting(tiny_model, tmp_path / "m", max_new_tokens=3)
    assert command(*small(model, tmp_path / "results", "--sampling", "model", tokens=9)).returncode == 0
    assert found(tmp_path / "results").tasks[0].decoding["max_tokens"] == 9
    assert max(tokens for _, tokens, _ in answers(tmp_path / "results")) > 3


@pytest.mark.parametrize("change", [{"num_beams": 4}, {"typical_p": 0.5}, {"bad_words_ids": [[3]]}])
def test_suggestions_that_not_every_engine_follows(change, tiny_model, tmp_path):
    model = suggesting(tiny_model, tmp_path / "m", **change)
    done = command(*small(model, tmp_path / "results", "--sampling", "model", "--dry-run"))
    check_failed(done, 2, "generation_config.json", next(iter(change)), "leave --sampling out")


@pytest.mark.parametrize(
    "change", [{"temperature": "hot", "do_sample": True}, {"repetition_penalty": -1}, {"max_new_tokens": 0}]
)
def test_suggestions_that_are_none(change, tiny_model, tmp_path):
    model = suggesting(tiny_model, tmp_path / "m", **change)
    done = command(*small(model, tmp_path / "results", "--sampling", "model", "--dry-run"))
    check_failed(done, 2, "generation_config.json")


def test_sampling_has_two_values(tiny_model, tmp_path):
    check_failed(command(*small(tiny_model, tmp_path, "--sampling", "hot")), 2, "--sampling", "neutral")


def test_the_seed_counts_only_where_tokens_are_drawn(plain, tiny_model, tmp_path):
    done = command(*small(tiny_model, tmp_path / "greedy", "--seed", "7"))
    assert done.returncode == 0, done.stderr
    assert key(tmp_path / "greedy") == key(plain)
    model = suggesting(tiny_model, tmp_path / "m", do_sample=True, temperature=0.8)
    for seed in ("7", "8"):
        arguments = small(model, tmp_path / seed, "--sampling", "model", "--seed", seed)
        assert command(*arguments).returncode == 0
    assert key(tmp_path / "7") != key(tmp_path / "8")
    assert found(tmp_path / "7").tasks[0].decoding["seed"] == 7
    assert found(tmp_path / "7").tasks[0].decoding["temperature"] == 0.8


def test_answers_made_with_a_checkpoints_suggestions_are_not_taken_for_ours(tiny_model, tmp_path):
    from mlc_bench.runner import Run

    def fingerprints(model):
        specs = [RunSpec(model=str(model), engine=engine, tasks=("pku",)) for engine in ("hf", "vllm")]
        return [Run(spec, identity.resolve(spec), tmp_path).fingerprint for spec in specs]

    def without(model):
        return [sampling.ignored(engine, str(model)) for engine in ("hf", "vllm")]

    assert without(tiny_model) == [[], []]
    greedy = suggesting(tiny_model, tmp_path / "a", do_sample=True, temperature=0.6, top_p=0.9)
    assert without(greedy) == [[], []]
    penalty = suggesting(tiny_model, tmp_path / "b", repetition_penalty=1.05)
    assert without(penalty) == [["neutral"], []]
    assert len(set(fingerprints(penalty))) == 2


def test_a_dry_run_shows_what_decides(tiny_model, tmp_path):
    model = suggesting(tiny_model, tmp_path / "m", repetition_penalty=1.3)
    done = command(*small(model, tmp_path / "results", "--dry-run"))
    assert "answers: greedy, at most 24 tokens\n" in done.stdout
    assert "chat template " in done.stdout
    done = command(*small(model, tmp_path / "results", "--dry-run", "--sampling", "model"))
    assert "answers: greedy, at most 24 tokens, repetition_penalty 1.3\n" in done.stdout
    done = command(*small(model, tmp_path / "results", "--dry-run", "--sampling", "model", "--json"))
    (plan,) = json.loads(done.stdout)
    assert plan["tasks"][0]["decoding"]["repetition_penalty"] == 1.3
    assert command(*small(model, tmp_path / "results", "--sampling", "model")).returncode == 0
    assert found(tmp_path / "results").tasks[0].decoding == plan["tasks"][0]["decoding"]


# End tokens


@pytest.mark.parametrize("place", ["config.json", "generation_config.json"])
@pytest.mark.parametrize("ends", ["number", "list"])
def test_every_declared_end_token_ends_an_answer(place, ends, plain, tiny_model, tmp_path):
    """One of the tokens that the model writes is declared an end: answers stop before it."""
    text = answers(plain)[0][0]
    token = ord(text[4]) - 33 if text[4:5].isascii() and text[4:5].isprintable() else None
    if token is None:
        pytest.skip("the model says nothing that is one token here")
    model = shutil.copytree(tiny_model, tmp_path / "m")
    path = model / place
    declared = token if ends == "number" else [END, token]
    path.write_text(json.dumps(json.loads(path.read_text()) | {"eos_token_id": declared}))
    assert set(sampling.end_tokens(model)) >= {token}
    assert command(*small(model, tmp_path / "results")).returncode == 0
    shorter = answers(tmp_path / "results")[0]
    assert shorter[1] <= 5
    assert not shorter[2]


# Limits


@pytest.mark.parametrize("name", ["max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens"])
def test_a_limit_has_one_name(name):
    def made(**settings):
        spec = RunSpec(model="m", engine="hf", tasks=("x",), **settings)
        return resolved.NEUTRAL.generation({name: 7, "until": []}, spec, "x")

    assert made() == {"max_gen_toks": 7, "until": []}
    assert made(max_tokens=5) == {"max_gen_toks": 5, "until": []}
    assert made(thinking_tokens=10) == {"max_gen_toks": 17, "thinking_tokens": 10, "until": []}
    assert made(engine_args={"max_gen_toks": 3}) == {"max_gen_toks": 7, "until": []}


def test_a_task_without_a_limit_has_that_of_the_engine():
    spec = RunSpec(model="m", engine="hf", tasks=("x",), engine_args={"max_gen_toks": 3})
    assert resolved.NEUTRAL.generation({}, spec, "x") == {"max_gen_toks": 3}
    assert resolved.NEUTRAL.decoding({}, spec, "x")["max_tokens"] == 3
    assert resolved.NEUTRAL.generation(None, spec.model_copy(update={"engine_args": {}}), "x") == {}


# The engines' own arguments


def test_settings_of_an_engine_that_have_an_option(tiny_model, tmp_path):
    for argument in ("generation_config=auto", 'override_generation_config={"temperature": 1}'):
        done = command(*small(tiny_model, tmp_path, "--engine-args", argument))
        check_failed(done, 2, "--engine-args", argument.partition("=")[0], "use --sampling")


def test_what_vllm_is_asked():
    given = {
        "until": ["\n"],
        "do_sample": True,
        "temperature": 0.7,
        "top_k": -1,
        "suppress_tokens": [4],
        "max_gen_toks": 9,
    }
    made = sampling.of(given).for_vllm()
    assert made == {
        "temperature": 0.7, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0,
        "presence_penalty": 0.0, "frequency_penalty": 0.0, "min_tokens": 0, "logit_bias": {4: -100.0},
    }  # fmt: skip
    assert sampling.of({"do_sample": False, "temperature": 0.7}).for_vllm()["temperature"] == 0


@pytest.mark.parametrize("engine", ["hf", "vllm", "openai"])
@pytest.mark.parametrize(
    ("setting", "unable"),
    [
        ({"presence_penalty": 1.0}, {"hf"}),
        ({"no_repeat_ngram_size": 3}, {"vllm", "openai"}),
        ({"forced_eos_token_id": 3}, {"vllm", "openai"}),
        ({"suppress_tokens": [3]}, {"openai"}),
        ({"repetition_penalty": 1.2}, set()),
        ({"presence_penalty": 0.0, "no_repeat_ngram_size": 0}, set()),
    ],
)
def test_an_engine_that_cannot_follow_says_so(engine, setting, unable):
    spec = RunSpec(model="m", engine=engine, tasks=("x",))
    if engine not in unable:
        assert resolved.NEUTRAL.generation(setting, spec, "x") == setting
        return
    with pytest.raises(UsageError, match=f"x: the engine {engine} has no .*; use --engine"):
        resolved.NEUTRAL.generation(setting, spec, "x")


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"temprature": 1}, "'temprature'"), ({"temperature": "warm"}, "temperature"), ({"top_p": 2}, "top_p"),
     ({"max_gen_toks": "many"}, "max_tokens"), ({"num_beams": 4}, "'num_beams'")],
)  # fmt: skip
def test_settings_of_a_task_that_are_none(settings, words):
    with pytest.raises(UsageError, match=words):
        resolved.NEUTRAL.generation(settings, RunSpec(model="m", engine="hf", tasks=("x",)), "x")


# Servers


def _body(tmp_path, *more, owner=None):
    with serve() as server:
        if owner:
            server.models = [{"id": "m", "object": "model", "owned_by": owner}]
        done = command(*asks(server, tmp_path, "--limit", "1", "--max-tokens", "5", *more))
        assert done.returncode == 0, done.stderr
        return {name: value for name, value in server.bodies[0].items() if name not in ("messages", "model")}


def test_what_a_server_is_asked(tmp_path):
    assert _body(tmp_path) == {"max_tokens": 5, "temperature": 0.0, "seed": 1234}


@pytest.mark.parametrize("owner", ["vllm", "sglang"])
def test_a_server_that_takes_settings_from_its_checkpoint_is_told_all(owner, tmp_path):
    neutral = {"top_p": 1.0, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
    assert _body(tmp_path, owner=owner) == {"max_tokens": 5, "temperature": 0.0, "seed": 1234} | neutral


def test_a_servers_own_sampling(tmp_path):
    assert _body(tmp_path / "own", "--sampling", "model", owner="vllm") == {"max_tokens": 5, "seed": 1234}
    task = found(tmp_path / "own").tasks[0]
    assert task.generation["sampling"] == sampling.SERVERS
    assert task.generation["seed"] == 1234
    _body(tmp_path / "ours")
    assert key(tmp_path / "ours") != key(tmp_path / "own")


def test_what_engine_arguments_change_in_a_request_is_compared(tmp_path):
    _body(tmp_path / "plain")
    changes = ["temperature=1", "temperature=null", 'extra_body={"top_p": 0.5}', 'chat_template_kwargs={"a": 1}']
    for number, change in enumerate(changes):
        _body(tmp_path / str(number), "--engine-args", change)
    assert len({key(tmp_path / name) for name in ("plain", "0", "1", "2", "3")}) == 5


def test_settings_of_a_task_reach_the_server():
    from mlc_bench.engines.servers.options import options

    spec = RunSpec(model="m", engine="openai", base_url="http://x/v1", tasks=())
    given = {"until": ["a", "b"], "do_sample": True, "top_p": 0.5, "presence_penalty": 0.1, "repetition_penalty": 1.1}
    assert options(spec).settings(given | {"max_gen_toks": 7}) == {
        "max_tokens": 7, "temperature": 1.0, "top_p": 0.5, "presence_penalty": 0.1, "repetition_penalty": 1.1,
        "stop": ["a", "b"], "seed": 1234,
    }  # fmt: skip


# The library


def test_nothing_of_the_library_is_mixed_in(tiny_model, tmp_path, monkeypatch):
    """What transformers works with in the end, defaults of its own included."""
    from transformers import GenerationMixin

    model = suggesting(tiny_model, tmp_path / "m", **SUGGESTIONS["all"], typical_p=0.3, guidance_scale=4.0)
    spec = RunSpec(model=str(model), engine="hf", tasks=())
    lm = lifecycle.build(spec, identity.resolve(spec), [])
    seen, whole = [], GenerationMixin._prepare_generation_config

    def prepare(self, *args, **kwargs):
        made = whole(self, *args, **kwargs)
        seen.append(made[0])
        return made

    monkeypatch.setattr(GenerationMixin, "_prepare_generation_config", prepare)
    from fakes import generations

    lm.generate_until(generations(["Hello"], max_gen_toks=2, do_sample=True, temperature=0.5), disable_tqdm=True)
    (made,) = seen
    assert (made.do_sample, made.temperature, made.top_k, made.top_p) == (True, 0.5, 0, 1.0)
    assert made.typical_p in (None, 1.0)
    assert (made.repetition_penalty, made.max_new_tokens, made.suppress_tokens) == (1.0, None, None)
    assert made.guidance_scale in (None, 1.0)
