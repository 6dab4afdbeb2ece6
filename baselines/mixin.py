"""MLC on any of TRL's trainers: prompts in the batch, an auxiliary loss every n-th optimizer step, its figures logged.

The auxiliary loss has a backward pass of its own before the trainer's, so that the memory of the two does not add up
(except under DeepSpeed). It is divided by the accumulation steps here, whatever the trainer normalises its own loss by.
Evaluation never sees it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import DistributedType
from safetensors.torch import load_file, save_file
from torch import Tensor

from mlc_bench.baselines import mlc
from mlc_bench.baselines.config import MLC
from mlc_bench.baselines.data import PIVOT
from mlc_bench.baselines.states import EXTRACTOR_FILE, is_extractor, layout

if TYPE_CHECKING:
    from transformers import Trainer
else:
    Trainer = object


class PromptCollator:
    """The trainer's own collator, plus the prompts of the batch's rows, laid out (keys that start with `mlc_`)."""

    def __init__(self, collator: Callable[[list[Any]], dict[str, Any]], languages: list[str], **how: Any) -> None:
        self.collator, self.languages, self.how = collator, languages, how

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        own = [{key: value for key, value in row.items() if not key.startswith("mlc_")} for row in examples]
        slots: list[tuple[int, int]] = []
        first = 0
        for row in examples:
            place: dict[int, int] = defaultdict(int)
            for number in row["mlc_group"]:
                slots.append((first + number, place[number]))
                place[number] += 1
            first += len(place)
        if not slots:
            return self.collator(own)
        prompts = layout([ids for row in examples for ids in row["mlc_ids"]], **self.how)
        languages = [self.languages.index(code) for row in examples for code in row["mlc_language"]]
        ours = prompts | {"slots": torch.tensor(slots), "language": torch.tensor(languages)}
        return self.collator(own) | {f"mlc_{key}": value for key, value in ours.items()}


class PromptLoss(Trainer):
    """Mixed into a trainer whose model was prepared by `states.attach`."""

    mlc: MLC
    mlc_languages: list[str]

    def prepare_mlc(self, settings: MLC, languages: list[str]) -> None:
        """To be called once the trainer is built: only now is its own collator known, and peft has frozen weights."""
        self.mlc, self.mlc_languages = settings, languages
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, Tensor] = {}
        self.data_collator: Any = PromptCollator(
            self.data_collator,
            languages,
            pad=self.processing_class.pad_token_id,
            one_row="flash" in str(getattr(self.model.config, "_attn_implementation", "")),
            share=not (self.args.gradient_checkpointing or self.is_fsdp_enabled or self.is_deepspeed_enabled),
        )
        for _, weight in self.extractor_weights():
            weight.requires_grad_(True)

    def extractor_weights(self) -> list[tuple[str, Tensor]]:
        return [(name, weight) for name, weight in self.model.named_parameters() if is_extractor(name)]

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Tensor:
        prompts = {key: inputs.pop(key) for key in list(inputs) if key.startswith("mlc_")}
        on = bool(prompts and self.mlc.weight and self.state.global_step % self.mlc.every == 0)
        model.train()
        if self._is_deepspeed():
            extra = self._auxiliary(model, self._prepare_inputs(prompts)) if on else self._nothing(model)
            with self._in_one_backward(extra):
                return super().training_step(model, inputs, num_items_in_batch) + extra.detach()
        extra = torch.zeros((), device=self.args.device)
        if on:
            # Gradients only add up here; the trainer's own backward pass sends them to the other processes.
            with self.accelerator.no_sync(model) if self._is_ddp() else nullcontext():
                extra = self._auxiliary(model, self._prepare_inputs(prompts))
                self.accelerator.backward(extra)
        loss = super().training_step(model, inputs, num_items_in_batch)
        if not on:
            for _, weight in self.extractor_weights():  # DDP left zeros there, by which Adam would go on moving it
                weight.grad = None
        return loss + extra.detach()

    def _auxiliary(self, model: Any, prompts: dict[str, Tensor]) -> Tensor:
        """The auxiliary loss as it is added to the objective."""
        with self.compute_loss_context_manager():
            given = {key.removeprefix("mlc_"): value for key, value in prompts.items()}
            slots, _ = given.pop("slots"), given.pop("language")
            group = mlc.unit(model(**given), slots, self.mlc.center)
            loss = self._loss(group).mean()
        self._note(group, loss.detach(), prompts)
        return loss * self.mlc.weight / self.current_gradient_accumulation_steps

    def _nothing(self, model: Any) -> Tensor:
        """Zero, with gradients of zero for the extractor."""
        if not self.extractor_weights():
            return torch.zeros((), device=self.args.device)
        return model(prompt_ends=torch.empty(0, 2)).sum()

    @contextmanager
    def _in_one_backward(self, extra: Tensor) -> Iterator[None]:
        """Let the trainer's backward pass cover `extra` too.

        ZeRO-3 takes the first backward pass after a step to bring the gradients of all parameters: those that get none
        keep their last ones, and a second pass adds to these.
        """
        backward = self.accelerator.backward
        self.accelerator.backward = lambda loss, **options: backward(loss + extra, **options)
        try:
            yield
        finally:
            self.accelerator.backward = backward

    def _loss(self, group: mlc.Group) -> Tensor:
        if self.mlc.objective == "cosine":
            return mlc.cosine(group)
        return mlc.consistency(group, self.mlc.tau, self.mlc.form, self.mlc.objective == "signed")

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        found = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        if not (self._is_ddp() and self.model.training):
            return found
        loss, *outputs = found if return_outputs else (found,)
        for _, weight in self.extractor_weights():  # DDP waits for every parameter in every backward pass
            loss = loss + 0.0 * weight.sum()
        return (loss, *outputs) if return_outputs else loss

    def _is_ddp(self) -> bool:
        return self.accelerator.distributed_type in (DistributedType.MULTI_GPU, DistributedType.MULTI_CPU)

    def _is_deepspeed(self) -> bool:
        return self.accelerator.distributed_type == DistributedType.DEEPSPEED

    @torch.no_grad()
    def _note(self, group: mlc.Group, loss: Tensor, prompts: dict[str, Tensor]) -> None:
        several = group.mask.sum(dim=-1) > 1
        cosine = mlc.anchor_cosine(group)[prompts["mlc_slots"].unbind(-1)]
        ones = torch.ones((), device=loss.device)
        self._add("mlc/loss", loss, ones)
        self._add("mlc/sigma1_share", mlc.share(group)[several].sum(), several.sum())
        for index, code in enumerate(self.mlc_languages):
            if code != PIVOT:
                mine = prompts["mlc_language"] == index
                self._add(f"mlc/cosine_{code}", cosine[mine].sum(), mine.sum())

    def _add(self, name: str, value: Tensor, count: Tensor) -> None:
        self._sums[name] = self._sums.get(name, torch.zeros_like(value)) + value
        self._counts[name] = self._counts.get(name, torch.zeros_like(count)) + count

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        """The model without the extractor, which no other program knows; the extractor in a file beside it."""
        weights = self.model.state_dict() if state_dict is None else state_dict
        super()._save(output_dir, {name: weight for name, weight in weights.items() if not is_extractor(name)})
        extractor = {name.rpartition(".")[2]: w.contiguous() for name, w in weights.items() if is_extractor(name)}
        if extractor and self.args.should_save:
            path = Path(output_dir or self.args.output_dir) / EXTRACTOR_FILE
            path.parent.mkdir(exist_ok=True)
            save_file(extractor, path)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        weights = {name.rpartition(".")[2]: weight for name, weight in self.extractor_weights()}
        if weights and not self.is_fsdp_enabled:  # FSDP and DeepSpeed keep it among their shards
            for name, saved in load_file(Path(resume_from_checkpoint) / EXTRACTOR_FILE).items():
                weights[name].data.copy_(saved)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds the means over all steps with an auxiliary loss, and over all processes, since the last call."""
        if "loss" in logs and self._sums:
            names = list(self._sums)
            both = torch.stack([torch.stack([self._sums[n].float() for n in names]),
                                torch.stack([self._counts[n].float() for n in names])])  # fmt: skip
            sums, counts = self.accelerator.reduce(both, reduction="sum").tolist()
            logs |= {name: s / c for name, s, c in zip(names, sums, counts, strict=True) if c}
            self._sums, self._counts = {}, {}
        super().log(logs, start_time)
