"""Records under some folders into one tidy frame. What cannot be used is listed with its reason, never fatal."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from mlc_bench.core.errors import UsageError, UserError
from mlc_bench.core.spec import digest
from mlc_bench.leaderboard import lineage, provenance, redact
from mlc_bench.records import record
from mlc_bench.records.frame import ALL, LARGEST, NUMBERS, files, numbers, of_rows, whole_key
from mlc_bench.records.record import LanguageResult, RunRecord, TaskResult, Value
from mlc_bench.stats.measures import Outcomes

FRAME = (
    "model_id", "model", "method", "base_model", "run", "task", "version", "language", *NUMBERS, "judge", "setting",
    "key",
)  # fmt: skip


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

    tag: str = field(default="", compare=False)
    """Where another model has the same names: the beginning of a digest, which tells them apart."""

    @property
    def label(self) -> str:
        return self.name + (f" + {self.adapter}" if self.adapter else "") + (f" [{self.tag}]" if self.tag else "")


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
    """The judge's id; where judges of this id and version differ, also the beginning of the digest."""
    judge_version: str
    judge_digest: str
    generation: str
    """JSON of the effective settings."""
    system_prompt: str
    """sha256, or empty."""
    headline: str
    over_refusal_task: str | None
    over_refusal_pairs: bool = False
    """Row k of that task is the partner of this task's row k."""
    caution: str = ""
    """What a reader must know of the task, in the words of its newest record."""
    unreviewed: tuple[str, ...] = ()
    """Languages with drafts of a model among the prompts that no speaker has read."""
    higher_is_better: bool = True
    """Of the headline."""
    judge_known: tuple[tuple[str, str], ...] = ()
    """(mark, language) of the judge, where it was checked on few labels or is known to be weak."""


@dataclass(frozen=True)
class LeftOut:
    """Something that is in no table, and why."""

    source: str
    reason: str


@dataclass(frozen=True)
class Collection:
    """What the tables are made of. The rows of `frame` have the columns FRAME; rates are fractions.

    `outcomes` maps (model id, key) to one character or one score a prompt (see records.record.LanguageResult). `key`
    names a column of one language: numbers are compared only where it is equal.
    """

    frame: pd.DataFrame
    outcomes: dict[tuple[str, str], Outcomes]
    models: dict[str, Model]
    settings: dict[str, Setting]
    left_out: tuple[LeftOut, ...]
    runs: tuple[provenance.Run, ...]
    judges: tuple[provenance.Judge, ...]


def collect(paths: Iterable[Path]) -> Collection:
    """Every record (`run*.json`) at or under the paths. Raises UsageError for a path that does not exist."""
    return tidy(*read(paths))


def read(paths: Iterable[Path]) -> tuple[list[RunRecord], list[LeftOut]]:
    """The records at or under the paths, one for each run and judge; and what cannot be read, or shown."""
    left_out: list[LeftOut] = []
    found: dict[tuple[str, str, str], tuple[tuple[bool, str, str], RunRecord]] = {}
    for source, path in files(paths):
        try:
            if path.stat().st_size > LARGEST:
                raise UsageError(f"larger than {LARGEST >> 20} MiB")
            content = record.read(path)
            check(content)
        except (UserError, OSError) as error:
            reason = str(error).replace(str(path), "it")
            left_out.append(LeftOut(redact.printable(source), redact.printable(reason, 300)))
            continue
        # Of several records of one run and judge the complete one counts, then the last, whatever the files are called.
        order = (content.status == "complete", content.finished, hashlib.sha256(path.read_bytes()).hexdigest())
        name = (content.run_id, content.judge.id, content.judge.digest)
        if name not in found or order > found[name][0]:
            found[name] = (order, content)
    return [found[name][1] for name in sorted(found)], left_out


def check(content: RunRecord) -> None:
    """Raises UsageError for a record that no table may show: a hostile name, or rates that its outcomes deny."""
    redact.check_names(content)
    for task in content.tasks:
        for code, result in task.languages.items():
            _check_headline(task, code, result)


