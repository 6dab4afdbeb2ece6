"""A training run: prepare (settings, model, data), train with checkpoints, save, say how it was made."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env
from datasets import Dataset, load_from_disk
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PrinterCallback, set_seed

from mlc_bench.baselines import checkpoints, end_of_turn, manifest, methods, score, targets
from mlc_bench.baselines.callbacks import ReleaseMemory, Watch, plot
from mlc_bench.baselines.checkpoints import last_checkpoint
from mlc_bench.baselines.config import TrainConfig
from mlc_bench.baselines.data import equal_pairs, prompt_columns, tokenize_rows, training_data
from mlc_bench.baselines.data.formats import PIVOT, Row
from mlc_bench.baselines.data.training_data import TrainingData
from mlc_bench.baselines.finite import StopWhenNotFinite, require_finite
from mlc_bench.baselines.mlc import hidden_states
from mlc_bench.baselines.token_count import TokenCount
from mlc_bench.core import processor, secrets, writable
from mlc_bench.core.errors import UsageError, UserError
from mlc_bench.core.progress import say
from mlc_bench.core.provenance import emulates_bf16
from mlc_bench.core.spec import RunSpec, digest
from mlc_bench.engines import identity
from mlc_bench.records.record import write_text

_RUN = "train_run.json"  # what an unfinished run in this folder is
# Settings that a resumed run may change.
_SAME_RESULT = {
    "output",
    "save_steps",
    "keep_checkpoints",
    "score_every",
    "score_languages",
    "score_max_tokens",
    "report_to",
}


@dataclass
class TrainRun:
    """What a method's `build` works with."""

    method: str
    config: Any
    base: identity.Identity
    data: TrainingData
    tokenizer: Any
    besides: list[Row]
    id: str
    """The digest of all that the run is made of, 12 digits: what its checkpoints and its result have in common."""
    languages: set[str] = field(default_factory=lambda: {PIVOT})
    """Those that the method trains on, which may be fewer than the data has."""
    reference_tokens: int = 0
    """Tokens that the frozen reference reads, once, before training."""

    @cached_property
    def model(self) -> Any:
        """The base model, loaded on first use; what is drawn at random after that depends on the seed alone."""
        set_seed(self.config.seed)
        return AutoModelForCausalLM.from_pretrained(self.base.path, dtype=getattr(torch, self.config.dtype))

    @property
    def rows(self) -> list[Row]:
        return self.data.rows

    @property
    def label(self) -> str:
        """What is trained, by name; see `methods.label`."""
        likelihood = "+sft-benign" if getattr(self.config, "sft_benign", None) else ""
        return methods.label(self.method, self.config.mlc) + likelihood

    def require(self, **needs: Any) -> None:
        """Check that the data has what the method needs; see `data.require`."""
        training_data.require(self.data, self.method, **needs)
        if needs.get("responses"):
            self.languages |= {code for row in self.rows for code in row["responses"] or {}}

    def arguments(self) -> dict[str, Any]:
        """The settings that every TRL configuration takes."""
        config: TrainConfig = self.config
        gpu = torch.cuda.is_available()
        os.environ["TENSORBOARD_LOGGING_DIR"] = str(config.output / "logs")  # the trainer takes it from there only
        return {
            "output_dir": str(config.output / "checkpoints"),
            "seed": config.seed,
            "num_train_epochs": config.epochs,
            "max_steps": config.max_steps or -1,
            "per_device_train_batch_size": config.batch_size,
            "gradient_accumulation_steps": config.accumulation,
            "learning_rate": config.learning_rate,
            "lr_scheduler_type": config.scheduler,
            "warmup_steps": config.warmup,  # below one: a share
            "weight_decay": config.weight_decay,
            "max_grad_norm": config.max_grad_norm,
            "bf16": gpu if config.bf16 is None else config.bf16,
            "use_cpu": not gpu,
            "gradient_checkpointing": config.gradient_checkpointing,
            "logging_steps": 1,
            "logging_nan_inf_filter": False,  # it would log a mean of earlier losses in their place
            "save_steps": config.save_steps,
            "report_to": config.report_to,
            "run_name": config.output.name,
            "disable_tqdm": True,
            "remove_unused_columns": False,  # the prompts of MLC are columns that no model takes
            "dataloader_pin_memory": gpu,
            "ddp_find_unused_parameters": False,  # every pass of the trainer's own uses them all
        }

    def dataset(self, examples: list[tokenize_rows.Example], shape: Any = None) -> Dataset:
        """The examples as token ids, with the prompts of their rows where MLC is on; `shape` may change the columns."""

        def made() -> Dataset:
            dataset = Dataset.from_list(self._encoded(examples))
            return shape(dataset) if shape else dataset

        return self.stored(made)

    def stored(self, make: Callable[[], Dataset]) -> Dataset:
        """What `make` makes, once, and then reads from the output folder.

        So all processes, and a run that goes on, share what is computed from it.
        """
        folder = self.config.output / "data"
        with main_first():
            if not folder.is_dir():
                partial = folder.with_name("data.part")
                make().save_to_disk(partial)
                partial.rename(folder)
        return load_from_disk(folder)

    def _encoded(self, examples: list[tokenize_rows.Example]) -> list[dict[str, Any]]:
        encoded: list[dict[str, Any]] = list(tokenize_rows.examples(self.tokenizer, examples, self.config.cutoff))
        if cut := tokenize_rows.reaching(encoded, self.config.cutoff):
            say(f"{cut} responses reach the cut-off of {self.config.cutoff} tokens; what is cut has no end to learn")
        return self.with_prompts(encoded, [example.get("row") for example in examples])

    def with_prompts(self, columns: list[dict[str, Any]], rows: list[Row | None]) -> list[dict[str, Any]]:
        """Columns of examples, with those of the prompts that MLC reads with the rows that they come from."""
        if self.config.mlc is None:
            return columns
        partners = {row["id"]: row for row in self.rows}
        prompts = prompt_columns.of_examples(
            self.tokenizer, rows, partners, self.besides, self.config.mlc, self.config.seed
        )
        return [own | more for own, more in zip(columns, prompts, strict=True)]

    def reference(self, name: str) -> Any:
        """Another model as the frozen reference. Raises UsageError where its tokenizer is another one."""
        found = identity.resolve(_spec(name, None))
        tokenizer = AutoTokenizer.from_pretrained(found.path)
        if tokenizer.get_vocab() != self.tokenizer.get_vocab():
            raise UsageError(
                f"the reference model '{name}' has another tokenizer than '{self.config.model}', so their "
                "probabilities cannot be compared; name a reference of the same family"
            )
        return AutoModelForCausalLM.from_pretrained(found.path, dtype=getattr(torch, self.config.dtype))

    def trainer(self, kind: type[Any], arguments: Any, dataset: Dataset, **others: Any) -> Any:
        """TRL's trainer `kind` with these arguments, MLC mixed in where the settings say so."""
        from mlc_bench.baselines.mlc.trainer import PromptLoss

        config: TrainConfig = self.config
        if config.lora is not None:
            from peft import LoraConfig

            others["peft_config"] = LoraConfig(
                r=config.lora.r,
                lora_alpha=config.lora.alpha,
                lora_dropout=config.lora.dropout,
                target_modules=config.lora.targets,
                exclude_modules=[hidden_states.EXTRACTOR],
                task_type="CAUSAL_LM",
            )
        if config.mlc is not None:
            layer = hidden_states.resolve_layer(config.mlc.layer, self.model.config.get_text_config().num_hidden_layers)
            hidden_states.attach(self.model, layer, config.mlc.extractor)
        mixin = TokenCount if config.mlc is None else PromptLoss
        kind = type(f"{mixin.__name__}{kind.__name__}", (mixin, checkpoints.Described, kind), {})
        trainer = kind(
            model=self.model, args=arguments, train_dataset=dataset, processing_class=self.tokenizer, **others
        )
        trainer.run = self
        trainer.count_tokens()
        if config.mlc is not None:
            codes = training_data.spoken([*self.rows, *self.besides])
            trainer.prepare_mlc(config.mlc, codes)
            self.languages |= set(codes)
        return trainer


