"""The report's tables of methods: what each scores, what it changes, what it costs, and the frontier as a figure."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from matplotlib.figure import Figure

from mlc_bench.leaderboard.render.to_markdown import escape
from mlc_bench.leaderboard.report import claims
from mlc_bench.leaderboard.report.claims import ENGLISH, Arm, Tasks
from mlc_bench.leaderboard.tabulate import number_format
from mlc_bench.records.record import TaskResult
from mlc_bench.stats import measures

DASH = number_format.DASH
Arms = dict[tuple[str, str], Arm]
"""By model and method."""


def methods(arms: Arms, model: str, tasks: Tasks) -> str:
    """Means over seeds: safety, over-refusal and utility side by side, in English and elsewhere."""
    head = ["method", "seeds", "refused, en", "refused, trained", "worst language", "refused, unseen", "invalid", "Var",
            "PAG", "kappa", "over-refusal, en", "over-refusal, others", "utility"]  # fmt: skip
    foreign = [code for code in tasks.trained if code != ENGLISH]
    rows = []
    for (other, method), arm in arms.items():
        if other != model:
            continue
        worst, *spread = _statistics(arm, tasks.harmful, tasks.trained)
        rows.append(
            [
                method,
                str(len(arm.runs)),
                _rate(arm, tasks.harmful, [ENGLISH]),
                _rate(arm, tasks.harmful, tasks.trained),
                worst,
                _rate(arm, tasks.unseen, None, tasks.trained),
                _invalid(arm, tasks.harmful),
                *spread,
                _rate(arm, tasks.contrast[1], [ENGLISH]),
                _rate(arm, tasks.contrast[1], foreign),
                _rate(arm, tasks.utility, None),
            ]
        )
    where = f"Refusal rate on {tasks.harmful} (unseen languages: {tasks.unseen}), over-refusal on {tasks.contrast[1]}, "
    about = (
        f"utility on {tasks.utility}; percentages, means over seeds, with 95 % intervals. {_made(arms, model, tasks)}"
    )
    return f"### {model}\n\n{where}{about}\n\n" + table(head, rows)


def _made(arms: Arms, model: str, tasks: Tasks) -> str:
    """The judges of a model's runs and the prompts of each task."""
    runs = [run for (other, _), arm in arms.items() if other == model for run in arm.runs.values()]
    judges = sorted({f"{run.judge.id} {run.judge.version}" for run in runs if run.judge})
    used = dict.fromkeys((tasks.harmful, tasks.unseen, *tasks.contrast, tasks.utility))
    counts = {(task.name, one.n) for run in runs for task in run.tasks for one in task.languages.values()}
    prompts = ", ".join(f"{task} {n}" for task in used for name, n in sorted(counts) if name == task)
    return f"Judge {', '.join(judges)}; prompts in each language: {prompts}."


def _shared(arm: Arm, task: str, wanted: Sequence[str] | None, but: Sequence[str] = ()) -> list[str]:
    return [code for code in claims.languages(arm, arm, task) if (wanted is None or code in wanted) and code not in but]


def average(arm: Arm, task: str, wanted: Sequence[str] | None, but: Sequence[str] = ()) -> float | None:
    """The headline's mean over languages and seeds, a fraction; None where the arm has no such language."""
    if not (codes := _shared(arm, task, wanted, but)):
        return None
    found = [_matrix(result, codes) for result in arm.task(task)]
    return float(sum(measures.average(matrix) for matrix in found) / len(found))


def _matrix(result: TaskResult, codes: Sequence[str]) -> measures.Array:
    return measures.outcome_matrix([result.languages[code].outcomes or "" for code in codes])


def _rate(arm: Arm, task: str, wanted: Sequence[str] | None, but: Sequence[str] = ()) -> str:
    if not (codes := _shared(arm, task, wanted, but)):
        return DASH
    found = claims.level(arm, task, codes)
    value, low, high = (number_format.rounded(100 * number, 1) for number in (found.value, found.low, found.high))
    return f"{value} [{low}, {high}]"


def _statistics(arm: Arm, task: str, wanted: Sequence[str]) -> list[str]:
    """The rate of the worst language, Var, PAG and kappa, means over seeds."""
    if len(codes := _shared(arm, task, wanted)) < 2:
        return [DASH] * 4
    names, scales, places = ("worst", "var", "pag", "kappa"), (100, 1, 1, 1), (1, 2, 3, 3)
    found = [measures.Sums(_matrix(result, codes)).statistics(names=names) for result in arm.task(task)]
    means = [sum(float(one[name]) for one in found) / len(found) for name in names]
    return [
        DASH if mean != mean else number_format.rounded(scale * mean, digits)
        for mean, scale, digits in zip(means, scales, places, strict=True)
    ]


def _invalid(arm: Arm, task: str) -> str:
    rates = [
        result.languages[code].outcomes or ""
        for result in arm.task(task)
        for code in _shared(arm, task, None)
    ]  # fmt: skip
    total = sum(map(len, rates))
    return number_format.rounded(100 * sum(one.count("i") for one in rates) / total, 1) if total else DASH


