"""The report's tables of methods: what each scores, by language, what it costs; and the frontier as a figure."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from mlc_bench.leaderboard.render.to_markdown import escape
from mlc_bench.leaderboard.report import effects
from mlc_bench.leaderboard.report.claims import Tasks, silent
from mlc_bench.leaderboard.report.effects import ENGLISH, Arm, Effect, Pair
from mlc_bench.leaderboard.tabulate import number_format
from mlc_bench.records import fidelity, run_table
from mlc_bench.records.record import JudgeInfo, LanguageResult, RunRecord

DASH = number_format.DASH
Arms = Mapping[tuple[str, str], Arm]
"""By model and method."""


def methods(arms: Arms, model: str, tasks: Tasks) -> str:
    """What each method scores, means over seeds: outside English where the base answers, and in English."""
    head = ["method", "seeds"]
    for pair in tasks.pairs:
        head += [f"refused, {pair.harmful}", f"over-refusal, {pair.harmless}", "selectivity"]
    head += [f"refused, {tasks.harmful}", "en: refused", "en: over-refusal", "en: selectivity", "in its language"]
    head += ["invalid", "unsure"]
    head += [f"utility, {tasks.utility}"]
    first = tasks.pairs[0]
    rows = []
    for arm in of_model(arms, model):
        cells = [arm.method, str(len(arm.runs))]
        for pair in tasks.pairs:
            codes = foreign(arm, pair.both, silent(arms, model, pair.both))
            cells += [rate(arm, pair.harmful, codes), rate(arm, pair.harmless, codes), selectivity(arm, pair, codes)]
        one = (tasks.harmful,)
        cells.append(rate(arm, tasks.harmful, foreign(arm, one, silent(arms, model, one))))
        cells += [rate(arm, first.harmful, [ENGLISH]), rate(arm, first.harmless, [ENGLISH])]
        cells += [selectivity(arm, first, [ENGLISH]), kept_language(arms, arm, tasks)]
        cells += [_share(arms, arm, tasks, letter) for letter in "iu"]
        rows.append([*cells, utility(arms, arm, tasks)])
    return table(head, rows)


def kept_language(arms: Arms, arm: Arm, tasks: Tasks) -> str:
    """The share of its answers outside English that are in the prompt's language, in %."""
    return _shown_share(in_its_language(arms, arm, tasks))


def utility(arms: Arms, arm: Arm, tasks: Tasks) -> str:
    """Accuracy in the languages in which the base answers to the first pair of tasks, with its interval."""
    return rate(arm, tasks.utility, foreign(arm, (tasks.utility,), silent(arms, arm.model, tasks.pairs[0].both)))


def means_over(arms: Arms, model: str, tasks: Tasks) -> str:
    """The languages of each mean outside English, of the model's first arm, and those that none has.

    Marked as in a run's own table, where a judge read the answers.
    """
    mine = of_model(arms, model)
    first, judge = mine[0], _judge(mine)
    judged = [*(pair.both for pair in tasks.pairs), (tasks.harmful,)]
    found = {names: foreign(first, names, silent(arms, model, names)) for names in judged}
    marked = {names: [code + run_table.marks(judge, code) for code in codes] for names, codes in found.items()}
    marked[(tasks.utility,)] = foreign(first, (tasks.utility,), silent(arms, model, tasks.pairs[0].both))
    listed = "; ".join(f"{escape(', '.join(names))}: {' '.join(codes)}" for names, codes in marked.items())
    missing = "; ".join(
        f"{escape(', '.join(names))}: {' '.join(codes)}" for names in judged if (codes := silent(arms, model, names))
    )
    left_out = f" Left out, as the base does not answer there: {missing}." if missing else ""
    notes = _marks_note(judge, list(dict.fromkeys(code for codes in found.values() for code in codes)))
    return f"Means are over: {listed}.{left_out}\n{notes}"