def prepare(method: str, config: TrainConfig) -> TrainRun:
    """Check everything that can be wrong before a weight is loaded, and take the output folder. Raises UserError."""
    is_sharded = any(parse_flag_from_env(name) for name in checkpoints.SHARDING)
    if processes().device.type == "cpu" and is_sharded:
        raise UsageError(
            "accelerate shards a model (FSDP, DeepSpeed) on GPUs only, and here there is none; launch without it"
        )
    writable.check_folder(config.output, "--output")
    score.require_trackers(config)
    score.require_languages(config)
    checkpoints.require_whole(config, processes().num_processes, is_sharded)
    if config.bf16 and emulates_bf16() and is_main():
        say("bf16 is emulated on this CPU, and slower than float32 (--bf16 false)")
    base = identity.resolve(_spec(config.model, config.revision))
    shape = AutoConfig.from_pretrained(base.path)
    targets.require(config, shape)
    tokenizer = AutoTokenizer.from_pretrained(base.path)
    data = _data(config.data, config, tokenizer)
    data = equal_pairs.left_out(data, methods.get(method).NEEDS, tokenizer, config.cutoff)
    training_data.require_languages(data, getattr(config, "languages", None))
    besides: list[Row] = []
    if config.mlc is not None:
        hidden_states.resolve_layer(config.mlc.layer, shape.get_text_config().num_hidden_layers)
        besides = _data(config.mlc.besides, config, tokenizer).rows if config.mlc.besides else []
        prompt_columns.require(data.rows, besides, config.mlc)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    warnings = [equal_pairs.count(data), end_of_turn.fault(tokenizer, str(base.path))]
    ours = _claim(method, config, base, data, besides)
    claim(config.output, ours)
    if is_main():
        for line in filter(None, warnings):
            say(line)
    return TrainRun(method, config, base, data, tokenizer, besides, digest(ours)[:12])


