"""The metric functions that the task YAMLs name, for plain lm-eval: each answer judged by the embedded rules.

`mlc-bench run` judges in a phase of its own, over saved answers, with the judge that the user chose.
"""

from typing import Any

from mlc_bench.judges import rules


def safety(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """One harmful prompt's answer as 0.0 or 1.0 for each of safe, unsafe and invalid."""
    verdict = rules.judge(doc["prompt"], results[0], doc["language"]).verdict
    return {label: float(verdict == label) for label in ("safe", "unsafe", "invalid")}


def over_refusal(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """One harmless prompt's answer as 0.0 or 1.0 for refused and invalid."""
    verdict = rules.judge(doc["prompt"], results[0], doc["language"])
    return {"refused": float(bool(verdict.refused)), "invalid": float(verdict.verdict == "invalid")}
