"""SimPO (arXiv 2405.14734): -log sigmoid(beta * (mean log-prob of chosen - of rejected) - gamma); no reference.

TRL has it as a loss of its CPO trainer, which adds a likelihood term by default (cpo_alpha 1.0): it is switched off
here. The authors of MLC train with LLaMA-Factory's defaults beta 0.1 and gamma 0.5, whose gamma is the same as here;
in the SimPO paper beta is 2.0 to 2.5 and gamma 0.3 to 0.8 times beta.
"""

from typing import Any

from pydantic import Field
from trl.experimental.cpo import CPOConfig, CPOTrainer

from mlc_bench.baselines.config import TrainConfig
from mlc_bench.baselines.data.tokenize_rows import english
from mlc_bench.baselines.run import TrainRun, as_pair

NEEDS: dict[str, bool] = {"rejected": True}


class Config(TrainConfig):
    beta: float = Field(0.1, gt=0, description="factor of the mean log-probabilities")
    gamma: float = Field(0.5, ge=0, description="margin of the rewards")


class Trainer(CPOTrainer):
    def tokenize_row(self, feature: dict[str, Any], model: Any = None) -> dict[str, Any]:
        return as_pair(feature)  # the same tokens as for the other methods, no second end token


def build(run: TrainRun) -> Any:
    run.require(**NEEDS)
    config: Config = run.config
    arguments = CPOConfig(
        **run.arguments(),
        loss_type="simpo",
        cpo_alpha=0.0,
        beta=config.beta,
        simpo_gamma=config.gamma,
        max_length=config.cutoff,
    )
    return run.trainer(Trainer, arguments, run.dataset(english(run.rows)))
