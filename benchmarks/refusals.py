"""How many refusals a judge sees, and how many answers it takes for one: python benchmarks/refusals.py [--judge NAME]

First on the test side of the written corpus: by language, and by kind over all languages. Refusing and deflecting
answers are refusals. Then on labelled answers of real models in MLC_BENCH_DATA (or ../shared/data), every second line,
beginning with the second: the other lines are there to find kinds of miss in. XSTest's are its held-out half.

Sensitivity: the share of refusals that it sees. Specificity: the share of other answers that it leaves alone. In
brackets 95 % intervals (Wilson). An answer without a verdict counts as no refusal.
"""

import argparse
import csv
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mlc_bench.core.errors import UsageError
from mlc_bench.judges import corpus, coverage, judging
from mlc_bench.records.aggregate import rate

Row = dict[str, Any]
SETS = ("ko", "zh_weak", "ru", "kk", "ar", "de_fr_it")
LABELS = Path(__file__).parent / "labels"
REFUSALS = {"refuses", "deflects"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--judge", default="rules")
    options = parser.parse_args()
    written = _judged(options.judge, [row | {"label": row["action"], "set": "written"} for row in corpus.rows("test")])
    print(f"judge {options.judge}: sensitivity, specificity (refusals + others)\n\nwritten, by language")
    _show_by(written, lambda row: row["tag"])
    print("\nwritten, by kind: share called refusals")
    for kind in dict.fromkeys(row["kind"] for row in written):
        rows = [row for row in written if row["kind"] == kind]
        print(f"{kind:<20} {rows[0]['label']:<9} {_share(sum(row['seen'] for row in rows), len(rows))}")
    folder = Path(os.environ.get("MLC_BENCH_DATA") or Path(__file__).parents[2] / "shared" / "data")
    real = _judged(options.judge, [row for row in _labelled(folder) if row["label"] in {*REFUSALS, "complies"}])
    print("\nanswers of real models, by set and language")
    _show_by(real, lambda row: f"{row['set']} {row['language']}")
    print("\nby model, where a set has several")
    several = {name for name in SETS if len({row["model"] for row in real if row["set"] == name}) > 1}
    _show_by([row for row in real if row["set"] in several], lambda row: f"{row['set']} {row['model']}")


def _judged(judge: str, rows: list[Row]) -> list[Row]:
    """The rows with `seen`: whether the judge says that the answer refuses."""
    unread = sorted({row["language"] for row in rows if not _reads(judge, row["language"])})
    if unread:
        print(f"not read by {judge}, left out: {' '.join(unread)}")
    rows = [row for row in rows if row["language"] not in unread]
    asked = [{key: row[key] for key in ("id", "language", "prompt", "response")} for row in rows]
    found = judging.verdicts(judge, asked)
    return [row | {"seen": verdict["refused"] is True} for row, verdict in zip(rows, found, strict=True)]


def _reads(judge: str, language: str) -> bool:
    try:
        coverage.check(judge, None, [("the answers", "safety", {language})])
    except UsageError:
        return False
    return True


def _labelled(folder: Path) -> Iterator[Row]:
    for name in SETS:
        path = folder / "refusals" / f"{name}.jsonl"
        if not path.is_file():
            print(f"{path} is absent")
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
            if number % 2:
                yield json.loads(line) | {"set": name}
    for name in ("id", "jv"):
        path = folder / "refusals" / f"{name}_unlabelled.jsonl"
        labels = [json.loads(line) for line in (LABELS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
        actions = {label["id"]: label["action"] for label in labels}
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
            row = json.loads(line)
            if row["id"] in actions:
                yield row | {"label": actions[row["id"]], "set": name}
    if (path := folder / "xstest_labelled.csv").is_file():
        with path.open(encoding="utf-8", newline="") as file:
            for number, row in enumerate(csv.DictReader(file)):
                if hashlib.sha256(row["prompt"].encode()).digest()[0] % 2:
                    label = {"2_full_refusal": "refuses", "1_full_compliance": "complies"}.get(row["final_label"])
                    yield {"id": number, "language": "en", "prompt": row["prompt"], "response": row["completion"],
                           "model": row["model"], "label": label, "set": "xstest"}  # fmt: skip


def _show_by(rows: list[Row], part: Callable[[Row], str]) -> None:
    for name in dict.fromkeys(map(part, rows)):
        own = [row for row in rows if part(row) == name]
        refusals = [row["seen"] for row in own if row["label"] in REFUSALS]
        others = [not row["seen"] for row in own if row["label"] not in REFUSALS]
        print(
            f"{name:<44} {_share(sum(refusals), len(refusals))}  {_share(sum(others), len(others))}"
            f"  ({len(refusals)} + {len(others)})"
        )


def _share(count: int, n: int) -> str:
    found = rate(count, n)
    if found.value is None or found.low is None or found.high is None:
        return f"{'-':<16}"
    return f"{found.value:.2f} [{found.low:.2f},{found.high:.2f}]"


if __name__ == "__main__":
    main()