def by_language(arms: Arms, model: str, pair: Pair, codes: Sequence[str]) -> str:
    """Selectivity with refusal / over-refusal behind it, in each of these languages; means over seeds.

    Languages in which the judge is weak, or was hardly checked, are marked as in a run's own table.
    """
    mine = of_model(arms, model)
    rows = [[arm.method, str(len(arm.runs)), *(_language(arm, pair, code) for code in codes)] for arm in mine]
    judge = _judge(mine)
    head = ["method", "seeds", *(code + run_table.marks(judge, code) for code in codes)]
    return table(head, rows) + _marks_note(judge, codes)


def _judge(mine: Sequence[Arm]) -> JudgeInfo:
    return next(iter(mine[0].runs.values())).judge


def _marks_note(judge: JudgeInfo, codes: Sequence[str]) -> str:
    return "".join(f"\n{line}\n" for line in run_table.marks_note(judge, codes))


def _language(arm: Arm, pair: Pair, code: str) -> str:
    behind = " / ".join(_level(arm, task, [code]) for task in pair.both)
    return DASH if DASH in behind else f"{selectivity(arm, pair, [code])}: {behind}"


def without_answers(arms: Arms, model: str, pair: Pair) -> str:
    """Refusal / over-refusal, and the share of invalid answers, where the base does not answer; marked likewise."""
    rows = []
    mine = of_model(arms, model)
    judge, quiet = _judge(mine), silent(arms, model, pair.both)
    for arm in mine:
        for code in foreign(arm, pair.both):
            if code in quiet:
                rates = " / ".join(_level(arm, task, [code]) for task in pair.both)
                rows.append([arm.method, code + run_table.marks(judge, code), rates, _invalid(arm, pair, code)])
    head = ["method", "language", "refused / over-refusal", "invalid"]
    return table(head, rows) + _marks_note(judge, quiet) if rows else ""


def _invalid(arm: Arm, pair: Pair, code: str) -> str:
    found = [
        result.languages[code].outcomes or ""
        for task in pair.both
        for result in arm.task(task)
        if code in result.languages
    ]
    return _percent("".join(found).count("i"), sum(map(len, found)))


def _answers(arms: Arms, arm: Arm, tasks: Tasks) -> dict[str, list[LanguageResult]]:
    """Those to all prompts of the pairs, over seeds, in each language but English in which the base answers them."""
    found: dict[str, list[LanguageResult]] = {}
    for pair in tasks.pairs:
        for code in foreign(arm, pair.both, silent(arms, arm.model, pair.both)):
            found.setdefault(code, []).extend(result.languages[code] for task in pair.both for result in arm.task(task))
    return found


def _share(arms: Arms, arm: Arm, tasks: Tasks, letter: str) -> str:
    """Of the answers outside English those with a letter of `counts.py`, in %: the mean over languages."""
    texts = ["".join(one.outcomes or "" for one in results) for results in _answers(arms, arm, tasks).values()]
    return _shown_share(_mean_of([text.count(letter) / len(text) for text in texts if text]))


def in_its_language(arms: Arms, arm: Arm, tasks: Tasks) -> float | None:
    """Of the answers outside English the share in the prompt's language: the mean over languages."""
    shares = [
        fidelity.pooled((rate.value, rate.n) for one in results if (rate := one.metrics.get("language_fidelity")))
        for results in _answers(arms, arm, tasks).values()
    ]
    return _mean_of([share for share in shares if share is not None])


def _mean_of(shares: Sequence[float]) -> float | None:
    return sum(shares) / len(shares) if shares else None


def _shown_share(share: float | None) -> str:
    return DASH if share is None else number_format.rounded(100 * share, 1)


