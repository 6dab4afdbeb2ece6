"""DPO (arXiv 2305.18290) on English pairs: -log sigmoid(beta * (log-ratio of chosen - log-ratio of rejected)).

Log-probabilities are sums over the response. The frozen reference's are computed once, before training, so that each
step forwards the policy only.
"""

from contextlib import nullcontext
from typing import Any

from pydantic import Field
from trl import DPOConfig, DPOTrainer

from mlc_bench.baselines.config import TrainConfig
from mlc_bench.baselines.data.tokenize_rows import Example, english
from mlc_bench.baselines.run import TrainRun
from mlc_bench.core.progress import bar

NEEDS: dict[str, bool] = {"rejected": True}


class Config(TrainConfig):
    beta: float = Field(0.1, gt=0, description="factor of the log-ratios; larger stays nearer to the reference")
    reference: str | None = Field(None, description="another model as the frozen reference; default: the one trained")


class Trainer(DPOTrainer):
    def _prepare_dataset(self, dataset: Any, *args: Any) -> Any:
        return dataset  # ours has token ids already

    def _precompute_ref_logps(self, dataset: Any, name: str, batch_size: int) -> Any:
        """TRL's, with progress as for every other phase."""
        rows = len(dataset)
        done = 0
        alone = super().compute_ref_log_probs

        def counted(model: Any, inputs: Any) -> Any:
            nonlocal done
            found = alone(model, inputs)
            done = min(rows, done + len(inputs["input_ids"]) // 2 * self.accelerator.num_processes)
            report(done, rows)
            return found

        with bar("reference") if self.accelerator.is_main_process else nullcontext(lambda *_: None) as report:
            self.compute_ref_log_probs = counted
            try:
                return super()._precompute_ref_logps(dataset, name, batch_size)
            finally:
                del self.compute_ref_log_probs


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
    dataset = run.dataset(examples)
    run.reference_tokens = sum(
        2 * len(row["prompt_ids"]) + len(row["chosen_ids"]) + len(row["rejected_ids"]) for row in dataset
    )
    return run.trainer(Trainer, arguments, dataset, ref_model=reference)
