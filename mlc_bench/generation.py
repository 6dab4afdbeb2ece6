"""The generate phase: lm-eval asks, the store answers or the engine does, samples land in the run's folder."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lm_eval.api.task import ConfigurableTask
from lm_eval.evaluator import evaluate
from lm_eval.tasks import TaskManager
from lm_eval.tasks._yaml_loader import load_yaml
from transformers import set_seed

from mlc_bench import data
from mlc_bench.catalog import TaskEntry
from mlc_bench.errors import PrerequisiteError, UsageError, UserError
from mlc_bench.progress import say
from mlc_bench.record import write_text
from mlc_bench.spec import RunSpec, digest
from mlc_bench.store import StoredLM


@dataclass
class LoadedTask:
    """One task: an lm-eval task for each language, or the error that kept it from loading."""

    entry: TaskEntry
    by_language: dict[str, ConfigurableTask] = field(default_factory=dict)
    error: UserError | None = None

    def name(self, language: str) -> str:
        return f"{self.entry.name}_{language}"


def load(entry: TaskEntry, spec: RunSpec) -> LoadedTask:
    """Build a task's lm-eval tasks. A problem with its data is kept as its error: other tasks go on."""
    loaded = LoadedTask(entry)
    try:
        if spec.engine == "openai" and entry.config["output_type"] != "generate_until":
            raise UsageError(
                f"{entry.name} needs log-likelihoods, which chat servers do not give; use --engine hf or vllm"
            )
        available = list(data.read(entry.source))
        wanted = [code for code in spec.languages or available if code in available]
        if absent := [code for code in spec.languages or () if code not in available]:
            say(f"{entry.name}: no data for {', '.join(absent)}; left out there")
        if not wanted:
            raise UsageError(f"{entry.name} has none of the languages asked for; it has {', '.join(available)}")
        config = load_yaml(entry.path)
        config.pop("tag", None)
        if spec.max_tokens and "generation_kwargs" in config:
            config["generation_kwargs"]["max_gen_toks"] = spec.max_tokens
        if config["output_type"] == "generate_until":
            config["process_results"] = _judged_later
        for code in wanted:
            metadata = config["metadata"] | {"languages": [code], "limit": spec.limit}
            loaded.by_language[code] = ConfigurableTask(
                config=config | {"task": loaded.name(code), "metadata": metadata}
            )
    except UserError as error:
        loaded.error = error
    return loaded


