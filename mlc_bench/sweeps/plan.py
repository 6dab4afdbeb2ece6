"""Before a sweep: each job checked without loading a model, what is there, and what the rest may take."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlc_bench.core.errors import UserError
from mlc_bench.sweeps import rates
from mlc_bench.sweeps.jobs import Job, shards
from mlc_bench.sweeps.rates import Rate


@dataclass(frozen=True)
class Checked:
    """A job, and what its files say; `error`: why it would fail before any model is loaded."""

    job: Job
    error: UserError | None = None
    is_generated: bool = False
    weights: int = 0
    """Bytes of the model's safetensors."""


def check(jobs: list[Job]) -> list[Checked]:
    """Every job as a dry run sees it. Raises the first error where every job has one."""
    found = [_checked(job) for job in jobs]
    if found and all(one.error for one in found) and (error := found[0].error):
        raise error
    return found


def _checked(job: Job) -> Checked:
    try:
        with job.request.surroundings():
            (run,) = job.request.runs(quick=True)
            is_generated = run.spec.engine != "openai" and run.is_generated
    except UserError as error:
        return Checked(job, error)
    files = Path(run.identity.path).glob("*.safetensors") if run.identity.path else ()
    return Checked(job, is_generated=is_generated, weights=sum(path.stat().st_size for path in files))


def estimates(jobs: list[Job], output: Path, at_once: int) -> list[dict[str, Any]]:
    """A dictionary for each job, what `Request.plan` says of it and more. Raises the first error if every job has one.

    Its keys: job (number), name, error, command; and, of a job without an error, missing (prompts that are not answered
    yet, at most; None where the data are not here), tokens_out (of these, by what answers of this model had on average,
    at most the limit) and hours (with its share of the engine's start; None: nothing was measured), and all keys of
    `Request.plan`.
    """
    measured = rates.measured(output)
    starts = len(shards(jobs, at_once))
    found, first = [], None
    for job in jobs:
        entry: dict[str, Any] = {"job": job.number, "name": job.name, "command": job.command, "error": None}
        try:
            (plan,) = job.request.plan()
            errors = [f"{task['task']}: {task['error']}" for task in plan["tasks"] if task["error"]]
            rate = measured.get((plan["base"], plan["engine"]))
            entry |= plan | {"error": "; ".join(errors) or None} | _estimate(plan, rate, starts / len(jobs))
        except UserError as error:
            first = first or error
            entry["error"] = str(error)
        found.append(entry)
    if first and all("run_id" not in entry for entry in found):
        raise first
    return found


def _estimate(plan: dict[str, Any], rate: Rate | None, starts: float) -> dict[str, Any]:
    """`missing`, `tokens_out` and `hours` of a job that has this share of an engine's start."""
    tasks = [task for task in plan["tasks"] if not task["error"]]
    if plan["generated"]:
        return {"missing": 0, "tokens_out": 0, "hours": 0.0}
    if any(task["decoding"] is None for task in tasks):  # choices, or data that are not here: nothing to count
        return {"missing": None, "hours": None}
    prompts = sum(task["tokens_out"] // task["decoding"]["max_tokens"] for task in tasks)
    if rate is None:
        return {"missing": prompts, "hours": None}
    tokens = min(round(rate.tokens_an_answer * prompts), plan["tokens_out"])
    seconds = tokens / rate.tokens_a_second + starts * rate.start
    return {"missing": prompts, "tokens_out": tokens, "hours": round(seconds / 3600, 6)}
