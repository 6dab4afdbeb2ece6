"""Translate-train with DPO: preference pairs in every language that the data has, English among them.

As `translate-sft`, with the rejected responses translated too and the loss of `dpo`. MPO's data can be used as well: it
has pairs in other languages.

Where every row has responses in all languages, each language has as many pairs: the balanced multilingual DPO of
RefusEU (arXiv 2606.07535).
"""

from typing import Any

from mlc_bench.baselines.data.formats import Row
from mlc_bench.baselines.data.generate_data import Work, translated
from mlc_bench.baselines.data.training_data import TrainingData, require
from mlc_bench.baselines.methods import dpo
from mlc_bench.baselines.methods.translate_sft import examples
from mlc_bench.baselines.run import TrainRun

NEEDS: dict[str, bool] = {"rejected": True, "responses": True}


class Config(dpo.Config):
    """As for `dpo`."""


def make(work: Work) -> list[Row]:
    require(TrainingData(work.rows), "translate-dpo", rejected=True)
    return translated(work, work.rows, rejected=True)


def build(run: TrainRun) -> Any:
    run.require(**NEEDS)
    return dpo.train_on(run, examples(run.rows))
