"""`train-baseline METHOD --check`: whether a run can start here, without training or loading a weight."""

import math
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from accelerate.utils import parse_flag_from_env

from mlc_bench.baselines import checkpoints, end_of_turn, methods, score, targets
from mlc_bench.baselines.check import duration, estimate
from mlc_bench.baselines.config import MLC, TrainConfig
from mlc_bench.baselines.data import equal_pairs, prompt_columns, training_data
from mlc_bench.baselines.data.formats import PIVOT
from mlc_bench.baselines.data.training_data import TrainingData
from mlc_bench.baselines.mlc import hidden_states
from mlc_bench.catalog import data as catalog_data
from mlc_bench.catalog import listing
from mlc_bench.core import writable
from mlc_bench.core.errors import PrerequisiteError, UserError
from mlc_bench.core.provenance import emulates_bf16
from mlc_bench.doctor import Finding
from mlc_bench.engines import demo_models

GIB = 2**30
Length = Callable[[str], int]


def findings(method: str, config: TrainConfig) -> list[Finding]:
    """Method, model, data, memory, disk and time, in the order of a run. A problem never hides what comes after it."""
    processes = int(os.environ.get("WORLD_SIZE", "1"))  # set by accelerate launch
    kind = "an adapter" if config.lora else "all weights"
    mlc = f", MLC ({config.mlc.objective})" if config.mlc else ""
    batch = config.batch_size * config.accumulation * processes
    found = [Finding("ok", "settings", f"{method}{mlc}, {kind}, {batch} rows a step on {processes} process(es)")]
    if config.bf16 and emulates_bf16():
        found.append(Finding("note", "bf16", "emulated on this CPU, and slower than float32 (--bf16 false)"))
    for check in (score.require_trackers, score.require_languages, partial(_require_whole, processes)):
        try:
            check(config)
        except UserError as error:
            found.append(Finding("problem", "scores", str(error)))
    shape, folder, about = _model(config)
    found.append(about)
    tokenizer, of_tokenizer = _tokenizer(folder)
    length = training_data.prompt_length(tokenizer) if tokenizer is not None else None
    data, of_data = _data(method, config, length, tokenizer)
    found += of_tokenizer + of_data
    if shape is None:
        return [*found, Finding("problem", "memory", "cannot be worked out without the model's config.json")]
    try:
        if config.mlc:
            layer = hidden_states.resolve_layer(config.mlc.layer, shape.get_text_config().num_hidden_layers)
            found.append(Finding("ok", "mlc layer", str(layer)))
    except UserError as error:
        found.append(Finding("problem", "mlc layer", str(error)))
    try:
        targets.require(config, shape)
    except UserError as error:
        found.append(Finding("problem", "lora", str(error)))
    steps = estimate.steps(config, len(data.rows), processes) if data else config.max_steps or 0
    need = estimate.need(shape, config, *_longest(data, config, length or len), processes, steps)
    found += [_memory(need), _disk(need, config.output, estimate.checkpoints(config, steps))]
    if all(one.level != "problem" for one in found) and data and length and processes == 1:
        found.append(_time(shape, config, _work(method, config, data, length), steps))
    return [*found, *_scores(config, steps)]


def _model(config: TrainConfig) -> tuple[Any, Path | None, Finding]:
    """The model's configuration, its folder where it is on this machine, and what was found."""
    from transformers import AutoConfig

    try:
        folder, where = _folder(config)
        shape = AutoConfig.from_pretrained(str(folder or where))
    except UserError as error:
        return None, None, Finding("problem", "model", str(error))
    except (OSError, ValueError) as error:
        return None, None, Finding("problem", "model", f"{config.model}: {' '.join(str(error).split())[:200]}")
    if folder is not None and not list(folder.glob("*.safetensors")):
        return shape, folder, Finding("problem", "model", f"{folder} has no weights (*.safetensors)")
    text = f"{config.model} ({shape.model_type})" + ("" if folder else "; its weights are fetched when training starts")
    return shape, folder, Finding("ok", "model", text)


def _folder(config: TrainConfig) -> tuple[Path | None, Path]:
    """The folder of a model on this machine, or None and that of its config.json, fetched from the hub alone."""
    from huggingface_hub import hf_hub_download

    if config.model in demo_models.MODELS:
        folder = demo_models.folder(config.model)
        return folder, folder
    if (folder := Path(config.model)).is_dir():
        return folder, folder
    try:
        path = Path(hf_hub_download(config.model, "config.json", revision=config.revision))
    except Exception as error:  # offline, gated, misspelt: the library's own first line says which
        first = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise PrerequisiteError(
            f"cannot get the config.json of '{config.model}' ({first}); check the name and your access, or give a "
            "local folder"
        ) from None
    return None, path.parent


