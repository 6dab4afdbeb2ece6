"""The report's first table: each comparison with the answer to each question, in a line."""

from collections.abc import Iterable, Sequence

from mlc_bench.leaderboard.report import claims, method_tables
from mlc_bench.leaderboard.report.claims import Called
from mlc_bench.leaderboard.report.method_tables import DASH

CALLS = """In each cell: the call, and the difference by the first judge / by the second, over the languages in which \
it may decide. These are fewer, so the two may differ where the judges do not. **rises**, **falls**: the interval is \
on that side of 0, by both judges where the second one may decide. **steady**: it holds 0 and ends within five points, \
by both. **undecided**: neither, or the judges differ. *On the edge*: other draws of the bootstrap might change the \
call. With one seed a call says nothing of how another training run would come out. A difference leaves out answers \
of which the judge is unsure in either run, so it is not quite that of the levels below.
"""


def table(called: Sequence[Called]) -> str:
    """A line for each comparison that was run, those with most seeds first; below the table what they come to."""
    by_question: dict[str, list[Called]] = {}
    rows: dict[tuple[str, str], dict[str, Called]] = {}
    for one in called:
        by_question.setdefault(one.question, [])
        if one.call != "not run":
            by_question[one.question].append(one)
            rows.setdefault((one.model, one.comparison), {})[one.question] = one
    if not rows:
        return "No method has been run yet: what follows is the base alone.\n"
    head = ["model", "comparison", "seeds", *(f"{name} ({_over(ones)})" for name, ones in by_question.items())]
    models = list(dict.fromkeys(model for model, _ in rows))
    seeds = {key: [one.effect.seeds for one in found.values() if one.effect] for key, found in rows.items()}
    cells = [
        [*key, _span(seeds[key])] + [_answer(rows[key][name]) if name in rows[key] else DASH for name in by_question]
        for key in sorted(rows, key=lambda key: (models.index(key[0]), -max(seeds[key], default=0)))
    ]
    sentence = claims.moves_the_threshold(called)
    return method_tables.table(head, cells) + (f"\n{sentence}\n" if sentence else "")


def _over(called: Sequence[Called]) -> str:
    """The prompts and the languages that the answers to one question rest on."""
    languages = _span(len(one.languages) for one in called if one.effect)
    prompts = f"n {_span(one.effect.prompts for one in called if one.effect)}"
    if languages == "1":
        return prompts
    second = _span(len(one.second_languages) for one in called if one.second)
    return f"{prompts}, {languages} languages" + (f" / {second}" if second != DASH else "")


def _span(numbers: Iterable[int]) -> str:
    found = sorted(set(numbers))
    return " to ".join(str(found[place]) for place in (0, -1)[: len(found)]) or DASH


def _answer(one: Called) -> str:
    """The call, and the effect by both judges."""
    if one.effect is None:
        return f"**{one.call}**"
    said = f"**{one.call}**{' (on the edge)' if one.on_edge else ''} {method_tables.shown(one.effect)}"
    if not one.effect.differs:
        said += " (no verdict differs)"
    if one.second:
        return f"{said} / {method_tables.shown(one.second)}"
    return f"{said} ({one.note})" if one.note else said
