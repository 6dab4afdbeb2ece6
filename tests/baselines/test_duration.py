"""How long `train-baseline --check` says a run takes: what is added up, and that it is said. No time is asserted."""

import pytest
from training import ROWS, write_rows
from transformers import AutoConfig

from mlc_bench.baselines import config, methods
from mlc_bench.baselines.check import duration, preflight
from mlc_bench.baselines.check.duration import Batch, Work
from mlc_bench.baselines.data import training_data


@pytest.fixture
def seconds(monkeypatch):
    """A machine on which a layer takes a second for each token with its backward pass, and a third of it without."""
    monkeypatch.setattr(
        duration._Timed,
        "one_layer",
        lambda _, batch, trains=True: batch.sequences * batch.tokens / (1 if trains else 3),
    )
    monkeypatch.setattr(duration._Timed, "output", lambda *_, **__: 0.5)
    monkeypatch.setattr(duration._Timed, "update", lambda _: 7.0)

    def measure(tiny_model, work, method="dpo", layer=2, **settings):
        chosen = methods.get(method).Config(model="m", output="out", **settings)
        return duration.measure(AutoConfig.from_pretrained(tiny_model), chosen, work, layer)

    return measure


def test_a_step_is_its_passes_and_the_update(tiny_model, seconds):
    """Two layers of 2 x 5 tokens and the output, three times; the reference without a backward pass."""
    found = seconds(tiny_model, Work(Batch(2, 5), reference=4), accumulation=3)
    assert found.step == 3 * (2 * 10 + 0.5) + 7
    assert found.before == pytest.approx(4 * 20.5 / 3)
    assert found.of(10) == pytest.approx(10 * found.step + found.before)


@pytest.mark.parametrize(("layer", "every"), [(2, 1), (1, 1), (2, 4)])
def test_mlc_reads_every_nth_step_up_to_its_layer_and_without_the_output(tiny_model, seconds, layer, every):
    alone = seconds(tiny_model, Work(Batch(2, 5)), accumulation=3)
    found = seconds(tiny_model, Work(Batch(2, 5), Batch(10, 4)), layer=layer, accumulation=3, mlc={"every": every})
    assert found.step - alone.step == pytest.approx(3 * layer * 40 / every)


def test_answers_take_a_pass_a_token(tiny_model, seconds):
    own = {"method": "grpo", "accumulation": 2, "batch_size": 2, "generations": 2, "answer_tokens": 8}
    found = seconds(tiny_model, Work(Batch(2, 5), answered=Batch(4, 6)), **own)
    trained = 2 * (2 * 10 + 0.5) + 7
    assert found.step - trained == pytest.approx(2 * 24 / 3 + 8 * (2 * 4 / 3 + 0.5))


def check(method, model, path, **settings):
    chosen = methods.get(method).Config(model=str(model), data=[str(path)], keep_out=[], output="out", **settings)
    return {one.subject: one for one in preflight.findings(method, chosen)}


@pytest.mark.parametrize(("method", "settings"), [("sft", {}), ("dpo", {"mlc": {}}), ("sft", {"lora": {"r": 2}})])
def test_it_is_said_beforehand(tiny_model, tmp_path, method, settings):
    found = check(method, tiny_model, write_rows(tmp_path), max_steps=5, batch_size=1, **settings)["time"]
    assert found.level == "ok"
    assert found.text.startswith("about 0 min: 5 steps of ")
    assert (" for the reference" in found.text) == (method == "dpo")


def test_what_cannot_be_timed_is_a_note(tiny_model, tmp_path, monkeypatch):
    def fails(*_):
        raise RuntimeError("no such kernel\nhere")

    monkeypatch.setattr(duration, "measure", fails)
    found = check("sft", tiny_model, write_rows(tmp_path))["time"]
    assert (found.level, found.text) == ("note", "not known before the first steps: no such kernel here")


def test_with_a_problem_or_several_processes_nothing_is_timed(tiny_model, tmp_path, monkeypatch):
    assert "time" not in check("dpo", tiny_model, write_rows(tmp_path), mlc={"layer": 9})
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "time" not in check("sft", tiny_model, write_rows(tmp_path))


def test_the_work_of_a_run_is_that_of_its_rows(tmp_path):
    """Counted in characters here. A pair has two responses; a contrast reads the partner's prompts as well."""
    rows = [row for row in ROWS if len(row["prompts"]) == max(len(one["prompts"]) for one in ROWS)]
    data = training_data.load([str(write_rows(tmp_path, rows))])

    def of(method, **settings):
        return preflight._work(method, methods.get(method).Config(model="m", output="o", **settings), data, len)

    languages = len(rows[0]["prompts"])
    pairs, responses = of("dpo", batch_size=3), of("sft", batch_size=3)
    assert (pairs.row.sequences, responses.row.sequences) == (6, 3)
    assert (pairs.reference, responses.reference) == (-(-len(rows) // 3), 0)
    longest = max(len(row["prompts"]["en"]) + len(row["chosen"]) for row in rows)
    assert 0 < responses.row.tokens <= longest
    assert of("dpo", mlc={}).group.sequences == languages
    assert of("dpo", mlc={"sample": 1}).group.sequences == 2
    asked = of("grpo", batch_size=4, accumulation=2, answer_tokens=9)
    assert asked.answered.sequences == 8
    assert asked.row == Batch(4, asked.answered.tokens + 9)


def test_the_cut_off_holds(tmp_path):
    data = training_data.load([str(write_rows(tmp_path))])
    settings = config.TrainConfig(model="m", output="o", cutoff=8)
    assert preflight._work("sft", settings, data, len).row.tokens == 8
