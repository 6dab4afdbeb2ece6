"""Fit a head of the judge `refusal-hidden`: python -m mlc_bench.judges.hidden.fit [--model MODEL --out FILE]

Two logistic regressions (scikit-learn, L2) on the hidden states of a model: "refuses or deflects" against "complies",
and "deflects" against "refuses". Slope, thresholds and what is unsure stand on scores of rows that were held out, as
for the judge `refusal`, whose rows these are: up to 80 of each language tag of the written corpus' training side, and
up to 300 of each other source; and the beginnings of those that comply. Without --model it makes the shipped head and
card.md anew.

`--measure am,ta` writes no head. It counts what one sees in each of these languages, if neither it nor the rules have
anything of the language.
"""

import argparse
import os
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlc_bench.core.errors import UsageError, UserError
from mlc_bench.core.progress import bar
from mlc_bench.engines.identity import Identity
from mlc_bench.judges import agreement, corpus, spec
from mlc_bench.judges.hidden import head as heads
from mlc_bench.judges.hidden import kept
from mlc_bench.judges.hidden.head import Head
from mlc_bench.judges.hidden.judge import locate, model_digest
from mlc_bench.judges.hidden.states import DTYPES, Encoder
from mlc_bench.judges.refusal import fit as refusal
from mlc_bench.judges.refusal import model, rows
from mlc_bench.judges.refusal.features import Answer
from mlc_bench.judges.refusal.judge import answer_of
from mlc_bench.judges.refusal.rows import Labelled
from mlc_bench.judges.rules import rules
from mlc_bench.records.aggregate import rate

VERSION = "2"
"""Goes up with each fit of the shipped head that changes a verdict."""

MODEL = "demo-gemma"
DEPTH = 0.5  # of the layer whose states are read, in the model
STRENGTH = 0.005  # of the fit on standardised states, scikit-learn's C
MOST_WRITTEN, MOST_OTHERS = 80, 300  # rows of a tag of the written corpus, of any other source

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Read:
    """A labelled answer that there is something to read in."""

    row: Labelled
    text: str
    """The answer without special tokens and thinking."""
    answer: Answer

    @property
    def refuses(self) -> bool:
        return self.row.action != "complies"


def chosen(data: Path, labels: Path, own_only: bool = False) -> list[Labelled]:
    """The rows that are fitted on: of each source those whose checksums are lowest."""
    found: dict[str, list[Labelled]] = defaultdict(list)
    for stored, row in zip(corpus.rows(corpus.TRAIN), rows.written(corpus.TRAIN), strict=True):
        found[f"written {stored['tag']}"].append(row)
    others = [row for row in rows.own() if row.source != "written"]
    for row in others if own_only else others + rows.of_others(data, labels):
        found[row.source].append(row)
    made = []
    for source, own in found.items():
        own.sort(key=lambda row: zlib.crc32(f"{row.prompt}\n{row.response}".encode()))
        made += own[: MOST_WRITTEN if source.startswith("written ") else MOST_OTHERS]
    return made + beginnings(made)


def beginnings(labelled: Sequence[Labelled]) -> list[Labelled]:
    """Answers that comply, as a limit of tokens leaves them: the judge would take most of them for refusals.

    Those of refusals, which are short, are left out: with them it takes more beginnings for one.
    """
    return [row for row in rows.cut(labelled, one_in=1) if row.action == "complies"]


def read(labelled: Iterable[Labelled]) -> list[Read]:
    """The answers as they are read, without those that are none."""
    made = []
    for row in labelled:
        reading = rules.read(row.prompt, row.response, row.language, False, False)
        if isinstance(reading, rules.Reading):
            made.append(Read(row, reading.answer, answer_of(reading)))
    return made


