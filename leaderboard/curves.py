"""Scores by training step: the records of one run's checkpoints, its result and its base model, as points of curves.

A point is a number that its record has, with its interval; nothing is estimated anew but the means of selectivity,
which `records/selectivity.py` makes for every table. A curve has only points that may be compared.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mlc_bench.core.errors import UsageError
from mlc_bench.leaderboard import collect, lineage, redact
from mlc_bench.leaderboard.collect import LeftOut
from mlc_bench.records import aggregate, fidelity, selectivity
from mlc_bench.records.frame import whole_key
from mlc_bench.records.record import RunRecord, TaskResult, Value

ENGLISH = "en"
ALL = "all"  # in place of a language: the mean over languages, or PAG
MEASURES = ("refusal", "over_refusal", "selectivity", "fidelity", "pag", "utility")


@dataclass(frozen=True)
class Point:
    """One number of one step. Rates are fractions; `languages` are those of a mean."""

    step: int
    measure: str
    task: str
    language: str
    value: Value
    key: str
    """Points of a curve have equal ones (see `comparability_key` of a record)."""
    languages: tuple[str, ...]
    is_fraction: bool = True
    unanswered: bool = False
    """Of selectivity and its two rates: too many of the answers are invalid (`selectivity.MOST_INVALID`)."""


@dataclass(frozen=True)
class Curves:
    """All points of one training run by one judge, by measure, task, language and step."""

    run: str
    method: str
    base: str
    judge: str
    judge_version: str
    points: tuple[Point, ...]
    left_out: tuple[str, ...] = ()
    """Which numbers are in no curve, and why."""

    @property
    def steps(self) -> list[int]:
        return sorted({point.step for point in self.points})

    def lines(self) -> dict[tuple[str, str, str], list[Point]]:
        """The points by task, measure and language, in the order of steps."""
        found: dict[tuple[str, str, str], list[Point]] = {}
        for point in self.points:
            found.setdefault((point.task, point.measure, point.language), []).append(point)
        return found


def of_paths(paths: Iterable[Path]) -> tuple[list[Curves], list[LeftOut]]:
    """The curves of the records at or under some paths, and what is in none of them.

    Raises UsageError where no record is of a training run.
    """
    records, left_out = collect.read(paths)
    found = of_records(records)
    if not found:
        raise UsageError(
            "none of the records is of a checkpoint that says its run and step, and has a number to draw; train with "
            "--score-every, or keep checkpoints (--keep-checkpoints) and score them with mlc-bench run"
        )
    return found, left_out + [LeftOut(f"run {one.run}", reason) for one in found for reason in one.left_out]


def of_records(records: Iterable[RunRecord], only_lines: bool = False) -> list[Curves]:
    """The curves of each training run by each judge; the base model's record is step 0.

    `only_lines`: of runs with a checkpoint among the records, and two numbers that compare. A base model and the result
    of a training are no curve, and a leaderboard may have a thousand of them.
    """
    least = 2 if only_lines else 1
    groups: dict[tuple[str, str, str, str], list[RunRecord]] = {}
    whole: dict[str | None, list[RunRecord]] = {}
    for one in records:
        if one.model.adapter is None:
            whole.setdefault(one.model.weights_digest, []).append(one)
        if (run := lineage.run(one.model)) and lineage.step(one.model) is not None:
            groups.setdefault((run, one.judge.id, one.judge.version, one.judge.digest), []).append(one)
    same_name = Counter((run, judge, version) for run, judge, version, _ in groups)
    known: dict[tuple[int, int], list[Point]] = {}  # a base model's points are in the curves of all its runs
    found = []
    for (run, judge, version, digest), own in sorted(groups.items()):
        bases = [one for one in _bases(whole, own) if one.judge.digest == digest]
        placed = [(0, one) for one in bases] + [(lineage.step(one.model) or 0, one) for one in own]
        if only_lines and (len(dict(placed)) < least or not any(lineage.is_checkpoint(one.model) for one in own)):
            continue
        for step, one in placed:
            if (id(one), step) not in known:
                known[id(one), step] = list(_points(step, one))
        points, others = _comparable([(step, one, known[id(one), step]) for step, one in placed])
        model = own[0].model
        made = Curves(
            run,
            redact.printable(lineage.method(model)),
            redact.printable(lineage.base_name(model) or ""),
            judge + (f" [{digest[:8]}]" if same_name[run, judge, version] > 1 else ""),
            version,
            points,
            tuple(redact.printable(reason, 300) for reason in others),
        )
        if any(sum(point.value.value is not None for point in line) >= least for line in made.lines().values()):
            found.append(made)
    return found


def peak(line: Iterable[Point]) -> tuple[Point, list[int]] | None:
    """The highest of a line (of equal ones the first), and at which other steps the interval reaches it.

    None for a line of fewer than two numbers.
    """
    known = [(point.value.value, point) for point in line if point.value.value is not None]
    if len(known) < 2:
        return None
    highest, top = max(known, key=lambda pair: (pair[0], -pair[1].step))
    ends = [(value if point.value.high is None else point.value.high, point) for value, point in known]
    return top, [point.step for end, point in ends if point is not top and end >= highest]


def _bases(whole: dict[str | None, list[RunRecord]], own: list[RunRecord]) -> list[RunRecord]:
    """Records of the base model of a run's: on the same engine and dtype, where there are such.

    `whole`: the records without an adapter by the digest of their weights.
    """
    digests = {digest for one in own if (digest := lineage.base_digest(one.model))}
    same = [one for digest in sorted(digests) for one in whole.get(digest, ())]
    # In a warm-up of the learning rate a checkpoint may have the very weights of its base.
    found = [one for one in same if lineage.run(one.model) != lineage.run(own[0].model)]
    places = {(one.model.engine, one.model.dtype) for one in own}
    alike = [one for one in found if (one.model.engine, one.model.dtype) in places]
    return alike or found


def _comparable(records: list[tuple[int, RunRecord, list[Point]]]) -> tuple[tuple[Point, ...], list[str]]:
    """Of some (step, record, its points) the points that compare with the most others; and why others are left out.

    Of equally many those that compare with the last step's. Of two records with the same number the newer one counts.
    """
    records = sorted(records, key=lambda one: (one[0], one[1].finished, one[1].run_id))
    places: dict[tuple[str, str, str], dict[tuple[str, int], Point]] = {}
    for step, _, own in records:
        for point in own:
            places.setdefault((point.measure, point.task, point.language), {})[point.key, step] = point
    kept, reasons = [], []
    for (measure, task, language), points in places.items():
        counts = Counter(key for key, _ in points)
        last = {key: step for key, step in points}
        key = max(counts, key=lambda one: (counts[one], last[one]))
        kept += [point for (own, _), point in points.items() if own == key]
        others = sorted({step for own, step in points if own != key} - {step for own, step in points if own == key})
        if others:
            shown = ", ".join(map(str, others))
            reasons.append(f"{measure} of {task} ({language}) at step {shown}: not asked or judged as at other steps")
    order = {measure: place for place, measure in enumerate(MEASURES)}
    kept.sort(key=lambda point: (point.task, order[point.measure], point.language == ALL, point.language, point.step))
    return tuple(kept), reasons


def _points(step: int, found: RunRecord) -> Iterator[Point]:
    tasks = {task.name: task for task in found.tasks if task.status == "complete"}
    for pair in selectivity.of_record(found):
        harmful, harmless = tasks[pair.harmful_task], tasks[pair.harmless_task]
        rows = {code: (row, [code]) for code, row in pair.languages.items()}
        if pair.mean is not None:
            rows[ALL] = (pair.mean, pair.mean_of)
        for language, (row, of) in rows.items():
            keys = [_key(task, list(pair.languages) if language == ALL else of) for task in (harmful, harmless)]
            languages, silent = tuple(of) if language == ALL else (), not selectivity.is_answered(row)
            for measure, value, key in (
                ("refusal", row.harmful, keys[0]),
                ("over_refusal", row.harmless, keys[1]),
                ("selectivity", row.difference, whole_key(keys)),
            ):
                yield Point(step, measure, harmful.name, language, value, key, languages, unanswered=silent)
    for task in tasks.values():
        codes = list(task.languages)
        if (pag := task.summary.get("pag")) is not None and pag.value is not None:
            yield Point(step, "pag", task.name, ALL, pag, _key(task, codes), tuple(codes))
        if task.measures == "safety":
            yield from _fidelity(step, task)
        if task.measures == "utility":
            for code, result in task.languages.items():
                value = result.metrics[task.headline or ""]
                yield Point(step, "utility", task.name, code, value, _key(task, [code]), (), task.is_fraction)
            if "average" in task.summary and len(codes) > 1:
                value = task.summary["average"]
                yield Point(step, "utility", task.name, ALL, value, _key(task, codes), tuple(codes), task.is_fraction)


def _fidelity(step: int, task: TaskResult) -> Iterator[Point]:
    """The share of answers in the prompt's language; of all languages but English together, with Wilson's interval."""
    rates = {code: result.metrics.get("language_fidelity") for code, result in task.languages.items()}
    known = {code: rate for code, rate in rates.items() if rate is not None and rate.value is not None}
    for code, rate in known.items():
        yield Point(step, "fidelity", task.name, code, rate, _key(task, [code]), ())
    others = {code: rate for code, rate in known.items() if code != ENGLISH}
    if len(others) > 1:
        n = sum(rate.n for rate in others.values())
        value = fidelity.pooled((rate.value, rate.n) for rate in others.values())
        if value is not None:
            together = aggregate.rate(round(value * n), n)
            yield Point(step, "fidelity", task.name, ALL, together, _key(task, list(others)), tuple(others))


def _key(task: TaskResult, codes: Iterable[str]) -> str:
    return whole_key(f"{code} {task.languages[code].comparability_key}" for code in codes)
