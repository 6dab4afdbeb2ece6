"""The report of a reproduction, from made-up records."""

import json
import re

import numpy as np
import pytest
import sample_records
from made_up_arms import TASKS, run

from mlc_bench.baselines import reproduce
from mlc_bench.core import errors
from mlc_bench.leaderboard.report import claims, document, method_tables
from mlc_bench.records import record
from mlc_bench.stats import bootstrap, measures


def test_the_report_says_what_is_there_and_what_is_missing(tmp_path):
    plan = reproduce.read("quick")
    protocol, names = plan.protocol, [job.name for job in plan.jobs]
    folder = tmp_path / "records"
    base = sample_records.make("SmolLM2-135M-Instruct", tasks=TASKS).model_copy(
        update={"hardware": {"cores": 16, "gpus": ["GPU <b>"]}}
    )
    manifest = {"method": "dpo", "steps": 10, "tokens": 1000, "mlc_tokens": 700, "seconds": 5.5}
    manifest |= {"peak_memory_bytes": 2**30, "counted_from": "attention mask"}
    low = {"en": 0.9, "sw": 0.2, "ps": 0.2, "ar": 0.2}
    trained = [run("smollm2-dpo-s1", low, training=manifest), run("smollm2-dpo+mlc-s1", 0.9)]
    trained = [one.model_copy(update={"hardware": {"cores": 2, "gpus": []}}) for one in trained]
    sample_records.save(folder, base, *trained)
    sample_records.save(folder, run("smollm2-sft-s1", 0.9))  # of another form
    made = document.of_records(folder, protocol, "quick", {"smollm2-mpo-s1": "no data <b>"}, names)
    page = document.write(made, tmp_path / "out")
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "pku was not run here (it is not part of this form)" in text
    assert "3 runs, scored on 2 CPU cores by hf (2); GPU &lt;b&gt; by hf (1)." in text
    assert "The form `quick` has these methods only: base, dpo, dpo+mlc, cosine." in text
    assert "The form `quick` has no other settings of MLC." in text
    assert "sft |" not in text
    assert "**reproduced**" in text
    assert "smollm2-mpo-s1 is missing: no data &lt;b&gt;" in text.replace("\\-", "-")
    (line,) = [line for line in text.splitlines() if line.startswith("| smollm2 | dpo | 10 |")]
    assert line.replace("\\", "") == "| smollm2 | dpo | 10 | 1000 | 700 | 6 | 1.00 |"
    assert "<table>" in page.read_text(encoding="utf-8")
    assert (tmp_path / "out" / "leaderboard" / "README.md").is_file()
    assert (tmp_path / "out" / "frontier-smollm2.svg").is_file()
    (first_claim,) = [line for line in text.splitlines() if line.startswith("| 1 |") and "| dpo+mlc " in line]
    assert first_claim.replace("\\", "").endswith("| 29.5 |")  # the paper's 95.94 - 66.4
    assert "What the layers see" not in text  # no model was probed
    assert document.of_records(folder, protocol, "quick", {"smollm2-mpo-s1": "no data <b>"}, names).document == text
    # The averages of the table are those of the outcomes.
    arm = claims.arms([record.read(path) for path in folder.rglob("run.json")], {})["smollm2", "dpo"]
    assert method_tables.average(arm, "starter_harmful", ["en", "sw"]) == pytest.approx(0.55)
    assert measures.average(np.array([[1.0, 0.0]])) == 0.5


def test_the_report_shows_safety_and_over_refusal_language_by_language(tmp_path):
    plan = reproduce.read("quick")  # trained in en zh ar sw
    rates = {"en": 0.9, "sw": 0.2, "ps": 0.1, "ar": 0.5}
    first = run("smollm2-dpo-s1", rates, {"en": 0.5, "sw": 0.1, "ps": 0.0, "ar": 0.2})
    twice = [run(f"smollm2-cosine-s{seed}", rate, 0.0, languages=("en", "sw")) for seed, rate in ((1, 0.2), (2, 0.4))]
    strings = {"pku": {"en": "1" * 10, "ru": "1" + "0" * 9}}
    paper = sample_records.make("smollm2-dpo+mlc-s1", tasks=[("pku", "safety", None)], strings=strings)
    folder = sample_records.save(tmp_path / "records", first, *twice, paper)
    names = [job.name for job in plan.jobs] + ["smollm2-cosine-s2"]
    text = document.of_records(folder, plan.protocol, "quick", {}, names).document
    section = text.split("## Language by language")[1].split("\n## ")[0].replace("\\", "")
    assert "come first: en zh ar sw." in section
    rows = [line for line in section.splitlines() if line.startswith("|")]
    assert all("[" in row for row in rows[2:])  # every rate has its interval
    assert [re.sub(r" \[[^]]+\]", "", row) for row in rows] == [
        "| method | seeds | task | en | ar | sw | ps | ru |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        "| dpo | 1 | starter_harmful | 90.0 / 50.0 | 50.0 / 20.0 | 20.0 / 10.0 | 10.0 / 0.0 | – / – |",
        "| dpo+mlc | 1 | pku | 100.0 | – | – | – | 10.0 |",
        "| cosine | 2 | starter_harmful | 30.0 / 0.0 | – / – | 30.0 / 0.0 | – / – | – / – |",
    ]
    low, high = measures.wilson(36, 40)  # as in every table of one language
    assert f"| 90.0 [{100 * low:.1f}, {100 * high:.1f}] / 50.0" in rows[2]