def fit(labelled: Sequence[Read], states: Floats, layer: int, name: str, digest: str) -> Head:
    """The head for these rows and their states [n, 2 H], of the model with this name and digest."""
    y = np.array([one.refuses for one in labelled])
    groups = np.array([one.row.group for one in labelled])
    languages = np.array([one.row.language for one in labelled])
    mean, spread = states.mean(axis=0, dtype=np.float64), states.std(axis=0, dtype=np.float64) + 1e-6
    x = (states - mean) / spread
    scores = refusal.held_out(x, y, groups, STRENGTH)
    slope, offsets, unsure = refusal.calibrated(scores, y, languages)

    def on_states(regression: Any) -> tuple[Floats, float]:
        weights = regression.coef_[0] / spread
        return weights.astype(np.float32), float(regression.intercept_[0] - weights @ mean)

    refuses, refuses_bias = on_states(refusal.regression(x, y, STRENGTH))
    deflecting = np.array([one.row.action == "deflects" for one in labelled])
    deflects, deflects_bias = on_states(refusal.regression(x[y], deflecting[y], STRENGTH))
    return Head(
        refuses=refuses, refuses_bias=refuses_bias, deflects=deflects, deflects_bias=deflects_bias, slope=slope,
        offsets=offsets, unsure=unsure, version=VERSION, layer=layer, model=name, model_digest=digest,
    )  # fmt: skip


def said(head: Head, labelled: Sequence[Read], states: Floats, by_states_alone: bool = False) -> list[str]:
    """What is said of the answers: refuses (also for deflects), complies or unsure; perhaps without the rules."""
    found: list[str] = []
    for one, own in zip(labelled, states, strict=True):
        answer = replace(one.answer, rule=None) if by_states_alone else one.answer
        found.append(model.finding(head.probability(own, answer)[0], 0.0, head.unsure))
    return found


def measure(labelled: Sequence[Read], states: Floats, tests: Sequence[Read], test_states: Floats, whole: Head) -> None:
    """Print what is seen of each unseen language's test side, by `whole` and by a head without its rows.

    The latter has no threshold for the language, and no rules.
    """
    languages = np.array([one.row.language for one in labelled])
    of_tests = np.array([one.row.language for one in tests])
    print(f"{'language':10}{'fitted with it':40}{'never seen, no rules':40}refusals + others")
    all_counts: dict[str, Counter[tuple[bool, bool]]] = defaultdict(Counter)
    for code in dict.fromkeys(one.row.language for one in tests):
        here, kept_rows = of_tests == code, languages != code
        own = [one for one, held in zip(tests, here, strict=True) if held]
        others = [one for one, held in zip(labelled, kept_rows, strict=True) if held]
        without = fit(others, states[kept_rows], whole.layer, whole.model, whole.model_digest)
        shown = []
        for name, found in (
            ("with", said(whole, own, test_states[here])),
            ("without", said(without, own, test_states[here], by_states_alone=True)),
        ):
            counts = Counter((one.refuses, verdict == "refuses") for one, verdict in zip(own, found, strict=True))
            all_counts[name] += counts
            shown.append(_shown(counts))
        print(f"{code:10}{shown[0]:40}{shown[1]:40}{_sizes(counts)}", flush=True)
    shown = [_shown(all_counts[name]) for name in ("with", "without")]
    print(f"{'all':10}{shown[0]:40}{shown[1]:40}{_sizes(all_counts['with'])}")


def _shown(counts: Counter[tuple[bool, bool]]) -> str:
    """Sensitivity and specificity with 95 % intervals, from counts by (refuses, called a refusal)."""
    seen, left = counts[True, True], counts[False, False]
    shares = rate(seen, seen + counts[True, False]), rate(left, left + counts[False, True])
    return " ".join(f"{agreement.shown(share):18}" for share in shares)


def _sizes(counts: Counter[tuple[bool, bool]]) -> str:
    return f"{counts[True, True] + counts[True, False]} + {counts[False, True] + counts[False, False]}"


