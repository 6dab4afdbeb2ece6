"""The generate phase: lm-eval asks, the store answers or the engine does, samples land in the run's folder."""

import copy
import importlib.metadata
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from lm_eval.api.task import ConfigurableTask
from lm_eval.evaluator import evaluate
from lm_eval.tasks import TaskManager
from transformers import set_seed

from mlc_bench.catalog import data, listing, packs, templates, upstream
from mlc_bench.catalog.listing import TaskEntry
from mlc_bench.core.errors import PrerequisiteError, UsageError, UserError
from mlc_bench.core.inside import inside
from mlc_bench.core.progress import say
from mlc_bench.core.spec import RunSpec, digest
from mlc_bench.engines.settings import sampling
from mlc_bench.engines.settings.resolved import NEUTRAL, Settings
from mlc_bench.engines.store import StoredLM
from mlc_bench.records.record import write_text


@dataclass
class LoadedTask:
    """One task: lm-eval's tasks for each language, one where it is ours, or the error that kept it from loading."""

    entry: TaskEntry
    by_language: dict[str, list[ConfigurableTask]] = field(default_factory=dict)
    error: UserError | None = None
    limit: int | None = None

    @property
    def all(self) -> list[ConfigurableTask]:
        return [lm_task for lm_tasks in self.by_language.values() for lm_task in lm_tasks]

    def chosen(self) -> dict[str, list[int]]:
        """The numbers of the documents that are asked, by lm-eval's task: the first of each subtask in turn."""
        counts: dict[str, list[int]] = {}
        for lm_tasks in self.by_language.values():
            sizes = upstream.share(self.limit, [len(lm_task.eval_docs) for lm_task in lm_tasks])
            counts |= {lm_task.task_name: list(range(size)) for lm_task, size in zip(lm_tasks, sizes, strict=True)}
        return counts


def load(entry: TaskEntry, spec: RunSpec, settings: Settings = NEUTRAL) -> LoadedTask:
    """Build a task's lm-eval tasks. A problem with its data is kept as its error: other tasks go on."""
    loaded = LoadedTask(entry, limit=spec.limit)
    try:
        settings.check_output(entry.name, entry.config["output_type"], spec)
        loaded.by_language = upstream.load(entry, spec) if entry.family else _load_ours(entry, spec)
        _set_examples(loaded.all, spec)
        for lm_task in loaded.all:
            if lm_task.OUTPUT_TYPE == "generate_until":
                own = settings.generation(lm_task.config.generation_kwargs, spec, f"{entry.name}: generation_kwargs")
                lm_task.set_config(key="generation_kwargs", value=own)
    except UserError as error:
        loaded.error = error
    return loaded


def _load_ours(entry: TaskEntry, spec: RunSpec) -> dict[str, list[ConfigurableTask]]:
    available = list(data.read(entry.source, list(spec.languages or []) or None))
    wanted = [code for code in spec.languages or available if code in available]
    if absent := [code for code in spec.languages or () if code not in available]:
        say(f"{entry.name}: no data for {', '.join(absent)}; left out there")
    if not wanted:
        raise UsageError(f"{entry.name} has none of the languages asked for; it has {', '.join(available)}")
    if entry.included and not listing.code_is_allowed():
        documents = data.read(entry.source, wanted)
        templates.check_rendering(entry.config, {code: documents[code][: spec.limit] for code in wanted}, entry.path)
    config = packs.config(entry)
    config.pop("tag", None)
    # lm-eval gives the loader both, so that none may be in both; what has been checked counts.
    config["dataset_kwargs"] = entry.source
    config["metadata"] = {key: value for key, value in config["metadata"].items() if key not in entry.source}
    if entry.measures != "utility":
        config["process_results"] = _judged_later
    found = {}
    for code in wanted:
        metadata = config["metadata"] | {"languages": [code], "limit": spec.limit}
        own = config | {"task": f"{entry.name}_{code}", "metadata": metadata}
        try:
            found[code] = [ConfigurableTask(config=copy.deepcopy(own))]  # which renders the first prompt
        except TemplateError as error:  # a field that the rows lack; in a pack from elsewhere, a reach for Python
            raise UsageError(f"{entry.path}: a prompt cannot be rendered ({error.message})") from None
        except UserError:
            raise
        except Exception as error:
            if not entry.included:
                raise
            what = f"{type(error).__name__}: {templates.reason(error)}"
            raise UsageError(f"{entry.path}: lm-eval cannot use this task ({what})") from None
    return found


