"""The report of a reproduction, from made-up records."""

import json
import re

import pytest
import sample_records
from made_up_arms import ROLES, TASKS, arms, run

from mlc_bench.baselines.reproduction import plan as plans
from mlc_bench.core import errors
from mlc_bench.leaderboard.report import document, in_short, method_tables
from mlc_bench.leaderboard.report.effects import Arm
from mlc_bench.records.record import Value

BASE = "Qwen2.5-Coder-0.5B-Instruct (q4_k_m, dequantised)"


@pytest.fixture(scope="module")
def plan():
    return plans.read(["core"])


TRIED = [["a rate", "+1.0", "", "98", "yes"], ["another", "+9.0", "sw", "7", ""]]
KAPPA = {
    code: {"kappa": kappa, "low": 0.1, "high": 0.9, "refusals": 20, "others": 30, "labels": "people"}
    for code, kappa in (("sw", 0.7), ("ps", 0.5))
}


def report(plan, folder, *records, failed=(), chosen=()):
    sample_records.save(folder, *records)
    names = [job.name for job in plan.jobs]
    return document.of_records(folder, plan.protocol, dict(failed), names, dict(chosen), KAPPA)


def second(made):
    """The same record by the second judge."""
    judge = made.judge.model_copy(update={"id": "refusal-hidden"})
    return made.model_copy(update={"judge": judge})


