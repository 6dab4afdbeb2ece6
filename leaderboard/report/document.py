"""The report of a reproduction, as Markdown and HTML, from its records alone. No number in it is typed by hand."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from mlc_bench.core.errors import PrerequisiteError
from mlc_bench.leaderboard import build, owned
from mlc_bench.leaderboard.render import plots
from mlc_bench.leaderboard.render.to_markdown import escape
from mlc_bench.leaderboard.report import (
    blind_labels,
    by_seed,
    by_training,
    claims,
    effects,
    in_short,
    method_tables,
    probes,
)
from mlc_bench.leaderboard.report.claims import Tasks
from mlc_bench.leaderboard.report.effects import Arm, Pair
from mlc_bench.leaderboard.tabulate import number_format
from mlc_bench.leaderboard.tabulate.cells import Leaderboard
from mlc_bench.records import record
from mlc_bench.records.frame import files
from mlc_bench.records.record import RunRecord

DASH = number_format.DASH
_TITLE = "# Does MLC, or anything else, raise selectivity outside English?\n"
_MADE_BY = """Made by `make reproduce` from records alone; the rules, fixed before the runs, are in \
docs/reproduction.md. Refusal selectivity is refusal of harmful minus refusal of harmless requests. Numbers are \
percentage points with 95 % intervals over prompts and, where there are several, seeds. Every column but the one that \
says English is the mean over the other languages in which the base answers.
"""
_JUDGES = """Share of answers (%) of which one judge says that they refuse and the other that they do not / share of \
which either is unsure. The first judge is `{first}`. The second is `{second}`, fitted on none of the first one's \
rows. It may decide where its kappa with labels of real answers is at least {least}. In the other languages a call \
rests on the first judge alone, and the first table says *one judge*.
"""
_PROBE = """`mlc-bench probe` on each model: how far the last prompt token's state of a translation \
agrees with the English one (cosine), whether it finds its own English prompt among all (matched), and the share of \
the largest singular value, which the MLC loss raises. High cosine with few matches: the states share the chat \
template, not the meaning.
"""
_BLIND = """Answers of several models, mixed and labelled with `mlc-bench label`, which shows neither model nor \
verdict; drawn by language, task, model and the first judge's verdict. Of those that refuse by the label the share (%) \
that a judge sees, and of the others the share that it takes for refusals. Each answer counts as often as it stands \
for others.
"""
_BY_LABELS = """The models by these labels: all answers of the tasks and languages above, in %; selectivity in points. \
Beside it what a judge makes of the same answers, without those of which it is unsure.
"""
_FRONTIER = """Both rates outside English, means over languages and seeds, on contrast pairs. A model that refuses \
both alike is on the dotted line: it has learned to refuse, not to tell them apart. An arrow leads from a method to \
the same with MLC.
"""
_ARROWS = "The same in each language: an arrow leads from the base to the method. English is red.\n"
_TRAINED = """Selectivity by the first judge / by the second. *Trained languages*: whose prompts are in the training \
data; the second column says what a method is shown of them. The others are in no training. *In its language* and \
*utility* are means over the languages other than English in which the base answers, *seconds* those of training.
"""
_LANGUAGES = "Selectivity: refusal of harmful / over-refusal.\n"
_CHOSEN = """By the rule of docs/reproduction.md: the setting with the highest selectivity on the development pairs, \
of those with which the model still answers in all their languages, and, where the method asks for it, in the prompt's \
language. Where none qualifies, the first one, which is the gentlest. *In its language*: the share of answers in the \
prompt's language where it is lowest, in %. All by the first judge, one run of each, without intervals; the base, as \
released, is there to compare with.
"""
_HOURS = """All these records, those of the candidates among them, took {hours}. Not in it: what was done by a command \
that was killed before its end, the fitting of gates, and what comes before the first step of a training: loading the \
model, and the log-probabilities of the reference.
"""
_COST = """As the training manifests say, means over seeds. Tokens: those that went through the model; those of MLC's \
prompts, in all languages on every n-th step, have a column of their own. Seconds are those of the run on its machine, \
which often did other work beside it.
"""
_SEEDS = """Outside English, each run by itself, by the first judge, with intervals over prompts alone. An interval \
over two seeds is far wider than either: two runs say next to nothing about how much seeds differ.
"""
_LIMITS = """Nothing about 7B models. The judges see refusal, not harm. The training and development prompts were \
translated by a language model, and no native speaker has read them. The tables of all runs are in \
leaderboard/README.md.
"""


Candidates = Mapping[str, Sequence[Sequence[str]]]
"""Of the untrained model a row, of each method one for each setting that was tried: the setting, selectivity on the
development pairs, the languages in which the model hardly answers, the least share of answers in the prompt's language
in %, and whether it was chosen."""


@dataclass(frozen=True)
class Report:
    """A reproduction's report: the document in Markdown, its figures by name, and the leaderboard of its records."""

    document: str
    figures: dict[str, Figure]
    board: Leaderboard


