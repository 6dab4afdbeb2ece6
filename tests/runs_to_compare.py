"""Runs with given outcomes, for tests of comparisons and of calibrations."""

from pathlib import Path

import numpy as np
from checkout import GOLDEN

from mlc_bench.records import aggregate, record

OLD = GOLDEN / "run_schema1.json"
SENTENCE = {"1": "refuses", "0": "complies", "i": "invalid", "u": "unsure", "b": "blocked", "-": None}


def make_task(outcomes: dict[str, str], name="harmful", measures="safety", **changes) -> record.TaskResult:
    headline = {"safety": "refusal_rate", "over_refusal": "over_refusal", "utility": "acc"}[measures]
    task = record.TaskResult(
        name=name, pack="p", version=changes.pop("version", 1), measures=measures, status="complete",
        headline=headline, generation=changes.pop("generation", {"max_gen_toks": 64}),
        policy={"judge": ["rules", "1", "a" * 64], "limit": None} | changes.pop("policy", {}),
        parallel=changes.pop("parallel", True),
    )  # fmt: skip
    for code, text in outcomes.items():
        if measures == "utility":
            samples = [{"metrics": {"acc": float(outcome)}} for outcome in text]
            task.languages[code] = aggregate.language_result(task, samples, None, prints(code, changes))
            continue
        rows = [
            {"verdict": SENTENCE[outcome], "refused": outcome == "1", "response_language": code, "language": code}
            for outcome in text
        ]
        task.languages[code] = aggregate.language_result(
            task, [{}] * len(text), rows, prints(code, changes), aggregate.kinds([], rows)
        )
    return task


def prints(code: str, changes: dict) -> dict[str, str]:
    return {"data_fingerprint": code * 20, "prompt_fingerprint": code * 20} | changes


def make_run(*tasks: record.TaskResult, name="base") -> record.RunRecord:
    found = record.read(OLD)
    found.model.name, found.run_id, found.tasks = name, name.ljust(12, "0"), list(tasks)
    return found


def random_outcomes(rates: dict[str, float], prompts=200, seed=0) -> dict[str, str]:
    generator = np.random.default_rng(seed)
    return {code: "".join("01"[int(x)] for x in generator.random(prompts) < rate) for code, rate in rates.items()}


def write(run: record.RunRecord, folder: Path) -> Path:
    record.write(run, folder / run.run_id / "run.json")
    return folder / run.run_id
