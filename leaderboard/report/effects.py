"""Arms of the reproduction, and how they differ, with intervals over prompts and seeds. Pure: records in, numbers out.

An *arm* is one method on one model: its records over seeds. Names of models are `<model>-<method>-s<seed>`, as
`baselines/reproduce.py` gives them; the model that is trained may have a name of its own (`aliases`).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import norm, t

from mlc_bench.records import selectivity
from mlc_bench.records.record import RunRecord, TaskResult, Value
from mlc_bench.stats import bootstrap, measures
from mlc_bench.stats.measures import Array

ENGLISH = "en"
UNTRAINED = 0
"""The seed of a model that was not trained: decoding is greedy, so its outcomes are those of every seed."""
_NAME = re.compile(r"(?P<model>[^-]+)-(?P<method>.+)-s(?P<seed>\d+)")


@dataclass
class Arm:
    """All runs of one method on one model, in the order of their seeds."""

    model: str
    method: str
    runs: dict[int, RunRecord] = field(default_factory=dict)

    def task(self, name: str) -> list[TaskResult]:
        """The results of a task, one for each seed that has all of it."""
        found = [task for _, run in sorted(self.runs.items()) for task in run.tasks if task.name == name]
        return [task for task in found if task.status == "complete"]

    def on(self, *seeds: int) -> "Arm":
        """This arm with those of the seeds that it has; one that was not trained has them all."""
        found = {seed: self.runs.get(seed, self.runs.get(UNTRAINED)) for seed in seeds}
        return Arm(self.model, self.method, {seed: run for seed, run in found.items() if run is not None})


@dataclass(frozen=True)
class Effect:
    """A difference between two arms (first less second), or one arm's level, with its 95 % interval; fractions.

    `prompts`: with a verdict. `differs`: whether any verdict of the two arms differs.
    """

    value: float
    low: float
    high: float
    prompts: int
    seeds: int
    differs: bool = True


def arms(records: Sequence[RunRecord], aliases: Mapping[str, tuple[str, str]]) -> dict[tuple[str, str], Arm]:
    """Records as arms by (model, method). `aliases`: name of a model -> (model, method), for the untrained ones.

    A record whose name is of neither kind is left out; of two of one model each task is there once, the later one's.
    """
    found: dict[tuple[str, str], Arm] = {}
    for run in records:
        if place := identify(run.model.name, aliases):
            model, method, seed = place
            runs = found.setdefault((model, method), Arm(model, method)).runs
            runs[seed] = _together(runs[seed], run) if seed in runs else run
    return found


def _together(one: RunRecord, later: RunRecord) -> RunRecord:
    """The later record, with the tasks that only the other has."""
    names = {task.name for task in later.tasks}
    return later.model_copy(update={"tasks": [*(task for task in one.tasks if task.name not in names), *later.tasks]})


def identify(name: str, aliases: Mapping[str, tuple[str, str]]) -> tuple[str, str, int] | None:
    """Model, method and seed of a run by the name of its model; None where the name is of neither kind."""
    if name in aliases:
        return (*aliases[name], 0)
    match = _NAME.fullmatch(name)
    return (match["model"], match["method"], int(match["seed"])) if match else None


def shared_seeds(first: Arm, second: Arm, *tasks: str) -> list[int]:
    """The seeds with which both have completed all the tasks: runs of one seed share start and order of the data."""
    seeds = sorted(set(first.runs) | set(second.runs))
    pairs = {seed: (first.on(seed), second.on(seed)) for seed in seeds}
    return [seed for seed, arms in pairs.items() if all(arm.runs and all(map(arm.task, tasks)) for arm in arms)]


def languages(first: Arm, second: Arm, task: str) -> list[str]:
    """The languages in which all runs to compare have the task with the same comparability key and outcomes."""
    seeds = shared_seeds(first, second, task)
    results = first.on(*seeds).task(task) + second.on(*seeds).task(task)
    return [
        code
        for code in (results[0].languages if results else ())
        if all(code in result.languages and result.languages[code].column for result in results)
        and len({result.languages[code].comparability_key for result in results}) == 1
    ]


def effect(first: Arm, second: Arm, task: str, codes: Sequence[str]) -> Effect:
    """The difference of the average over languages between two arms on one task, the first less the second.

    The mean over the seeds that both have. Its interval draws prompts (the same for all runs, a prompt in all languages
    together) and, where there are several, seeds, of both arms together; with one seed, it is `mlc-bench compare`'s
    (`bootstrap.paired_differences`). ValueError where they share no seed or no language.
    """
    seeds = shared_seeds(first, second, task)
    is_fraction = all(result.is_fraction for arm in (first, second) for result in arm.task(task))
    bound = 1.0 if is_fraction else np.inf
    return _effect(_differences(first, second, seeds, task, codes), (-bound, bound))


def level(arm: Arm, task: str, codes: Sequence[str]) -> Effect:
    """The average over languages and seeds of one arm, with its 95 % interval over prompts and, of several, seeds.

    Of one run in one language, as in the leaderboard's tables, and where all verdicts are equal: Wilson's interval for
    the prompts of one run. ValueError without a language.
    """
    results = arm.task(task)
    matrices, graded = _matrices(results, codes)
    found = np.concatenate([matrix[np.isfinite(matrix)] for matrix in matrices])
    if graded or (found.size and not _is_simple(matrices, found)):
        return _effect(_replicates(matrices, graded), (-np.inf, np.inf) if graded else (0.0, 1.0))
    hits, prompts = int(np.nansum(matrices[0])), int(np.isfinite(matrices[0]).sum())
    per_language = prompts // matrices[0].shape[1]
    share = hits / prompts if prompts else float("nan")
    low, high = measures.wilson(round(share * per_language), per_language) if prompts else (float("nan"),) * 2
    return Effect(share, float(low), float(high), per_language, len(results))


def _is_simple(matrices: Sequence[Array], verdicts: Array) -> bool:
    """One run in one language, or verdicts that are all equal: what Wilson's interval is for."""
    return matrices[0].shape[1] == len(matrices) == 1 or not np.ptp(verdicts)


