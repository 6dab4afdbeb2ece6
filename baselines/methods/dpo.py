"""DPO (arXiv 2305.18290) on English pairs: -log sigmoid(beta * (log-ratio of chosen - log-ratio of rejected)).

Log-probabilities are sums over the response. The frozen reference's are computed once, before training, so that each
step forwards the policy only.

`sft_benign` adds a likelihood term on the chosen responses to harmless prompts: DPO alone can lower it, since it only
asks for a gap to the rejected ones. For each pair

    loss + sft_benign * [the prompt is harmless] * (mean negative log-likelihood of the chosen response's tokens)

and the mean over all pairs, as DPO's own, so that it does not depend on how pairs are dealt out. TRL's `loss_type`
"sft" would take the refusals of harmful prompts too.
"""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from pydantic import Field
from torch import Tensor
from trl import DPOConfig, DPOTrainer

from mlc_bench.baselines.config import TrainConfig
from mlc_bench.baselines.data.tokenize_rows import Example, english
from mlc_bench.baselines.run import TrainRun
from mlc_bench.core.progress import bar

NEEDS: dict[str, bool] = {"rejected": True}


class Config(TrainConfig):
    beta: float = Field(0.1, gt=0, description="factor of the log-ratios; larger stays nearer to the reference")
    reference: str | None = Field(None, description="another model as the frozen reference; default: the one trained")
    sft_benign: float | None = Field(
        None, ge=0, description="weight of the likelihood of chosen responses to harmless prompts; default: none"
    )


_BENIGN = "benign"  # column and key of a batch: 1 where a pair's prompt is harmless, else 0


class Trainer(DPOTrainer):
    sft_benign = 0.0

    def add_likelihood(self, weight: float) -> None:
        """To be called once the trainer is built, of a dataset with the column `benign`."""
        self.sft_benign = weight
        self.data_collator: Any = _collated_with_kinds(self.data_collator)

    def _compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool) -> Any:
        if _BENIGN not in inputs:
            return super()._compute_loss(model, inputs, return_outputs)
        outputs = []

        def noted(*args: Any, **kwargs: Any) -> Any:
            outputs.append(model(*args, **kwargs))
            return outputs[-1]

        others = {key: value for key, value in inputs.items() if key != _BENIGN}
        found = super()._compute_loss(noted, others, return_outputs)
        benign = inputs[_BENIGN].to(self.accelerator.device)
        extra = (benign * _chosen_nll(outputs[0].log_probs, inputs["completion_mask"])).mean()
        self._metrics["train" if self.model.training else "eval"]["sft_benign"].append(
            self.accelerator.gather(extra.detach()).mean().item()
        )
        loss, *rest = found if return_outputs else (found,)
        loss = loss + self.sft_benign * extra
        return (loss, *rest) if return_outputs else loss

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


def _chosen_nll(log_probs: Tensor, completion_mask: Tensor) -> Tensor:
    """Mean negative log-likelihood (pairs,) of the chosen responses of a batch, which come before the rejected ones."""
    mask = completion_mask[:, 1:].chunk(2)[0]
    chosen = log_probs[:, -mask.shape[1] :].chunk(2)[0]
    return -(chosen * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)


def _collated_with_kinds(collator: Callable[[list[Any]], Any]) -> Callable[[list[Any]], Any]:
    """A collator that also gathers the pairs' kinds."""

    def collated(examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch: dict[str, Any] = collator(examples)
        return batch | {_BENIGN: torch.tensor([example[_BENIGN] for example in examples], dtype=torch.float32)}

    return collated


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
    kinds = [int(example["row"]["kind"] == "benign") for example in examples] if config.sft_benign else None
    dataset = run.dataset(examples, (lambda made: made.add_column(_BENIGN, kinds)) if kinds else None)
    run.reference_tokens = sum(
        2 * len(row["prompt_ids"]) + len(row["chosen_ids"]) + len(row["rejected_ids"]) for row in dataset
    )
    trainer = run.trainer(Trainer, arguments, dataset, ref_model=reference)
    if config.sft_benign:
        trainer.add_likelihood(config.sft_benign)
    return trainer
