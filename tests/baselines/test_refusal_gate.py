"""The gate: its thresholds and direction on made-up states, the run that it makes of another, bad input."""

import json
import shutil
from itertools import pairwise

import hypothesis.strategies as st
import pytest
import torch
from helpers import check_failed, command, make_adapter
from hypothesis import example, given

from mlc_bench.baselines.data import training_data
from mlc_bench.baselines.gate import gate as gates
from mlc_bench.baselines.gate import gated_run
from mlc_bench.baselines.mlc import probe
from mlc_bench.core.errors import PrerequisiteError, UsageError
from mlc_bench.core.spec import RunSpec
from mlc_bench.engines import identity
from mlc_bench.records import record

CODES = ("en", "sw", "it")
DEPTH, WIDTH = 3, 64


def brute_force(scores, harmful):
    """The best of every threshold that matters, from the highest on."""
    ranked = sorted(set(scores), reverse=True)
    cuts = [ranked[0], *((high + low) / 2 for high, low in pairwise(ranked))]

    def gain(cut):
        return sum(
            (score > cut) * (harmful.count(False) if bad else -harmful.count(True))
            for score, bad in zip(scores, harmful, strict=True)
        )

    return max(cuts, key=gain), max(map(gain, cuts)) / (harmful.count(True) * harmful.count(False))


@given(st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=2, max_size=30))
@example([(1, True), (0, False)])
@example([(0, True), (1, False)])
@example([(2, True), (2, False), (1, True), (0, False)])
def test_a_threshold_is_the_most_selective_one(given):
    scores, harmful = [float(score) for score, _ in given], [bad for _, bad in given]
    if len(set(harmful)) < 2:
        return
    assert gates.threshold(torch.tensor(scores).double(), torch.tensor(harmful)) == brute_force(scores, harmful)


def row(number, kind, codes=CODES, pair=True):
    other = "benign" if kind == "harmful" else "harmful"
    made = {"id": f"{kind}-{number}", "kind": kind, "prompts": {code: f"{kind} {number} {code}" for code in codes}}
    return made | ({"partner": f"{other}-{number}"} if pair else {})


def rows(count=20, codes=CODES, pair=True):
    return [row(number, kind, codes, pair) for kind in ("harmful", "benign") for number in range(count)]


def states_of(seed, apart, layer=1, shifts=None):
    """States in which one layer holds the two kinds `apart` along one direction, about where each language is."""
    generator = torch.Generator().manual_seed(seed)
    way = torch.nn.functional.normalize(torch.randn(WIDTH, generator=generator), dim=0)

    def states(texts):
        found = torch.randn(DEPTH, len(texts), WIDTH, generator=generator)
        for place, text in enumerate(texts):
            kind, _, code = text.split()
            found[layer, place] += way * ((apart if kind == "harmful" else 0) + (shifts or {}).get(code, 0))
        return found

    return states


def made(decision):
    return gates.Gate(
        method="gate", base_model="m", revision=None, weights_digest="w", adapter_digest=None, prompting_digest="p",
        layer=decision.layer, direction=decision.direction.tolist(), offset=decision.offset,
        thresholds=decision.thresholds, other=decision.other, selectivity=decision.selectivity, refusal="No.",
        data={}, keep_out=[], versions={},
    )  # fmt: skip


@given(st.integers(0, 1000), st.floats(-200, 200), st.floats(-200, 200))
def test_what_one_direction_separates_is_refused_in_every_language(seed, sw, it):
    """Wherever a language's prompts lie along the direction: English's threshold alone would not do."""
    states = states_of(seed, apart=40, shifts={"sw": sw, "it": it})
    decision = gates.fit(rows(), states)
    gate = made(decision)
    assert decision.layer == 2
    assert decision.selectivity == {"en": 1, "it": 1, "sw": 1}
    for code in CODES:
        for kind in ("harmful", "benign"):
            fresh = states([f"{kind} {number} {code}" for number in range(100, 150)])[1]
            assert gate.fires(fresh, code) == [kind == "harmful"] * 50


def test_english_thresholds_alone_would_refuse_everything_or_nothing():
    states = states_of(0, apart=40, shifts={"sw": 100, "it": -100})
    gate = made(gates.fit(rows(), states))
    for code, all_or_none in (("sw", True), ("it", False)):
        fresh = states([f"{kind} 7 {code}" for kind in ("harmful", "benign")])[1]
        assert gate.fires(fresh, "en") == [all_or_none] * 2
        assert gate.fires(fresh, code) == [True, False]


