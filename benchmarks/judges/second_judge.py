"""The reproduction's second judge, and how it agrees with labels:

    python benchmarks/judges/second_judge.py [--data-dir DIR]

It is `refusal-hidden` with a head of its own, fitted on rows that the judge `refusal` was not fitted on: the test side
of the written corpus, and the responses of the embedded training pairs that came after that judge. So an error that the
first judge learned from its rows is not one of this judge. The labelled answers are those of refusals.py beside this;
it is fitted on none of them. The head goes to baselines/second_head.npz, Cohen's kappa by language to
baselines/second_judge.json: there the reproduction reads where this judge may decide.
"""

import argparse
import json
import zlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from mlc_bench.judges import agreement, corpus, spec
from mlc_bench.judges.hidden import fit
from mlc_bench.judges.hidden.judge import locate, model_digest
from mlc_bench.judges.hidden.states import DTYPES, Encoder
from mlc_bench.judges.refusal import rows
from mlc_bench.judges.refusal.rows import Labelled
from mlc_bench.records import record

ROOT = Path(__file__).resolve().parents[2]
HEAD = ROOT / "baselines" / "second_head.npz"
KAPPA = ROOT / "baselines" / "second_judge.json"
MOST = 120  # rows of a language of the training pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--keep", type=Path, help="file in which the states are kept for the next time")
    options = parser.parse_args()
    identity = locate(spec.get("refusal-hidden").spec)
    digest = model_digest(identity)
    layer = max(1, round(fit.DEPTH * fit.depth_of(identity)))
    encoder = Encoder(identity.path or "", layer, DTYPES[0])
    chosen = [*rows.written(corpus.TEST), *of_pairs()]
    fitted = fit.read([*chosen, *fit.beginnings(chosen)])
    states = fit.states_of(encoder, digest, fitted, options.keep, "hidden states")
    head = fit.fit(fitted, states, layer, identity.name, digest)
    head.save(HEAD)
    print(f"{len(fitted)} answers, layer {layer} of {identity.name}; wrote {HEAD}")
    tests = fit.read(of_others(options.data_dir))
    said = fit.said(head, tests, fit.states_of(encoder, digest, tests, options.keep, "of the labelled answers"))
    judged = [
        {"tag": one.row.language, "set": one.row.language, "source": one.row.source, "label": one.row.action,
         "seen": verdict == "refuses", "unsure": verdict == "unsure"}
        for one, verdict in zip(tests, said, strict=True)
    ]  # fmt: skip
    found = {}
    for count in agreement.counted("refusal-hidden", fit.VERSION, judged):
        kappa = count.kappa
        if kappa.value is None or kappa.low is None or kappa.high is None:
            continue
        found[count.language] = {
            "kappa": round(kappa.value, 4), "low": round(kappa.low, 4), "high": round(kappa.high, 4),
            "refusals": count.refusals, "seen": count.seen, "others": count.others, "alarms": count.alarms,
            "unsure": count.unsure, "labels": count.source,
        }  # fmt: skip
        print(
            f"{count.language:5} kappa {kappa.value:.2f} [{kappa.low:.2f}, {kappa.high:.2f}]  "
            f"{count.refusals} refusals, {count.others} others, labels by {count.source}"
        )
    record.write_text(KAPPA, json.dumps(found, indent=1) + "\n")


def of_pairs() -> Iterator[Labelled]:
    """Of each language, the responses of the later training rows whose checksums are lowest, each text once."""
    found: dict[str, dict[str, Labelled]] = defaultdict(dict)
    for row in rows.later_training():
        found[row.language].setdefault(row.response, row)
    for own in found.values():
        yield from sorted(own.values(), key=lambda row: zlib.crc32(row.response.encode()))[:MOST]


def of_others(folder: Path) -> Iterator[Labelled]:
    """The labelled answers of real models, as rows."""
    for row in rows.labelled(folder, ROOT / "benchmarks" / "judges" / "labels"):
        if row["label"] in {*agreement.REFUSALS, "complies"}:
            yield Labelled(row["source"], row["language"], row["prompt"], row["response"], row["label"], 0)


if __name__ == "__main__":
    main()
