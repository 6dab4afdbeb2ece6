"""ORPO (arXiv 2403.07691): NLL of the chosen response - beta * log sigmoid(log odds of chosen - log odds of rejected).

Both terms use the mean log-probability of a response, and the mean over examples. TRL's NLL covers the prompt's tokens
too and averages over tokens; the authors of MLC train with LLaMA-Factory, where it is the mean over the response. Ours
is the latter: `concatenated_forward` replaces the NLL by minus the mean log-probability of the chosen responses.
"""

from typing import Any

from pydantic import Field
from trl.experimental.orpo import ORPOConfig, ORPOTrainer

from mlc_bench.baselines.config import TrainConfig
from mlc_bench.baselines.data.tokenize_rows import english
from mlc_bench.baselines.run import TrainRun, as_pair

NEEDS: dict[str, bool] = {"rejected": True}


class Config(TrainConfig):
    beta: float = Field(0.1, gt=0, description="weight of the odds ratio (lambda in the ORPO paper)")


class Trainer(ORPOTrainer):
    def tokenize_row(self, feature: dict[str, Any], model: Any = None) -> dict[str, Any]:
        return as_pair(feature)

    def concatenated_forward(self, model: Any, batch: dict[str, Any]) -> tuple[Any, ...]:
        chosen, rejected, chosen_logits, rejected_logits, _, *rest = super().concatenated_forward(model, batch)
        return (chosen, rejected, chosen_logits, rejected_logits, -chosen.mean(), *rest)


def build(run: TrainRun) -> Any:
    run.require(**NEEDS)
    config: Config = run.config
    arguments = ORPOConfig(**run.arguments(), beta=config.beta, max_length=config.cutoff)
    return run.trainer(Trainer, arguments, run.dataset(english(run.rows)))