def _check_headline(task: TaskResult, code: str, result: LanguageResult) -> None:
    headline = result.metrics[task.headline or ""]
    if result.scores is not None:
        if result.scores.count(None) != result.n_unscored or not _agrees(headline, result.scores):
            raise UsageError(f"{task.name} {code}: {task.headline} is not what its scores give")
        return
    for number in (headline.value, headline.low, headline.high):
        if number is not None and not 0 <= number <= 1:
            raise UsageError(f"{task.name} {code}: {task.headline} {number} is not a fraction from 0 to 1")
    if result.n_unscored > result.n:
        raise UsageError(f"{task.name} {code}: {result.n_unscored} of {result.n} without verdict")
    if result.outcomes is None or task.measures == "utility":
        return
    count = result.outcomes.count
    judged = result.n - count("-") - count("u")
    # A judge may find an answer both invalid and a refusal: it is an 'i' in the outcomes, and counts as refused.
    least = count("1") + count("b")
    most = least + (count("i") if task.measures == "over_refusal" else 0)
    is_possible = least - 1e-6 <= (headline.value or 0.0) * judged <= most + 1e-6
    if count("-") != result.n_unscored or (headline.value is None) != (judged == 0) or not is_possible:
        raise UsageError(f"{task.name} {code}: {task.headline} is not what its outcomes give")


def _agrees(value: Value, outcomes: Outcomes) -> bool:
    """Whether a number is that of its outcomes; if not (a utility metric before schema 3), it is not ranked by them."""
    if not isinstance(outcomes, str):
        known = [score for score in outcomes if score is not None]
        return bool(known) and value.value is not None and math.isclose(value.value, sum(known) / len(known))
    judged = len(outcomes) - outcomes.count("-") - outcomes.count("u")
    if value.value is None:
        return judged == 0
    return judged > 0 and math.isclose(value.value, (outcomes.count("1") + outcomes.count("b")) / judged, abs_tol=1e-9)


def tidy(records: Iterable[RunRecord], left_out: Iterable[LeftOut] = ()) -> Collection:
    """What the tables are made of, from records; `left_out` is what was left out before."""
    usable, left_out = [], list(left_out)
    for content in records:
        reason = unusable(content)
        if reason:
            left_out.append(LeftOut(f"run {content.run_id}, judge {content.judge.id}", redact.printable(reason, 300)))
        else:
            usable.append(content)
    # The last one first: where two runs hold the same numbers of one model, its are shown.
    usable.sort(
        key=lambda content: (content.finished, content.run_id, content.judge.id, content.judge.digest), reverse=True
    )
    judges = _judge_labels(usable)
    models = _models(usable)
    settings: dict[str, Setting] = {}
    outcomes: dict[tuple[str, str], Outcomes] = {}
    owners: dict[tuple[str, str], str] = {}
    rows: list[tuple[Any, ...]] = []
    for content in usable:
        model = models[content.model.fingerprint]
        for task in content.tasks:
            setting = _setting(content, task, judges)
            settings[setting.id] = _together(settings.get(setting.id), setting)
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
                if result.column is not None and _agrees(result.metrics[setting.headline], result.column):
                    outcomes[model.id, keys[code]] = result.column
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
        of_rows(FRAME, rows),
        outcomes,
        _with_bases(models),
        settings,
        tuple(sorted(left_out, key=lambda it: (it.source, it.reason))),
        provenance.runs(usable),
        provenance.judges(usable),
    )


def unusable(content: RunRecord) -> str:
    """Why a complete record is in no table; empty for one that is."""
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
    return [(*shared, code, *row, setting.judge, setting.id, key) for row in numbers(metrics, unscored)]


def _model(content: RunRecord) -> Model:
    model = content.model
    return Model(
        id=model.fingerprint,
        name=model.name,
        adapter=model.adapter.name if model.adapter else None,
        method=lineage.method(model),
        base_name=lineage.base_name(model),
        engine=f"{model.engine} {model.engine_version or ''}".strip(),
        dtype=redact.printable(model.dtype or "", 40),
        weights_digest=None if model.adapter else model.weights_digest,
        base_digest=lineage.base_digest(model),
        seen=lineage.seen_languages(model),
        is_trained=model.training is not None,
        kept_out=lineage.kept_out(model),
    )


