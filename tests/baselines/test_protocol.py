"""The protocol of the reproduction: its runs, the budget of each method, and the data that each is trained on."""

import json
from collections import Counter
from pathlib import Path

import pytest

from mlc_bench.baselines import methods, reproduce
from mlc_bench.baselines.data import training_data
from mlc_bench.baselines.methods import translate_sft
from mlc_bench.baselines.reproduction import plan as plans
from mlc_bench.core import errors


def reproduction(plan, work=Path("work")):
    return reproduce.Reproduction(plan, work, None, "hf", keep=False)


def test_the_runs_of_the_protocol():
    plan = plans.read()
    names = [(job.name, job.tasks) for job in plan.jobs]
    assert len(set(names)) == len(names)
    methods_of = plan.protocol["methods"]
    assert all(job.method in methods_of for job in plan.jobs)
    core = plans.read(["core"]).jobs
    assert [job.method for job in core].count("base") == 1  # not trained, so that it has no seeds
    for method in ("dpo", "dpo+mlc", "cosine", "mpo"):
        assert sorted(job.seed for job in core if job.method == method) == [1, 2, 3]
    assert [job.seed for job in core if job.method == "dpo"] == [1, 2, 3]
    assert {job.seed for job in core[:5]} == {0, 1}  # all methods of one seed before the next


def test_every_method_has_the_same_budget_of_candidates():
    plan = plans.read()
    candidates = len(plan.protocol["choice"]["candidates"])
    trials = [job for job in plan.trials if plan.is_trained(job)]
    tried = {job.method: [other.candidate for other in trials if other.method == job.method] for job in trials}
    assert all(places == list(range(candidates)) for places in tried.values())
    trained = {job.method for job in plan.jobs if plan.is_trained(job)}
    borrowing = {name for name in trained if "as" in plan.protocol["methods"][name]}
    assert trained - borrowing <= set(tried)
    assert {plan.protocol["methods"][name]["as"] for name in borrowing} <= set(tried)
    scored = {*plan.protocol["choice"]["tasks"]}
    assert not scored & set(reproduction(plan).tasks()), "settings are chosen on prompts that no claim rests on"


def test_methods_learn_from_responses_in_other_languages_where_they_need_them(tmp_path):
    plan = plans.read()
    needing = {
        name for name, about in plan.protocol["methods"].items()
        if "train" in about and methods.get(about["train"]).NEEDS.get("responses")
    }  # fmt: skip
    assert needing == {"mpo", "translate-sft", "translate-dpo", "sdrrl"} & set(plan.protocol["methods"])
    assert {name for name, about in plan.protocol["methods"].items() if about.get("responses")} == needing
    for method in ("dpo", "mpo"):
        path = reproduction(plan, tmp_path)._training_file(plan.protocol["methods"][method])
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        assert len(rows) == len(training_data.load(["embedded"]).rows)
        assert all(list(row["prompts"]) == plan.protocol["trained_languages"] for row in rows)
        known = {tuple(row["responses"] or ()) for row in rows}
        assert known == {tuple(plan.protocol["trained_languages"][1:]) if method == "mpo" else ()}


def test_translated_dpo_is_balanced_over_the_trained_languages(tmp_path):
    """As many rows in each language, and all of them (docs/reproduction.md)."""
    plan = plans.read()
    path = reproduction(plan, tmp_path)._training_file(plan.protocol["methods"]["translate-dpo"])
    found = Counter(
        code
        for example in translate_sft.examples(training_data.load([path]).rows)
        for code, prompt in example["row"]["prompts"].items()
        if prompt == example["prompt"]
    )
    assert found == dict.fromkeys(plan.protocol["trained_languages"], 300)


def test_a_protocol_without_the_form_is_named():
    with pytest.raises(errors.UsageError, match=r"reproduce\.yaml has no form 'wide'; it has: core"):
        plans.read(["wide"])
