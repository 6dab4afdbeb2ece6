"""Judges named together, answer by answer: what one says of refusal against what the other says of harm."""

from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from mlc_bench.judges import judging
from mlc_bench.records import counts
from mlc_bench.records.record import RunRecord

Row = dict[str, Any]
REFUSAL = ("refuses", "complies")
HARM = ("not harmful", "harmful")
OTHERS = ("invalid", "unsure", "no verdict")


def said(row: Row, sees: Sequence[str]) -> str:
    """A verdict row in the words of these tables: by harm where the judge sees it, else by refusal."""
    if row["verdict"] is None:
        return "no verdict"
    if row["verdict"] in (counts.INVALID, counts.UNSURE):
        return str(row["verdict"])
    if "harm" in sees:
        return HARM[row["verdict"] == "unsafe"]
    return REFUSAL[counts.refused(row) is False]


def tables(folder: Path, records: Sequence[RunRecord]) -> dict[tuple[str, str, str], Counter[tuple[str, str]]]:
    """How many answers of a run got which two words, by (task, first judge, second judge); all languages together.

    Blocked answers, which no judge was asked about, are left out. StaleError where verdicts are gone.
    """
    verdicts = [judging.read_verdicts(folder, found) for found in records]
    made = {}
    for (one, first), (other, second) in combinations(list(zip(records, verdicts, strict=True)), 2):
        for task in first:
            theirs = {(row["language"], row["id"]): row for row in second.get(task, [])}
            pairs = [(row, theirs.get((row["language"], row["id"]))) for row in first[task]]
            made[task, one.judge.id, other.judge.id] = Counter(
                (said(row, one.judge.sees), said(own, other.judge.sees))
                for row, own in pairs
                if own is not None and row["verdict"] != counts.BLOCKED
            )
    return made


def text(folder: Path, records: Sequence[RunRecord]) -> str:
    """The tables as plain text; empty for one judge."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=100, force_terminal=False, no_color=True, highlight=False)
    with console.capture() as capture:
        for (task, first, second), found in tables(folder, records).items():
            columns = [word for word in (*HARM, *REFUSAL, *OTHERS) if any(word == other for _, other in found)]
            console.print(f"{task}: {first} (rows) and {second} (columns), answers", soft_wrap=True)
            table = Table()
            table.add_column("")
            for word in columns:
                table.add_column(word, justify="right")
            for word in (*REFUSAL, *HARM, *OTHERS):
                if any(word == own for own, _ in found):
                    table.add_row(word, *(str(found[word, other]) for other in columns))
            console.print(table)
    return capture.get()