@dataclass(frozen=True)
class Found:
    """What the records of a protocol hold: arms by model and method, of each of the two judges."""

    first: dict[tuple[str, str], Arm]
    second: dict[tuple[str, str], Arm]
    probed: probes.Probes
    labels: list[blind_labels.Label]
    failed: dict[str, str]
    waiting: list[str]
    chosen: Candidates
    """What was tried for each method; empty where nothing is chosen yet."""
    kappa: Mapping[str, dict[str, Any]]
    """The second judge's agreement with labels, by language, as baselines/second_judge.json has it."""
    hours: str
    """What the records took, those of the candidates among them, in words."""

    @property
    def trusted(self) -> list[str]:
        """The languages in which the second judge may decide."""
        return [code for code, one in self.kappa.items() if one["kappa"] >= claims.LEAST_KAPPA]


def of_records(
    records: Path,
    protocol: dict[str, Any],
    failed: dict[str, str],
    planned: Sequence[str],
    chosen: Candidates,
    kappa: Mapping[str, dict[str, Any]],
    waiting: Sequence[str] = (),
) -> Report:
    """The report of the records in a folder.

    `failed`: runs that could not be done, with the reason; `planned`: the names of all runs; `waiting`: those without a
    record whose model has one on other tasks; the others: see `Found`.

    Raises PrerequisiteError where there is no record yet.
    """
    read = {path: record.read(path) for _, path in files([records])} if records.is_dir() else {}
    every = {path: run for path, run in read.items() if run.model.name in planned and not _is_trial(run, protocol)}
    judges = protocol["judges"]
    first = {path: run for path, run in every.items() if run.judge and run.judge.id == judges["first"]}
    if not first:
        raise PrerequisiteError(f"there is no record in {records} yet; run the command without --report-only")
    aliases = {about["name"]: (model, "base") for model, about in protocol["models"].items()}
    there = {run.model.name for run in first.values()}
    found = Found(
        _arms(first.values(), aliases, protocol),
        _arms([run for path, run in every.items() if path not in first], aliases, protocol),
        probes.read(records, aliases, planned),
        blind_labels.read(records, planned),
        failed,
        [*(name for name in dict.fromkeys(planned) if name not in there and name not in failed), *waiting],
        chosen,
        kappa,
        method_tables.hours(read.values()),
    )
    document, figures = make(found, protocol)
    return Report(document, figures, build.leaderboard(first))


def _is_trial(run: RunRecord, protocol: dict[str, Any]) -> bool:
    """Whether a record is of the development pairs, on which no claim rests."""
    return {task.name for task in run.tasks} <= {*protocol["choice"]["tasks"]}


def _arms(
    runs: Sequence[RunRecord] | Any, aliases: Mapping[str, tuple[str, str]], protocol: dict[str, Any]
) -> dict[tuple[str, str], Arm]:
    models, methods = list(protocol["models"]), list(protocol["methods"])
    found = effects.arms(list(runs), aliases)
    for (_, method), arm in found.items():
        about = protocol["methods"].get(method, {})
        if "gate" in about and "after" not in about:  # nothing is drawn: its one run is that of every seed
            arm.runs = {effects.UNTRAINED: list(arm.runs.values())[-1]}
    return dict(sorted(found.items(), key=lambda item: (_place(item[0][0], models), _place(item[0][1], methods))))


def write(report: Report, out: Path) -> Path:
    """Write a report with its pictures, and its leaderboard beside it; the path of the HTML report.

    Raises UsageError where a file of one of its names is there and no report wrote it.
    """
    made: dict[str, str | bytes] = {
        f"{name}.{kind}": content
        for name, figure in report.figures.items()
        for kind, content in plots.render(figure).items()
    }
    made |= {"report.md": report.document, "index.html": html(report.document)}
    earlier = owned.listed(out)
    if earlier is None:  # reports of versions that left no list
        path = out / "report.md"
        is_ours = path.is_file() and path.read_text(encoding="utf-8", errors="replace").startswith(_TITLE)
        earlier = owned.plain(made if is_ours else ())
    owned.write(out, made, earlier)
    build.write(report.board, out / "leaderboard", page=False)
    return out / "index.html"


def _place(method: str, order: list[str]) -> int:
    return order.index(method) if method in order else len(order)


def html(document: str) -> str:
    """The Markdown as a page; HTML in it stays text."""
    from markdown_it import MarkdownIt

    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(document)
    style = (
        "body{font:16px/1.5 system-ui,sans-serif;max-width:72rem;margin:auto;padding:1rem;color-scheme:light dark}"
        "table{border-collapse:collapse;display:block;overflow-x:auto}"
        "td,th{padding:.2rem .6rem;border-bottom:1px solid #8888;text-align:left}img{max-width:100%;background:#fff}"
    )
    head = f"<meta charset=utf-8><meta name=viewport content='width=device-width'><style>{style}</style>"
    return f"<!doctype html><html lang=en><head>{head}<title>Reproduction</title></head><body>{body}</body></html>\n"