def other_language(arms: Arms, tasks: Tasks) -> str:
    """A line for each method that mostly leaves the prompt's language; empty where none does."""
    lines = []
    for (model, method), arm in arms.items():
        share, base = in_its_language(arms, arm, tasks), arms.get((model, "base"))
        before = in_its_language(arms, base, tasks) if base else None
        if share is not None and share < fidelity.MOSTLY:
            rest = f" (base: {_shown_share(before)} %)" if before is not None else ""
            lines.append(
                f"**{escape(method)} ({escape(model)}) leaves the language of the prompt.** Outside English "
                f"{_shown_share(share)} % of its answers are in it{rest}. Its refusals there are mostly English ones.\n"
            )
    return "\n".join(lines)


def judges(first: Arms, second: Arms, model: str, tasks: Tasks) -> str:
    """How often the two judges say otherwise of an answer, and how often one of them is unsure, by method."""
    together = {task: pair.both for pair in tasks.pairs for task in pair.both}
    names = list(dict.fromkeys((tasks.harmful, *together)))
    rows = []
    for arm in of_model(first, model):
        other = second.get((model, arm.method))
        seeds = sorted(set(arm.runs) & set(other.runs)) if other else []
        if other is None or not seeds:
            continue
        cells = []
        for task in names:
            needs = together.get(task, (task,))
            codes = foreign(arm, needs, silent(first, model, needs))
            said = list(_both(arm.on(*seeds), other.on(*seeds), task, codes))
            known = [(one, two) for one, two in said if "u" not in (one, two)]
            differs = _percent(sum(one != two for one, two in known), len(known))
            cells.append(f"{differs} / {_percent(len(said) - len(known), len(said))}" if said else DASH)
        rows.append([arm.method, str(len(seeds)), *cells])
    return table(["method", "seeds", *names], rows)


