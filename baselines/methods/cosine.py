"""DPO with the pairwise baseline: the mean of 1 - cos between each translation of a prompt and the English one.

The same representations, schedule and weight as MLC; only the auxiliary loss differs.
"""

from typing import Any

from pydantic import Field, field_validator, model_validator

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

    @model_validator(mode="after")
    def _its_own_objective(self) -> "Config":
        if self.mlc and self.mlc.objective != "cosine":
            raise ValueError(
                f"mlc.objective {self.mlc.objective}: the method cosine is DPO with the objective cosine; for another "
                f"one: train-baseline dpo --mlc.objective {self.mlc.objective}"
            )
        return self


def build(run: TrainRun) -> Any:
    return dpo.build(run)
