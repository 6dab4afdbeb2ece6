"""A gate before the answers of a finished run: a run of its own, with the refusal where the gate fires.

The gate reads each prompt as the model was asked it. Where it fires, the answer is the fixed refusal; elsewhere it is
the model's, as it is stored. Where an answer is a choice, a refusal is a wrong one. Nothing is generated, and what is
written is a run like any other.
"""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from torch import Tensor

from mlc_bench.baselines.gate.gate import Gate
from mlc_bench.catalog import listing, packs
from mlc_bench.core.errors import StaleError, UsageError
from mlc_bench.core.inside import inside
from mlc_bench.core.progress import say
from mlc_bench.core.spec import digest, short_name
from mlc_bench.engines import identity
from mlc_bench.judges import judging
from mlc_bench.records import record
from mlc_bench.records.record import RunRecord, TaskResult

Row = dict[str, Any]
States = Callable[[list[str]], Tensor]
"""The states of prompts after one layer, (prompts, H)."""


def read(path: Path) -> tuple[Path, RunRecord]:
    """The folder of a run and its record (`run.json`, or the one that is named), fit for a gate.

    Raises UsageError for what is no run, and for one whose model or prompts the gate cannot read.
    """
    folder = judging.folder_of(path)
    found = record.read(path if path.is_file() else folder / "run.json")
    if found.spec.engine == "openai":
        raise UsageError(f"{folder}: a server answered, and its hidden states cannot be read; run the model here")
    if found.spec.system_prompt is not None or found.spec.template_date or found.spec.thinking != "model":
        raise UsageError(
            f"{folder}: it was asked with a system prompt, a date or a switch for thinking; gates are fitted without"
        )
    return folder, found


def resolve(found: RunRecord, gate: Gate) -> identity.Identity:
    """The model of a run, on this machine. Raises UsageError where it, or the gate's, is another one."""
    here = identity.resolve(found.spec)
    adapter = here.adapter.digest if here.adapter else None
    if (here.weights_digest, adapter) != (
        found.model.weights_digest, found.model.adapter.digest if found.model.adapter else None,
    ):  # fmt: skip
        raise UsageError(f"'{found.spec.model}' has other weights than when it answered; run it again")
    gate.check(here)
    return here


def reader(here: identity.Identity, gate: Gate, batch_size: int) -> States:
    """Loads the model, and reads its states after the gate's layer. Raises UsageError where it has no such layer."""
    from mlc_bench.baselines.mlc import probe

    model, tokenizer = probe.load(here, gate.dtype)
    shape = model.config.get_text_config()
    if gate.layer > shape.num_hidden_layers or len(gate.direction) != shape.hidden_size:
        raise UsageError(
            f"the gate reads layer {gate.layer} of {len(gate.direction)} numbers, and '{here.name}' has "
            f"{shape.num_hidden_layers} layers of {shape.hidden_size}; fit it again: mlc-bench gate fit"
        )
    return lambda texts: probe.read_states(model, tokenizer, texts, batch_size, gate.layer, "gate")[0]


def make(folder: Path, found: RunRecord, gate: Gate, name: str, states: States, output: Path) -> tuple[RunRecord, Path]:
    """Write the run with the gate, `name` its model's, into `output`; its record, and where that is.

    `states`: see `reader`. The judge is the one of `found`. Raises UsageError where the gate can be put before no task,
    StaleError where a task's prompts are no longer those that were asked.
    """
    begun = time.perf_counter()
    judge = judging.open_judge(found.judge.id)
    run_id = digest(found.run_id, gate.digest)[:12]
    model = found.model.model_copy(
        update={"name": name, "fingerprint": digest(found.model.fingerprint, gate.digest), "training": gate.training()}
    )
    tasks = [task for task in found.tasks if _is_gated(task)]
    if not tasks:
        raise UsageError(f"{folder}: there is no task that the gate can be put before")
    target = output / (short_name(name) or "gate") / run_id
    fired = total = 0
    for task in tasks:
        samples = judging.read_samples(folder, task.name)
        refused = _fires(task, found, samples, gate, states)
        rows = [_refused(row, gate) if fires else row for row, fires in zip(samples, refused, strict=True)]
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        record.write_text(inside(target, f"samples/{task.name}.jsonl", "the samples"), text)
        fired, total = fired + sum(refused), total + len(rows)
        if task.measures == "utility":
            _score(task, rows, found)
    made = found.model_copy(
        update={
            "run_id": run_id,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "model": model,
            "tasks": tasks,
            "phases": dict.fromkeys(found.phases, 0.0) | {"generate": round(time.perf_counter() - begun, 3)},
            "responses": {"generated": fired, "from_store": total - fired},
        }
    )
    say(f"the gate refuses {fired} of {total} prompts")
    begun = time.perf_counter()
    (verdicts,) = judging.judge_samples(judge, [(target, [task.name for task in judging.judged(made)])], output)
    return judging.judged_record(target, made, judge, verdicts, round(time.perf_counter() - begun, 3))


def _is_gated(task: TaskResult) -> bool:
    """Whether the gate can be put before a task; says why not."""
    why = ""
    if task.status != "complete":
        why = "it failed"
    elif task.measures == "utility" and task.lower_is_better:
        why = "what a refusal scores there is not known"
    elif listing.select([task.name])[0].family or task.generation.get("num_fewshot"):
        why = "it is lm-eval's own or shows examples, and the gate reads the prompts of our tasks alone"
    if why:
        say(f"{task.name}: left out: {why}")
    return not why


def _fires(task: TaskResult, found: RunRecord, samples: list[Row], gate: Gate, states: States) -> list[bool]:
    """Whether the gate fires on each sample of a task."""
    from mlc_bench.engines import generation

    (entry,) = listing.select([task.name])
    with packs.rendering():
        loaded = generation.load(entry, found.spec)
    if loaded.error is not None:
        raise loaded.error
    chosen = loaded.chosen()
    asked: dict[str, list[str]] = {}
    for code, result in task.languages.items():
        asked[code] = [
            lm_task.doc_to_text(lm_task.eval_docs[number])
            for lm_task in loaded.by_language.get(code, [])
            for number in chosen[lm_task.task_name]
        ]
        if digest(asked[code]) != result.prompt_fingerprint:
            raise StaleError(f"{task.name}: its prompts in {code} are not those that were asked; run the model again")
    if [row["language"] for row in samples] != [code for code, one in task.languages.items() for _ in range(one.n)]:
        raise StaleError(f"{task.name}: the samples are not those of the record; run the model again")
    found_states = states([text for texts in asked.values() for text in texts]).split(list(map(len, asked.values())))
    return [fires for code, own in zip(asked, found_states, strict=True) for fires in gate.fires(own, code)]


def _refused(row: Row, gate: Gate) -> Row:
    """A sample whose answer is the refusal."""
    kept: Row = {key: row[key] for key in ("id", "language", "category", "prompt") if key in row}
    if "metrics" in row:
        kept["metrics"] = dict.fromkeys(row["metrics"], 0.0)
    if "response" in row:
        kept |= {"response": gate.refusal, "tokens_in": row.get("tokens_in"), "tokens_out": None, "truncated": False}
    return kept


def _score(task: TaskResult, rows: list[Row], found: RunRecord) -> None:
    """Results of a task that no judge reads, from its samples."""
    known = {
        code: {"data_fingerprint": one.data_fingerprint, "prompt_fingerprint": one.prompt_fingerprint}
        for code, one in task.languages.items()
    }
    task.languages, task.summary = {}, {}
    judging.score(task, rows, None, known, found.spec, found.judge)
