"""A run as logs of Inspect (`.eval`), one a task with all its languages: samples, scores, metrics.

The layout is that of Inspect's schema version 2: a zip archive with `header.json`, `summaries.json`,
`_journal/start.json` and `samples/ID_epoch_1.json` (inspect_ai/log/_log.py and _recorders/eval.py). Fields that are
not known are left out. The same run gives the same bytes.
"""

import io
import json
import math
import re
import zipfile
from typing import Any

from mlc_bench.core.spec import digest
from mlc_bench.export import inspect_sample
from mlc_bench.records.record import RunRecord, TaskResult, Value

Row = dict[str, Any]
VERSION = 2
_PROVIDERS = {"hf": "hf", "vllm": "vllm", "openai": "openai-api"}  # as Inspect names them before a model
_CONFIG = ("max_tokens", "temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty", "seed")


def name(record: RunRecord, task: TaskResult) -> str:
    """The log's file name, as Inspect takes it apart: when, task, id."""
    when = re.sub("[^0-9A-Za-z]", "-", record.created)[:40]
    return f"{when}_{task.name.replace('_', '-')}_{_id(record, task)}.eval"


def log(record: RunRecord, task: TaskResult, samples: list[Row], verdicts: list[Row] | None) -> bytes:
    """The archive of one task. `verdicts`: of the record's judge, row by row; None: a utility task."""
    labels: list[Row | None] = list(verdicts) if verdicts is not None else [None] * len(samples)
    model = model_name(record)
    made = [
        inspect_sample.sample(row, label, task, model, record.spec.system_prompt)
        for row, label in zip(samples, labels, strict=True)
    ]
    start = {"version": VERSION, "eval": _spec(record, task, made), "plan": _plan(task)}
    header = start | {
        "status": "success",
        "results": _results(task, made),
        "stats": _stats(record, task, model),
    }
    members: dict[str, Any] = {"_journal/start.json": start}
    members |= {f"samples/{one['id']}_epoch_1.json": one for one in made}
    members["summaries.json"] = [inspect_sample.summary(one) for one in made]
    members["header.json"] = header
    return _packed(members)


def model_name(record: RunRecord) -> str:
    """The model as Inspect names one: where it ran, and what it is."""
    adapter = f"+{record.model.adapter.name}" if record.model.adapter else ""
    return f"{_PROVIDERS.get(record.model.engine, record.model.engine)}/{record.model.name}{adapter}"


def _packed(members: dict[str, Any]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in members.items():
            text = json.dumps(_known(content), ensure_ascii=False, indent=1, allow_nan=False)
            member = zipfile.ZipInfo(path)  # its date is 1980: nothing of a clock is in the bytes
            # Half a character, which a model can write, is spelt \\ud8...: JSON reads that.
            archive.writestr(member, text.encode("utf-8", "backslashreplace"), compress_type=zipfile.ZIP_DEFLATED)
    return held.getvalue()


def _known(value: Any) -> Any:
    """The value without the keys that have none, and without numbers that JSON does not know."""
    if isinstance(value, dict):
        return {key: _known(entry) for key, entry in value.items() if entry is not None}
    if isinstance(value, list):
        return [_known(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _id(record: RunRecord, task: TaskResult, *more: str) -> str:
    return digest(record.run_id, task.name, record.judge.id, record.judge.digest, *more)[:22]


def _spec(record: RunRecord, task: TaskResult, samples: list[Row]) -> Row:
    judge, model = record.judge, record.model
    about = {
        "languages": list(task.languages),
        "measures": task.measures,
        "judge": {"id": judge.id, "version": judge.version, "digest": judge.digest} if _is_judged(task) else None,
        "model": {key: getattr(model, key) for key in ("resolved_revision", "weights_digest", "fingerprint", "dtype")},
        "licence": task.licence,
        "caution": task.caution,
        "limited": record.limited,
    }
    return {
        "eval_id": _id(record, task, "eval"),
        "run_id": record.run_id,
        "task_id": _id(record, task),
        "created": record.created,
        "task": task.name,
        "task_version": task.version,
        "tags": ["mlc-bench", task.measures],
        "dataset": {
            "name": task.pack,
            "samples": len(samples),
            "sample_ids": [one["id"] for one in samples],
            "shuffled": False,
        },
        "model": model_name(record),
        "model_args": {"adapter": model.adapter.name} if model.adapter else {},
        "model_generate_config": _config(task),
        "config": {"limit": record.spec.limit, "epochs": 1},
        "packages": {name: version for name, version in record.packages.items() if version is not None},
        "metadata": about,
        "scorers": [{"name": one} for one in dict.fromkeys(score for sample in samples for score in sample["scores"])],
    }


def _is_judged(task: TaskResult) -> bool:
    return task.measures != "utility"


def _config(task: TaskResult) -> Row:
    known = {key: task.decoding.get(key) for key in _CONFIG}
    return known | {"stop_seqs": task.decoding.get("stop") or None}


def _plan(task: TaskResult) -> Row:
    return {"name": "plan", "steps": [{"solver": "generate"}], "config": _config(task)}


def _results(task: TaskResult, samples: list[Row]) -> Row:
    """The headline by language and over languages; each name as `compare --fail-if` has it."""
    headline = task.headline or ""
    score = inspect_sample.headline_score(task)
    scored = sum(score in one["scores"] for one in samples)
    metrics = {"average": task.summary.get("average"), "worst": task.summary.get("worst")}
    metrics = {f"{key} {headline}": value for key, value in metrics.items()}
    shown = [headline, *(("invalid_rate",) if _is_judged(task) else ())]
    for metric in shown:
        metrics |= {f"{metric}[{code}]": one.metrics.get(metric) for code, one in task.languages.items()}
    every = {
        code: {metric: value.model_dump() for metric, value in one.metrics.items()}
        for code, one in task.languages.items()
    }
    return {
        "total_samples": len(samples),
        "completed_samples": sum("error" not in one for one in samples),
        "scores": [
            {
                "name": score,
                "scorer": score,
                "scored_samples": scored,
                "unscored_samples": len(samples) - scored,
                "metrics": {
                    key: _metric(key, value)
                    for key, value in metrics.items()
                    if value is not None and value.value is not None
                },
            }
        ],
        "metadata": {"headline": headline, "languages": every},
    }


def _metric(key: str, value: Value) -> Row:
    return {"name": key, "value": value.value, "metadata": {"low": value.low, "high": value.high, "n": value.n}}


def _stats(record: RunRecord, task: TaskResult, model: str) -> Row:
    known = [(one.tokens_in, one.tokens_out) for one in task.languages.values()]
    used = {}
    if all(own is not None for both in known for own in both):
        read, written = (sum(both[place] or 0 for both in known) for place in (0, 1))
        used = {model: {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}}
    return {"started_at": record.created, "completed_at": record.finished, "model_usage": used}