def _tokenizer(folder: Path | None) -> tuple[Any, list[Finding]]:
    """The model's tokenizer where it is on this machine, and what is wrong with its chat template."""
    from transformers import AutoTokenizer

    if folder is None:
        text = "not on this machine: a character counts as a token below, and the cut-off is not checked"
        return None, [Finding("note", "tokenizer", text)]
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder))
        fault = end_of_turn.fault(tokenizer, folder)  # a missing chat template shows only now
    except (OSError, ValueError, UserError) as error:
        return None, [Finding("problem", "tokenizer", f"{folder}: {' '.join(str(error).split())[:200]}")]
    return tokenizer, [Finding("note", "end of turn", fault)] if fault else []


def _longest(data: TrainingData | None, config: TrainConfig, length: Length) -> tuple[int, int]:
    """Most tokens of a row with its responses, and of its prompts; without data, what the cut-off allows."""
    own = getattr(config, "answer_tokens", 0)  # the model answers itself, in any language
    if data is None:
        return config.cutoff + own if own else 2 * config.cutoff, 10 * config.cutoff
    most_row = most_group = 0
    for row in data.rows:
        prompts = {code: min(config.cutoff, length(text)) for code, text in row["prompts"].items()}
        if own:
            most_row = max(most_row, max(prompts.values()) + own)
        else:
            answers = [length(text) for text in (row["chosen"], row["rejected"]) if text]
            most_row = max(most_row, sum(min(config.cutoff, prompts[PIVOT] + answer) for answer in answers))
        most_group = max(most_group, sum(_read_by_mlc(prompts, config.mlc)))
    return most_row, most_group


def _read_by_mlc(prompts: dict[str, int], mlc: MLC | None) -> list[int]:
    """Tokens of each of a row's prompts that are read together, the longest where languages are drawn.

    A contrast reads those of its partner, about as many, too.
    """
    others = sorted(count for code, count in prompts.items() if code != PIVOT)
    drawn = others if mlc is None or mlc.sample is None else others[-mlc.sample :]
    with_partner = mlc is not None and mlc.objective == "contrast" and mlc.contrast > 0
    return [prompts[PIVOT], *drawn] * (2 if with_partner else 1)


def _work(method: str, config: TrainConfig, data: TrainingData, length: Length) -> duration.Work:
    """What a run does, in means over its rows."""
    size, own = config.batch_size, getattr(config, "answer_tokens", 0)
    prompts = [{code: min(config.cutoff, length(text)) for code, text in row["prompts"].items()} for row in data.rows]
    group = answered = None
    if config.mlc:
        read = [_read_by_mlc(tokens, config.mlc) for tokens in prompts]
        each = sum(map(len, read)) / len(read)
        group = duration.Batch(round(size * each), round(sum(map(sum, read)) / len(read) / each))
    if own:
        every = [count for tokens in prompts for count in tokens.values()]
        asked = round(sum(every) / len(every))
        answered, row = duration.Batch(size * config.accumulation, asked), duration.Batch(size, asked + own)
    else:
        responses = 2 if methods.get(method).NEEDS.get("rejected") else 1
        ends = [length(text) for row in data.rows for text in (row["chosen"], row["rejected"])[:responses] if text]
        english = sum(tokens[PIVOT] for tokens in prompts) / len(prompts)
        row = duration.Batch(size * responses, min(config.cutoff, round(english + sum(ends) / max(1, len(ends)))))
    before = math.ceil(len(data.rows) / size) if "reference" in type(config).model_fields else 0
    return duration.Work(row, group, answered, before)


def _time(shape: Any, config: TrainConfig, work: duration.Work, steps: int) -> Finding:
    layers = shape.get_text_config().num_hidden_layers
    try:
        layer = hidden_states.resolve_layer(config.mlc.layer, layers) if config.mlc else layers
        found = duration.measure(shape, config, work, layer)
    except (RuntimeError, ValueError, AttributeError) as error:
        return Finding("note", "time", f"not known before the first steps: {' '.join(str(error).split())[:150]}")
    text = f"about {found.of(steps) / 60:.0f} min: {steps} steps of {found.step:.1f} s"
    before = f", and {found.before:.0f} s for the reference" if found.before else ""
    return Finding("ok", "time", f"{text}{before}, as one layer with random weights takes here now; without scores")