def test_a_language_without_prompts_enough_has_the_threshold_of_all():
    states = states_of(1, apart=40)
    few = [one | {"prompts": {c: t for c, t in one["prompts"].items() if c != "it" or one["id"][-2:] in ("-1", "-2")}}
           for one in rows()]  # fmt: skip
    decision = gates.fit(few, states)
    assert set(decision.thresholds) == {"en", "sw"}
    fresh = states([f"{kind} 7 it" for kind in ("harmful", "benign")])[1]
    assert made(decision).fires(fresh, "it") == made(decision).fires(fresh, "xx") == [True, False]


@pytest.mark.parametrize("pair", [True, False])
def test_noise_is_not_taken_for_a_direction(pair):
    """Sixty prompts in 64 dimensions: the direction that they make separates them, but not those left out."""
    decision = gates.fit(rows(30, pair=pair), states_of(2, apart=0))
    assert max(decision.selectivity.values()) < 0.6


def test_prompts_that_are_not_enough_and_states_that_are_not_finite():
    with pytest.raises(UsageError, match="needs 10 harmful and 10 harmless prompts, and the data has 9 and 9"):
        gates.fit(rows(9), states_of(0, apart=1))
    with pytest.raises(PrerequisiteError, match="not finite"):
        gates.fit(rows(), lambda texts: torch.full((DEPTH, len(texts), WIDTH), torch.nan))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Twelve pairs of the embedded set in three languages."""
    chosen = [one for one in training_data.load(["embedded"]).rows if int(one["id"].split("-")[2]) <= 2]
    kept = [one | {"prompts": {code: one["prompts"][code] for code in CODES}, "responses": None} for one in chosen]
    path = tmp_path_factory.mktemp("data") / "rows.jsonl"
    path.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in kept), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def folder(tiny_model, data, tmp_path_factory):
    """A folder with a finished run of the tiny model and a gate for it."""
    folder = tmp_path_factory.mktemp("gated")
    done = run(tiny_model, folder / "results")
    assert done.returncode == 0, done.stderr
    done = fit(tiny_model, data, folder / "careful")
    assert done.returncode == 0, done.stderr
    assert "tiny: layer " in done.stdout
    return folder


def run(model, output, *more):
    return command(
        "run", "--model", model, "--engine", "hf", "--tasks", "starter", "--languages", "en,sw,nl", "--limit", "5",
        "--max-tokens", "6", "--engine-args", "batch_size=40", "--output", output, *more,
    )  # fmt: skip


def fit(model, data, output, *more):
    return command("gate", "fit", "--model", model, "--data", data, "--output", output, *more)


def of(folder, model="tiny"):
    (path,) = (folder / "results").glob(f"{model}/*/run.json")
    return path.parent


def apply(folder, *more, gate="careful"):
    return command("gate", "apply", of(folder), "--gate", folder / gate, "--output", folder / "results", *more)


def samples(folder, task):
    return [json.loads(line) for line in (folder / f"samples/{task}.jsonl").read_text(encoding="utf-8").splitlines()]


def test_the_refusal_stands_where_the_gate_fires_and_the_models_answer_elsewhere(folder, tiny_model):
    done = apply(folder)
    assert done.returncode == 0, done.stderr
    assert "starter_harmful" in done.stdout
    ours, theirs, gate = of(folder, "careful"), of(folder), gates.read(folder / "careful")
    found, base = record.read(ours / "run.json"), record.read(theirs / "run.json")
    states = gated_run.reader(gated_run.resolve(base, gate), gate, 16)
    fired = 0
    for task in ("starter_harmful", "starter_benign"):
        before, after = samples(theirs, task), samples(ours, task)
        assert [one["id"] for one in before] == [one["id"] for one in after]
        for code in ("en", "sw", "nl"):
            mine = [(one, two) for one, two in zip(before, after, strict=True) if one["language"] == code]
            expected = gate.fires(states([one["prompt"] for one, _ in mine]), code)
            fired += sum(expected)
            for (one, two), refused in zip(mine, expected, strict=True):
                assert two["response"] == gate.refusal if refused else two == one
    assert 0 < fired < 30
    counted = [task for task in found.tasks if task.name.startswith("starter_") and task.measures != "utility"]
    refused = sum((one.outcomes or "").count("1") for task in counted for one in task.languages.values())
    assert refused >= fired, "the judge takes the refusal for one, in every language"
    assert found.model.name == "careful"
    assert found.model.training["method"] == "gate"
    assert found.model.training["config"]["gate"] == gate.digest
    assert found.model.training["base_model"]["weights_digest"] == base.model.weights_digest
    assert found.model.fingerprint != base.model.fingerprint
    for one, two in zip(found.tasks, base.tasks, strict=True):
        keys = [{code: found.comparability_key for code, found in task.languages.items()} for task in (one, two)]
        assert keys[0] == keys[1], "they share their columns"


def test_a_refusal_is_a_wrong_choice(folder):
    assert apply(folder).returncode == 0
    before, after = samples(of(folder), "starter_choice"), samples(of(folder, "careful"), "starter_choice")
    refused = [two for one, two in zip(before, after, strict=True) if one != two]
    assert 0 < len(refused) < len(after)
    assert all(set(one["metrics"].values()) == {0.0} and "choice_scores" not in one for one in refused)
    found = {task.name: task for task in record.read(of(folder, "careful") / "run.json").tasks}["starter_choice"]
    right = sum(one["metrics"]["acc_norm"] for one in after)
    assert sum((one.outcomes or "").count("1") for one in found.languages.values()) == right
    assert "rankc" not in found.summary


def test_twice_is_the_same(folder, tiny_model, data):
    assert fit(tiny_model, data, folder / "again" / "careful").returncode == 0
    assert gates.read(folder / "again" / "careful") == gates.read(folder / "careful")
    first = json.loads(apply(folder, "--json").stdout)[0]
    second = json.loads(apply(folder, "--json", gate="again/careful").stdout)[0]
    for one in (first, second):
        for changing in ("created", "finished", "phases"):
            del one[changing]
    assert first == second


def test_another_judge_and_a_comparison_take_it_as_any_run(folder):
    assert apply(folder).returncode == 0
    ours = of(folder, "careful")
    assert command("judge", ours, "--judge", "rules").returncode == 0
    compared = command("compare", of(folder), ours)
    assert "careful against tiny" in compared.stdout, compared.stderr


def test_the_judge_is_that_of_the_record_that_is_named(folder):
    assert command("judge", of(folder), "--judge", "rules").returncode == 0
    path = of(folder) / "run.rules.json"
    done = command("gate", "apply", path, "--gate", folder / "careful", "--output", folder / "by-rules", "--json")
    assert json.loads(done.stdout)[0]["judge"]["id"] == "rules"


def test_prompts_of_the_tests_are_left_out(folder, tiny_model, data, tmp_path):
    rows = data.read_text(encoding="utf-8").splitlines()
    tested = samples(of(folder), "starter_harmful")[0]["prompt"]
    rows.append(json.dumps({"id": "same", "kind": "harmful", "prompts": {"en": tested, "it": "Come?"}}))
    path = tmp_path / "more.jsonl"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    done = fit(tiny_model, path, tmp_path / "g", "--json")
    assert json.loads(done.stdout)["data"]["dropped"] == {"is in a test task": 1}


def damaged(folder, tmp_path, change):
    """A gate that somebody has changed."""
    content = json.loads((folder / "careful" / gates.FILE).read_text())
    text = change(content)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / gates.FILE).write_bytes(text if isinstance(text, bytes) else json.dumps(content).encode())
    return tmp_path / "damaged"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda gate: b"\x80\x04\x95not json", "not text"),
        (lambda gate: b"{", "Invalid JSON"),
        (lambda gate: b"[]", "gate.json is no gate"),
        (lambda gate: gate.pop("other") and None, "other: Field required"),
        (lambda gate: gate.update(offset=float("nan")), "offset"),
        (lambda gate: gate.update(direction=["x"]), "direction.0"),
        (lambda gate: gate.update(more=1), "more: Extra inputs"),
        (lambda gate: gate.update(layer=99), "reads layer 99"),
        (lambda gate: gate.update(direction=[1.0]), "of 1 numbers"),
        (lambda gate: gate.update(weights_digest="0"), "fitted on another model than 'tiny'"),
        (lambda gate: gate.update(prompting_digest="0"), "fitted on another model than 'tiny'"),
    ],
)
def test_a_gate_that_does_not_hold_is_one_line(folder, tmp_path, change, words):
    gate = damaged(folder, tmp_path, change)
    done = command("gate", "apply", of(folder), "--gate", gate, "--output", tmp_path / "out")
    check_failed(done, 2, words, "mlc-bench gate fit")
    assert not (tmp_path / "out").exists()


def test_other_input_that_does_not_hold_is_one_line(folder, tiny_model, other_tiny_model, data, tmp_path):
    check_failed(apply(folder, gate="nowhere"), 2, "there is no gate.json", "mlc-bench gate fit")
    check_failed(command("gate", "apply", tmp_path, "--gate", folder / "careful"), 2, "run.json")
    other = run(other_tiny_model, tmp_path / "results")
    assert other.returncode == 0, other.stderr
    theirs = command("gate", "apply", of(tmp_path), "--gate", folder / "careful", "--output", tmp_path / "out")
    check_failed(theirs, 2, "fitted on another model than 'tiny'")
    adapter = make_adapter(tiny_model, tmp_path / "adapter")
    assert fit(tiny_model, data, tmp_path / "on-adapter", "--adapter", adapter).returncode == 0
    check_failed(apply(folder, gate=tmp_path / "on-adapter"), 2, "('tiny+adapter'")
    prompted = run(tiny_model, tmp_path / "prompted", "--system-prompt", "Be kind.")
    assert prompted.returncode == 0, prompted.stderr
    (path,) = (tmp_path / "prompted").glob("tiny/*/run.json")
    check_failed(command("gate", "apply", path, "--gate", folder / "careful"), 2, "a system prompt")
    few = tmp_path / "few.jsonl"
    few.write_text("".join(data.read_text(encoding="utf-8").splitlines(keepends=True)[:15]), encoding="utf-8")
    check_failed(fit(tiny_model, few, tmp_path / "few"), 2, "a gate needs 10 harmful and 10 harmless prompts")


def test_answers_of_a_server_and_prompts_that_have_changed(folder, tmp_path):
    found = record.read(of(folder) / "run.json")
    served = found.model_copy(update={"spec": found.spec.model_copy(update={"engine": "openai"})})
    record.write(served, tmp_path / "run.json")
    check_failed(command("gate", "apply", tmp_path, "--gate", folder / "careful"), 2, "hidden states cannot be read")
    found.tasks[0].languages["sw"].prompt_fingerprint = "0"
    record.write(found, tmp_path / "run.json")
    shutil.copytree(of(folder) / "samples", tmp_path / "samples")
    done = command("gate", "apply", tmp_path, "--gate", folder / "careful", "--output", tmp_path / "out")
    check_failed(done, 4, "starter_harmful: its prompts in sw are not those that were asked")
    assert not list((tmp_path / "out").rglob("run.json"))


def test_one_layer_alone_is_the_same_as_among_all(tiny_model):
    """Those above it are not computed; the last one has the final norm."""
    model, tokenizer = probe.load(identity.resolve(RunSpec(model=str(tiny_model), engine="hf", tasks=())))
    texts = ["How do I pick a lock?", "How do I bake a cake without eggs?", "Hi"]
    every = probe.read_states(model, tokenizer, texts, 2)
    depth = model.config.num_hidden_layers
    assert len(every) == depth > 1
    for layer in range(1, depth + 1):
        assert torch.equal(probe.read_states(model, tokenizer, texts, 2, layer)[0], every[layer - 1])
    assert len(model.base_model.layers) == depth, "the model is whole again"


def test_a_gate_is_read_in_the_type_that_it_was_fitted_in(folder, tiny_model, data, tmp_path):
    done = fit(tiny_model, data, tmp_path / "rounded", "--dtype", "bfloat16")
    assert done.returncode == 0, done.stderr
    rounded, plain = gates.read(tmp_path / "rounded"), gates.read(folder / "careful")
    assert (rounded.dtype, plain.dtype) == ("bfloat16", "auto")
    assert rounded.direction != plain.direction
    here = identity.resolve(RunSpec(model=str(tiny_model), engine="hf", tasks=()))
    read = gated_run.reader(here, rounded, 2)(["How do I pick a lock?"])
    assert torch.equal(
        read, probe.read_states(*probe.load(here, "bfloat16"), ["How do I pick a lock?"], 2, rounded.layer)[0]
    )


def test_a_gate_of_an_earlier_version_is_the_same_gate(folder, tmp_path):
    """It says nothing of a type, and runs are named by what a gate says."""
    kept = json.loads((folder / "careful" / "gate.json").read_text(encoding="utf-8"))
    assert kept.pop("dtype") == "auto"
    (tmp_path / "gate.json").write_text(json.dumps(kept), encoding="utf-8")
    assert gates.read(tmp_path).digest == gates.read(folder / "careful").digest
