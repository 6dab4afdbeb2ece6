"""Records under some folders into one tidy frame. What cannot be used is listed with its reason, never fatal."""

import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from mlc_bench import record
from mlc_bench.errors import UsageError, UserError
from mlc_bench.record import LanguageResult, RunRecord, TaskResult, Value
from mlc_bench.spec import digest

from . import lineage, public

FRAME = (
    "model_id", "model", "method", "base_model", "run", "task", "version", "language", "metric", "judge", "value",
    "low", "high", "n", "unscored", "setting", "key",
)  # fmt: skip
ALL = "*"  # in place of a language: the summary over the languages of a run
LARGEST = 32 << 20  # bytes of a record; one of 4 tasks in 15 languages has about 0.1 MB
_SKIPPED = {"samples", "verdicts", "responses", ".git", ".venv"}


@dataclass(frozen=True)
class Model:
    """One model on one engine: a row of the tables. `id` is the fingerprint of all that decides its answers."""

    id: str
    name: str
    adapter: str | None
    method: str
    base_name: str | None
    base: str | None = field(default=None, compare=False)
    """The id of the base model's row, where there is one."""
    engine: str = ""
    dtype: str = ""
    weights_digest: str | None = None
    base_digest: str | None = None
    seen: tuple[str, ...] | None = None
    """Languages of the training data; None: not known."""
    is_trained: bool = False
    """Whether a training manifest came with it."""
    kept_out: tuple[str, ...] = ()
    """Tasks and packs whose prompts were left out of the training data."""

    @property
    def label(self) -> str:
        return self.name + (f" + {self.adapter}" if self.adapter else "")


@dataclass(frozen=True)
class Setting:
    """What all languages of a task result have in common. Results of two settings never share a table."""

    id: str
    task: str
    pack: str
    version: int
    measures: str
    parallel: bool
    judge: str
    judge_version: str
    generation: str
    """JSON of the effective settings."""
    system_prompt: str
    """sha256, or empty."""
    headline: str
    over_refusal_task: str | None
    caution: str = ""
    """What a reader must know of the task, in the words of its newest record."""
    unreviewed: tuple[str, ...] = ()
    """Languages with drafts of a model among the prompts that no speaker has read."""


@dataclass(frozen=True)
class LeftOut:
    """Something that is in no table, and why."""

    source: str
    reason: str


@dataclass(frozen=True)
class Collection:
    """What the tables are made of. The rows of `frame` have the columns FRAME; rates are fractions.

    `outcomes` maps (model id, key) to one character a prompt (see mlc_bench.record.LanguageResult). `key` names a
    column of one language: numbers are compared only where it is equal.
    """

    frame: pd.DataFrame
    outcomes: dict[tuple[str, str], str]
    models: dict[str, Model]
    settings: dict[str, Setting]
    left_out: tuple[LeftOut, ...]


def collect(paths: Iterable[Path]) -> Collection:
    """Read every record (`run*.json`) at or under the paths. Raises UsageError for a path that does not exist."""
    left_out: list[LeftOut] = []
    found: dict[tuple[str, str], tuple[tuple[bool, str, str], RunRecord]] = {}
    for source, path in files(paths):
        try:
            if path.stat().st_size > LARGEST:
                raise UsageError(f"larger than {LARGEST >> 20} MiB")
            content = record.read(path)
            check(content)
        except (UserError, OSError) as error:
            reason = str(error).replace(str(path), "it")
            left_out.append(LeftOut(public.printable(source), public.printable(reason, 300)))
            continue
        # Of several records of one run and judge the whole one counts, then the last, whatever the files are called.
        order = (content.status == "complete", content.finished, hashlib.sha256(path.read_bytes()).hexdigest())
        name = (content.run_id, content.judge.id)
        if name not in found or order > found[name][0]:
            found[name] = (order, content)
    return _tidy([found[name][1] for name in sorted(found)], left_out)