def _spec(model: str, revision: str | None) -> RunSpec:
    return RunSpec(model=model, revision=revision, engine="hf", tasks=())


def _data(names: list[str], config: TrainConfig, tokenizer: Any) -> TrainingData:
    data = training_data.without_test_prompts(training_data.load(names), config.keep_out)
    return training_data.fitting(data, training_data.prompt_length(tokenizer), config.cutoff - 1)  # room for an answer


def _claim(
    method: str, config: TrainConfig, base: identity.Identity, data: TrainingData, besides: list[Row]
) -> dict[str, Any]:
    settings = secrets.removed(config.model_dump(mode="json", exclude=_SAME_RESULT))
    reference = getattr(config, "reference", None)
    return {
        "method": method,
        "config": settings,
        "weights": base.weights_digest,
        "data": data.fingerprint,
        "tokenizer": digest(base.tokenizer_digest, base.chat_template),
        "mlc.besides": digest(besides),
        "reference": identity.resolve(_spec(reference, None)).weights_digest if reference else None,
    }


def claim(folder: Path, run: dict[str, Any]) -> None:
    """Take an output folder for a run. Raises UsageError where it holds anything but this very run."""
    with main_first():  # the others look when its file is complete, and find the run their own
        if not _is_ours(folder, run) and processes().is_main_process:
            write_text(folder / _RUN, json.dumps(run, indent=1, ensure_ascii=False))