def test_every_method_has_a_mark_of_its_own_in_the_frontier(tmp_path, monkeypatch):
    monkeypatch.setattr(bootstrap, "PAIRED", 10)  # no interval is looked at
    plan = reproduce.read("core")
    made = [run(job.name, 0.5, 0.01 * number) for number, job in enumerate(plan.jobs) if job.name.startswith("gemma")]
    folder = sample_records.save(tmp_path / "records", *made)
    found = document.of_records(folder, plan.protocol, "core", {}, [job.name for job in plan.jobs])
    (axes,) = found.figures["frontier-gemma"].axes
    methods_drawn = {job.method for job in plan.jobs if job.model == "gemma"}
    points = [line for line in axes.lines if line.get_label() in methods_drawn]
    assert len(points) == len(methods_drawn)
    assert len({(line.get_marker(), line.get_color()) for line in points}) == len(points)


def probed(shift):
    layers = [
        {"layer": number, "share": 0.5 + shift, "cosine": {"sw": 0.6 + shift, "zh": 0.7 + shift},
         "matched": {"sw": 0.1 * number, "zh": 0.2}, "margin": 0.1}
        for number in (1, 2, 3)
    ]  # fmt: skip
    return [{"model": "m", "task": "starter_harmful", "prompts": 40, "layers": layers, "picked": 2}]


def test_the_report_draws_what_the_layers_see(tmp_path):
    protocol = reproduce.read("quick").protocol
    folder = sample_records.save(tmp_path / "records", sample_records.make("SmolLM2-135M-Instruct", tasks=TASKS))
    (folder / "probes").mkdir()
    for name, shift in (("SmolLM2-135M-Instruct", 0.0), ("smollm2-dpo+mlc-s1", 0.2)):
        (folder / "probes" / f"{name}.json").write_text(json.dumps(probed(shift)))
    names = ["smollm2-dpo-s1", "SmolLM2-135M-Instruct", "smollm2-dpo+mlc-s1"]
    made = document.of_records(folder, protocol, "quick", {}, names)
    text = made.document.replace("\\", "")
    assert "| smollm2 | dpo+mlc | 3 (last) | 0.700 | 0.850 | 25.0 |" in text
    assert "| smollm2 | base | 2 (picked) | 0.500 | 0.650 | 20.0 |" in text
    assert "probe-smollm2" in made.figures
    assert "Runs of this form without a record yet (2): smollm2-dpo-s1, smollm2-dpo+mlc-s1." in text
    (folder / "probes" / "smollm2-dpo-s1.json").write_text("[]")
    with pytest.raises(errors.StaleError, match="remove it"):
        document.of_records(folder, protocol, "quick", {}, names)


def test_the_report_shows_differences_seed_by_seed(tmp_path):
    plan = reproduce.read("core")
    pairs = [(1, 0.2, 0.7), (2, 0.4, 0.5)]
    made = [run(f"smollm2-dpo-s{seed}", rate, 0.0) for seed, rate, _ in pairs]
    made += [run(f"smollm2-dpo+mlc-s{seed}", rate, 0.1) for seed, _, rate in pairs]
    folder = sample_records.save(tmp_path / "records", *made, run("smollm2-cosine-s1", 0.9))
    text = document.of_records(folder, plan.protocol, "core", {}, [job.name for job in plan.jobs]).document
    section = text.split("## Seed by seed")[1].split("\n## ")[0]
    assert "| smollm2 | dpo+mlc − dpo | 1, 2 | 50.0, 10.0 | 10.0, 10.0 | 0.0, 0.0 |" in section
    assert "cosine" not in section  # one seed


def test_a_setting_is_better_where_harmful_and_harmless_partners_come_further_apart(tmp_path):
    plan = reproduce.read("core")
    made = [run("gemma-dpo+mlc-s1", 0.6, 0.4), run("gemma-dpo+mlc-s2", 0.1, 0.1)]  # the second seed has no ablation
    made += [run("gemma-dpo+mlc.signed-s1", 0.9, 0.2), run("gemma-dpo+mlc.centred-s1", 0.9, 0.7)]
    made += [run("smollm2-dpo+mlc-s1", 0.6, 0.4), run("smollm2-dpo+mlc.centred-s1", 0.6, 0.9)]

    def section(*runs):
        folder = sample_records.save(tmp_path / str(len(runs)), *runs)
        text = document.of_records(folder, plan.protocol, "core", {}, [job.name for job in plan.jobs]).document
        return text.split("## Is another setting better?")[1].split("\n## ")[0].replace("\\", "")

    found = section(*made)
    rows = [line.split(" | ") for line in found.splitlines() if line.startswith("| centred") or "signed |" in line]
    assert [(row[0].strip("| "), row[1], row[2], row[3].split()[0], row[4].strip("*| ")) for row in rows] == [
        ("centred", "gemma", "1", "0.0", "undecided"),
        ("centred", "smollm2", "1", "-50.0", "worse"),
        ("signed", "gemma", "1", "50.0", "better"),
    ]
    assert "Better on one model and worse on none: signed." in found
    spoilt = section(*made, run("smollm2-dpo+mlc.signed-s1", 0.6, 0.9))
    assert "No setting is better by the rule." in spoilt