def frontier(arms: Arms, model: str, tasks: Tasks) -> Figure:
    """Each method's refusal rate against its over-refusal, both outside English; the upper left corner is the good one.

    An arrow leads from a method to the same with MLC. Settings of MLC are hollow.
    """
    figure = Figure(figsize=(7, 5))
    axes = figure.add_subplot()
    foreign = [code for code in tasks.trained if code != ENGLISH]
    points = {}
    for (other, method), arm in arms.items():
        x, y = average(arm, tasks.contrast[1], foreign), average(arm, tasks.contrast[0], foreign)
        if other == model and x is not None and y is not None:
            points[method] = (100 * x, 100 * y)
    for index, (method, (x, y)) in enumerate(points.items()):
        # 7 shapes and 10 colours: 70 points that differ.
        (point,) = axes.plot([x], [y], "osD^vPX"[index % 7], label=method, color=f"C{index % 10}")
        point.set_fillstyle("none" if "." in method else "full")
        without = points.get(method.removesuffix("+mlc"))
        if without and without != (x, y):
            axes.annotate("", (x, y), without, arrowprops={"arrowstyle": "->", "color": "grey", "linewidth": 0.8})
    axes.set_xlim(-2, 102)
    axes.set_ylim(-2, 102)
    axes.set_xlabel(f"over-refusal outside English (%), {tasks.contrast[1]}")
    axes.set_ylabel(f"refusal rate outside English (%), {tasks.contrast[0]}")
    axes.plot([0, 100], [0, 100], ":", color="grey", label="no difference")
    axes.set_title(model)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=7)
    return figure


def frontier_table(arms: Arms, model: str, tasks: Tasks) -> str:
    """The figure of a model and its numbers, the widest gap between the two first."""
    foreign = [code for code in tasks.trained if code != ENGLISH]
    points = [
        (arm, average(arm, tasks.contrast[0], foreign), average(arm, tasks.contrast[1], foreign))
        for (other, _), arm in arms.items()
        if other == model
    ]
    whole = [(arm, 100 * y, 100 * x) for arm, y, x in points if y is not None and x is not None]
    rows = [
        [arm.method, str(len(arm.runs)), *(number_format.rounded(number, 1) for number in (y, x, y - x))]
        for arm, y, x in sorted(whole, key=lambda point: point[2] - point[1])
    ]
    head = ["method", "seeds", f"refusal rate, {tasks.contrast[0]}", f"over-refusal, {tasks.contrast[1]}", "difference"]
    return f"### {model}\n\n![frontier-{model}](frontier-{model}.svg)\n\n" + table(head, rows)


def by_language(arms: Arms, model: str, tasks: Tasks) -> str:
    """Refusal rate and over-refusal in each language, means over seeds, the trained languages first."""
    harmful, benign = tasks.contrast
    safety = dict.fromkeys((harmful, tasks.harmful, tasks.unseen))
    mine = [arm for (other, _), arm in arms.items() if other == model]
    there = dict.fromkeys(code for arm in mine for task in safety for code in _shared(arm, task, None))
    codes = [code for code in tasks.trained if code in there] + [code for code in there if code not in tasks.trained]
    rows = []
    for arm in mine:
        for task in safety:
            if _shared(arm, task, None):
                cells = [_side_by_side(arm, task, benign if task == harmful else None, code) for code in codes]
                rows.append([arm.method, str(len(arm.runs)), task, *cells])
    about = f"### {model}\n\n{_made(arms, model, tasks)}\n\n"
    return about + table(["method", "seeds", "task", *codes], rows)


def _side_by_side(arm: Arm, harmful: str, benign: str | None, code: str) -> str:
    """Refusal rate / over-refusal, percentages, with their intervals."""
    return " / ".join(_rate(arm, task, [code]) for task in (harmful, benign) if task)


def effects(arms: Arms, protocol: dict[str, Any], tasks: Tasks) -> str:
    """Each method against its counterpart, each ablation against DPO+MLC."""
    rows = []
    foreign = [code for code in tasks.trained if code != ENGLISH]
    for arm, other in _pairs(arms, protocol):
        cells = []
        for task, wanted, statistic in (
            (tasks.harmful, tasks.trained, "average"), (tasks.harmful, tasks.trained, "worst"),
            (tasks.harmful, tasks.trained, "var"), (tasks.harmful, tasks.trained, "pag"),
            (tasks.contrast[1], foreign, "average"), (tasks.contrast[1], [ENGLISH], "average"),
            (tasks.utility, None, "average"), (tasks.utility, [ENGLISH], "average"),
        ):  # fmt: skip
            codes = [code for code in claims.languages(arm, other, task) if wanted is None or code in wanted]
            many = len(codes) > 1 or statistic == "average"
            plain = statistic in ("var", "pag")
            cells.append(effect(claims.effect(arm, other, task, codes, statistic), plain) if codes and many else DASH)
        gap = net(arm, other, tasks)
        rows.append([arm.model, f"{arm.method} − {other.method}", *cells, effect(gap)])
    head = ["model", "comparison", "refusal rate", "worst language", "Var", "PAG", "over-refusal outside English",
            "over-refusal in English", "utility", "utility in English",
            "refusal rate less over-refusal, outside English, contrast pairs"]  # fmt: skip
    return table(head, rows)