def _models(records: list[RunRecord]) -> dict[str, Model]:
    """The model of each record, the first one of each fingerprint; names that several have get a tag."""
    models: dict[str, Model] = {}
    same_names: dict[str, dict[str, list[tuple[str, ...]]]] = {}
    for content in records:
        if content.model.fingerprint in models:
            continue
        model = models[content.model.fingerprint] = _model(content)
        info = content.model
        adapter = info.adapter.digest if info.adapter else ""
        files = (info.weights_digest or "", adapter, digest(info.config_digest, info.tokenizer_digest))
        same_names.setdefault(model.label, {})[model.id] = [(files[0],), (files[1],), files]
    for group in same_names.values():
        things = {tuple(choices[-1]) for choices in group.values()}
        if len(things) == 1:  # one model on several engines: the engine tells its rows apart
            continue
        # The first part that differs wherever the models do: the weights, the adapter, or all of it.
        part = next(place for place in range(3) if len({choices[place] for choices in group.values()}) == len(things))
        for model_id, choices in group.items():
            parts = choices[part]
            tag = parts[0][:8] if len(parts) == 1 else digest(*parts)[:8]
            models[model_id] = dataclasses.replace(models[model_id], tag=tag)
    return models


def _judge_labels(records: list[RunRecord]) -> dict[str, str]:
    """How each judge is shown, by its digest: where two of one name and version judged a task, with the digest."""
    found = {content.judge.digest: (content.judge.id, content.judge.version) for content in records}
    judged: dict[tuple[str, str, str], set[str]] = {}
    for content in records:
        for task in content.tasks:
            if task.measures != "utility":
                judged.setdefault((task.name, *found[content.judge.digest]), set()).add(content.judge.digest)
    ambiguous = {(name, version) for (_, name, version), digests in judged.items() if len(digests) > 1}
    return {key: name[0] + (f" [{key[:8]}]" if name in ambiguous else "") for key, name in found.items()}


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


def _setting(content: RunRecord, task: TaskResult, judges: dict[str, str]) -> Setting:
    """`judges`: how each judge is shown, by its digest."""
    judged = task.measures != "utility"
    generation = json.dumps(task.generation, sort_keys=True, ensure_ascii=True)
    prompt = redact.prompt_digest(content.spec.system_prompt)
    judge = (content.judge.id, content.judge.version, content.judge.digest) if judged else ("", "", "")
    known = [task.name, task.version, task.measures, task.parallel, task.headline, generation, prompt, judge]
    if task.lower_is_better:  # only then, so that the settings of older records keep their ids
        known.append("lower is better")
    return Setting(
        id=digest(known)[:10],
        task=task.name,
        pack=task.pack,
        version=task.version,
        measures=task.measures,
        parallel=task.parallel,
        judge=judges[content.judge.digest] if judged else "",
        judge_version=judge[1],
        judge_digest=judge[2],
        generation=generation,
        system_prompt=prompt,
        headline=task.headline or "",
        over_refusal_task=task.over_refusal_task,
        over_refusal_pairs=task.over_refusal_pairs,
        caution=redact.printable(task.caution or "", 300),
        unreviewed=tuple(sorted(task.unreviewed)),
        higher_is_better=task.higher_is_better,
        judge_known=tuple((mark, code) for code in task.languages for mark in content.judge.marks(code) if judged),
    )


def _together(first: Setting | None, other: Setting) -> Setting:
    """The first one of a setting, with what other records say of its judge in further languages."""
    if first is None or set(other.judge_known) <= set(first.judge_known):
        return first or other
    return dataclasses.replace(first, judge_known=tuple(sorted({*first.judge_known, *other.judge_known})))


def _key(setting: Setting, code: str, result: LanguageResult) -> str:
    """What must be equal for two numbers to share a column: the record's own key, and what that key means.

    A record that claims the key of other data or of another version gets a column of its own.
    """
    parts = (setting.id, code, result.comparability_key, result.data_fingerprint, result.prompt_fingerprint, result.n)
    return digest(*parts)[:16]
