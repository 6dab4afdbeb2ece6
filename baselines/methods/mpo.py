"""MPO (arXiv 2505.16869): give every language the reward gap that the reference model has in its dominant language.

With RG = mean log-probability of the chosen response - that of the rejected one, over the response's tokens and without
a reference ratio:

    L1 = mse(beta * RG_target(policy), RG_dominant(reference))
    L2 = mse(states(policy), states(reference)) on the dominant language's chosen and rejected rows
    L  = L1 + L2

As in the authors' code, beta multiplies the target's gap only, and `states` are last-layer hidden states pooled over
the sequence. There the mean runs over padding too, which makes it depend on the batch; here it is over real tokens.
The paper says the last token: `pooling: last`. What comes from the reference never changes, so it is computed once,
before training. The dominant language is English. TRL has no trainer for this loss; that of transformers trains.
"""

from collections.abc import Iterator
from typing import Any, Literal

import torch
from datasets import Dataset
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F
from transformers import Trainer as BaseTrainer
from transformers import TrainingArguments
from trl.trainer.utils import selective_log_softmax

from mlc_bench.baselines.config import TrainConfig
from mlc_bench.baselines.data import tokenize_rows
from mlc_bench.baselines.data.formats import PIVOT, Row
from mlc_bench.baselines.data.tokenize_rows import Example, english
from mlc_bench.baselines.run import TrainRun
from mlc_bench.core.progress import bar

Pooling = Literal["mean", "last"]
Batch = dict[str, Tensor]

NEEDS: dict[str, bool] = {"rejected": True, "responses": True}
_FIGURES = ("mpo/gap_loss", "mpo/state_loss", "rewards/margins", "mpo/dominant_gap")


class Config(TrainConfig):
    epochs: float = Field(2, gt=0, description="passes over the data")
    beta: float = Field(1.5, gt=0, description="factor of the target language's reward gap")
    pooling: Pooling = Field("mean", description="hidden states: mean over real tokens, or the last token's")


def pairs(rows: list[Row]) -> Iterator[tuple[Row, Example]]:
    """Each row with each of its pairs in another language."""
    for row in rows:
        for code, pair in (row["responses"] or {}).items():
            if code != PIVOT:
                yield row, Example(prompt=row["prompts"][code], row=row, **pair)


def padded(answers: list[tuple[list[int], list[int]]], pad: int) -> Batch:
    """Prompts with their responses as rows: `input_ids`, `attention_mask`, `completion_mask`, each (N, T)."""
    width = max(len(start + answer) for start, answer in answers)
    columns: dict[str, list[list[int]]] = {"input_ids": [], "attention_mask": [], "completion_mask": []}
    for start, answer in answers:
        empty = width - len(start + answer)
        columns["input_ids"].append(start + answer + [pad] * empty)
        columns["attention_mask"].append([1] * len(start + answer) + [0] * empty)
        columns["completion_mask"].append([0] * len(start) + [1] * len(answer) + [0] * empty)
    return {name: torch.tensor(rows) for name, rows in columns.items()}


def mean_logps(model: Any, batch: Batch) -> Tensor:
    """Mean log-probability of each row's response, (N,). Logits are made from the first response position on only."""
    ids, mask = batch["input_ids"], batch["completion_mask"]
    first = int(mask.argmax(dim=-1).min())
    logits = model(
        input_ids=ids, attention_mask=batch["attention_mask"], logits_to_keep=ids.shape[1] - first + 1, use_cache=False
    ).logits
    logps = selective_log_softmax(logits[:, :-1], ids[:, first:]).float()
    mask = mask[:, first:]
    return (logps * mask).sum(dim=-1) / mask.sum(dim=-1)


def pooled_states(model: Any, batch: Batch, pooling: Pooling) -> Tensor:
    """Hidden states after the last layer and the final norm, (N, H): mean over real tokens, or the last of them."""
    real = batch["attention_mask"]
    states = model(
        input_ids=batch["input_ids"],
        attention_mask=real,
        logits_to_keep=1,
        output_hidden_states=True,
        use_cache=False,
    ).hidden_states[-1].float()  # fmt: skip
    if pooling == "last":
        return states[torch.arange(len(states), device=states.device), real.sum(dim=-1) - 1]
    return (states * real.unsqueeze(-1)).sum(dim=1) / real.sum(dim=-1, keepdim=True)


def gap(logps: Tensor) -> Tensor:
    """Reward gaps (B,) of rows of which the first half are chosen and the second half rejected, (2B,)."""
    chosen, rejected = logps.chunk(2)
    return chosen - rejected


