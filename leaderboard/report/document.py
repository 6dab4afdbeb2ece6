"""The report of a reproduction, as Markdown and HTML, from its records alone. No number in it is typed by hand."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from mlc_bench.core.errors import PrerequisiteError
from mlc_bench.leaderboard import build, owned, paper_numbers
from mlc_bench.leaderboard.render import plots
from mlc_bench.leaderboard.render.to_markdown import escape
from mlc_bench.leaderboard.report import claims, method_tables, probes
from mlc_bench.leaderboard.report.claims import ENGLISH, Arm, Called, Tasks
from mlc_bench.leaderboard.tabulate import number_format
from mlc_bench.leaderboard.tabulate.cells import Leaderboard
from mlc_bench.records import record
from mlc_bench.records.frame import files

DASH = number_format.DASH
_TITLE = "# Does MLC do what the paper says, on small models?\n"
_MADE_BY = """Made by `make reproduce-small` from records alone. The rules are in docs/reproduction.md: fixed before \
the runs, with a list of what was changed or added since. A difference is in percentage points (Var and PAG as they \
are), over the seeds that both sides have, with its 95 % interval. That of one seed speaks of prompts only: training \
again with another seed may move the result by more.
"""
_READ = """**Reproduced**: the interval is where the claim says. **Not reproduced**: it excludes an effect of the \
size that the rule names. **Undecided**: these data do not say. **Not run**: a method or a task is missing. The last \
column is what the paper reports for Qwen2.5-7B-Instruct on its own test and with its own judge, for orientation only.
"""
_PROBE = """`mlc-bench probe` on each model: how far the last prompt token's state of a translation \
agrees with the English one (cosine), whether it finds its own English prompt among all (matched), and the share of \
the largest singular value, which the MLC loss raises. High cosine with few matches: the states share the chat \
template, not the meaning.
"""
_FRONTIER = """Both rates outside English, means over languages and seeds, on contrast pairs: a harmful prompt
and its harmless partner, in like words. A model that refuses both alike is on the dotted line: it has learned to
refuse, not to tell them apart. An arrow leads from a method to the same with MLC.
"""
_LANGUAGES = """Refusal rate in each language, on the contrast pairs with over-refusal behind it (refusal rate /
over-refusal), percentages, means over seeds, with 95 % intervals. Invalid answers are neither; their share is above.
The languages that training prompts were in come first: {trained}.
"""
_SETTINGS = """DPO+MLC with one thing changed, against DPO+MLC of the same seeds: how much wider the gap of the contrast
pairs is, refusal rate less over-refusal outside English. The rule is in docs/reproduction.md, "When a setting of ours
is shipped".
"""
_SEEDS = """The same differences between runs of the same seed, which have the same order of the training data. They
are in percentage points. The intervals above are made of them; they call nothing.
"""
_COST = """As the training manifests say, means over seeds. Tokens: those that went through the model, a prompt with
each of its responses; those of MLC's prompts, in all languages on every n-th step, have a column of their own (–: none,
or made before manifests had the count). †: counted the old way, from the columns of the data; later manifests say
`counted_from: attention mask`. The old count holds for dpo, cosine and mpo, but for an epoch that was not finished. For
sft (also of the base), simpo, orpo and the methods that train as they do, with MLC or without, it is too high: it has
prompts and responses more than once. Of MLC's prompts it counts what they begin with once for each. Seconds are those
of the run on its machine, which often did other work beside it: benchmarks/train_step.py compares methods side by side.
"""
_LIMITS = """See docs/reproduction.md: nothing about 7B models; where a model hardly speaks a language, its answers are
invalid, and no loss on prompts changes that; the judge sees that an answer declines, not whether a compliant answer is
harmful. The tables of all runs are in leaderboard/README.md.
"""
_YES = {"reproduced": "yes", "not reproduced": "no"}


@dataclass(frozen=True)
class Report:
    """A reproduction's report: the document in Markdown, its figures by name, and the leaderboard of its records."""

    document: str
    figures: dict[str, Figure]
    board: Leaderboard


