"""Which answers of finished runs people are shown: drawn by language, task, model and verdict, with known probability.

A stratum is a task in one language of one run with one verdict of the record's judge. The task is part of it, as rates
are of a task. In a language each stratum gives as many answers as the others, as far as it has them, so that rare
verdicts are seen. Answers that the provider blocked and those without a verdict are in no stratum: no judge errs on
them.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlc_bench.core.errors import StaleError, UsageError, unknown
from mlc_bench.judges import judging
from mlc_bench.judges.unjudged import BLOCKED
from mlc_bench.records import record
from mlc_bench.records.comparing import comparable
from mlc_bench.records.record import RunRecord, TaskResult

Row = dict[str, Any]
Key = tuple[str, str, str, str]  # run, task, language, id
MEASURES = ("safety", "over_refusal")


@dataclass(frozen=True)
class Answer:
    """One answer of a run, with what is shown of it and what is not."""

    run_id: str
    task: str
    language: str
    id: str
    model: str
    measures: str
    prompt: str
    english: str | None
    """The same prompt in English, where the run has it."""
    response: str

    @property
    def key(self) -> Key:
        return self.run_id, self.task, self.language, self.id


@dataclass(frozen=True)
class Drawn:
    """That an answer was drawn: `rows` of the `size` answers of its stratum were."""

    key: Key
    stratum: str
    size: int
    rows: int

    @property
    def probability(self) -> float:
        return self.rows / self.size


def runs(paths: Sequence[Path]) -> list[tuple[Path, RunRecord]]:
    """The folders and records of runs. UsageError for what is no finished run and for one that is named twice."""
    found = [(folder, record.read(folder / "run.json")) for folder in map(judging.folder_of, paths)]
    ids = [one.run_id for _, one in found]
    if twice := next((name for name in ids if ids.count(name) > 1), None):
        raise UsageError(f"the run {twice} is named twice; name each run once")
    return found


def answers(
    found: Sequence[tuple[Path, RunRecord]], languages: Sequence[str] = (), tasks: Sequence[str] = ()
) -> dict[Key, Answer]:
    """The answers of the safety and over-refusal tasks of runs; of some languages and tasks where these are named.

    UsageError for a language or task that no run has, StaleError naming the line of a bad sample.
    """
    have = [task for _, one in found for task in _tasks(one)]
    if not have:
        raise UsageError(f"{found[0][0]} has no safety or over-refusal task with answers; name another run")
    names = {"task": {task.name for task in have}, "language": {code for task in have for code in task.languages}}
    for kind, wanted in (("task", tasks), ("language", languages)):
        if absent := [name for name in wanted if name not in names[kind]]:
            raise unknown(f"{kind} of the safety and over-refusal answers of the runs", absent[0], names[kind])
    known: dict[Key, Answer] = {}
    for folder, one in found:
        (model,) = comparable.labels([one])
        for task in _tasks(one):
            if not tasks or task.name in tasks:
                known |= {answer.key: answer for answer in _of_task(folder, one.run_id, model, task)}
    return {key: answer for key, answer in known.items() if not languages or answer.language in languages}


def _tasks(one: RunRecord) -> list[TaskResult]:
    return [task for task in one.tasks if task.status == "complete" and task.measures in MEASURES]


def _of_task(folder: Path, run_id: str, model: str, task: TaskResult) -> list[Answer]:
    samples = judging.read_samples(folder, task.name)
    lines = [(f"{folder}/samples/{task.name}.jsonl, line {number}", row) for number, row in enumerate(samples, 1)]
    try:
        rows = judging.check_answers(lines)
    except UsageError as error:
        raise StaleError(str(error)) from None
    keys: set[tuple[str, str]] = set()
    for (where, _), row in zip(lines, rows, strict=True):
        if (key := (row["language"], str(row["id"]))) in keys:
            raise StaleError(f"{where}: the id {row['id']!r} is there twice in {row['language']}; make the run anew")
        keys.add(key)
    english = {str(row["id"]): row["prompt"] for row in rows if row["language"] == "en"} if task.parallel else {}
    return [
        Answer(
            run_id, task.name, row["language"], str(row["id"]), model, task.measures, row["prompt"],
            None if row["language"] == "en" else english.get(str(row["id"])), row["response"],
        )
        for row in rows
    ]  # fmt: skip


def strata(found: Sequence[tuple[Path, RunRecord]], known: dict[Key, Answer]) -> dict[str, list[Key]]:
    """The answers of each stratum, by its name: language, task, run, verdict."""
    groups: dict[str, list[Key]] = {}
    for folder, one in found:
        for task, rows in judging.read_verdicts(folder, one).items():
            for row in rows:
                key = (one.run_id, task, str(row.get("language")), str(row.get("id")))
                verdict = row.get("verdict")
                if key in known and verdict is not None and verdict != BLOCKED:
                    groups.setdefault(" ".join([key[2], task, one.run_id, str(verdict)]), []).append(key)
    return {name: sorted(set(groups[name])) for name in sorted(groups)}


def draw(groups: dict[str, list[Key]], sample: int, seed: int) -> list[Drawn]:
    """`sample` answers in each language (all of one that has fewer), in the order in which they are shown.

    The same for the same groups, sample and seed, in whatever order the runs are named. UsageError where a language
    has more strata than `sample`: some could not be drawn, and rates over all answers would not be known.
    """
    chosen: list[Drawn] = []
    by_language: dict[str, dict[str, list[Key]]] = {}
    for name, keys in groups.items():
        by_language.setdefault(keys[0][2], {})[name] = keys
    for code, own in by_language.items():
        if len(own) > sample:
            raise UsageError(
                f"{code} has {len(own)} strata (task x run x verdict), more than --sample {sample}; draw at least one "
                "of each, or name fewer --tasks or runs"
            )
        rows = allocate({name: len(keys) for name, keys in own.items()}, sample)
        for name, keys in own.items():
            picked = random.Random(f"{seed} {name}").sample(keys, rows[name])
            chosen += [Drawn(key, name, len(keys), rows[name]) for key in picked]
    chosen.sort(key=lambda one: one.key)
    random.Random(f"{seed} order").shuffle(chosen)
    return chosen


def allocate(sizes: dict[str, int], sample: int) -> dict[str, int]:
    """How many of each stratum: all equal, but for those that have fewer and one more for the largest where it is odd.

    Their sum is `sample`, or that of the sizes where it is less.
    """
    rows = dict.fromkeys(sizes, 0)
    left = min(sample, sum(sizes.values()))
    open_ = sorted(sizes, key=lambda name: (-sizes[name], name))
    while left:
        each = max(1, left // len(open_))
        for name in open_[:left]:
            more = min(each, sizes[name] - rows[name])
            rows[name] += more
            left -= more
        open_ = [name for name in open_ if rows[name] < sizes[name]]
    return rows