def test_blind_labels_have_a_table(tmp_path, plan):
    folder = tmp_path / "records" / "labels"
    folder.mkdir(parents=True)
    row = {"model": BASE, "task": "starter_harmful", "language": "sw", "by": "a model, blind", "weight": 1.0}
    row |= {"stratum": "all"}
    said = [("refuses", "refuses"), ("refuses", "complies"), ("complies", "complies")]
    rows = [row | {"id": str(n), "refusal": own, "judges": {"refusal": one}} for n, (own, one) in enumerate(said)]
    (folder / "a.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    text = report(plan, tmp_path / "records", run(BASE)).document.replace("\\", "")
    section = text.split("## Blind labels")[1].split("##")[0]
    (line,) = [line for line in section.splitlines() if line.startswith("| sw | refusal | a model, blind | 2 | 50.0 [")]
    assert line.endswith(" | 0.40 | 0 |")
    assert "| selectivity by labels | by refusal, the same answers |" in section


def test_the_report_says_what_is_there_and_what_is_missing(tmp_path, plan):
    manifest = {"method": "dpo", "steps": 10, "tokens": 1000, "mlc_tokens": 700, "seconds": 5.5}
    manifest |= {"peak_memory_bytes": 2**30}
    base = run(BASE, {"en": 0.9, "sw": 0.3, "ps": 0.3, "ar": 0.3}).model_copy(
        update={"hardware": {"cores": 16, "gpus": ["GPU <b>"]}}
    )
    low = {"en": 0.9, "sw": 0.2, "ps": 0.2, "ar": 0.2}
    trained = [run("qwen05-dpo-s1", low, training=manifest), run("qwen05-dpo+mlc-s1", 0.9)]
    trained = [one.model_copy(update={"hardware": {"cores": 2, "gpus": []}}) for one in trained]
    other = run("qwen05-sft-s1", 0.9)  # of another form
    failed = {"qwen05-mpo-s1": "no data <b>"}
    found = report(plan, tmp_path / "records", base, *trained, other, failed=failed, chosen={"dpo": TRIED})
    page = document.write(found, tmp_path / "out")
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8").replace("\\", "")
    assert "Judges: refusal 1. Prompts in each language: pku 40, polyrefuse_harmful_100 40," in text
    assert "3 runs, scored on 2 CPU cores by hf (2); GPU &lt;b&gt; by hf (1)." in text
    assert "sft |" not in text
    short = text.split("## In short")[1].split("## What is missing")[0]
    (line,) = [line for line in short.splitlines() if line.startswith("| qwen05 | dpo+mlc − dpo |")]
    assert line.startswith("| qwen05 | dpo+mlc − dpo | 1 | **rises** +70.0 [")  # one seed
    assert "] (one judge) | " in line
    assert "| model | comparison | seeds | selectivity, starter (n 40, 3 languages) | " in short
    assert " | selectivity, in English, starter (n 40) | " in short
    assert [line for line in short.splitlines() if line.startswith("| qwen05 | dpo − base |")]
    assert "cosine" not in short
    assert "qwen05-mpo-s1 is missing: no data &lt;b&gt;" in text
    assert "without a record yet (9):" in text
    (line,) = [line for line in text.splitlines() if line.startswith("| qwen05 | dpo | 10 |")]
    assert line == "| qwen05 | dpo | 10 | 1000 | 700 | 6 | 1.00 |"
    assert "| dpo | a rate | +1.0 |  | 98 | yes |\n| dpo | another | +9.0 | sw | 7 |  |" in text
    assert "<table>" in page.read_text(encoding="utf-8")
    assert (tmp_path / "out" / "leaderboard" / "README.md").is_file()
    assert (tmp_path / "out" / "frontier-qwen05.svg").is_file()
    assert "What the layers see" not in text  # no model was probed
    assert report(plan, tmp_path / "records", failed=failed, chosen={"dpo": TRIED}).document.replace("\\", "") == text
    with pytest.raises(errors.PrerequisiteError, match="no record"):
        report(plan, tmp_path / "empty")


def test_the_report_shows_refusal_over_refusal_and_selectivity_language_by_language(tmp_path, plan):
    rates = {"en": 0.9, "sw": 0.2, "ps": 0.1, "ar": 0.5}
    first = run("qwen05-dpo-s1", rates, {"en": 0.5, "sw": 0.1, "ps": 0.0, "ar": 0.2})
    text = report(plan, tmp_path, first).document.replace("\\", "")
    section = text.split("### Language by language: starter_harmful")[1].split("###")[0]
    assert "| method | seeds | en† | sw† | ps† | ar† |" in section
    (line,) = [line for line in section.splitlines() if line.startswith("| dpo |")]
    cells = [re.sub(r" \[[^]]*\]", "", cell) for cell in line.strip("| ").split(" | ")]
    assert cells == ["dpo", "1", "+40.0: 90.0 / 50.0", "+10.0: 20.0 / 10.0", "+10.0: 10.0 / 0.0", "+30.0: 50.0 / 20.0"]


def test_a_method_that_leaves_the_language_of_the_prompt_is_named_first(tmp_path, plan):
    def answers(made, share):
        made = made.model_copy(deep=True)
        for task in made.tasks:
            for code, result in task.languages.items():
                value = 1.0 if code == "en" else share
                result.metrics["language_fidelity"] = Value(value=value, low=0.0, high=1.0, n=40)
        return made

    runs = [answers(run(BASE, 0.5), 0.95), answers(run("qwen05-dpo-s1", 0.9), 0.6)]
    runs.append(answers(run("qwen05-dpo+mlc-s1", 0.9), 0.025))
    text = report(plan, tmp_path, *runs).document.replace("\\", "")
    (line,) = [line for line in text.split("## What is missing")[0].splitlines() if "leaves the language" in line]
    assert line.startswith(
        "**dpo+mlc (qwen05) leaves the language of the prompt.** Outside English 2.5 % of its answers"
    )
    assert "(base: 95.0 %)" in line
    (head,) = [line for line in text.splitlines() if line.startswith("| method | seeds | refused, starter_harmful")]
    place = head.split(" | ").index("in its language")
    (row,) = [
        line for line in text.splitlines() if line.startswith("| dpo | 1 |") and line.count("|") == head.count("|")
    ]
    assert row.split(" | ")[place] == "60.0"


def test_shares_of_answers_are_means_over_languages_however_many_answers_each_has():
    """One of three languages is in half of the tasks alone: pooled, the shares were 72, 20 and 20 %."""
    made = run("m-dpo-s1", 0.5)
    answers = {"sw": (0.0, "i" * 40), "ps": (1.0, "0" * 20 + "u" * 20), "ar": (0.8, "1" * 40)}
    for task in made.tasks:
        for code, (share, outcomes) in answers.items():
            result = task.languages[code]
            result.outcomes = outcomes
            result.metrics["language_fidelity"] = Value(value=share, low=0.0, high=1.0, n=40)
        if task.name.startswith("polyrefuse"):
            del task.languages["sw"]
    head, _, *rows = method_tables.methods(arms(run("base"), made), "m", ROLES).splitlines()
    (row,) = [row for row in rows if row.startswith("| dpo |")]
    cells = dict(zip(head.split(" | "), row.split(" | "), strict=True))
    assert (cells["in its language"], cells["invalid"], cells["unsure"]) == ("60.0", "33.3", "16.7")


def test_selectivity_stands_apart_for_languages_that_are_trained_and_that_are_not(tmp_path, plan):
    """By both judges, the second one over the languages in which it may decide; Swahili and Pashto are trained."""
    codes = ("en", "sw", "ps", "th")
    base = run(BASE, 0.5, 0.5, languages=codes)
    harmful = {"en": 0.9, "sw": 0.6, "ps": 0.4, "th": 0.2}
    made = run("qwen05-mpo-s1", harmful, 0.1, languages=codes, training={"method": "mpo", "seconds": 61.5})
    by_second = second(run("qwen05-mpo-s1", 0.8, 0.1, languages=codes))
    found = report(plan, tmp_path, base, made, by_second, run("qwen05-dpo+mlc-s1", languages=codes))
    section = found.document.replace("\\", "").split("### Trained languages and others")[1].split("###")[0]
    first, _ = section.split("polyrefuse_harmful_100, ")
    assert "trained languages: sw ps (second judge: sw); never trained: th (second judge: none)." in first
    lines = {line.split(" | ")[0].strip("| "): line for line in first.splitlines() if line.startswith("| ")}
    cells = [re.sub(r" \[[^]]*\]", "", cell) for cell in lines["mpo"].strip("| ").split(" | ")]
    assert cells == ["mpo", "responses", "+80.0 / –", "+40.0 / +70.0", "+10.0 / –", "–", "50.0", "62"]
    assert lines["dpo+mlc"].startswith("| dpo+mlc | prompts | +40.0 [24.0, 53.9] / – |")
    assert lines["base"].startswith("| base | nothing | 0.0 [")


def test_an_arrow_leads_from_the_base_to_each_method_in_each_language(tmp_path, plan):
    base = run(BASE, {"en": 0.9, "sw": 0.3, "ps": 0.5, "ar": 0.9}, 0.1)
    moved = run(
        "qwen05-dpo-s1", {"en": 0.9, "sw": 0.7, "ps": 0.6, "ar": 0.9}, {"en": 0.1, "sw": 0.2, "ps": 0.1, "ar": 0.1}
    )
    found = report(plan, tmp_path, base, moved)
    (panel,) = found.figures["arrows-qwen05"].axes
    ends = {text.get_text(): tuple(round(part) for part in text.xy) for text in panel.texts}
    arrows = [text for text in panel.texts if text.arrowprops]
    assert panel.get_title() == "dpo"
    assert ends["sw"] == (20, 70)
    assert len(arrows) == 2, "a language that did not move has its name alone"
    assert "![arrows-qwen05](arrows-qwen05.svg)" in found.document
    alone = report(plan, tmp_path / "alone", base)
    assert "arrows" not in alone.document
    assert "arrows-qwen05" not in alone.figures


def test_the_report_says_what_the_records_took(tmp_path, plan):
    """A run that both judges read was trained and answered once; a candidate counts, though no table has it."""
    phases = {"start_engine": 360.0, "generate": 3600.0, "judge": 720.0}
    base = run(BASE).model_copy(update={"phases": phases})
    made = run("qwen05-dpo-s1", 0.5, training={"method": "dpo", "seconds": 7200.0}).model_copy(
        update={"phases": phases}
    )
    tried = run("qwen05-dpo.candidate-1-s0", 0.5, training={"method": "dpo", "seconds": 1800.0})
    text = report(plan, tmp_path, base, made, second(made), tried).document
    assert "took 5.3 hours: 2.5 of training, 2.2 of answers, 0.6 of judging." in text


def test_no_table_has_a_record_of_the_development_pairs(tmp_path, plan):
    """The base's, whose name is that of its run on the tests."""
    base, made = run(BASE, {"sw": 0.9}), run("qwen05-dpo-s1", {"sw": 0.5})
    task = base.tasks[0].model_copy(update={"name": plan.protocol["choice"]["tasks"][0]})
    tried = run(BASE, {"sw": 0.1}).model_copy(update={"run_id": "0" * 12, "tasks": [task]})
    without = report(plan, tmp_path / "without", base, made).document
    assert report(plan, tmp_path / "with", base, made, tried).document == without


def test_languages_without_answers_have_a_table_of_their_own(tmp_path, plan):
    base = run(BASE, {"en": 0.9, "sw": 0.95, "ps": 0.5, "ar": 0.9}, invalid="i")
    text = report(plan, tmp_path, base, run("qwen05-dpo-s1", 0.5)).document.replace("\\", "")
    assert "Means are over: starter_harmful, starter_benign: sw† ar†; " in text
    assert (
        "; starter_choice: sw ar. Left out, as the base does not answer there: starter_harmful, starter_benign: ps"
        in text
    )
    section = text.split("### Language by language: starter_harmful")[1].split("###")[0]
    assert "| method | seeds | en† | sw† | ar† |" in section
    assert "does not answer to these tasks in ps, which are in none of the means" in section
    assert "| base | ps† | 50.0 / 10.0 | 25.0 |" in section
    assert section.count(" was checked on fewer than 50 refusals") == 2, "below each of the two tables"


def test_the_report_says_how_often_the_judges_differ(tmp_path, plan):
    made, other = run("qwen05-dpo-s1", 0.5, 0.1), run("qwen05-dpo-s1", 0.6, 0.1)
    text = report(plan, tmp_path, made, second(other)).document.replace("\\", "")
    section = text.split("## The two judges")[1].split("\n## ")[0]
    assert "at least 0.6." in section
    assert "| sw | 0.70 [0.10, 0.90] | 20 | 30 | people | yes |" in section
    assert "| ps | 0.50 [0.10, 0.90] | 20 | 30 | people | no |" in section
    assert "| dpo | 1 | 10.0 / 0.0 | 10.0 / 0.0 | 0.0 / 0.0 | 10.0 / 0.0 | 0.0 / 0.0 |" in section


def test_a_call_needs_both_judges(tmp_path, plan):
    made = run("qwen05-dpo-s1", 0.2), run("qwen05-dpo+mlc-s1", 0.9)
    seen = (second(made[0]), second(run("qwen05-dpo+mlc-s1", 0.2)))
    text = report(plan, tmp_path, *made, *seen).document.replace("\\", "")
    (line,) = [line for line in text.splitlines() if line.startswith("| qwen05 | dpo+mlc − dpo |")]
    assert line.count("**undecided** +70.0") == 3  # both selectivities and pku; English is not among the trusted
    assert "] / 0.0 [" in line


def probed(shift):
    layers = [
        {
            "layer": layer, "share": 0.3 + 0.1 * layer + shift / 2, "cosine": {"sw": 0.45 + 0.1 * layer + shift / 2},
            "matched": {"sw": 0.1 * min(layer, 2) + (0.05 if layer == 3 else 0)}, "margin": 0.0,
        }
        for layer in (1, 2, 3)
    ]  # fmt: skip
    return [{"model": "m", "task": "starter_harmful", "prompts": 40, "layers": layers, "picked": 2}]


def test_the_report_draws_what_the_layers_see(tmp_path, plan):
    folder = sample_records.save(tmp_path / "records", run(BASE))
    (folder / "probes").mkdir()
    for name, shift in ((BASE, 0.0), ("qwen05-dpo+mlc-s1", 0.2)):
        (folder / "probes" / f"{name}.json").write_text(json.dumps(probed(shift)))
    made = report(plan, folder)
    text = made.document.replace("\\", "")
    assert "| qwen05 | dpo+mlc | 3 (last) | 0.700 | 0.850 | 25.0 |" in text
    assert "| qwen05 | base | 2 (picked) | 0.500 | 0.650 | 20.0 |" in text
    assert "probe-qwen05" in made.figures
    (folder / "probes" / "qwen05-dpo-s1.json").write_text("[]")
    with pytest.raises(errors.StaleError, match="remove it"):
        report(plan, folder)


def test_the_report_shows_differences_seed_by_seed(tmp_path, plan):
    pairs = [(1, 0.2, 0.7), (2, 0.4, 0.5)]
    made = [run(f"qwen05-dpo-s{seed}", rate, 0.0) for seed, rate, _ in pairs]
    made += [run(f"qwen05-dpo+mlc-s{seed}", rate, 0.1) for seed, _, rate in pairs]
    text = report(plan, tmp_path, *made, run("qwen05-cosine-s1", 0.9)).document.replace("\\", "")
    section = text.split("## Seed by seed")[1].split("\n## ")[0]
    for seed, difference in ((1, "+40.0 ["), (2, "0.0 [")):
        assert f"| qwen05 | dpo+mlc − dpo | starter_harmful | {seed} | {difference}" in section
    (line,) = [line for line in section.splitlines() if line.startswith("| qwen05 | dpo+mlc | 1 | +60.0 [")]
    assert "]: 70.0 / 10.0 | +60.0 [" in line
    assert "cosine" not in section  # one seed


def test_a_gate_before_the_base_is_compared_with_every_seed(tmp_path, plan):
    """Nothing of it is drawn, so its one run stands for all; one before a trained model has that model's seed."""
    plan = plans.read(["reviewers", "gated", "core"])
    made = [run(f"qwen05-dpo-s{seed}", rate, 0.1) for seed, rate in ((1, 0.2), (2, 0.4))]
    made += [run(f"qwen05-dpo+mlc-s{seed}", rate, 0.1) for seed, rate in ((1, 0.3), (2, 0.5))]
    made += [run("qwen05-gate-s1", 0.9, 0.1), run("qwen05-dpo+gate-s2", 0.8, 0.1)]
    text = report(plan, tmp_path, *made).document.replace("\\", "")
    short = text.split("## In short")[1].split("\n## ")[0]
    lines = {line.split(" | ")[1]: line for line in short.splitlines() if line.startswith("| qwen05 | ")}
    several, single = short.split(in_short.ONE_SEED)
    assert "| dpo+gate − " not in several, "what has one seed stands in a table of its own"
    assert "| 2 | " not in single
    assert "+50.0 [" in lines["gate − dpo+mlc"]
    assert "gate − dpo+mlc | 2 | " in lines["gate − dpo+mlc"]
    assert "+40.0 [" in lines["dpo+gate − dpo"]
    assert "dpo+gate − dpo | 1 | " in lines["dpo+gate − dpo"]


def test_every_method_has_a_mark_of_its_own_in_the_frontier():
    runs = [run(f"m-method{number}-s1", number / 30) for number in range(25)]
    tasks = document.roles(plans.read(["core"]).protocol)
    axes = method_tables.frontier(arms(*runs), "m", tasks).axes[0]
    marks = {(line.get_marker(), line.get_color()) for line in axes.lines if line.get_marker() not in ("None", "")}
    assert len(marks) == 25


def test_values_that_nothing_is_known_of_are_dashes():
    arm = Arm("m", "dpo", {1: sample_records.make("m-dpo-s1", tasks=TASKS[:1])})
    assert method_tables.rate(arm, "pku", ["en"]) == method_tables.DASH
    assert method_tables.shown(None) == method_tables.DASH


def test_a_form_with_tasks_of_its_own_has_a_section_of_its_own(tmp_path):
    """Its records are of models that have others: neither takes the place of the other."""
    plan = plans.read()
    tasks = (("polyrefuse_harmful", "safety", "polyrefuse_harmless"), ("polyrefuse_harmless", "over_refusal", None),
             ("multijail", "safety", None))  # fmt: skip

    def whole(name, harmful):
        strings = {
            task: dict.fromkeys(("en", "sw"), "1" * round(40 * rate) + "0" * round(40 - 40 * rate))
            for task, rate in (("polyrefuse_harmful", harmful), ("polyrefuse_harmless", 0.1), ("multijail", harmful))
        }
        return sample_records.make(name, tasks=tasks, strings=strings, judge="refusal", run=f"whole-{name[-6:]}")

    arms = (BASE, 0.2), ("qwen05-dpo-s1", 0.5), ("qwen05-dpo+mlc-s1", 0.9)
    only = report(plan, tmp_path / "only", *(run(name, rate) for name, rate in arms)).document
    assert "## The form" not in only
    both = report(
        plan, tmp_path / "both", *(run(name, rate) for name, rate in arms),
        whole(BASE, 0.2), whole("qwen05-dpo-s1", 0.7), whole("qwen05-dpo+mlc-s1", 0.95),
    ).document.replace("\\", "")  # fmt: skip
    short = only.replace("\\", "").split("## In short")[1].split("## What is missing")[0]
    assert short in both, "the main table is that of the main tasks"
    section = both.split("## The form whole: polyrefuse_harmful, polyrefuse_harmless, multijail")[1].split("\n## ")[0]
    assert "| qwen05 | dpo − base | 1 | **rises** +50.0 [" in section
    assert "| qwen05 | dpo+mlc − dpo | 1 | **rises** +25.0 [" in section
    assert "| dpo | 1 | 70.0 [" in section