def of_records(
    records: Path, protocol: dict[str, Any], form: str, failed: dict[str, str], planned: Sequence[str]
) -> Report:
    """The report of the records in a folder.

    `failed`: runs that could not be done, with the reason; `planned`: the names of all runs of the form. Records of
    other runs, which forms that share a folder have, are left out.

    Raises PrerequisiteError where there is no record yet.
    """
    read = ((path, record.read(path)) for _, path in files([records])) if records.is_dir() else ()
    found = {path: run for path, run in read if run.model.name in planned}
    if not found:
        raise PrerequisiteError(f"there is no record in {records} yet; run the command without --report-only")
    runs = list(found.values())
    aliases = {about["name"]: (model, "base") for model, about in protocol["models"].items() if "name" in about}
    order = list(protocol["methods"]) + [f"dpo+mlc.{name}" for name in protocol["ablations"]]
    arms = claims.arms(runs, aliases)
    arms = dict(sorted(arms.items(), key=lambda item: (item[0][0], _place(item[0][1], order))))
    there = {run.model.name for run in runs}
    waiting = [name for name in planned if name not in there and name not in failed]
    document, figures = make(arms, probes.read(records, aliases, planned), protocol, form, failed, waiting)
    return Report(document, figures, build.leaderboard(found))


def write(report: Report, out: Path) -> Path:
    """Write a report with its pictures, and its leaderboard beside it; the path of the HTML report.

    Raises UsageError where a file of one of its names is there and no report wrote it.
    """
    made: dict[str, str | bytes] = {
        f"{name}.{kind}": content
        for name, figure in report.figures.items()
        for kind, content in plots.render(figure).items()
    }
    made |= {"report.md": report.document, "report.html": html(report.document)}
    earlier = owned.listed(out)
    if earlier is None:  # reports of versions that left no list
        path = out / "report.md"
        is_ours = path.is_file() and path.read_text(encoding="utf-8", errors="replace").startswith(_TITLE)
        earlier = owned.plain(made if is_ours else ())
    owned.write(out, made, earlier)
    build.write(report.board, out / "leaderboard", page=False)
    return out / "report.html"


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


def make(
    arms: dict[tuple[str, str], Arm],
    probed: probes.Probes,
    protocol: dict[str, Any],
    form: str,
    failed: dict[str, str],
    waiting: Sequence[str],
) -> tuple[str, dict[str, Figure]]:
    """The report's Markdown and its figures by name."""
    tasks = roles(arms, protocol, form)
    pairs = {
        name: entry["counterpart"]
        for name, entry in protocol["methods"].items()
        if "counterpart" in entry and name.endswith("+mlc")
    }
    called = claims.call_all(arms, tasks, pairs)
    figures = {
        f"frontier-{model}": method_tables.frontier(arms, model, tasks) for model in _models(arms)
    } | probes.figures(probed)
    better = method_tables.settings(arms, protocol, tasks)
    count = sum(len(arm.runs) for arm in arms.values())
    parts = [
        _TITLE,
        f"Form `{form}`, protocol version {protocol['version']}, {count} runs, {_machines(arms)}. {_MADE_BY}",
        "## In short\n\n" + _short(called, arms, pairs),
        _missing(tasks, protocol, form, failed, waiting),
        "## The claims\n\n" + _READ + "\n" + _claims(called),
        "## Every method\n\n" + "\n".join(method_tables.methods(arms, model, tasks) for model in _models(arms)),
        "## Refusal against over-refusal\n\n"
        + "\n".join([_FRONTIER, *(method_tables.frontier_table(arms, m, tasks) for m in _models(arms))]),
        "## Language by language\n\n"
        + "\n".join(
            [_LANGUAGES.format(trained=" ".join(tasks.trained))]
            + [method_tables.by_language(arms, model, tasks) for model in _models(arms)]
        ),
        "## Is another setting better?\n\n" + _SETTINGS + "\n" + better if better else "",
        "## What each method changes\n\n" + method_tables.effects(arms, protocol, tasks),
        "## Seed by seed\n\n" + _SEEDS + "\n" + method_tables.by_seed(arms, protocol, tasks),
        "## What the layers see\n\n" + _PROBE + "\n" + _probes(probed) if probed else "",
        "## The cost of training\n\n" + _COST + "\n" + method_tables.cost(arms),
        "## What the paper reports\n\n" + _paper(),
        "## What this cannot say\n\n" + _LIMITS,
    ]
    return "\n".join(parts), figures


