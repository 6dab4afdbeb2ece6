"""Supervised fine-tuning on English: mean negative log-likelihood of the tokens of the chosen responses.

TRL averages over the response tokens of all accumulated batches; so do we.
"""

from typing import Any

from datasets import Dataset
from pydantic import Field
from trl import SFTConfig, SFTTrainer

from mlc_bench.baselines.config import TrainConfig
from mlc_bench.baselines.data.tokenize_rows import Example, english
from mlc_bench.baselines.run import TrainRun

NEEDS: dict[str, bool] = {}


class Config(TrainConfig):
    packs = True

    learning_rate: float = Field(1e-5, gt=0, description="the highest, after the warmup")


def build(run: TrainRun) -> Any:
    run.require(**NEEDS)
    return train_on(run, english(run.rows))


def train_on(run: TrainRun, examples: list[Example]) -> Any:
    """The trainer for any list of prompts with a chosen response."""
    packing = run.config.packing
    arguments = SFTConfig(
        **run.arguments(),
        packing=packing,
        max_length=run.config.cutoff if packing else None,
        dataset_kwargs=None if packing else {"skip_prepare_dataset": True},
    )
    return run.trainer(SFTTrainer, arguments, run.dataset(examples, _labelled))


def _labelled(dataset: Dataset) -> Dataset:
    return dataset.map(_label, remove_columns=[name for name in dataset.column_names if name.endswith("ed_ids")])


def _label(row: dict[str, Any]) -> dict[str, Any]:
    start, answer = row["prompt_ids"], row["chosen_ids"]
    return {"input_ids": start + answer, "labels": [-100] * len(start) + answer}
