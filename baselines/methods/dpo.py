"""DPO (arXiv 2305.18290) on English pairs: -log sigmoid(beta * (log-ratio of chosen - log-ratio of rejected)).

Log-probabilities are sums over the response. The frozen reference's are computed once, before training, so that each
step forwards the policy only.
"""

from typing import Any

from pydantic import Field
from trl import DPOConfig, DPOTrainer

from mlc_bench.baselines.config import TrainConfig
from mlc_bench.baselines.encode import Example, english
from mlc_bench.baselines.run import TrainRun

NEEDS: dict[str, bool] = {"rejected": True}


class Config(TrainConfig):
    beta: float = Field(0.1, gt=0)
    reference: str | None = Field(None, description="another model as the frozen reference; default: the one trained")


class Trainer(DPOTrainer):
    def _prepare_dataset(self, dataset: Any, *args: Any) -> Any:
        return dataset  # ours has token ids already


def build(run: TrainRun) -> Any:
    run.require(**NEEDS)
    return train_on(run, english(run.rows))


def train_on(run: TrainRun, examples: list[Example]) -> Any:
    """The trainer for any list of pairs (translated ones too)."""
    config: Config = run.config
    arguments = DPOConfig(
        **run.arguments(),
        beta=config.beta,
        loss_type="sigmoid",
        precompute_ref_log_probs=True,
        max_length=None,  # what is too long has been left out or cut already
    )
    reference = run.reference(config.reference) if config.reference else None
    return run.trainer(Trainer, arguments, run.dataset(examples), ref_model=reference)