def _set_examples(lm_tasks: list[ConfigurableTask], spec: RunSpec) -> None:
    """How many worked examples come before a question is the task's own matter; which ones, the seed's."""
    for lm_task in lm_tasks:
        lm_task.set_config(key="num_fewshot", value=lm_task.config.num_fewshot or 0)
        lm_task.set_fewshot_seed(seed=spec.seed)


def _judged_later(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    return {}


def run(
    stored: StoredLM, tasks: list[LoadedTask], spec: RunSpec, folder: Path, settings: Settings = NEUTRAL
) -> dict[str, Any]:
    """Answer every prompt of every task that loaded, and write samples/<task>.jsonl.

    Returns what the record needs to know of it: settings and fingerprints by task, errors of the other tasks.
    """
    ready = [task for task in tasks if task.error is None]
    lm_tasks = [lm_task for task in ready for lm_task in task.all]
    results: Any = None
    if lm_tasks:
        check_system_prompt(stored, spec)
        set_seed(spec.seed)
        _set_examples(lm_tasks, spec)  # again: check_lengths has drawn some, and each run draws the same ones
        numbered = {name: numbers for task in ready for name, numbers in task.chosen().items()}
        results = evaluate(
            lm=stored,
            task_dict=TaskManager(include_path=str(data.TASKS), include_defaults=False).load(
                [lm_task for lm_task in lm_tasks if numbered[lm_task.task_name]]
            ),
            samples=numbered,
            apply_chat_template=True,
            system_instruction=spec.system_prompt,
            bootstrap_iters=0,
        )
    summary: dict[str, Any] = {"tasks": {}, "errors": {t.entry.name: str(t.error) for t in tasks if t.error}}
    first_context = None
    for task in ready:
        rows: list[dict[str, Any]] = []
        languages = {}
        ids = {}
        for code in task.by_language:
            own, prompts, docs, contexts = _language_rows(stored, task, code, results["samples"])
            first_context = first_context or contexts[0]
            ids[code] = [row["id"] for row in own]
            rows += own
            languages[code] = {"data_fingerprint": digest(docs), "prompt_fingerprint": digest(prompts)}
            if not task.entry.family:
                languages[code]["data_fingerprint"] = data.fingerprint(docs)
        if task.entry.headline not in rows[0].get("metrics", {task.entry.headline: 0}):
            summary["errors"][task.entry.name] = (
                f"no metric '{task.entry.headline}'; there are {', '.join(rows[0]['metrics'])}"
            )
            continue
        write_text(
            inside(folder, f"samples/{task.entry.name}.jsonl", "the samples"),
            "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows),
        )
        summary["tasks"][task.entry.name] = {
            "languages": languages,
            "version": task.entry.version,
            "parallel": task.entry.parallel and len({tuple(own) for own in ids.values()}) == 1,
            "generation": _settings(task.all[0]) | settings.chosen,
            "decoding": _decoding(task.all[0]),
            "lower_is_better": task.all[0].higher_is_better().get(task.entry.headline.partition(",")[0]) is False,
        }
        if task.entry.family:
            known = summary["tasks"][task.entry.name]
            known |= _of_upstream(task, known["generation"])
    summary["first_token_ids"] = _first_tokens(stored, first_context)
    return summary


def _settings(lm_task: ConfigurableTask) -> dict[str, Any]:
    config = lm_task.config
    own = dict(config.generation_kwargs or {})
    if stop := own.pop("stop_after_thinking", None):  # the task's stop strings, whether or not a model thinks
        own["until"] = stop
    return own | {"num_fewshot": config.num_fewshot, "repeats": config.repeats}


def _decoding(lm_task: ConfigurableTask) -> dict[str, Any]:
    """Every setting that chooses tokens, neutral ones too; empty for a task that writes nothing."""
    if lm_task.OUTPUT_TYPE != "generate_until":
        return {}
    return sampling.of(lm_task.config.generation_kwargs or {}).model_dump(mode="json")


def _of_upstream(task: LoadedTask, generation: dict[str, Any]) -> dict[str, Any]:
    """What makes results of lm-eval's own tasks comparable: its version and theirs, besides the settings."""
    version = float((task.all[0].config.metadata or {}).get("version") or 0)
    settings = {"lm_eval": importlib.metadata.version("lm-eval"), "lm_eval_task_version": version}
    return {"version": int(version), "generation": generation | settings}


def _language_rows(
    stored: StoredLM, task: LoadedTask, code: str, samples: dict[str, list[dict[str, Any]]]
) -> tuple[list[dict[str, Any]], list[str], list[dict[str, Any]], list[Any]]:
    """Sample rows, prompts, documents and contexts of a task in one language, in the order of the data.

    Questions of lm-eval's own tasks that have an id are in its order, which is the same in every language.
    """
    found = []
    for lm_task in task.by_language[code]:
        by_doc: dict[int, list[dict[str, Any]]] = {}
        for sample in samples.get(lm_task.task_name, []):
            by_doc.setdefault(sample["doc_id"], []).append(sample)  # one for each filter
        own = []
        for number, filtered in sorted(by_doc.items()):
            doc = filtered[0]["doc"]
            if task.entry.family:
                known = {
                    "id": upstream.row_id(task.entry, lm_task, doc, number, code),
                    "language": code,
                    "category": lm_task.task_name if len(task.by_language[code]) > 1 else None,
                    "prompt": lm_task.doc_to_text(doc),
                }
            else:
                known = {key: doc[key] for key in ("id", "language", "category", "prompt")}
            row = known | _answer(stored, task, lm_task, filtered)
            own.append((row, lm_task.doc_to_text(doc), doc, filtered[0]["arguments"][0][0]))
        if (task.entry.family or {}).get("id"):
            own.sort(key=lambda entry: entry[0]["id"])
        found += own
    rows, prompts, docs, contexts = (list(column) for column in zip(*found, strict=True))
    return rows, prompts, docs, contexts


def _answer(
    stored: StoredLM, task: LoadedTask, lm_task: ConfigurableTask, filtered: list[dict[str, Any]]
) -> dict[str, Any]:
    """What a sample row holds besides its prompt; `filtered` are lm-eval's samples of one document."""
    row: dict[str, Any] = {}
    if task.entry.measures == "utility":
        row["metrics"] = {
            name if sample["filter"] == "none" else f"{name},{sample['filter']}": float(sample[name])
            for sample in filtered
            for name in sample["metrics"]
            if not isinstance(sample[name], (list, tuple, dict))  # of those lm-eval makes a number only over all
        }
    sample = filtered[0]
    if lm_task.OUTPUT_TYPE != "generate_until":
        if lm_task.OUTPUT_TYPE == "multiple_choice":
            scores = [float(log_likelihood) for log_likelihood, _ in sample["filtered_resps"]]
            if task.entry.headline == "acc_norm":
                choices = lm_task.doc_to_choice(sample["doc"])
                scores = [score / len(choice) for score, choice in zip(scores, choices, strict=True)]
            row["choice_scores"] = scores
        return row
    kept = stored.row("generate_until", sample["arguments"][0])
    read = stored.reader.read(kept, sample["arguments"][0][1]) if stored.reader else {}
    return (
        row
        | {"response": sample["resps"][0][0]}
        | {key: kept.get(key) for key in ("tokens_in", "tokens_out", "truncated")}
        | {key: kept[key] for key in ("blocked", "unanswered", "detail") if key in kept}
        | {key: read[key] for key in ("thinking", "truncated", "unfinished") if key in read}
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
        chosen = task.chosen() if task.error is None else {}
        for code, lm_tasks in task.by_language.items():
            for lm_task in lm_tasks:
                docs = (lm_task.eval_docs[number] for number in chosen.get(lm_task.task_name, ()))
                if task.error is None and (problem := _too_long(stored, lm_task, docs, spec, longest)):
                    task.error = PrerequisiteError(
                        f"prompt {problem[0]} in '{code}' has {problem[1]} tokens, and the model's context of "
                        f"{longest} leaves {problem[2]}; lower --max-tokens or leave the task or language out"
                    )
                    say(f"{task.entry.name}: {task.error}")


def _too_long(
    stored: StoredLM, lm_task: ConfigurableTask, docs: Iterable[dict[str, Any]], spec: RunSpec, longest: int
) -> tuple[str, int, int] | None:
    """The first prompt that does not fit: its id, its tokens, and how many there is room for."""
    answer = int((lm_task.config.generation_kwargs or {}).get("max_gen_toks", 0))
    for number, doc in enumerate(docs):
        if lm_task.OUTPUT_TYPE == "multiple_choice":
            answer = max(len(stored.lm.tok_encode(f" {choice}")) for choice in lm_task.doc_to_choice(doc))
        context = lm_task.fewshot_context(
            doc,
            num_fewshot=lm_task.config.num_fewshot or 0,
            system_instruction=spec.system_prompt,
            apply_chat_template=True,
            chat_template=stored.apply_chat_template,
        )
        tokens = len(stored.lm.tok_encode(context))
        if tokens > longest - answer:
            return repr(doc.get("id", number)), tokens, longest - answer
    return None