@dataclass(frozen=True)
class Pair:
    """A task with harmful prompts and the one with its harmless prompts."""

    harmful: str
    harmless: str

    @property
    def both(self) -> tuple[str, str]:
        return self.harmful, self.harmless


def unanswered(arm: Arm, tasks: Sequence[str]) -> list[str]:
    """Of the languages that all the tasks of an arm have, those in which it does not answer.

    More than a tenth of its answers to these tasks, over its runs and with the unsure ones, are invalid there.
    """
    found = []
    for code in languages(arm, arm, tasks[0]):
        if all(code in languages(arm, arm, task) for task in tasks):
            results = [result.languages[code] for task in tasks for result in arm.task(task)]
            if selectivity.invalid_share(results) > selectivity.MOST_INVALID:
                found.append(code)
    return found


def selectivity_effect(first: Arm, second: Arm, pair: Pair, codes: Sequence[str]) -> Effect:
    """The difference of selectivity: that of the rates on harmful prompts less that on harmless ones.

    Rows of the two tasks that are partners are drawn together; prompts of independent tasks are drawn apart. ValueError
    where the arms share no seed with both tasks, or no language.
    """
    seeds = shared_seeds(first, second, pair.harmful, pair.harmless)
    gained, paid = (_differences(first, second, seeds, task, codes) for task in (pair.harmful, pair.harmless))
    return _less(gained, paid, _are_partners(first, pair), 2.0)


def selectivity_level(arm: Arm, pair: Pair, codes: Sequence[str]) -> Effect:
    """The selectivity of one arm, averaged over languages and seeds.

    Of several seeds its interval draws prompts and seeds, both kinds with the same seeds, as that of a difference does.
    Of one it is that of a run's own table: `records.selectivity.difference` of the two levels; where rows are partners,
    how the levels go together in the resamples says how much the pairs tell. ValueError without a language.
    """
    mine = arm.on(*shared_seeds(arm, arm, pair.harmful, pair.harmless))
    refused, over = (_replicates(*_matrices(mine.task(task), codes)) for task in pair.both)
    if len(mine.runs) > 1 and (np.ptp(refused.values) or np.ptp(over.values)):
        return _less(refused, over, _are_partners(arm, pair), 1.0)
    rates = [level(mine, task, codes) for task in pair.both]
    together = selectivity.correlation(_drawn(refused), _drawn(over)) if _are_partners(arm, pair) else 0.0
    harmful, harmless = (Value(value=one.value, low=one.low, high=one.high, n=one.prompts) for one in rates)
    found = selectivity.difference(harmful, harmless, together)
    value, low, high = (float("nan") if one is None else one for one in (found.value, found.low, found.high))
    return Effect(value, low, high, found.n, rates[0].seeds)


