"""What two runs share, and whether they were asked and judged alike there. From their records alone."""

import json
import re
from collections.abc import Sequence
from typing import Any

from mlc_bench.core.errors import StaleError, UsageError
from mlc_bench.records.record import RunRecord, TaskResult


def labels(runs: Sequence[RunRecord]) -> list[str]:
    """A short name for each run: its model and adapter, with the run's id where two would have the same name."""
    names = [run.model.name + (f" + {run.model.adapter.name}" if run.model.adapter else "") for run in runs]
    return [f"{name} ({run.run_id})" if names.count(name) > 1 else name for name, run in zip(names, runs, strict=True)]


def task_of(run: RunRecord, name: str) -> TaskResult:
    """The task of a run by its name."""
    return next(task for task in run.tasks if task.name == name)


def shared_by(first: RunRecord, second: RunRecord, wanted: Sequence[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Languages by task that both runs have, and what only one of them has."""
    have = [{task.name: task for task in run.tasks if task.status == "complete"} for run in (first, second)]
    known = have[0] | have[1]
    if unknown := [name for name in wanted if name not in known]:
        raise UsageError(f"neither run has the task '{unknown[0]}'; they have {', '.join(known)}")
    shared, left_out = {}, []
    for name in wanted or known:
        if not all(name in tasks for tasks in have):
            left_out.append(name)
            continue
        codes = [set(tasks[name].languages) for tasks in have]
        shared[name] = [code for code in have[0][name].languages if code in codes[1]]
        if missing := sorted(codes[0] ^ codes[1]):
            left_out.append(f"{name} in {', '.join(missing)}")
    shared = {name: codes for name, codes in shared.items() if codes}
    if not shared:
        raise StaleError("the runs have no task and language in common, so there is nothing to compare")
    return shared, left_out


def check_outcomes(runs: dict[str, RunRecord], shared: dict[str, list[str]]) -> None:
    """Raises StaleError where a record does not say what each prompt got, or has another number of prompts."""
    for label, run in runs.items():
        for name, codes in shared.items():
            if any(task_of(run, name).languages[code].column is None for code in codes):
                raise StaleError(
                    f"the record of {label} holds no outcome of each prompt (an older mlc-bench wrote it); give its "
                    "`mlc-bench run` command again: the answers are kept, only judging is repeated"
                )
    for name, codes in shared.items():
        for code in codes:
            if len({len(task_of(run, name).languages[code].column or "") for run in runs.values()}) > 1:
                raise StaleError(f"{' and '.join(runs)} have different numbers of prompts for {name} in {code}")


def check_comparable(first: RunRecord, second: RunRecord, shared: dict[str, list[str]], who: str) -> None:
    """Raises StaleError where a task in a language was not asked or judged alike; it names what differs."""
    reasons: dict[str, list[str]] = {}
    for name, codes in shared.items():
        for code in codes:
            results = [task_of(run, name).languages[code] for run in (first, second)]
            if results[0].comparability_key != results[1].comparability_key:
                what = "; ".join(differences(task_of(first, name), task_of(second, name), code))
                reasons.setdefault(f"{name}: {what}", []).append(code)
    if reasons:
        (what, codes), *more = reasons.items()
        also = f" (and {len(more)} further differences)" if more else ""
        raise StaleError(
            f"{who} are not comparable on {what} [{', '.join(codes)}]{also}; run them alike, or name the tasks "
            "that are comparable with --tasks"
        )


def differences(first: TaskResult, second: TaskResult, code: str) -> list[str]:
    """Which of the fields behind the comparability key differ, each with both values but for digests."""
    fields = [_fields(task, code) for task in (first, second)]
    found = [
        key
        if key.endswith("fingerprint")
        else f"{key} {_short(fields[0].get(key))} against {_short(fields[1].get(key))}"
        for key in dict.fromkeys([*fields[0], *fields[1]])
        if fields[0].get(key) != fields[1].get(key)
    ]
    return found or ["something that one of the records does not name (an older mlc-bench wrote it)"]


def _fields(task: TaskResult, code: str) -> dict[str, Any]:
    result = task.languages[code]
    return {
        "task version": task.version,
        "data_fingerprint": result.data_fingerprint,
        "prompt_fingerprint": result.prompt_fingerprint,
        **{f"generation.{key}": value for key, value in task.generation.items()},
        **task.policy,
    }


def _short(value: Any) -> str:
    text = re.sub(r"\b([0-9a-f]{8})[0-9a-f]{24,}\b", r"\1…", json.dumps(value, ensure_ascii=False))
    return text if len(text) <= 60 else text[:59] + "…"