def _judged_later(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    return {}


def run(stored: StoredLM, tasks: list[LoadedTask], spec: RunSpec, folder: Path) -> dict[str, Any]:
    """Answer every prompt of every task that loaded, and write samples/<task>.jsonl.

    Returns what the record needs to know of it: settings and fingerprints by task, errors of the other tasks.
    """
    ready = [task for task in tasks if task.error is None]
    lm_tasks = [lm_task for task in ready for lm_task in task.by_language.values()]
    results: Any = None
    if lm_tasks:
        check_system_prompt(stored, spec)
        set_seed(spec.seed)
        for lm_task in lm_tasks:
            lm_task.set_config(key="num_fewshot", value=lm_task.config.num_fewshot or 0)
            lm_task.set_fewshot_seed(seed=spec.seed)
        results = evaluate(
            lm=stored,
            task_dict=TaskManager(include_path=str(data.TASKS), include_defaults=False).load(lm_tasks),
            apply_chat_template=True,
            system_instruction=spec.system_prompt,
            bootstrap_iters=0,
        )
    summary: dict[str, Any] = {"tasks": {}, "errors": {t.entry.name: str(t.error) for t in tasks if t.error}}
    first_context = None
    for task in ready:
        rows, languages = [], {}
        for code, lm_task in task.by_language.items():
            samples = results["samples"][task.name(code)]
            samples.sort(key=lambda sample: sample["doc_id"])
            first_context = first_context or samples[0]["arguments"][0][0]
            rows += [_row(stored, lm_task, sample) for sample in samples]
            docs = [sample["doc"] for sample in samples]
            languages[code] = {
                "data_fingerprint": data.fingerprint(docs),
                "prompt_fingerprint": digest([lm_task.doc_to_text(doc) for doc in docs]),
            }
        write_text(
            folder / "samples" / f"{task.entry.name}.jsonl",
            "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows),
        )
        config = next(iter(task.by_language.values())).config
        summary["tasks"][task.entry.name] = {
            "languages": languages,
            "generation": (config.generation_kwargs or {})
            | {"num_fewshot": config.num_fewshot, "repeats": config.repeats},
        }
    summary["first_token_ids"] = _first_tokens(stored, first_context)
    return summary


def _row(stored: StoredLM, lm_task: ConfigurableTask, sample: dict[str, Any]) -> dict[str, Any]:
    doc = sample["doc"]
    row = {key: doc[key] for key in ("id", "language", "category", "prompt")}
    if lm_task.OUTPUT_TYPE != "generate_until":
        row["metrics"] = {name: float(sample[name]) for name in sample["metrics"]}
        if lm_task.OUTPUT_TYPE == "multiple_choice":
            scores = [float(log_likelihood) for log_likelihood, _ in sample["filtered_resps"]]
            if (lm_task.config.metadata or {}).get("headline") == "acc_norm":
                scores = [score / len(choice) for score, choice in zip(scores, lm_task.doc_to_choice(doc), strict=True)]
            row["choice_scores"] = scores
        return row
    kept = stored.row("generate_until", sample["arguments"][0])
    return (
        row
        | {"response": sample["resps"][0][0]}
        | {key: kept.get(key) for key in ("tokens_in", "tokens_out", "truncated")}
    )


def _first_tokens(stored: StoredLM, context: Any) -> list[int] | None:
    """The first eight token ids of one prompt as the engine encodes it (a server encodes for itself)."""
    if not isinstance(context, str):
        return None
    return [int(token) for token in stored.lm.tok_encode(context)[:8]]


def check_system_prompt(stored: StoredLM, spec: RunSpec) -> None:
    """Raises UsageError where the chat template has no place for the system prompt (lm-eval would drop it silently)."""
    if spec.system_prompt is None or spec.engine == "openai":
        return
    turns = [{"role": "system", "content": spec.system_prompt}, {"role": "user", "content": "."}]
    if spec.system_prompt.strip() not in str(stored.apply_chat_template(turns)):
        raise UsageError(
            f"the chat template of '{spec.model}' has no place for a system prompt; leave --system-prompt out"
        )


def check_lengths(stored: StoredLM, tasks: list[LoadedTask], spec: RunSpec) -> None:
    """Mark as failed every task with a prompt that, with the answer, does not fit into the model's context.

    lm-eval would cut such a prompt silently from the left. A server checks for itself.
    """
    if spec.engine == "openai":
        return
    longest = stored.lm.max_length
    for task in tasks:
        for code, lm_task in task.by_language.items():
            answer = int((lm_task.config.generation_kwargs or {}).get("max_gen_toks", 0))
            for doc in lm_task.eval_docs:
                if lm_task.OUTPUT_TYPE == "multiple_choice":
                    answer = max(len(stored.lm.tok_encode(f" {choice}")) for choice in lm_task.doc_to_choice(doc))
                room = longest - answer
                text = lm_task.doc_to_text(doc)
                turns = [{"role": "user", "content": text}]
                if spec.system_prompt:
                    turns.insert(0, {"role": "system", "content": spec.system_prompt})
                tokens = len(stored.lm.tok_encode(stored.apply_chat_template(turns)))
                if tokens > room and task.error is None:
                    task.error = PrerequisiteError(
                        f"prompt '{doc['id']}' in '{code}' has {tokens} tokens, and the model's context of {longest} "
                        f"leaves {room}; lower --max-tokens or leave the task or language out"
                    )
                    say(f"{task.entry.name}: {task.error}")
