"""Blind labels of a reproduction's answers, without the answers: what the report needs, beside its records.

    python -m mlc_bench.baselines.reproduction.blind_labels labels/NAME.jsonl RUN... --out FOLDER

LABELS is a file of `mlc-bench label`, RUN are the folders of the runs that it was drawn from. Each line of what is
written has the model, task, language and id of an answer, what the person said of it, what each judge says, the
stratum that the answer was drawn from, and of how many answers it stands for one (`weight`).
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlc_bench.core.errors import UsageError, UserError
from mlc_bench.judges import judging
from mlc_bench.judges.labels import draw, weighting
from mlc_bench.judges.labels.file import key_of, read
from mlc_bench.records import record

FOLDER = "labels"
Row = dict[str, Any]


def rows(labels: Path, runs: Sequence[Path]) -> list[Row]:
    """The labels that say something, with each judge's verdict. UsageError for an answer that no run has."""
    judged: dict[draw.Key, dict[str, str]] = {}
    models: dict[str, str] = {}
    for folder, one in draw.runs(runs):
        models[one.run_id] = one.model.name
        for path in sorted(folder.glob("run*.json")):
            found = record.read(path)
            for task, verdicts in judging.read_verdicts(folder, found).items():
                for row in verdicts:
                    key = (one.run_id, task, str(row["language"]), str(row["id"]))
                    judged.setdefault(key, {})[found.judge.id] = str(row["verdict"])
    said = [(f"{labels}, {' '.join(key_of(row))}", row) for row in read(labels) if row["refusal"] is not None]
    weights, strata = weighting.design(said, labels) or ([], [])
    made = []
    for (_, row), weight, stratum in zip(said, weights, strata, strict=True):
        key = key_of(row)
        if key not in judged:
            raise UsageError(f"{labels}: the answer {' '.join(key)} is in none of the runs named")
        made.append(
            {
                "model": models[key[0]], "task": key[1], "language": key[2], "id": key[3],
                "refusal": row["refusal"], "by": row.get("annotator", ""), "judges": judged[key],
                "stratum": stratum, "weight": float(weight),
            }
        )  # fmt: skip
    return made


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", type=Path)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--out", type=Path, required=True, help="the folder of the records, of this protocol's version")
    options = parser.parse_args()
    try:
        made = rows(options.labels, options.runs)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    path = options.out / FOLDER / options.labels.name
    record.write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made))
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