def files(paths: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    """(name relative to the given path, path) of each record; folders of samples and responses are not searched."""
    for given in paths:
        if given.is_file():
            yield given.name, given
            continue
        if not given.is_dir():
            raise UsageError(f"there is no folder or record '{given}'")
        for folder, names, contents in os.walk(given):
            names[:] = sorted(name for name in names if name not in _SKIPPED)
            for name in sorted(contents):
                if name.startswith("run") and name.endswith(".json"):
                    path = Path(folder, name)
                    yield path.relative_to(given).as_posix(), path


def check(content: RunRecord) -> None:
    """Raises UsageError for a record that no table may show: a hostile name, or rates that its outcomes deny."""
    public.check_names(content)
    for task in content.tasks:
        for code, result in task.languages.items():
            _check_headline(task, code, result)


def _check_headline(task: TaskResult, code: str, result: LanguageResult) -> None:
    headline = result.metrics[task.headline or ""]
    for number in (headline.value, headline.low, headline.high):
        if number is not None and not 0 <= number <= 1:
            raise UsageError(f"{task.name} {code}: {task.headline} {number} is not a fraction from 0 to 1")
    if result.n_unscored > result.n:
        raise UsageError(f"{task.name} {code}: {result.n_unscored} of {result.n} without verdict")
    if result.outcomes is None or task.measures == "utility":
        return
    count = result.outcomes.count
    judged = result.n - count("-")
    # A judge may find an answer both invalid and a refusal: it is an 'i' in the outcomes, and counts as refused.
    most = count("1") + (count("i") if task.measures == "over_refusal" else 0)
    is_possible = count("1") - 1e-6 <= (headline.value or 0.0) * judged <= most + 1e-6
    if count("-") != result.n_unscored or (headline.value is None) != (judged == 0) or not is_possible:
        raise UsageError(f"{task.name} {code}: {task.headline} is not what its outcomes give")


def _agrees(value: Value, outcomes: str) -> bool:
    """Whether a rate is that of its outcomes; if not (a utility metric that is no rate), they are not ranked by."""
    judged = len(outcomes) - outcomes.count("-")
    if value.value is None:
        return judged == 0
    return judged > 0 and math.isclose(value.value, outcomes.count("1") / judged, abs_tol=1e-9)


def _tidy(records: list[RunRecord], left_out: list[LeftOut]) -> Collection:
    usable = []
    for content in records:
        reason = unusable(content)
        if reason:
            left_out.append(LeftOut(f"run {content.run_id}, judge {content.judge.id}", public.printable(reason, 300)))
        else:
            usable.append(content)
    # The last one first: where two runs hold the same numbers of one model, its are shown.
    usable.sort(key=lambda content: (content.finished, content.run_id, content.judge.id), reverse=True)
    models: dict[str, Model] = {}
    settings: dict[str, Setting] = {}
    outcomes: dict[tuple[str, str], str] = {}
    owners: dict[tuple[str, str], str] = {}
    rows: list[tuple[Any, ...]] = []
    for content in usable:
        model = models.setdefault(content.model.fingerprint, _model(content))
        for task in content.tasks:
            setting = _setting(content, task)
            settings.setdefault(setting.id, setting)
            repeated: dict[str, list[str]] = {}
            keys = {code: _key(setting, code, result) for code, result in task.languages.items()}
            shared = (
                model.id, model.label, model.method, model.base_name or "", content.run_id, task.name, task.version,
            )  # fmt: skip
            for code, result in task.languages.items():
                owner = owners.get((model.id, keys[code]))
                if owner is not None:
                    if owner != content.run_id:
                        repeated.setdefault(owner, []).append(code)
                    continue
                owners[model.id, keys[code]] = content.run_id
                if result.outcomes is not None and _agrees(result.metrics[setting.headline], result.outcomes):
                    outcomes[model.id, keys[code]] = result.outcomes
                rows += _rows(shared, setting, keys[code], code, result.metrics, result.n_unscored)
            over_all = (model.id, whole_key(keys.values()))
            if over_all not in owners:
                owners[over_all] = content.run_id
                unscored = sum(result.n_unscored for result in task.languages.values())
                rows += _rows(shared, setting, over_all[1], ALL, task.summary, unscored)
            for owner, codes in sorted(repeated.items()):
                left_out.append(
                    LeftOut(
                        f"run {content.run_id}, {task.name} in {' '.join(sorted(codes))}",
                        f"run {owner} has the same of the same model and is newer",
                    )
                )
    return Collection(
        _frame(rows),
        outcomes,
        _with_bases(models),
        settings,
        tuple(sorted(left_out, key=lambda it: (it.source, it.reason))),
    )


def _frame(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    columns = dict(zip(FRAME, zip(*rows, strict=True) if rows else [()] * len(FRAME), strict=True))
    numbers = {"version": "int64", "n": "int64", "unscored": "int64"} | dict.fromkeys(
        ("value", "low", "high"), "float64"
    )
    return pd.DataFrame(
        {
            name: pd.Series(values, dtype=numbers[name]) if name in numbers else pd.Categorical(values)
            for name, values in columns.items()
        }
    )


def unusable(content: RunRecord) -> str:
    """Why a whole record is in no table; empty for one that is."""
    if content.limited or content.spec.limit is not None:
        return f"a slice of the data (--limit {content.spec.limit})"
    failed = [task.name for task in content.tasks if task.status != "complete"]
    if failed or content.status != "complete":
        return f"partial: {', '.join(failed) or 'some tasks'} failed; the same command again completes it"
    if not any(task.languages for task in content.tasks):
        return "no results"
    return ""


def _rows(
    shared: tuple[Any, ...], setting: Setting, key: str, code: str, metrics: dict[str, Value], unscored: int
) -> list[tuple[Any, ...]]:
    return [
        (*shared, code, name, setting.judge, value.value, value.low, value.high, value.n, unscored, setting.id, key)
        for name, value in metrics.items()
    ]


def _model(content: RunRecord) -> Model:
    model = content.model
    return Model(
        id=model.fingerprint,
        name=model.name,
        adapter=model.adapter.name if model.adapter else None,
        method=lineage.method(model),
        base_name=lineage.base_name(model),
        engine=f"{model.engine} {model.engine_version or ''}".strip(),
        dtype=public.printable(model.dtype or "", 40),
        weights_digest=None if model.adapter else model.weights_digest,
        base_digest=lineage.base_digest(model),
        seen=lineage.seen_languages(model),
        is_trained=model.training is not None,
        kept_out=lineage.kept_out(model),
    )


def _with_bases(models: dict[str, Model]) -> dict[str, Model]:
    """Each model with the row of its base model: by the weights' digest, by name where there is no digest.

    Of several such rows the one on the same engine and dtype, since engines differ in a few verdicts.
    """
    found = {}
    for model in sorted(models.values(), key=lambda one: (one.label, one.id)):
        candidates = [
            other
            for other in models.values()
            if other.id != model.id
            and other.adapter is None
            and (
                other.weights_digest == model.base_digest
                if model.base_digest
                else model.base_name is not None and other.name == model.base_name and other.method == lineage.RELEASED
            )
        ]
        best = min(
            candidates,
            key=lambda other: (other.engine != model.engine, other.dtype != model.dtype, other.id),
            default=None,
        )
        found[model.id] = dataclasses.replace(model, base=best.id if best else None)
    return found


def _setting(content: RunRecord, task: TaskResult) -> Setting:
    judged = task.measures != "utility"
    generation = json.dumps(task.generation, sort_keys=True, ensure_ascii=True)
    prompt = public.prompt_digest(content.spec.system_prompt)
    judge = (content.judge.id, content.judge.version, content.judge.digest) if judged else ("", "", "")
    known = [task.name, task.version, task.measures, task.parallel, task.headline, generation, prompt, judge]
    return Setting(
        id=digest(known)[:10],
        task=task.name,
        pack=task.pack,
        version=task.version,
        measures=task.measures,
        parallel=task.parallel,
        judge=judge[0],
        judge_version=judge[1],
        generation=generation,
        system_prompt=prompt,
        headline=task.headline or "",
        over_refusal_task=task.over_refusal_task,
        caution=public.printable(task.caution or "", 300),
        unreviewed=tuple(sorted(task.unreviewed)),
    )


def _key(setting: Setting, code: str, result: LanguageResult) -> str:
    """What must be equal for two numbers to share a column: the record's own key, and what that key stands for.

    A record that claims the key of other data or of another version gets a column of its own.
    """
    parts = (setting.id, code, result.comparability_key, result.data_fingerprint, result.prompt_fingerprint, result.n)
    return digest(*parts)[:16]


def whole_key(keys: Iterable[str]) -> str:
    """The key of a summary over several columns."""
    return digest(sorted(keys))[:16]
