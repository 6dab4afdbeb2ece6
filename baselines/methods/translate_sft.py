"""Translate-train, supervised: the chosen responses in every language that the data has, English among them.

The upper bound for methods that do without responses in other languages: it is given what they must transfer. Prompts
and responses come from the data's `responses`, or are translated first:
`train-baseline build translate-sft --data FILE --translator MODEL --languages sw,zh --output BUILT.jsonl`.
The loss is that of `sft`.
"""

from typing import Any

from mlc_bench.baselines.data.formats import PIVOT, Row
from mlc_bench.baselines.data.generate_data import Work, translated
from mlc_bench.baselines.data.tokenize_rows import Example, english
from mlc_bench.baselines.data.training_data import TrainingData, require
from mlc_bench.baselines.methods import sft
from mlc_bench.baselines.run import TrainRun

NEEDS: dict[str, bool] = {"responses": True}


class Config(sft.Config):
    """As for `sft`."""


def make(work: Work) -> list[Row]:
    require(TrainingData(work.rows), "translate-sft")
    return translated(work, work.rows, rejected=False)


def examples(rows: list[Row]) -> list[Example]:
    """Each row's English prompt and responses, and those of each other language that it has responses in.

    English counts as one language: a pair that several rows repeat, as MPO's format does for each of its targets, is
    taken once.
    """
    pairs: dict[Any, Example] = {}
    for one in english(rows):
        pairs.setdefault((one["prompt"], one["chosen"], one.get("rejected")), one)
    found = list(pairs.values())
    for row in rows:
        for code, pair in (row["responses"] or {}).items():
            if code != PIVOT:
                found.append(Example(prompt=row["prompts"][code], row=row, **pair))
    return found


def build(run: TrainRun) -> Any:
    run.require(**NEEDS)
    return sft.train_on(run, [example | {"rejected": None} for example in examples(run.rows)])