def _data(
    method: str, config: TrainConfig, length: Length | None, tokenizer: Any
) -> tuple[TrainingData | None, list[Finding]]:
    """The rows as training would take them, but for those that are too long where the tokenizer is not here."""
    found: list[Finding] = []
    try:
        data = training_data.load(config.data)
        training_data.require(data, method, **methods.get(method).NEEDS)
    except UserError as error:
        return None, [Finding("problem", "data", str(error))]
    for task in config.keep_out:
        try:
            data = training_data.without_test_prompts(data, [task])
        except UserError as error:
            found.append(Finding("problem", f"keep out {task}", str(error)))
            continue
        counts = ", ".join(f"{name} {max(codes.values())}" for name, codes in data.overlap.items())
        found.append(Finding("ok", f"keep out {task}", f"training rows with a test prompt: {counts or 'none'}"))
    if length is not None:
        try:
            data = training_data.fitting(data, length, config.cutoff - 1)
        except UserError as error:
            found.append(Finding("problem", "cut-off", str(error)))
    try:
        data = equal_pairs.left_out(data, methods.get(method).NEEDS, tokenizer, config.cutoff)
    except UserError as error:
        found.append(Finding("problem", "pairs", str(error)))
    try:
        training_data.require_languages(data, getattr(config, "languages", None))
    except UserError as error:
        found.append(Finding("problem", "languages", str(error)))
    spoken = [code for code in training_data.spoken(data.rows) if code != PIVOT]
    dropped = "".join(f", {count} left out ({reason})" for reason, count in data.dropped.items() if count)
    found.insert(0, Finding("ok", "data", f"{len(data.rows)} rows, en and {' '.join(spoken) or 'no other'}{dropped}"))
    try:
        if config.mlc:
            besides = training_data.load(config.mlc.besides).rows if config.mlc.besides else []
            prompt_columns.require(data.rows, besides, config.mlc)
    except UserError as error:
        found.append(Finding("problem", "mlc", str(error)))
    return data, found


def _memory(need: estimate.Need) -> Finding:
    import psutil
    import torch

    if torch.cuda.is_available():
        free = min(torch.cuda.mem_get_info(index)[0] for index in range(torch.cuda.device_count()))
        most, where = need.memory, "each GPU"
    else:
        free, where = psutil.virtual_memory().available, "this machine (no GPU)"
        most = need.memory_on_cpu
    text = (
        f"{need.parameters / 1e9:.2f} B weights, {need.trained / 1e9:.3f} B trained; about {most / GIB:.1f} GiB "
        f"a process (weights, gradients, Adam {need.states / GIB:.1f}, activations {need.activations / GIB:.1f}); "
        f"{where} has {free / GIB:.1f} GiB free"
    )
    return Finding("ok" if most <= free else "problem", "memory", text)


def _require_whole(processes: int, config: TrainConfig) -> None:
    checkpoints.require_whole(config, processes, any(parse_flag_from_env(name) for name in checkpoints.SHARDING))


def _scores(config: TrainConfig, steps: int) -> list[Finding]:
    """What the scores while training will cost: prompts, and seconds where earlier scores of this run say so."""
    if not config.score_every or not steps:
        return []
    entries = listing.select(list(score.TASKS))
    try:
        codes = listing.check_languages(config.score_languages)
        documents = [catalog_data.read_what_is_here(entry.source, codes) for entry in entries]
    except UserError:  # which `require_languages` has said
        return []
    prompts = sum(len(rows) for own in documents for rows in own.values())
    points = math.ceil(steps / config.score_every)
    text = f"{points} points of {prompts} prompts in {len(documents[0])} languages, on transformers; training waits"
    seconds = [sum(one.phases.values()) for one in score.finished(config.output)]
    if seconds:
        text += f"; about {points * sum(seconds) / len(seconds) / 60:.0f} min, as the {len(seconds)} that are there"
    else:
        text += f"; how long one takes is known after the first (it is {' '.join(score.TASKS)} with mlc-bench run)"
    return [Finding("ok", "scores", text)]


def _disk(need: estimate.Need, output: Path, kept: int) -> Finding:
    try:
        writable.check_folder(output, "--output")
    except (UserError, OSError) as error:
        return Finding("problem", "disk", str(error))
    existing = next(parent for parent in [output.absolute(), *output.absolute().parents] if parent.exists())
    free = shutil.disk_usage(existing).free
    level = "ok" if need.disk <= free else "problem"
    room = f"{free / GIB:.1f} GiB free"
    what = f"checkpoints, of which {kept} stay" if kept else "checkpoints"
    text = f"about {need.disk / GIB:.1f} GiB for the result and {what}; {room} ({output})"
    return Finding(level, "disk", text)
