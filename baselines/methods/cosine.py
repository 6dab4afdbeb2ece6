"""DPO with the pairwise baseline: the mean of 1 - cos between each translation of a prompt and the English one.

The same representations, schedule and weight as MLC; only the auxiliary loss differs.
"""

from typing import Any

from pydantic import Field, field_validator

from mlc_bench.baselines.config import MLC
from mlc_bench.baselines.methods import dpo
from mlc_bench.baselines.run import TrainRun

NEEDS = dpo.NEEDS
BASE = "dpo"  # what is left where the settings take its objective away


class Config(dpo.Config):
    mlc: MLC | None = Field(MLC(objective="cosine"), description="the auxiliary loss: pairwise cosine")

    @field_validator("mlc", mode="before")
    @classmethod
    def _pairwise(cls, given: Any) -> Any:
        if isinstance(given, dict):
            return given | {"objective": given.get("objective", "cosine")}
        return given


def build(run: TrainRun) -> Any:
    return dpo.build(run)