def _are_partners(arm: Arm, pair: Pair) -> bool:
    return all(result.over_refusal_pairs for result in arm.task(pair.harmful))


def _less(gained: "_Runs", paid: "_Runs", partners: bool, bound: float) -> Effect:
    """One statistic less another; replicates of partners belong together, others are shuffled, alike for all seeds."""
    equal = (gained.equal[0] - paid.equal[1], gained.equal[1] - paid.equal[0]) if gained.equal and paid.equal else None
    values, points = bootstrap.less(gained.values, paid.values, partners), gained.points - paid.points
    return _effect(_Runs(values, points, min(gained.prompts, paid.prompts), equal), (-bound, bound))


@dataclass(frozen=True)
class _Runs:
    """A statistic, or its difference, with each seed: replicates (seeds, resamples), and its values (seeds,).

    `prompts`: those with a verdict. `equal`: the interval where no verdict differs, or None.
    """

    values: Array
    points: Array
    prompts: int
    equal: tuple[float, float] | None = None


def _differences(first: Arm, second: Arm, seeds: Sequence[int], task: str, codes: Sequence[str]) -> _Runs:
    """First less second, seed by seed, the same prompts drawn for all."""
    if not seeds:
        raise ValueError(f"{first.method} and {second.method} share no seed with {task}")
    results, count = first.on(*seeds).task(task) + second.on(*seeds).task(task), len(seeds)
    matrices, graded = _matrices(results, codes)
    found = bootstrap.paired_differences(matrices[count:], matrices[:count], graded=graded)
    most = float(found.high.max())  # how far the rates may be apart where no verdict differs
    return _Runs(found.replicates, found.value, int(found.n.min()), None if found.differ.any() else (-most, most))


def _replicates(matrices: Sequence[Array], graded: bool) -> _Runs:
    name = "average"
    values = bootstrap.paired_bootstrap(matrices, [name], resamples=bootstrap.PAIRED, graded=graded)[name]
    points = [measures.Sums(matrix, graded=graded).statistics(names=[name])[name] for matrix in matrices]
    return _Runs(values, np.array(points), min(map(measures.judged_prompts, matrices)))


def _matrices(results: Sequence[TaskResult], codes: Sequence[str]) -> tuple[list[Array], bool]:
    """The matrix of each result, and whether any holds scores instead of verdicts."""
    if not codes:
        raise ValueError(f"there is no language of {results[0].name if results else 'the task'} to look at")
    columns = [[result.languages[code].column or "" for code in codes] for result in results]
    return [measures.outcome_matrix(found) for found in columns], any(result.is_graded for result in results)


def _effect(runs: _Runs, possible: tuple[float, float]) -> Effect:
    """The mean over seeds; its interval is cut at what is possible, which the stretch for few seeds may leave."""
    value, count = float(runs.points.mean()), len(runs.points)
    if runs.equal:
        low, high = np.clip(runs.equal, *possible)
    else:
        low, high = bootstrap.interval(_drawn(runs)).clip(*possible)
    return Effect(value, float(low), float(high), runs.prompts, count, differs=not runs.equal)


def _drawn(runs: _Runs) -> Array:
    """The resampled mean over seeds, (resamples,)."""
    return _over_seeds(runs.values) if len(runs.values) > 1 else runs.values[0]


def _over_seeds(values: Array) -> Array:
    """The mean over as many seeds as there are, drawn anew in every resample of `values` (seeds, resamples).

    A plain bootstrap of three seeds holds the truth in about 80 % of cases where seeds differ more than prompts. So the
    distance to the mean of all is stretched, since a sample of k has only (k - 1) / k of the variance, and since 95 %
    of Student's t with k - 1 degrees of freedom are wider than of the normal: the expanded percentile interval of
    Hesterberg 2015 (doi 10.1080/00031305.2015.1089789).
    """
    count, resamples = values.shape
    drawn = np.random.default_rng(0).integers(count, size=(resamples, count))
    means: Array = values[drawn, np.arange(resamples)[:, None]].mean(axis=1)
    centre = values.mean(axis=0)
    stretch = t.ppf(0.975, count - 1) / norm.ppf(0.975) * np.sqrt(count / (count - 1))
    widened: Array = centre + (means - centre) * stretch
    return widened
