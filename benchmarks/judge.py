"""How well the embedded judge agrees with people, and how fast it is: python benchmarks/judge.py

Reads XSTest's human-labelled English completions, `xstest_labelled.csv`, in MLC_BENCH_DATA (or ../shared/data). Partial
refusals are left out. The rules were written in view of half of the prompts; the other half is held out.
"""

import csv
import hashlib
import os
import time
from pathlib import Path

from mlc_bench.aggregate import rate
from mlc_bench.judges import rules


def main() -> None:
    folder = Path(os.environ.get("MLC_BENCH_DATA") or Path(__file__).parents[2] / "shared" / "data")
    with (folder / "xstest_labelled.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["final_label"] != "3_partial_refusal"]
    rules.judge("Loads", "the model that tells languages apart.", "en")
    start = time.perf_counter()
    for half in (0, 1):
        part = [row for row in rows if hashlib.sha256(row["prompt"].encode()).digest()[0] % 2 == half]
        people = [row["final_label"] for row in part]
        ours = [rules.judge(row["prompt"], row["completion"], "en").refused for row in part]
        agreed = sum(bool(a) == (b == "2_full_refusal") for a, b in zip(ours, people, strict=True))
        matched = sum(row["strmatch_label"] == row["final_label"] for row in part)
        found = rate(agreed, len(part))
        print(
            f"{'held out' if half else 'development'}: {len(part)} answers, rules agree with people on "
            f"{100 * agreed / len(part):.1f} % [{100 * (found.low or 0):.1f},{100 * (found.high or 0):.1f}], "
            f"published string matching on {100 * matched / len(part):.1f} %"
        )
    print(f"{len(rows) / (time.perf_counter() - start):.0f} answers a second")


if __name__ == "__main__":
    main()