def roles(arms: dict[tuple[str, str], Arm], protocol: dict[str, Any], form: str) -> Tasks:
    """Which task plays which part: the paper's where some run has them, else the embedded one."""
    trained = protocol["forms"][form].get("trained_languages", protocol["trained_languages"])
    there = {task.name for arm in arms.values() for run in arm.runs.values() for task in run.tasks if task.languages}
    harmful = "pku" if "pku" in there else "starter_harmful"
    unseen = "multijail" if "multijail" in there else "starter_harmful"
    contrast = ("starter_harmful", "starter_benign")
    return Tasks(harmful, unseen, contrast, "starter_choice", tuple(trained))


def _models(arms: dict[tuple[str, str], Arm]) -> list[str]:
    return list(dict.fromkeys(model for model, _ in arms))


def _machines(arms: dict[tuple[str, str], Arm]) -> str:
    """What the runs were scored on, the most frequent first."""
    count: Counter[str] = Counter()
    for run in (run for arm in arms.values() for run in arm.runs.values()):
        gpus = ", ".join(map(str, run.hardware.get("gpus", [])))
        count[f"{gpus or str(run.hardware.get('cores', '?')) + ' CPU cores'} by {run.spec.engine}"] += 1
    return "scored on " + "; ".join(
        escape(place) + (f" ({number})" if len(count) > 1 else "") for place, number in count.most_common()
    )


def _missing(tasks: Tasks, protocol: dict[str, Any], form: str, failed: dict[str, str], waiting: Sequence[str]) -> str:
    about = protocol["forms"][form]
    lines = []
    for task, used in (("pku", tasks.harmful), ("multijail", tasks.unseen)):
        if task != used and task in protocol["forms"]["full"]["tasks"]:
            why = "its data was not on the machine" if task in about["tasks"] else "it is not part of this form"
            lines.append(f"- {task} was not run here ({why}); the claims on it are called on {used}.")
    for kind, name in (("methods", "methods"), ("ablations", "other settings of MLC")):
        if about[kind] != "all":
            only = f"these {name} only: {escape(', '.join(about[kind]))}" if about[kind] else f"no {name}"
            lines.append(f"- The form `{form}` has {only}.")
    lines += [f"- {escape(name)} is missing: {escape(reason)}." for name, reason in failed.items()]
    if waiting:
        lines.append(f"- Runs of this form without a record yet ({len(waiting)}): {', '.join(map(escape, waiting))}.")
    return "## What is missing here\n\n" + "\n".join(lines) + "\n" if lines else ""


def _answer(one: Called) -> str:
    """The call; for the questions, which no paper answers, yes or no."""
    return one.call if one.number < 9 else _YES.get(one.call, one.call)


def _short(called: Sequence[Called], arms: dict[tuple[str, str], Arm], pairs: dict[str, str]) -> str:
    """What the claims come to: a column for each model and method with MLC. Claims 6 and 7 are on DPO+MLC alone."""
    answers = {}
    for one in called:
        method = one.comparison.split(" − ")[0]
        answers[one.number, one.model, method] = f"**{_answer(one)}**"
        if one.effect and one.effect.seeds < len(arms[one.model, method].runs):
            answers[one.number, one.model, method] += f" ({method_tables.seeds(one.effect.seeds)})"
    columns = [(model, method) for model in _models(arms) for method in pairs if (model, method) in arms]
    head = [f"{model}, {method} ({method_tables.seeds(len(arms[model, method].runs))})" for model, method in columns]
    rows = [
        [str(number), claim, *(answers.get((number, *column), DASH) for column in columns)]
        for number, claim in claims.CLAIMS.items()
    ]
    return method_tables.table(["#", "claim (from 9 on: question)", *head], rows)