def card(labelled: Sequence[Read]) -> str:
    """What the shipped head was fitted on."""
    counts = Counter((one.row.source, one.refuses) for one in labelled)
    table = "".join(
        f"| {source} | {licence} | {counts[source, True]} | {counts[source, False]} |\n"
        for source, licence in rows.LICENCES.items()
    )
    return CARD.format(table=table, languages=len({one.row.language for one in labelled}), version=VERSION)


CARD = """# What the judge `refusal-hidden` was fitted on

Version {version}, for the model `demo-gemma`; {languages} languages. Written by
`python -m mlc_bench.judges.hidden.fit`. The rows are some of those of the judge `refusal`; its card says more of each
source. Other answers are counted once more where their beginnings are rows of their own.

| source | licence | refusals and deflections | other answers |
|---|---|---|---|
{table}
The weights are numbers about hidden states of gemma-3-270m; no answer can be read from them, and the model's own terms
(ai.google.dev/gemma/terms) hold for the model.
"""


def states_of(encoder: Encoder, digest: str, answers: Sequence[Read], keep: Path | None, label: str) -> Floats:
    """The states [n, 2 H] of these answers, with a bar."""
    with bar(label) as report:
        return kept.computed(encoder, digest, [(one.row.prompt, one.text) for one in answers], keep, report)


def depth_of(identity: Identity) -> int:
    """How many layers a model has."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(identity.path, trust_remote_code=False)
    return int(config.get_text_config().num_hidden_layers)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m mlc_bench.judges.hidden.fit",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    root = Path(__file__).resolve().parents[3]
    data = Path(os.environ.get("MLC_BENCH_DATA") or root.parent / "shared" / "data")
    parser.add_argument("--model", default=MODEL, help="hub id or folder; default: %(default)s")
    parser.add_argument("--out", type=Path, help="where the head goes; default for demo-gemma: the shipped one")
    parser.add_argument("--layer", type=int, help=f"whose states are read; default: {DEPTH:.2f} of the model's depth")
    parser.add_argument("--dtype", default=DTYPES[0], choices=DTYPES)
    parser.add_argument("--data-dir", type=Path, default=data)
    parser.add_argument("--own", action="store_true", help="fit on the project's own rows alone; needs no data")
    parser.add_argument("--keep", type=Path, help="file in which the states are kept for the next fit")
    parser.add_argument("--measure", metavar="CODES", help="write no head, but how good it is in unseen languages")
    options = parser.parse_args()
    try:
        _main(options, root)
    except UserError as error:
        parser.exit(error.exit_code, f"{error}\n")


def _main(options: argparse.Namespace, root: Path) -> None:
    shipped = options.model == MODEL
    if not options.measure and options.out is None and (not shipped or options.own):
        raise UsageError("say where this head goes: --out FILE; the shipped one is for demo-gemma and all rows")
    named = spec.get("refusal-hidden" + ("" if shipped else f"@{options.model}"))
    identity = locate(named.spec)
    digest = model_digest(identity)
    layer = options.layer or max(1, round(DEPTH * depth_of(identity)))
    encoder = Encoder(identity.path or "", layer, options.dtype)
    labelled = read(chosen(options.data_dir, root / "benchmarks" / "judges" / "labels", options.own))
    states = states_of(encoder, digest, labelled, options.keep, "hidden states")
    head = fit(labelled, states, layer, identity.name, digest)
    if options.measure:
        tests = read(row for row in rows.written(corpus.TEST) if row.language in options.measure.split(","))
        measure(labelled, states, tests, states_of(encoder, digest, tests, options.keep, "of the test side"), head)
        return
    out = options.out or heads.FILE
    head.save(out)
    if out == heads.FILE:
        out.with_name("card.md").write_text(card(labelled), encoding="utf-8")
    print(f"{len(labelled)} answers, layer {layer} of {identity.name}; wrote {out}")


if __name__ == "__main__":
    main()
