"""HTML of the viewer. Every text of prompts, answers and verdicts is escaped; none becomes markup or an address."""

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import quote

import jinja2

from mlc_bench.view import marks, selection
from mlc_bench.view.contents import Run
from mlc_bench.view.label import wrong
from mlc_bench.view.queries import PROMPTS, Answer, Cell, Count, Queries
from mlc_bench.view.selection import Selection

MOST_COLUMNS = 60
LONGEST = 20_000  # characters of a text that is shown at once: a browser takes seconds for a line of a million
SIGNS = {
    "refuses": "■", "deflects": "◧", "complies": "○", "safe": "■", "unsafe": "○", "invalid": "!", "unsure": "?",
    "blocked": "▣", "no verdict": "–",
}  # fmt: skip
# Controls and marks that turn the order of what follows; joiners and the two marks of direction stay, as scripts need
# them.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff]")


def asset(name: str) -> str:
    """A file of the page."""
    return (files(__package__) / "page" / name).read_text(encoding="utf-8")


def visible(text: str | None) -> str:
    """A text as it is, but for controls, which are named: they could hide or reorder what a reader sees."""
    return _CONTROLS.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", (text or "").replace("\r\n", "\n"))


def share(found: Count) -> str:
    """A share with its interval: `13.7 % [13.0, 14.4]`."""
    if found.value is None or found.low is None or found.high is None:
        return "–"
    return f"{100 * found.value:.1f} % [{100 * found.low:.1f}, {100 * found.high:.1f}]"


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(asset), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    environment.filters |= {"visible": visible, "share": share, "number": lambda number: f"{number:,}"}
    environment.globals |= {
        "word": marks.word,
        "sign": lambda own: SIGNS[marks.word(own)],
        "is_cut": lambda own: bool(own & marks.CUT),
        "filters": marks.FILTERS,
        "changed": marks.CHANGED,
        "longest": LONGEST,
    }
    return environment


def template(name: str) -> jinja2.Template:
    """A template of the page."""
    return _environment().get_template(name)


def shared(queries: Queries, chosen: Selection) -> dict[str, Any]:
    """What the grid and the file have in common: columns by run."""
    runs: Iterable[Run] = chosen.runs
    columns = [(run, spoken) for run in runs for spoken in chosen.languages]
    return {"chosen": chosen, "columns": columns, "runs": list(runs), "contents": queries.contents}