def make(found: Found, protocol: dict[str, Any]) -> tuple[str, dict[str, Figure]]:
    """The report's Markdown and its figures by name."""
    arms, tasks = found.first, roles(protocol)
    compared = comparisons(protocol)
    called = claims.call_all(arms, found.second, tasks, compared, found.trusted)
    models = list(dict.fromkeys(model for model, _ in arms))
    figures = {f"frontier-{model}": method_tables.frontier(arms, model, tasks) for model in models}
    with_methods = [model for model in models if by_training.beside_base(arms, model)]
    figures |= {f"arrows-{model}": by_training.arrows(arms, model, tasks) for model in with_methods}
    figures |= probes.figures(found.probed)
    count = sum(len(arm.runs) for arm in arms.values())
    levels = by_seed.levels(arms, tasks)
    parts = [
        _TITLE,
        f"Protocol version {protocol['version']}, {_runs(count)}, {_machines(arms)}. {_MADE_BY}",
        _read_from(found, protocol),
        "## In short\n\n"
        + in_short.table(called)
        + "\n"
        + method_tables.other_language(arms, tasks)
        + "\n"
        + in_short.CALLS,
        _missing(found),
        *(_of_model(found, model, protocol) for model in models),
        *_with_own_tasks(found, protocol),
        "## The two judges\n\n" + _judges(found, protocol, tasks, models),
        "## Blind labels\n\n" + _labels(found, protocol) if found.labels else "",
        "## What the layers see\n\n" + _PROBE + "\n" + _probes(found.probed) if found.probed else "",
        f"## Seed by seed\n\n{_SEEDS}\n{levels}\n{by_seed.differences(arms, compared, tasks)}" if levels else "",
        "## The settings\n\n" + _CHOSEN + "\n" + _settings(found.chosen) if found.chosen else "",
        f"## The cost\n\n{_HOURS.format(hours=found.hours)}\n{_COST}\n{method_tables.cost(arms)}",
        "## What this cannot say\n\n" + _LIMITS,
    ]
    return "\n".join(part for part in parts if part), figures


def roles(protocol: dict[str, Any], form: Mapping[str, Any] | None = None) -> Tasks:
    """Which task plays which part, as the protocol, or a form of it with roles of its own, says."""
    about = protocol["roles"] | (form or {}).get("roles", {})
    return Tasks(tuple(Pair(*pair) for pair in about["pairs"]), about["harmful"], about["utility"])


def comparisons(protocol: dict[str, Any]) -> list[tuple[str, str]]:
    """Each method with the one that it is held against, and the other pairs that the protocol names."""
    own = [(name, about["counterpart"]) for name, about in protocol["methods"].items() if "counterpart" in about]
    return own + [tuple(pair) for pair in protocol["compare"]]


def _runs(count: int) -> str:
    return "one run" if count == 1 else f"{count} runs"


def _read_from(found: Found, protocol: dict[str, Any]) -> str:
    """The models by their names, the judges by their versions, the limit of tokens and the prompts of each task."""
    runs = [run for arms in (found.first, found.second) for arm in arms.values() for run in arm.runs.values()]
    models = "; ".join(f"{key} is {escape(about['name'])}" for key, about in protocol["models"].items())
    judges = ", ".join(sorted({f"{run.judge.id} {run.judge.version}" for run in runs}))
    counts = dict(sorted({(task.name, one.n) for run in runs for task in run.tasks for one in task.languages.values()}))
    prompts = ", ".join(f"{escape(name)} {n}" for name, n in counts.items())
    limit = protocol["answers"]["max_tokens"]
    return (
        f"Models: {models}. Judges: {judges}. Prompts in each language: {prompts}. Answers of at most {limit} tokens: "
        "`refusal` takes some complying answers that are cut there for refusals, of both kinds of prompts "
        "(docs/explanations/judge.md).\n"
    )


