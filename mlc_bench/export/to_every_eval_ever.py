"""A run as one JSON file of Every Eval Ever, schema 0.3.0 (github.com/evaleval/every_eval_ever, eval.schema.json).

It is made from the record as the leaderboard publishes it: no prompts, no answers, nothing of the machine. The place
of the file is the one that their data store asks for. The same record gives the same file.
"""

import hashlib
import json
import re
import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import mlc_bench
from mlc_bench.core.errors import StaleError
from mlc_bench.core.names import shown
from mlc_bench.export import numbers
from mlc_bench.export.numbers import Number
from mlc_bench.records.record import RunRecord, TaskResult

SCHEMA = "0.3.0"
_COLLECTION = "mlc-bench"
_ENGINES = {"hf": "transformers", "vllm": "vllm"}
_GENERATION = ("temperature", "top_p", "top_k", "max_tokens")
_UNKNOWN = "unknown"

Row = dict[str, Any]


def files(record: RunRecord, organization: str | None = None) -> dict[str, str]:
    """Path below the output folder -> content. `record`: as published; `organization`: who ran it."""
    content = document(record, organization)
    model = content["model_info"]
    owner, _, rest = model["id"].partition("/")
    parts = [_COLLECTION, *([owner, rest] if rest else [model["developer"], owner])]
    named = hashlib.sha256(f"{record.run_id} {record.judge.id} {record.judge.digest}".encode()).digest()
    file = f"{uuid.UUID(bytes=named[:16], version=4)}.json"
    path = "/".join(["data", *(_folder(part) for part in parts), file])
    return {path: json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False) + "\n"}


def document(record: RunRecord, organization: str | None = None) -> Row:
    """The content of the file."""
    model = _model(record, organization)
    when = str(int(_time(record.finished).timestamp()))
    return {
        "schema_version": SCHEMA,
        "evaluation_id": f"{_COLLECTION}/{model['id']}/{record.run_id}/{when}",
        "evaluation_timestamp": record.created,
        "retrieved_timestamp": when,
        "source_metadata": {
            "source_name": "mlc-bench",
            "source_type": "evaluation_run",
            "source_organization_name": organization or _UNKNOWN,
            "evaluator_relationship": "other",
            "additional_details": _texts({"run_id": record.run_id, "limited": record.limited}),
        },
        "eval_library": {
            "name": "mlc-bench",
            "version": mlc_bench.__version__,
            "additional_details": _texts({"lm_eval": record.packages.get("lm-eval")}),
        },
        "model_info": model,
        "evaluation_results": list(_results(record)),
    }


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise StaleError(f"the record's 'finished' {shown(text)} is no time; judge the run again") from None


def _model(record: RunRecord, organization: str | None) -> Row:
    model = record.model
    made = {"name": numbers.model_name(record), "id": numbers.model_name(record)}
    if "/" not in made["id"]:
        made["developer"] = organization or _UNKNOWN
    details = {
        "deployment_type": _UNKNOWN if model.engine == "openai" else "self_deployed",
        "model_availability": "open_weights" if model.resolved_revision else _UNKNOWN,
        "revision": model.resolved_revision,
        "weights_digest": model.weights_digest,
        "adapter_digest": model.adapter.digest if model.adapter else None,
        "fingerprint": model.fingerprint,
        "dtype": model.dtype,
        "quantization": model.quantization,
    }
    known: Row = made | {"additional_details": _texts(details)}
    if model.engine in _ENGINES:
        engine = {"name": _ENGINES[model.engine], "version": model.engine_version or _UNKNOWN}
        known["inference_engine"] = engine
    return known


def _results(record: RunRecord) -> Iterator[Row]:
    tasks = {task.name: task for task in record.tasks}
    for one in numbers.of_record(record):
        yield _result(record, tasks[one.task], one)


def _result(record: RunRecord, task: TaskResult, one: Number) -> Row:
    result_id = "/".join([one.task, one.language or "average", one.metric])
    judge = record.judge
    details = {
        "task_version": task.version,
        "measures": task.measures,
        "judge": f"{judge.id} {judge.version}" if one.is_judged else None,
        "judge_digest": judge.digest if one.is_judged else None,
        "judge_kind": judge.kind if one.is_judged else None,
    }
    metric: Row = {
        "evaluation_description": one.description,
        "metric_id": f"mlc_bench.{one.metric}",
        "metric_name": one.name,
        "metric_kind": one.metric,
        "metric_unit": "proportion" if one.bounds else "points",
        "lower_is_better": not one.higher_is_better,
        "score_type": "continuous",
        "min_score": one.bounds[0] if one.bounds else "-Infinity",
        "max_score": one.bounds[1] if one.bounds else "Infinity",
        "additional_details": _texts(details),
    }
    score: Row = {"score": one.value.value, "details": _texts({"n": one.value.n})}
    if one.value.low is not None and one.value.high is not None:
        ends = {"lower": one.value.low, "upper": one.value.high, "confidence_level": 0.95}
        known = one.metric != numbers.SELECTIVITY and not task.is_graded
        method = {"method": "Wilson" if one.language else "bootstrap over prompts"} if known else {}
        score["uncertainty"] = {"confidence_interval": ends | method, "num_samples": one.value.n}
    generation = {key: task.decoding[key] for key in _GENERATION if task.decoding.get(key) is not None}
    return {
        "evaluation_result_id": result_id,
        "evaluation_name": f"{one.task} ({one.language or 'average over languages'})",
        "source_data": _source(task, one),
        "evaluation_timestamp": record.created,
        "metric_config": metric,
        "score_details": score,
        **({"generation_config": {"generation_args": generation}} if generation else {}),
    }


def _source(task: TaskResult, one: Number) -> Row:
    result = task.languages.get(one.language or "")
    details = {
        "pack": task.pack,
        "language": one.language,
        "languages": None if one.language else " ".join(one.languages),
        "data_fingerprint": result.data_fingerprint if result else None,
        "prompt_fingerprint": result.prompt_fingerprint if result else None,
        "licence": task.licence,
    }
    known = {"dataset_name": task.name, "additional_details": _texts(details)}
    if hub := numbers.hub_dataset(task):
        return known | {"source_type": "hf_dataset", "hf_repo": hub}
    return known | {"source_type": "other"}


def _texts(details: Row) -> dict[str, str]:
    """What is known, as texts: their schema has no other values there."""
    written = {key: value if isinstance(value, str) else json.dumps(value) for key, value in details.items()}
    return {key: value for key, value in written.items() if value != "null"}


def _folder(name: str) -> str:
    """A name as one part of a path that every file system takes; their store refuses what is not."""
    return re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", name).strip(". ") or _UNKNOWN