def grid(queries: Queries, chosen: Selection, token: str) -> str:
    """The page with a prompt a row."""
    contents, task = queries.contents, chosen.task
    whole, single = queries.counts(chosen)
    items = queries.items(chosen)
    last = max(1, -(-len(items) // PROMPTS))
    chosen = replace(chosen, page=min(chosen.page, last))
    start = (chosen.page - 1) * PROMPTS
    found = shared(queries, chosen)
    columns = found["columns"]
    found |= {"columns": columns[:MOST_COLUMNS], "hidden": max(0, len(columns) - MOST_COLUMNS)}
    found["shown"] = [(run, sum(own is run for own, _ in found["columns"])) for run in found["runs"]]
    here = _address("/answer", chosen, token)  # made once, as a page has a thousand cells
    return template("grid.html").render(
        **found,
        token=token,
        whole=whole,
        single=single,
        lines=queries.lines(chosen, items[start : start + PROMPTS]),
        prompts=len(items),
        start=start,
        last=last,
        tasks=contents.tasks_there(),
        judges=contents.judges_of(task),
        all_runs=contents.runs_of(task, chosen.judge),
        all_languages=contents.languages_of(task),
        categories=contents.categories_of(task),
        shows=selection.SHOWS,
        longest_search=selection.LONGEST,
        address=lambda one=chosen, path="/", **more: _address(path, one, token, **more),
        at=lambda one, page: _address("/", replace(one, page=page), token),
        as_shown=lambda show: _address("/", replace(chosen, show=show), token),
        of_cell=lambda line, cell: f"{here}&answer={quote(_place_of(cell, task.name, line.name))}",
    )


def answer(queries: Queries, chosen: Selection, name: str, whole: bool, token: str) -> str | None:
    """The page of one answer (`run/task/language/id`); None where it is not there."""
    parts = name.split("/", 3)
    found = queries.answer(*parts) if len(parts) == 4 else None
    if found is None:
        return None
    before, after = queries.beside(chosen, found)
    other = queries.contents.partner_of(found.task)
    partner = queries.answer(found.run.name, other.name, found.language.code, found.name) if other else None
    contents, others = queries.contents, []
    if chosen.judge in contents.judges_of(found.task):
        runs, languages = contents.runs_of(found.task, chosen.judge), contents.languages_of(found.task)
        everywhere = replace(chosen, task=found.task, runs=tuple(runs), languages=tuple(languages), finds=(), text="")
        for line in queries.lines(replace(everywhere, category=None), [found.item]):
            others += [cell for cell in line.cells.values() if not _is(cell, found)]

    def link(place: tuple[str, str, str] | None) -> str | None:
        return place and _answer_address(chosen, *place, token)

    return template("answer.html").render(
        chosen=chosen,
        found=found,
        partner=partner,
        partner_said=_said_by(partner, chosen.judge),
        partner_link=partner and _address("/answer", chosen, token, answer=_place(partner)),
        others=others,
        of_cell=lambda cell: _answer_address(chosen, cell.run.name, cell.language.code, found.name, token),
        before=link(before),
        after=link(after),
        back=_address("/", chosen, token),
        whole=whole,
        all_of_it=_address("/answer", chosen, token, answer=name, whole=1),
        marks=wrong.marks(found) if found.language.code != "en" else None,
        mark_wrong=_address("/wrong", chosen, token, answer=name),
        settings=_settings(found),
        record=json.dumps(found.run.about, indent=1, ensure_ascii=False),
        token=token,
    )


def fault(said: str, token: str, heading: str = "This address shows nothing") -> str:
    """The page that says what is wrong with an address, or with a form."""
    return template("fault.html").render(said=said, token=token, heading=heading)


def _address(path: str, chosen: Selection, token: str, **more: Any) -> str:
    query = chosen.query(**{key.replace("_", "-"): value for key, value in more.items()})
    return f"{path}?{query}{'&' if query else ''}token={quote(token)}"


def _answer_address(chosen: Selection, run: str, language: str, name: str, token: str) -> str:
    return _address("/answer", chosen, token, answer=f"{run}/{chosen.task.name}/{language}/{name}")


def _place_of(cell: Cell, task: str, name: str) -> str:
    return f"{cell.run.name}/{task}/{cell.language.code}/{name}"


def _place(found: Answer) -> str:
    return f"{found.run.name}/{found.task.name}/{found.language.code}/{found.name}"


def _is(cell: Cell, found: Answer) -> bool:
    return (cell.run.name, cell.language.code) == (found.run.name, found.language.code)


def _said_by(found: Answer | None, judge: str) -> int | None:
    """The bits of a judge's verdict on an answer; of the first judge where that one gave none."""
    if found is None or not found.said:
        return None
    return next((own for name, _, own in found.said if name == judge), found.said[0][2])


def _settings(found: Answer) -> list[tuple[str, str]]:
    """What decided the answer, as (name, value), and where its record is."""
    about = found.run.about
    model, spec, task = about["model"], about["spec"], about["tasks"].get(found.task.task, {})
    rows = [
        ("model", model["name"]),
        ("adapter", (model["adapter"] or {}).get("name")),
        ("weights", model["weights_digest"]),
        ("engine", " ".join(filter(None, [model["engine"], model["engine_version"], model["dtype"]]))),
        ("system prompt", about["prompting"]["system_prompt"]),
        ("thinking", spec.get("thinking")),
        ("generation", json.dumps(task.get("generation"), ensure_ascii=False)),
        ("decoding", json.dumps(task.get("decoding"), ensure_ascii=False)),
        ("task", f"{task.get('name')} version {task.get('version')}, pack {task.get('pack')}"),
        ("licence", task.get("licence")),
        ("caution", task.get("caution")),
        *((key.replace("_", " "), str(value)) for key, value in found.more.items()),
        ("run", f"{found.run.name}, {about['finished']}"),
        ("record", f"{found.run.folder}/run.json"),
    ]
    return [(name, value) for name, value in rows if value and value != "null"]