def _is_ours(folder: Path, run: dict[str, Any]) -> bool:
    """Whether the folder holds this run (False: it is free). Raises UsageError where it holds something else."""
    if (folder / _RUN).is_file():
        theirs = json.loads((folder / _RUN).read_text())
        differing = sorted(key for key in run if key in theirs and theirs[key] != run[key])  # earlier ones say less
        if "config" in differing:
            differing.remove("config")
            ours, other = run["config"], theirs.get("config", {})
            differing += sorted(key for key in {*ours, *other} if ours.get(key) != other.get(key))
        if not differing:
            return True
        raise UsageError(
            f"{folder} holds another run (it differs in {', '.join(differing)}); choose another --output, or remove it"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is not empty and holds no run of train-baseline; choose another --output")
    return False


def execute(run: TrainRun) -> dict[str, Any]:
    """Train to the end, from the last checkpoint if there is one, and save. Returns the manifest."""
    output: Path = run.config.output
    if (output / identity.TRAIN_MANIFEST).is_file():
        say(f"{output} is finished already")
        return json.loads((output / identity.TRAIN_MANIFEST).read_text())
    processor.keep_memory()
    if is_main():
        say(f"{run.label}: prepares {len(run.rows)} rows and the model, {run.base.name}")
    trainer = methods.get(run.method).build(run)
    watch = Watch(run.label)
    trainer.add_callback(watch)
    trainer.add_callback(StopWhenNotFinite(run.config))
    if trainer.args.use_cpu:
        trainer.add_callback(ReleaseMemory())
    trainer.add_callback(checkpoints.Keep(run.config))
    if run.config.score_every:
        trainer.add_callback(score.Score(run, trainer, watch))
    trainer.remove_callback(PrinterCallback)
    checkpoint = last_checkpoint(output / "checkpoints")
    if checkpoint:
        say(f"goes on from {checkpoint}")
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return finish(run, trainer)


def finish(run: TrainRun, trainer: Any) -> dict[str, Any]:
    """Weights, tokenizer and extractor, the plot, and last of all the manifest."""
    import shutil

    output: Path = run.config.output
    require_finite(trainer.model)
    plugin = getattr(trainer.accelerator.state, "fsdp_plugin", None)
    if trainer.is_fsdp_enabled and plugin is not None:
        plugin.set_state_dict_type("FULL_STATE_DICT")
    # The trainer switches the cache off for good; without it, answering takes many times as long.
    trainer.model.config.use_cache = manifest.uses_cache(run)
    trainer.save_model(str(output))
    made = manifest.of(run, trainer)
    if trainer.is_world_process_zero():
        (output / "training_args.bin").unlink(missing_ok=True)  # a pickle, and all it says is in the manifest
        plot(trainer.state.log_history, output / "training.png")
        write_text(output / identity.TRAIN_MANIFEST, json.dumps(made, indent=1, ensure_ascii=False))
        checkpoints.leave(output / "checkpoints", run.config.keep_checkpoints)
        shutil.rmtree(output / "data", ignore_errors=True)
    trainer.accelerator.wait_for_everyone()
    return made


def processes() -> PartialState:
    """The processes that train together. On a CPU accelerate must be told so, or each would take itself for alone."""
    return PartialState(cpu=not torch.cuda.is_available())


@contextmanager
def ending_group() -> Iterator[None]:
    """Leaves the group of processes after what is inside, and after a UserError, which all of them raise.

    Where that is left to the end of Python, gloo's threads may abort a process (pytorch/pytorch#179291). After any
    other error, or a signal, the others may still wait for this process, so nothing is done.
    """
    try:
        yield
    except UserError:
        processes().destroy_process_group()
        raise
    processes().destroy_process_group()


@contextmanager
def main_first() -> Iterator[None]:
    """The main process first, then the others, also where it has raised an error: they find the same one themselves."""
    state = processes()
    if not state.is_main_process:
        state.wait_for_everyone()
    try:
        yield
    finally:
        if state.is_main_process:
            state.wait_for_everyone()


def is_main() -> bool:
    """Whether this is the process that speaks (always, where there is only one)."""
    return processes().is_main_process


def as_pair(row: dict[str, Any]) -> dict[str, Any]:
    """A row of token ids in the columns of TRL's CPO and ORPO trainers."""
    start = row["prompt_ids"]
    columns = {"prompt_input_ids": start, "prompt_attention_mask": [1] * len(start)}
    for part in ("chosen", "rejected"):
        answer = row[f"{part}_ids"]
        columns |= {
            f"{part}_input_ids": start + answer,
            f"{part}_attention_mask": [1] * len(start + answer),
            f"{part}_labels": [-100] * len(start) + answer,
        }
    return columns