def _claims(called: Sequence[Called]) -> str:
    """Every comparison that was run, and in one line those that were not."""
    rows: list[list[str]] = []
    absent: dict[str, list[str]] = {}
    for one in called:
        if one.call == "not run":
            where = f"{one.model} {one.comparison}" + (f" ({one.note})" if one.note else "")
            absent.setdefault(where, []).append(str(one.number))
            continue
        codes = f"{len(one.languages)}: {' '.join(one.languages)}"
        answer = f"**{_answer(one)}**" + (f" ({one.note})" if one.note else "")
        rows.append(
            [str(one.number), one.claim, one.model, one.comparison, one.task, codes,
             method_tables.effect(one.effect, one.number in (2, 3)), answer, _reported(one)]
        )  # fmt: skip
    head = ["#", "claim", "model", "comparison", "task", "languages", "difference", "call", "paper, 7B"]
    left = (
        f"\nNot run, since a method, a task or a language is missing: {escape('; '.join(absent))}.\n" if absent else ""
    )
    return method_tables.table(head, rows) + left


def _probes(probed: probes.Probes) -> str:
    pictures = "\n".join(f"![{name}]({name}.svg)\n" for name in probes.figures(probed))
    return pictures + "\n" + method_tables.table(probes.HEAD, probes.rows(probed))


def _paper() -> str:
    """The paper's rows for the test that its claims are about, as `published/mlc_paper.yaml` has them."""
    source = paper_numbers.sources()["mlc_paper"]
    table = next(table for table in source.tables if table.id == "pku-qwen")
    rows = [
        [row.method,
         number_format.rounded(row.rates[table.languages.index(ENGLISH)], 1),
         number_format.rounded(min(row.rates), 1),
         *(DASH if value is None else number_format.rounded(value, digits)
           for value, digits in ((row.average, 1), (row.var, 2), (row.pag, 3)))]
        for row in table.rows
    ]  # fmt: skip
    about = f"{table.title}; {table.metric}, percentages. Reported, not run here: {source.source}.\n\n"
    notes = "".join(f"- {escape(note)}\n" for note in source.notes)
    return about + method_tables.table(["method", "en", "worst language", "average", "Var", "PAG"], rows) + "\n" + notes


def _reported(one: Called) -> str:
    """The difference of a claim as the paper's own figures give it, where it reports both sides."""
    tables = {table.id: table for table in paper_numbers.sources()["mlc_paper"].tables}
    table = tables["multijail-qwen" if one.number == 4 else "pku-qwen"]
    names = one.comparison.upper().split(" − ")
    found = {row.method: row for row in table.rows}
    if not set(names) <= set(found) or one.number not in (1, 2, 3, 4, 6, 8):
        return DASH
    values = [_paper_value(found[name], table, one.number) for name in names]
    digits = {2: 2, 3: 2}.get(one.number, 1)
    return number_format.rounded(values[0] - values[1], digits)


def _paper_value(row: paper_numbers.PublishedRow, table: paper_numbers.PublishedTable, number: int) -> float:
    if number == 4:  # attack success: what is not refused
        rates = [rate for code, rate in zip(table.languages, row.rates, strict=True) if code in table.unseen]
        return 100 - sum(rates) / len(rates)
    if number == 8:
        return row.rates[table.languages.index(ENGLISH)]
    value = {2: row.var, 3: row.pag}.get(number, row.average)
    assert value is not None  # the rows of this table have them all
    return value