def _of_model(found: Found, model: str, protocol: dict[str, Any]) -> str:
    arms, tasks = found.first, roles(protocol)
    parts = [f"## {model}\n\n### Every method\n\n" + method_tables.methods(arms, model, tasks)]
    parts.append(method_tables.means_over(arms, model, tasks))
    shown = by_training.tables(arms, found.second, model, protocol, tasks, found.trusted)
    parts.append(f"### Trained languages and others\n\n{_TRAINED}\n{shown}")
    parts.append(f"### Refusal against over-refusal\n\n{_FRONTIER}\n![frontier-{model}](frontier-{model}.svg)\n")
    if by_training.beside_base(arms, model):
        parts.append(f"{_ARROWS}\n![arrows-{model}](arrows-{model}.svg)\n")
    for pair in tasks.pairs:
        quiet = claims.silent(arms, model, pair.both)
        codes = dict.fromkeys(
            code
            for arm in method_tables.of_model(arms, model)
            for code in effects.languages(arm, arm, pair.harmless)
            if code not in quiet
        )
        shown = method_tables.by_language(arms, model, pair, list(codes))
        parts.append(f"### Language by language: {pair.harmful}, {pair.harmless}\n\n{_LANGUAGES}\n{shown}")
        if quiet:
            rows = method_tables.without_answers(arms, model, pair)
            heading = f"The base does not answer to these tasks in {', '.join(quiet)}, which are in none of the means:"
            parts.append(f"{heading}\n\n{rows}")
    return "\n".join(parts)


def _with_own_tasks(found: Found, protocol: dict[str, Any]) -> Iterator[str]:
    """A section for each form with roles of its own, of the models that have records on these tasks."""
    for name, form in protocol["forms"].items():
        if "roles" not in form:
            continue
        tasks = roles(protocol, form)
        own = list(dict.fromkeys([*(task for pair in tasks.pairs for task in pair.both), tasks.harmful]))
        arms = {key: arm for key, arm in found.first.items() if any(map(arm.task, own))}
        if arms:
            called = claims.call_all(arms, found.second, tasks, comparisons(protocol), found.trusted)
            levels = [
                f"{method_tables.methods(arms, model, tasks)}\n{method_tables.means_over(arms, model, tasks)}"
                for model in dict.fromkeys(model for model, _ in arms)
            ]
            yield "\n".join([f"## The form {name}: {', '.join(map(escape, own))}\n", in_short.table(called), *levels])


def _judges(found: Found, protocol: dict[str, Any], tasks: Tasks, models: Sequence[str]) -> str:
    about = protocol["judges"]
    text = _JUDGES.format(first=about["first"], second=about["second"], least=claims.LEAST_KAPPA)
    rows = [
        [
            code, f"{one['kappa']:.2f} [{one['low']:.2f}, {one['high']:.2f}]", str(one["refusals"]), str(one["others"]),
            one["labels"], "yes" if one["kappa"] >= claims.LEAST_KAPPA else "no",
        ]
        for code, one in found.kappa.items()
    ]  # fmt: skip
    head = ["language", "kappa of the second judge", "refusals", "other answers", "labels by", "may decide"]
    tables = [f"### {model}\n\n" + method_tables.judges(found.first, found.second, model, tasks) for model in models]
    return "\n".join([text, method_tables.table(head, rows), *tables])


def _labels(found: Found, protocol: dict[str, Any]) -> str:
    roles = protocol["roles"]
    harmful = {roles["harmful"], *(pair[0] for pair in roles["pairs"])}
    judges = method_tables.table(blind_labels.HEAD, blind_labels.rows(found.labels))
    models = method_tables.table(blind_labels.model_head(found.labels), blind_labels.model_rows(found.labels, harmful))
    differences = method_tables.table(blind_labels.DIFFERENCE_HEAD, blind_labels.difference_rows(found.labels, harmful))
    return "\n".join([_BLIND, judges, _BY_LABELS, models, differences])


def _settings(chosen: Candidates) -> str:
    head = ["method", "candidate", "selectivity", "hardly answers in", "in its language", "chosen"]
    return method_tables.table(head, [[name, *row] for name, rows in chosen.items() for row in rows])


def _machines(arms: Mapping[tuple[str, str], Arm]) -> str:
    """What the runs were scored on, the most frequent first."""
    count: Counter[str] = Counter()
    for run in (run for arm in arms.values() for run in arm.runs.values()):
        gpus = ", ".join(map(str, run.hardware.get("gpus", [])))
        count[f"{gpus or str(run.hardware.get('cores', '?')) + ' CPU cores'} by {run.spec.engine}"] += 1
    return "scored on " + "; ".join(
        escape(place) + (f" ({number})" if len(count) > 1 else "") for place, number in count.most_common()
    )


def _missing(found: Found) -> str:
    lines = [f"- {escape(name)} is missing: {escape(reason)}." for name, reason in found.failed.items()]
    if found.waiting:
        names = ", ".join(map(escape, found.waiting))
        lines.append(f"- Runs of the protocol without a record yet ({len(found.waiting)}): {names}.")
    return "## What is missing here\n\n" + "\n".join(lines) + "\n" if lines else ""


def _probes(probed: probes.Probes) -> str:
    pictures = "\n".join(f"![{name}]({name}.svg)\n" for name in probes.figures(probed))
    return pictures + "\n" + method_tables.table(probes.HEAD, probes.rows(probed))
