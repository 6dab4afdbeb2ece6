"""The report's first table: each comparison with the answer to each question, in a line."""

from collections.abc import Iterable, Sequence

from mlc_bench.leaderboard.report import claims, method_tables
from mlc_bench.leaderboard.report.claims import Called
from mlc_bench.leaderboard.report.method_tables import DASH

CALLS = """In each cell: the call, and the difference by the first judge / by the second, over the languages in which \
it may decide. These are fewer, so the two may differ where the judges do not. **rises**, **falls**: the interval is \
on that side of 0, by both judges where the second one may decide. **steady**: it holds 0 and ends within five points, \
by both. **undecided**: neither, or the judges differ. *On the edge*: other draws of the bootstrap might change the \
call. A difference leaves out answers of which the judge is unsure in either run, so it is not quite that of the \
levels below.
"""

ONE_SEED = "With one seed: where something is trained, a call says nothing of how another run would come out.\n"


def table(called: Sequence[Called]) -> str:
    """A line for each comparison that was run; those with one seed in a table of their own, where others have more."""
    rows: dict[tuple[str, str], dict[str, Called]] = {}
    for one in called:
        if one.call != "not run":
            rows.setdefault((one.model, one.comparison), {})[one.question] = one
    if not rows:
        return "No method has been run yet: what follows is the base alone.\n"
    questions = list(dict.fromkeys(one.question for one in called))
    several = {key: found for key, found in rows.items() if max(_seeds(found), default=0) > 1}
    single = {key: found for key, found in rows.items() if key not in several}
    parts = [_table(several, questions)] if several else []
    parts += [ONE_SEED, _table(single, questions)] if single else []
    sentence = claims.moves_the_threshold(called)
    return "\n".join([*parts, *([f"{sentence}\n"] if sentence else [])])


def _table(rows: dict[tuple[str, str], dict[str, Called]], questions: Sequence[str]) -> str:
    """Those with most seeds first."""
    over = [_over([found[name] for found in rows.values() if name in found]) for name in questions]
    head = ["model", "comparison", "seeds", *(f"{name} ({what})" for name, what in zip(questions, over, strict=True))]
    models = list(dict.fromkeys(model for model, _ in rows))
    cells = [
        [*key, _span(_seeds(rows[key]))]
        + [_answer(rows[key][name]) if name in rows[key] else DASH for name in questions]
        for key in sorted(rows, key=lambda key: (models.index(key[0]), -max(_seeds(rows[key]), default=0)))
    ]
    return method_tables.table(head, cells)


def _seeds(found: dict[str, Called]) -> list[int]:
    """The seeds that the answers of one comparison rest on."""
    return [one.effect.seeds for one in found.values() if one.effect]


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
