"""How well `rules` agrees with people, what each rule adds, and how fast it is: python benchmarks/judges/judge.py

First the responses of the embedded training set, in English and as translated, without the first rows of each kind,
which the judges were written in view of or fitted on: how many refusals does `rules` see in each language, and how many
`refusal`?

Then it reads XSTest's human-labelled English completions, `xstest_labelled.csv`, in MLC_BENCH_DATA (or ../shared/data).
Partial refusals are left out. The rules were written in view of the answers to half of the prompts, of both models; of
the other half only the figures below were seen.

Cross-validation. The rules were not fitted, so nothing can be refitted on one model. What can be done: keep only the
alternatives of English wording that decide rightly on model A (on its answers, on more refusals than compliances), drop
all others, and judge model B. (The phrases of en.yaml stay: verbs of helping that every model uses.) For a B of whose
answers nothing was known this is rather low, since whoever writes a rule writes more than the one form that A uses, and
rather high, since exceptions from rules stay.
"""

import csv
import os
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from mlc_bench.judges import judging
from mlc_bench.judges.refusal.rows import Labelled, is_held_out, later_training
from mlc_bench.judges.rules import english, rules
from mlc_bench.judges.text import gives_steps, normalise, opening
from mlc_bench.records.aggregate import rate

Row = dict[str, str]


def main() -> None:
    _embedded()
    folder = Path(os.environ.get("MLC_BENCH_DATA") or Path(__file__).parents[3] / "shared" / "data")
    with (folder / "xstest_labelled.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["final_label"] != "3_partial_refusal"]
    rules.judge("Loads", "the model that tells languages apart.", "en")

    for name, part in _parts(rows):
        _show(name, sum(map(_agrees, part)), part)
    speed = time.perf_counter()
    agreed = sum(map(_agrees, rows))
    speed = len(rows) / (time.perf_counter() - speed)

    print("\nrule: on how many refusals + compliances it decides; answers judged right only because of it")
    deciding = [(_rule_of(row), row["model"], _refused(row)) for row in rows]
    for name in ("phrase", *(rule.name for rule in english.RULES), "late"):
        fired = Counter((model, refused) for rule, model, refused in deciding if rule == name)
        counts = ", ".join(f"{model} {fired[model, True]} + {fired[model, False]}" for model in _models(rows))
        kept = tuple(rule for rule in english.RULES if rule.name != name)
        without = "" if len(kept) == len(english.RULES) else f"{agreed - _agreed_with(kept, rows):+d}"
        print(f"{name:<11} {counts:<32} {without}")

    print("\nwording chosen on one model, judged on the other")
    for model in _models(rows):
        here = [row for row in rows if row["model"] == model]
        there = [row for row in rows if row["model"] != model]
        chosen, share = _chosen_on(here)
        _show(f"{share} alternatives kept, {model}", _agreed_with(chosen, here), here)
        _show("the other model", _agreed_with(chosen, there), there)
    print(f"\n{speed:.0f} answers a second")


def _agreed_with(kept: tuple[english.Rule, ...], rows: list[Row]) -> int:
    """On how many answers people agree with a judge that has only some of the rules."""
    original = english.RULES
    english.RULES = kept
    try:
        return sum(map(_agrees, rows))
    finally:
        english.RULES = original


def _chosen_on(rows: list[Row]) -> tuple[tuple[english.Rule, ...], str]:
    """The rules with only the alternatives that, on these answers, decide more refusals than compliances."""
    prompts = [(normalise(row["prompt"]), normalise(row["completion"]), row) for row in rows]
    chosen, total, kept = [], 0, 0
    for rule in english.RULES:
        alternatives = _alternatives(rule.pattern.pattern)
        right = []
        for alternative in alternatives:
            alone = replace(rule, pattern=re.compile(alternative))
            fired = Counter(_refused(row) for asked, said, row in prompts if _decides(alone, asked, said, row))
            if fired[True] > fired[False]:
                right.append(alternative)
        total += len(alternatives)
        kept += len(right)
        if right:
            chosen.append(replace(rule, pattern=re.compile("|".join(right))))
    return tuple(chosen), f"{kept} of {total}"


def _decides(rule: english.Rule, asked: str, said: str, row: Row) -> bool:
    original = english.RULES
    english.RULES = (rule,)
    try:
        return english.declines(asked, opening(said)[0], said, gives_steps(row["completion"])) is not None
    finally:
        english.RULES = original


def _alternatives(pattern: str) -> list[str]:
    """The alternatives of a pattern at its top level."""
    found, depth, start, escaped, bracket = [], 0, 0, False, False
    for at, character in enumerate(pattern):
        if escaped or character == "\\":
            escaped = not escaped
        elif bracket:
            bracket = character != "]"
        elif character == "[":
            bracket = True
        elif character in "()":
            depth += 1 if character == "(" else -1
        elif character == "|" and not depth:
            found.append(pattern[start:at])
            start = at + 1
    return [*found, pattern[start:]]


def _show(name: str, agreed: int, rows: list[Row]) -> None:
    matched = sum(row["strmatch_label"] == row["final_label"] for row in rows)
    found = rate(agreed, len(rows))
    print(
        f"{name}: {len(rows)} answers, rules agree with people on {100 * agreed / len(rows):.1f} % "
        f"[{100 * (found.low or 0):.1f},{100 * (found.high or 0):.1f}], "
        f"published string matching on {100 * matched / len(rows):.1f} %"
    )


def _embedded() -> None:
    """By language: the refusals that a judge sees, and the other answers that it takes for one, each text once."""
    found: dict[str, dict[str, Labelled]] = defaultdict(dict)
    for row in later_training():
        found[row.language].setdefault(row.response, row)
    print("embedded training set, later rows: refusals seen, other answers taken for one, by rules and by refusal")
    for code, own in sorted(found.items()):
        print(f"{code:4} {_counted('rules', list(own.values()))}   {_counted('refusal', list(own.values()))}")
    print()


def _counted(judge: str, labelled: list[Labelled]) -> str:
    asked = [
        {"id": str(place), "language": row.language, "prompt": row.prompt, "response": row.response}
        for place, row in enumerate(labelled)
    ]
    said = [verdict["refused"] is True for verdict in judging.verdicts(judge, asked)]
    refuses = [row.action != "complies" for row in labelled]
    seen = sum(one and two for one, two in zip(said, refuses, strict=True))
    return f"{seen:3} of {sum(refuses)}, {sum(said) - seen:2} of {len(labelled) - sum(refuses)}"


def _parts(rows: list[Row]) -> Iterator[tuple[str, list[Row]]]:
    yield "all", rows
    for half, name in enumerate(("development", "held out")):
        yield name, [row for row in rows if _half(row) == half]
    for model in _models(rows):
        yield model, [row for row in rows if row["model"] == model]
        for half, name in enumerate(("development", "held out")):
            yield f"{model}, {name}", [row for row in rows if row["model"] == model and _half(row) == half]


def _models(rows: list[Row]) -> list[str]:
    return sorted({row["model"] for row in rows})


def _half(row: Row) -> int:
    return int(is_held_out(row["prompt"]))


def _refused(row: Row) -> bool:
    return row["final_label"] == "2_full_refusal"


def _agrees(row: Row) -> bool:
    return bool(rules.judge(row["prompt"], row["completion"], "en").refused) == _refused(row)


def _rule_of(row: Row) -> str | None:
    return rules.declines(normalise(row["prompt"]), normalise(row["completion"]), row["completion"], "en", "en")


if __name__ == "__main__":
    main()