class Collator:
    """Pairs as two padded batches, chosen rows first: `target_*` and `source_*`, and the reference's figures."""

    def __init__(self, pad: int) -> None:
        self.pad = pad

    def __call__(self, examples: list[dict[str, Any]]) -> Batch:
        batch: Batch = {}
        for side in ("target", "source"):
            answers = [
                (row[f"{side}_prompt_ids"], row[f"{side}_{part}_ids"])
                for part in ("chosen", "rejected")
                for row in examples
            ]
            batch |= {f"{side}_{name}": value for name, value in padded(answers, self.pad).items()}
        states = torch.tensor([row["reference_states"] for row in examples])  # (B, 2H)
        batch["reference_states"] = torch.cat(states.chunk(2, dim=-1))
        batch["reference_gap"] = torch.tensor([row["reference_gap"] for row in examples])
        return batch


class Trainer(BaseTrainer):
    loss_is_scaled_for_ga = False  # ours is the mean of a batch

    def __init__(self, beta: float, pooling: Pooling, peft_config: Any = None, **others: Any) -> None:
        if peft_config is not None:
            from peft import get_peft_model

            others["model"] = get_peft_model(others["model"], peft_config)
            if others["args"].gradient_checkpointing:
                others["model"].enable_input_require_grads()
        super().__init__(data_collator=Collator(others["processing_class"].pad_token_id), **others)
        self.beta, self.pooling = beta, pooling
        self._figures: dict[str, list[Tensor]] = {name: [] for name in _FIGURES}

    def compute_loss(
        self, model: Any, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Tensor:
        target, source = (_side(inputs, side) for side in ("target", "source"))
        logps = mean_logps(model, target)
        gap_loss = F.mse_loss(self.beta * gap(logps), inputs["reference_gap"])
        state_loss = F.mse_loss(pooled_states(model, source, self.pooling), inputs["reference_states"])
        figures = (gap_loss, state_loss, gap(logps).mean(), inputs["reference_gap"].mean())
        for name, value in zip(_FIGURES, figures, strict=True):
            self._figures[name].append(value.detach())
        return gap_loss + state_loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds the means of the batches of all processes since the last call."""
        if "loss" in logs:
            own = [[float(sum(values)), len(values)] for values in self._figures.values()]
            sums, counts = self.accelerator.reduce(
                torch.tensor(own, device=self.args.device), reduction="sum"
            ).T.tolist()
            logs |= {name: s / c for name, s, c in zip(_FIGURES, sums, counts, strict=True) if c}
            self._figures = {name: [] for name in _FIGURES}
        super().log(logs, start_time)


def _side(inputs: Batch, side: str) -> Batch:
    return {name.removeprefix(f"{side}_"): value for name, value in inputs.items() if name.startswith(f"{side}_")}


def build(run: TrainRun) -> Any:
    run.require(**NEEDS)
    config: Config = run.config
    rows, examples = zip(*pairs(run.rows), strict=True)
    arguments = TrainingArguments(**run.arguments())

    def with_reference(dataset: Dataset) -> Dataset:
        names = ("prompt_ids", "chosen_ids", "rejected_ids")
        dataset = dataset.rename_columns({name: f"target_{name}" for name in names})
        distinct = {row["id"]: row for row in rows}
        sources = tokenize_rows.examples(run.tokenizer, english(distinct.values()), config.cutoff)
        found = [reference(run, arguments, source) for source in _counted(sources)]
        by_id = dict(zip(distinct, zip(sources, found, strict=True), strict=True))
        for name in names:
            dataset = dataset.add_column(f"source_{name}", [by_id[row["id"]][0][name] for row in rows])
        dataset = dataset.add_column("reference_gap", [by_id[row["id"]][1][0] for row in rows])
        return dataset.add_column("reference_states", [by_id[row["id"]][1][1].numpy() for row in rows])

    dataset = run.dataset(list(examples), with_reference)
    sources = {row["id"]: pair for row, pair in zip(rows, dataset, strict=True)}.values()
    run.reference_tokens = 2 * sum(  # a pass for the reward gap, one for the states
        2 * len(pair["source_prompt_ids"]) + len(pair["source_chosen_ids"]) + len(pair["source_rejected_ids"])
        for pair in sources
    )
    return run.trainer(Trainer, arguments, dataset, beta=config.beta, pooling=config.pooling)


def _counted(sources: list[Any]) -> Iterator[Any]:
    with bar("reference") as report:
        for number, source in enumerate(sources):
            report(number, len(sources))
            yield source
        report(len(sources), len(sources))


@torch.no_grad()
def reference(run: TrainRun, arguments: TrainingArguments, source: dict[str, list[int]]) -> tuple[float, Tensor]:
    """Reward gap of an English pair under the model before training, and its pooled states (2H,), in one pass each.

    One process computes them, before the trainer wraps or shards the model, in the precision that training will use.
    """
    model = run.model.to(arguments.device).eval()
    answers = [(source["prompt_ids"], source[f"{part}_ids"]) for part in ("chosen", "rejected")]
    batch = {name: value.to(model.device) for name, value in padded(answers, run.tokenizer.pad_token_id).items()}
    with torch.autocast(model.device.type, torch.bfloat16, enabled=arguments.bf16):
        logps = mean_logps(model, batch)
        states = pooled_states(model, batch, run.config.pooling)
    return gap(logps).item(), states.flatten().cpu()
