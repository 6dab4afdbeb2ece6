"""MLC on any of TRL's trainers: prompts in the batch, an auxiliary loss every n-th optimizer step, its figures logged.

The auxiliary loss has a backward pass of its own before the trainer's, so that the memory of the two does not add up
(except under DeepSpeed). It is the mean over all groups of an optimizer step, of all its micro-batches and processes,
so that it does not depend on how a step's rows are dealt out. Evaluation never sees it.

Every process takes part in the same collectives, whatever its own rows have: groups are counted in each step, and where
a model is sharded, a process without prompts reads a placeholder while another reads its prompts.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import DistributedType
from safetensors.torch import load_file, save_file
from torch import Tensor

from mlc_bench.baselines.config import MLC
from mlc_bench.baselines.data.formats import PIVOT
from mlc_bench.baselines.mlc import contrast, mlc_loss, prompt_groups
from mlc_bench.baselines.mlc.hidden_states import EXTRACTOR_FILE, is_extractor, layout
from mlc_bench.baselines.mlc.prompt_groups import PromptCollator, Prompts
from mlc_bench.baselines.token_count import TokenCount


class PromptLoss(TokenCount):
    """Mixed into a trainer whose model was prepared by `hidden_states.attach`."""

    mlc: MLC
    mlc_languages: list[str]

    def prepare_mlc(self, settings: MLC, languages: list[str]) -> None:
        """To be called once the trainer is built: only now is its own collator known, and peft has frozen weights."""
        self.mlc, self.mlc_languages = settings, languages
        self._groups: list[float] = []  # of the micro-batches of this optimizer step, in all processes
        self._micro_batch = 0
        others = [f"mlc/cosine_{code}" for code in languages if code != PIVOT]
        self._logged = ["mlc/loss", "mlc/sigma1_share", "mlc/contrast", *others]
        self._sums = self._nothing_logged()
        self.data_collator: Any = PromptCollator(self.data_collator)
        self._how: dict[str, Any] = {
            "pad": self.processing_class.pad_token_id,
            "one_row": "flash" in str(getattr(self.model.config, "_attn_implementation", "")),
            "share": not (self.args.gradient_checkpointing or self.is_fsdp_enabled or self.is_deepspeed_enabled),
        }
        for _, weight in self.extractor_weights():
            weight.requires_grad_(True)

    def extractor_weights(self) -> list[tuple[str, Tensor]]:
        return [(name, weight) for name, weight in self.model.named_parameters() if is_extractor(name)]

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: Any) -> Any:
        """The micro-batches of one optimizer step; counts their groups, in all processes, before the first is read."""
        batches, items = super().get_batch_samples(epoch_iterator, num_batches, device)
        self._count_groups(batches)
        return batches, items

    def _count_groups(self, batches: list[dict[str, Any]]) -> None:
        """Note how many groups each micro-batch of a step has, in all processes, which have equally many batches."""
        groups = torch.zeros(len(batches), device=self.args.device)
        for number, batch in enumerate(batches):
            if "mlc_prompts" in batch:
                groups[number] = len(batch["mlc_prompts"].groups)
        self._groups = self.accelerator.reduce(groups, reduction="sum").tolist()
        self._micro_batch = 0

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Tensor:
        prompts: Prompts | None = inputs.get("mlc_prompts")
        if self._micro_batch == len(self._groups):  # called by itself: a step of one micro-batch
            self._count_groups([inputs])
        inputs = {key: value for key, value in inputs.items() if key != "mlc_prompts"}
        in_step = bool(self.mlc.weight and self.state.global_step % self.mlc.every == 0 and any(self._groups))
        anywhere = in_step and bool(self._groups[self._micro_batch])  # in this micro-batch of any process
        on = anywhere and bool(prompts is not None or self._is_sharded())
        self._micro_batch += 1
        model.train()
        if self._is_deepspeed():
            extra = self._auxiliary(model, prompts) if on else self._nothing(model)
            with self._in_one_backward(extra):
                return super().training_step(model, inputs, num_items_in_batch) + extra.detach()
        extra = torch.zeros((), device=self.args.device)
        if on:
            # Gradients only add up here; the trainer's own backward pass sends them to the other processes.
            with self.accelerator.no_sync(model) if self._is_ddp() else nullcontext():
                extra = self._auxiliary(model, prompts)
                self.accelerator.backward(extra)
        loss = super().training_step(model, inputs, num_items_in_batch)
        if not in_step:
            for _, weight in self.extractor_weights():  # DDP left zeros there, by which Adam would go on moving it
                weight.grad = None
        return loss + extra.detach()

    def _auxiliary(self, model: Any, prompts: Prompts | None) -> Tensor:
        """The auxiliary loss as it is added to the objective: this micro-batch's part of the mean over the step.

        The other processes' parts come in when gradients are averaged over the processes, hence their number.
        """
        if prompts is None:
            return self._placeholder(model)
        if self.mlc.sample is not None:
            prompts = prompts.drawn(self.mlc.sample, f"{self.args.seed} {self.state.global_step}")
        rows = prompts.rows()
        given = layout(rows, **self._how)
        where = {"slots": prompts.slots(), "contrasts": prompts.contrasts()}
        where = self._on_device(where | {"language": prompts.languages(self.mlc_languages)})
        with self.compute_loss_context_manager():
            representations = model(**self._on_device(given))
            group = mlc_loss.unit(representations[: len(where["slots"])], where["slots"], self.mlc.center)
            losses = self._loss(group)
            apart = contrast.separation(representations, where["contrasts"], len(losses))
            whole = losses + self.mlc.contrast * apart
        self.add_tokens("mlc_tokens", prompt_groups.read(rows, given).to(self.args.device))
        self._note(group, whole.detach(), apart.detach(), where)
        return whole.sum() * self.mlc.weight * self.accelerator.num_processes / sum(self._groups)

    def _on_device(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: tensor.to(self.args.device) for name, tensor in tensors.items()}

    def _placeholder(self, model: Any) -> Tensor:
        """Zero, by the same passes as prompts take, with gradients of zero."""
        given = self._on_device(layout([[self.processing_class.pad_token_id]], **self._how))
        with self.compute_loss_context_manager():
            return 0.0 * model(**given).float().sum()

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

    def _loss(self, group: mlc_loss.Group) -> Tensor:
        if self.mlc.objective == "cosine":
            return mlc_loss.cosine(group)
        return mlc_loss.consistency(group, self.mlc.tau, self.mlc.form, self.mlc.objective == "signed")

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

    def _is_sharded(self) -> bool:
        """Whether reading prompts is a matter of all processes: weights are gathered for it."""
        return bool(self._is_deepspeed() or self.is_fsdp_enabled)

    def _is_deepspeed(self) -> bool:
        return self.accelerator.distributed_type == DistributedType.DEEPSPEED

    @torch.no_grad()
    def _note(self, group: mlc_loss.Group, losses: Tensor, apart: Tensor, where: dict[str, Tensor]) -> None:
        several = group.mask.sum(dim=-1) > 1
        cosine = mlc_loss.anchor_cosine(group)[where["slots"].unbind(-1)]
        paired = where["contrasts"][:, -1].unique()
        found = [
            (losses.sum(), torch.tensor(len(losses), device=losses.device)),
            (mlc_loss.share(group)[several].sum(), several.sum()),
            (apart[paired].sum(), torch.tensor(len(paired), device=losses.device)),
        ]
        for index, code in enumerate(self.mlc_languages):
            if code != PIVOT:
                mine = where["language"] == index
                found.append((cosine[mine].sum(), mine.sum()))
        self._sums += torch.stack([torch.stack(pair).to(self._sums) for pair in zip(*found, strict=True)])

    def _nothing_logged(self) -> Tensor:
        """Sums and counts (2, figures) of what is logged, in the order of `_logged`, which all processes share."""
        return torch.zeros(2, len(self._logged), device=self.args.device)

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
        """Adds the means over all groups and prompts that were read, in all processes, since the last call."""
        if "loss" in logs:
            sums, counts = self.accelerator.reduce(self._sums, reduction="sum").tolist()
            logs |= {name: s / c for name, s, c in zip(self._logged, sums, counts, strict=True) if c}
            self._sums = self._nothing_logged()
        super().log(logs, start_time)