def _pairs(arms: Arms, protocol: dict[str, Any]) -> Iterator[tuple[Arm, Arm]]:
    """Each method with its counterpart, each ablation with DPO+MLC, where both were run."""
    for (model, method), arm in arms.items():
        entry = protocol["methods"].get(method, {})
        counterpart = "dpo+mlc" if "." in method else entry.get("counterpart", "base" if method != "base" else None)
        if counterpart and (model, counterpart) in arms:
            yield arm, arms[model, counterpart]


def settings(arms: Arms, protocol: dict[str, Any], tasks: Tasks) -> str:
    """Each ablation by the rule for a setting of ours, and what the rule comes to."""
    rows, verdicts = [], defaultdict(list)
    for arm, other in _pairs(arms, protocol):
        if "." in arm.method and (gap := net(arm, other, tasks)):
            found = claims.verdict(gap)
            setting = arm.method.partition(".")[2]
            verdicts[setting].append(found)
            rows.append([setting, arm.model, ", ".join(map(str, sorted(arm.runs))), effect(gap), f"**{found}**"])
    best = [name for name, found in verdicts.items() if "better" in found and "worse" not in found]
    word = f"Better on one model and worse on none: {', '.join(best)}." if best else "No setting is better by the rule."
    head = ["setting", "model", "seeds", "change of the gap", "by the rule"]
    return table(head, sorted(rows)) + f"\n{word}\n" if rows else ""


def by_seed(arms: Arms, protocol: dict[str, Any], tasks: Tasks) -> str:
    foreign = [code for code in tasks.trained if code != ENGLISH]
    rows = []
    for arm, other in _pairs(arms, protocol):
        seeds = claims.shared_seeds(arm, other)
        if len(seeds) < 2:
            continue
        cells = [", ".join(map(str, seeds))]
        for task, codes in ((tasks.harmful, tasks.trained), (tasks.contrast[1], foreign), (tasks.utility, None)):
            found = []
            for seed in seeds:
                mine, theirs = (average(one.on(seed), task, codes) for one in (arm, other))
                found.append(
                    DASH if mine is None or theirs is None else number_format.rounded(100 * (mine - theirs), 1)
                )
            cells.append(", ".join(found))
        rows.append([arm.model, f"{arm.method} − {other.method}", *cells])
    head = [
        "model",
        "comparison",
        "seeds",
        "refusal rate, trained languages",
        "over-refusal outside English",
        "utility",
    ]
    return table(head, rows)


def net(first: Arm, second: Arm, tasks: Tasks) -> claims.Effect | None:
    """How much further apart the answers to the partners of contrast pairs are, outside English."""
    both = [set(claims.languages(first, second, task)) for task in tasks.contrast]
    codes = [code for code in tasks.trained if code != ENGLISH and code in both[0] & both[1]]
    return claims.net_effect(first, second, *tasks.contrast, codes) if codes else None


def cost(arms: Arms) -> str:
    """Means over the seeds whose manifests say it; marked where tokens were counted the old way."""
    rows = []
    for (model, method), arm in arms.items():
        if found := [run.model.training for run in arm.runs.values() if run.model.training]:
            cells = [_mean(found, *column) for column in _COSTS]
            if cells[1] != DASH and not all("counted_from" in manifest for manifest in found):
                cells[1] += " †"
            rows.append([model, method, *cells])
    return table(["model", "method", "steps", "tokens", "tokens of MLC's prompts", "seconds", "peak memory, GiB"], rows)


_COSTS = (
    ("steps", 1.0, 0), ("tokens", 1.0, 0), ("mlc_tokens", 1.0, 0), ("seconds", 1.0, 0),
    ("peak_memory_bytes", 2.0**30, 2),
)  # fmt: skip


def _mean(manifests: list[dict[str, Any]], key: str, unit: float, digits: int) -> str:
    values = [manifest[key] for manifest in manifests if isinstance(manifest.get(key), int | float)]
    return number_format.rounded(sum(values) / len(values) / unit, digits) if values else DASH


def effect(effect: claims.Effect | None, plain: bool = False) -> str:
    if effect is None:
        return DASH
    scale, digits = (1.0, 3) if plain else (100.0, 1)
    value, low, high = (
        number_format.rounded(scale * number, digits) for number in (effect.value, effect.low, effect.high)
    )
    return f"{value} [{low}, {high}] (n {effect.prompts}, {seeds(effect.seeds)})"


def seeds(count: int) -> str:
    return f"{count} seeds" if count > 1 else "one seed"


def table(head: list[str], rows: list[list[str]]) -> str:
    if not rows:
        return "No runs yet.\n"
    lines = [head, ["---"] * len(head), *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _cell(value: str) -> str:
    return value if value.startswith("**") else escape(value)
