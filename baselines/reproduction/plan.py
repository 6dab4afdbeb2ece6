"""What a protocol asks for: the runs of its forms, and the trials that their settings are chosen by."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlc_bench.core import errors, safe_yaml

HERE = Path(__file__).resolve().parents[1]
PROTOCOL = HERE / "reproduce.yaml"
RECORDS = HERE.parent / "leaderboard" / "reproduction"  # of a checkout
BASE = "base"  # the method that trains nothing


@dataclass(frozen=True)
class Job:
    """One run: a method on a model with a seed. `name` is that of the trained model; the untrained one has its own."""

    name: str
    model: str
    method: str
    seed: int
    candidate: int | None = None
    """Of a run that is scored on the development pairs: which candidate it tries, from 0."""
    tasks: tuple[str, ...] = ()
    """What the model is scored on."""


@dataclass(frozen=True)
class Plan:
    """What the protocol asks for."""

    protocol: dict[str, Any]
    trials: list[Job]
    """What settings are chosen by: every candidate, and the untrained model beside them."""
    jobs: list[Job]
    records: Path
    """Where finished records are: a folder of this version of the protocol."""

    def about(self, job: Job) -> dict[str, Any]:
        """What the protocol says of a job's method."""
        found: dict[str, Any] = self.protocol["methods"][job.method]
        return found

    def first(self, job: Job) -> Job | None:
        """The training whose model a job starts from, where its method comes `after` another; of the same seed."""
        method = self.about(job).get("after")
        return Job(f"{job.model}-{method}-s{job.seed}", job.model, method, job.seed) if method else None

    def fidelity(self, method: str) -> float:
        """The least share of answers in the prompt's language that a method's settings must leave, in each language."""
        return float(self.protocol["methods"][method].get("fidelity", 0.0))

    def is_trial(self, job: Job) -> bool:
        """Whether a job is scored on the development pairs."""
        return job.tasks == tuple(self.protocol["choice"]["tasks"])

    def is_trained(self, job: Job) -> bool:
        """Whether a job trains a model of its own: the base is as it was released, a gate stands before answers."""
        return "train" in self.about(job)

    def kappa(self) -> dict[str, dict[str, Any]]:
        """The second judge's agreement with labels, by language, as it was counted before the runs."""
        found: dict[str, dict[str, Any]] = json.loads((HERE / self.protocol["judges"]["kappa"]).read_text("utf-8"))
        return found


def read(forms: Sequence[str] = (), path: Path = PROTOCOL, records: Path = RECORDS) -> Plan:
    """The runs of these forms of the protocol (default: all), in its order; UsageError where there is no such form."""
    protocol = safe_yaml.load(path.read_text(encoding="utf-8"))
    if unknown := [form for form in forms if form not in protocol["forms"]]:
        raise errors.UsageError(f"{path} has no form '{unknown[0]}'; it has: {', '.join(protocol['forms'])}")
    jobs = [job for form in forms or protocol["forms"] for job in _jobs(protocol, protocol["forms"][form])]
    return Plan(protocol, list(_trials(protocol, jobs)), jobs, records / f"version-{protocol['version']}")


def tasks(protocol: dict[str, Any], roles: dict[str, Any] | None = None) -> tuple[str, ...]:
    """The tasks of the report, or of other roles, the contrast pairs first."""
    roles = roles or protocol["roles"]
    pairs = [task for pair in roles["pairs"] for task in pair]
    return tuple(dict.fromkeys([*pairs, roles["harmful"], *([roles["utility"]] if "utility" in roles else [])]))


def _jobs(protocol: dict[str, Any], form: dict[str, Any]) -> Iterator[Job]:
    scored = tasks(protocol, form.get("roles"))
    for model in form["models"]:
        for seed in form["seeds"]:
            for method in form["methods"]:
                if method != BASE:
                    yield Job(f"{model}-{method}-s{seed}", model, method, seed, tasks=scored)
                elif seed == form["seeds"][0]:  # not trained: one run
                    yield Job(protocol["models"][model]["name"], model, method, 0, tasks=scored)


def _trials(protocol: dict[str, Any], jobs: Sequence[Job]) -> Iterator[Job]:
    """The untrained model, and each candidate of every method that the jobs take a choice of."""
    about, scored = protocol["choice"], tuple(protocol["choice"]["tasks"])
    trained = [job.method for job in jobs if "train" in protocol["methods"][job.method]]
    first = [protocol["methods"][job.method].get("after") for job in jobs]
    methods = dict.fromkeys(chooser(protocol, name) for name in (*filter(None, first), *trained))
    if methods:
        yield Job(protocol["models"][about["model"]]["name"], about["model"], BASE, 0, tasks=scored)
    for method in methods:
        for place in range(len(about["candidates"])):
            name = f"{about['model']}-{method}.candidate-{place + 1}-s{about['seed']}"
            yield Job(name, about["model"], method, about["seed"], place, scored)


def chooser(protocol: dict[str, Any], method: str) -> str:
    """The method whose choice a method takes."""
    return str(protocol["methods"][method].get("as", method))