def _both(arm: Arm, other: Arm, task: str, codes: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What the judges say of the same answers: refused 1, not 0 (also of an invalid answer), unsure u."""
    for one, two in zip(arm.task(task), other.task(task), strict=False):
        for code in codes:
            if code in one.languages and code in two.languages:
                letters = (result.languages[code].outcomes or "" for result in (one, two))
                yield from zip(*(text.replace("i", "0").replace("b", "1") for text in letters), strict=True)


def frontier(arms: Arms, model: str, tasks: Tasks) -> Figure:
    """Each method's refusal rate against its over-refusal, both outside English; the upper left corner is the good one.

    An arrow leads from a method to the same with MLC. Settings of MLC are hollow.
    """
    figure = Figure(figsize=(7, 5))
    axes = figure.add_subplot()
    pair, points = tasks.pairs[0], {}
    for arm in of_model(arms, model):
        if codes := foreign(arm, pair.both, silent(arms, model, pair.both)):
            y, x = (100 * effects.level(arm, task, codes).value for task in pair.both)
            points[arm.method] = (x, y)
    for index, (method, (x, y)) in enumerate(points.items()):
        # 7 shapes and 10 colours: 70 points that differ.
        (point,) = axes.plot([x], [y], "osD^vPX"[index % 7], label=method, color=f"C{index % 10}")
        point.set_fillstyle("none" if "." in method else "full")
        without = points.get(method.removesuffix("+mlc"))
        if without and without != (x, y):
            axes.annotate("", (x, y), without, arrowprops={"arrowstyle": "->", "color": "grey", "linewidth": 0.8})
    axes.set_xlim(-2, 102)
    axes.set_ylim(-2, 102)
    axes.set_xlabel(f"over-refusal outside English (%), {pair.harmless}")
    axes.set_ylabel(f"refusal rate outside English (%), {pair.harmful}")
    axes.plot([0, 100], [0, 100], ":", color="grey", label="no difference")
    axes.set_title(model)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=7)
    return figure


def of_model(arms: Arms, model: str) -> list[Arm]:
    return [arm for (own, _), arm in arms.items() if own == model]


def foreign(arm: Arm, tasks: Sequence[str], quiet: Sequence[str] = ()) -> list[str]:
    """The languages that all the tasks have, in all runs of an arm, but English and those without answers."""
    found = [effects.languages(arm, arm, task) for task in tasks]
    return [code for code in found[0] if code != ENGLISH and code not in quiet and all(code in own for own in found)]


def rate(arm: Arm, task: str, codes: Sequence[str]) -> str:
    """A percentage with its interval, over these languages; a dash where one of them is missing."""
    if not codes or not set(codes) <= set(effects.languages(arm, arm, task)):
        return DASH
    return shown(effects.level(arm, task, codes), signed=False)


def _level(arm: Arm, task: str, codes: Sequence[str]) -> str:
    return rate(arm, task, codes).partition(" [")[0]


def selectivity(arm: Arm, pair: Pair, codes: Sequence[str]) -> str:
    """In points, with its interval."""
    both = set(effects.languages(arm, arm, pair.harmful)) & set(effects.languages(arm, arm, pair.harmless))
    if not (codes := [code for code in codes if code in both]):
        return DASH
    return shown(effects.selectivity_level(arm, pair, codes))


def shown(found: Effect | None, signed: bool = True) -> str:
    """In percentage points, with the interval."""
    if found is None or found.value != found.value:
        return DASH
    value, low, high = (number_format.rounded(100 * number, 1) for number in (found.value, found.low, found.high))
    plus = "+" if signed and found.value > 0 else ""
    return f"{plus}{value} [{low}, {high}]"


def _percent(count: int, total: int) -> str:
    return number_format.rounded(100 * count / total, 1) if total else DASH


def cost(arms: Arms) -> str:
    """Means over the seeds whose manifests say it."""
    rows = []
    for (model, method), arm in arms.items():
        if found := [run.model.training for run in arm.runs.values() if run.model.training]:
            cells = [_mean(found, *column) for column in _COSTS]
            rows.append([model, method, *cells])
    return table(["model", "method", "steps", "tokens", "tokens of MLC's prompts", "seconds", "peak memory, GiB"], rows)


def hours(records: Iterable[RunRecord]) -> str:
    """What these records took together.

    A model that several of them scored was trained once, and a run has one set of answers, whoever judges them.
    """
    every = list(records)
    manifests = [run.model.training for run in every if run.model.training]
    trained = {json.dumps(one, sort_keys=True): one.get("seconds") or 0 for one in manifests}
    answered = {
        (run.model.fingerprint, run.run_id): run.phases.get("start_engine", 0) + run.phases.get("generate", 0)
        for run in every
    }
    spent = {
        "training": sum(trained.values()),
        "answers": sum(answered.values()),
        "judging": sum(run.phases.get("judge", 0) for run in every),
    }
    parts = ", ".join(f"{number_format.rounded(value / 3600, 1)} of {name}" for name, value in spent.items())
    return f"{number_format.rounded(sum(spent.values()) / 3600, 1)} hours: {parts}"


_COSTS = (
    ("steps", 1.0, 0), ("tokens", 1.0, 0), ("mlc_tokens", 1.0, 0), ("seconds", 1.0, 0),
    ("peak_memory_bytes", 2.0**30, 2),
)  # fmt: skip


def seconds(arm: Arm) -> str:
    """Of its training, the mean over the seeds whose manifests say it."""
    return _mean([run.model.training for run in arm.runs.values() if run.model.training], "seconds", 1.0, 0)


def _mean(manifests: list[dict[str, Any]], key: str, unit: float, digits: int) -> str:
    values = [manifest[key] for manifest in manifests if isinstance(manifest.get(key), int | float)]
    return number_format.rounded(sum(values) / len(values) / unit, digits) if values else DASH


def seeds(count: int) -> str:
    return f"{count} seeds" if count > 1 else "one seed"


def table(head: list[str], rows: list[list[str]]) -> str:
    if not rows:
        return "No runs yet.\n"
    lines = [head, ["---"] * len(head), *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _cell(value: str) -> str:
    return value if value.startswith("**") else escape(value)
