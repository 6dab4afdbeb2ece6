"""How many refusals a judge sees, and how many answers it takes for one:

    python benchmarks/judges/refusals.py [--judge NAME]

First on the test side of the written corpus: by language, and by kind over all languages. Refusing and deflecting
answers are refusals. Then on labelled answers of real models in MLC_BENCH_DATA (or ../shared/data), every second line,
beginning with the second: the other lines are there to find kinds of miss in. XSTest's are its held-out half. Sets
that the judges `refusal` and `refusal-hidden` are fitted on are left out for them: the fit of `refusal` counts them
with weights that did not see them. Last on the beginnings of these answers, as a limit of tokens leaves them.

Sensitivity: the share of refusals that it sees. Specificity: the share of other answers that it leaves alone. In
brackets 95 % intervals (Wilson). An answer without a verdict counts as no refusal. `--judge plain` is string matching:
the words for "cannot", "will not" and "sorry" of the answer's language, anywhere in it. `--write` puts the counts into
mlc_bench/judges/agreement.json. For a slow judge: `--judge llm@demo-1.5b --sample 60`, real models' answers alone.
"""

import argparse
import os
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlc_bench.catalog import languages
from mlc_bench.core.errors import UsageError
from mlc_bench.core.progress import bar
from mlc_bench.core.spec import parse_pairs
from mlc_bench.judges import agreement, corpus, coverage, judging
from mlc_bench.judges.hidden import fit as hidden
from mlc_bench.judges.refusal import concepts, fit, rows
from mlc_bench.judges.rules import rules
from mlc_bench.judges.rules.rules import UNSPACED
from mlc_bench.judges.text import normalise
from mlc_bench.records.aggregate import rate

Row = dict[str, Any]
FITTED = {"ko", "id", "jv"}
LABELS = Path(__file__).parent / "labels"
PLAIN = {"cannot", "wont", "sorry"}
VERSIONS = {
    "rules": rules.VERSION, "refusal": fit.VERSION, "refusal-hidden": hidden.VERSION, "plain": "1",
    "llm@demo-1.5b": "1",
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--judge", default="rules")
    parser.add_argument("--write", action="store_true")
    parser.add_argument(
        "--sample", type=int, metavar="N", help="of each set and language, N / 2 refusals and N / 2 others"
    )
    parser.add_argument("--judge-args", nargs="*", default=[], metavar="KEY=VALUE", help="as of mlc-bench judge")
    options = parser.parse_args()
    if options.write and options.judge not in VERSIONS:
        parser.error(f"--write is for the embedded judges: {', '.join(VERSIONS)}")
    folder = Path(os.environ.get("MLC_BENCH_DATA") or Path(__file__).parents[3] / "shared" / "data")
    real = [row for row in rows.labelled(folder, LABELS) if row["label"] in {*agreement.REFUSALS, "complies"}]
    if options.judge in ("refusal", "refusal-hidden"):
        real = [row for row in real if row["set"] not in FITTED]
    if options.sample:
        real = _judged(options.judge, _sample(real, options.sample), parse_pairs(options.judge_args, "--judge-args"))
        print(f"judge {options.judge}: sensitivity, specificity (refusals + others)\n")
        _show_by(real, lambda row: f"{row['set']} {row['language']}")
        if options.write:
            agreement.write(agreement.counted(options.judge, VERSIONS[options.judge], real))
        return
    written = [
        row | {"label": row["action"], "set": "written corpus", "source": "written"} for row in corpus.rows("test")
    ]
    written = _judged(options.judge, written)
    print(f"judge {options.judge}: sensitivity, specificity (refusals + others)\n\nwritten, by language")
    _show_by(written, lambda row: row["tag"])
    _show_by(written, lambda row: "all")
    print("\nwritten, by kind: share called refusals")
    for kind in dict.fromkeys(row["kind"] for row in written):
        own = [row for row in written if row["kind"] == kind]
        print(f"{kind:<20} {own[0]['label']:<9} {_share(sum(row['seen'] for row in own), len(own))}")
    real = _judged(options.judge, real)
    print("\nanswers of real models, by set and language")
    _show_by(real, lambda row: f"{row['set']} {row['language']}")
    print("\nby model, where a set has several")
    several = {name for name in rows.sets(LABELS) if len({row["model"] for row in real if row["set"] == name}) > 1}
    _show_by([row for row in real if row["set"] in several], lambda row: f"{row['set']} {row['model']}")
    print("\ntheir beginnings, as a limit of tokens leaves them")
    _show_by(_judged(options.judge, [_beginning(row) for row in real]), lambda row: f"{row['set']} {row['language']}")
    if options.write:
        agreement.write(agreement.counted(options.judge, VERSIONS[options.judge], written + real))


def _sample(labelled: list[Row], size: int) -> list[Row]:
    """Of each set and language as many refusals as others, those whose checksums are lowest, in their order."""
    chosen: set[int] = set()
    for where in dict.fromkeys((row["set"], row["language"]) for row in labelled):
        for refuses in (True, False):
            own = [
                place
                for place, row in enumerate(labelled)
                if (row["set"], row["language"]) == where and (row["label"] in agreement.REFUSALS) == refuses
            ]
            chosen |= set(sorted(own, key=lambda place: zlib.crc32(labelled[place]["response"].encode()))[: size // 2])
    return [labelled[place] for place in sorted(chosen)]


def _judged(judge: str, asked: list[Row], settings: dict[str, Any] | None = None) -> list[Row]:
    """The rows with `seen`: whether the judge says that the answer refuses; and `unsure`."""
    asked = [{"tag": row["language"]} | row for row in asked]
    if judge == "plain":
        return [row | {"seen": _matches(row), "unsure": False} for row in asked]
    unread = sorted({row["language"] for row in asked if not _reads(judge, row["language"])})
    if unread:
        print(f"not read by {judge}, left out: {' '.join(unread)}")
    asked = [row for row in asked if row["language"] not in unread]
    bare: list[Row] = [
        {key: row[key] for key in ("id", "language", "prompt", "response", "truncated") if key in row} for row in asked
    ]
    if not settings:
        judging.verdicts(judge, bare[:50])  # loads what it reads
    with bar("judge") as report:
        start = time.process_time()
        found = judging.verdicts(judge, bare, report, settings)
    print(f"{len(bare) / (time.process_time() - start):.0f} answers a second of processor time")
    return [
        row | {"seen": verdict["refused"] is True, "unsure": verdict["verdict"] == "unsure"}
        for row, verdict in zip(asked, found, strict=True)
    ]


def _beginning(row: Row) -> Row:
    """The first 60 to 180 characters of an answer, half as many where words have no spaces between them."""
    length = 60 + zlib.crc32(row["response"].encode()) % 120
    if languages.get(row["language"]).script in UNSPACED:
        length //= 2
    return row | {"response": row["response"][:length], "truncated": len(row["response"]) > length}


def _matches(row: Row) -> bool:
    finder = concepts.finder(frozenset([row["language"], "en"]))
    return bool(PLAIN & finder.find(normalise(row["response"])))


def _reads(judge: str, language: str) -> bool:
    try:
        coverage.check(judge, None, [("the answers", "safety", {language})])
    except UsageError:
        return False
    return True


def _show_by(judged: list[Row], part: Callable[[Row], str]) -> None:
    for name in dict.fromkeys(map(part, judged)):
        own = [row for row in judged if part(row) == name]
        refusals = [row["seen"] for row in own if row["label"] in agreement.REFUSALS]
        others = [not row["seen"] for row in own if row["label"] not in agreement.REFUSALS]
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
