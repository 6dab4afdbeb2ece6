"""What may be shown to everybody: which names are fit for a table, and what of a record is published."""

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from typing import Any

from mlc_bench.core import secrets
from mlc_bench.core.errors import UsageError
from mlc_bench.core.names import is_name
from mlc_bench.leaderboard import lineage
from mlc_bench.records.record import JudgeInfo, RunRecord, TaskResult

LONGEST = 200  # characters of a name
LONGEST_JUDGE = 600  # of an ensemble's id, which names each of its judges
PROMPT_REMOVED = "(removed; sha256 "
_ENSEMBLE = re.compile(r"(?:majority|strictest)\(([^()]+)\)")
_DIGEST = re.compile(r"[0-9a-f]{64}")
# Control, format (right-to-left overrides, zero width), surrogate, private, unassigned; line and paragraph separators.
_UNPRINTABLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@cache
def printable(text: str, longest: int = LONGEST) -> str:
    """The text on one line: what cannot be printed as its code point, cut to `longest` characters."""
    cut = text if len(text) <= longest else text[: longest - 1] + "…"
    return "".join(f"<U+{ord(c):04X}>" if unicodedata.category(c) in _UNPRINTABLE else c for c in cut)


def check_names(record: RunRecord) -> None:
    """Raises UsageError for the first name that no table can show honestly: where it is, and why.

    Names that people choose (models, adapters, methods) may hold anything printable: each format escapes them. What
    the programs choose (tasks, languages, metrics, ids) is letters, digits and `._+-`. A judge is such a name, perhaps
    with the name of its model behind an @, or several of these in `majority(...)`.
    """
    if fault := _fault(record.judge.id, LONGEST_JUDGE):
        raise UsageError(f"judge.id {fault}: '{printable(record.judge.id, 40)}'")
    if not is_judge(record.judge.id):
        raise UsageError(f"judge.id '{printable(record.judge.id, 40)}' is not NAME, NAME@MODEL or majority(A,B)")
    for where, text in _identifiers(record):
        if not _is_identifier(text):
            raise UsageError(f"{where} '{printable(text, 40)}' is not 1 to 80 letters, digits and ._+-")
    if not _DIGEST.fullmatch(record.model.fingerprint):
        raise UsageError(f"model.fingerprint '{printable(record.model.fingerprint, 40)}' is not a sha256")
    if fault := _fault(record.judge.version, LONGEST_JUDGE):  # an ensemble's names each of its judges too
        raise UsageError(f"judge.version {fault}: '{printable(record.judge.version, 40)}'")
    for where, text in _texts(record):
        if fault := _fault(text):
            raise UsageError(f"{where} {fault}: '{printable(text, 40)}'")


def _identifiers(record: RunRecord) -> Iterator[tuple[str, str]]:
    yield "run_id", record.run_id
    yield "model.training.run", lineage.run(record.model) or "none"
    for task in record.tasks:
        yield "the name of a task", task.name
        yield "over_refusal_task", task.over_refusal_task or "none"
        for code in task.unreviewed:
            yield "the code of an unreviewed language", code
        for faults in task.accepted:
            yield "the check of accepted faults", faults.check
            for code in faults.languages:
                yield "the code of a language with accepted faults", code
        for code, result in task.languages.items():
            yield "the code of a language", code
            for metric in result.metrics:
                yield "the name of a metric", metric


def _texts(record: RunRecord) -> Iterator[tuple[str, str]]:
    model = record.model
    yield "model.name", model.name
    yield "model.adapter.name", model.adapter.name if model.adapter else "none"
    yield "model.engine_version", model.engine_version or "none"
    yield "model.training.method", lineage.method(model)
    yield "model.training.base_model.name", lineage.base_name(model) or "none"
    yield "finished", record.finished
    for code in lineage.seen_languages(model) or ():
        yield "model.training languages", code
    for name in lineage.kept_out(model):
        yield "model.training keep_out", name


@cache
def _is_identifier(text: str) -> bool:
    return is_name(text) and text[0].isalnum()  # a table sheet takes what begins with + for a formula


@cache
def is_judge(text: str) -> bool:
    """Whether a text is made as the ids of judges are."""
    if (several := _ENSEMBLE.fullmatch(text)) and all(map(is_judge, several[1].split(","))):
        return True
    name, _, model = text.partition("@")
    return _is_identifier(name) and (bool(model.strip()) or name == text)


@cache
def _fault(text: str, longest: int = LONGEST) -> str:
    if len(text) > longest:
        return f"has {len(text)} characters, more than {longest}"
    if bad := next((c for c in text if unicodedata.category(c) in _UNPRINTABLE), None):
        return f"has a character that cannot be shown (U+{ord(bad):04X})"
    return "" if text.strip() else "is empty"


_REMOVED = "(removed)"
_TRAINING = (
    "method", "run", "step", "base_model", "config", "data", "seed", "versions", "commit", "steps", "final_loss",
    "tokens", "mlc_tokens", "reference_tokens", "counted_from", "seconds", "peak_memory_bytes",
)  # fmt: skip


def published(record: RunRecord) -> RunRecord:
    """The record as everybody may see it. What the tables are made of stays (docs/guides/leaderboard-entry.md).

    Taken out: the address of a server, folders of the machine (of a model only the folder's own name is left), the
    texts of the system prompt and of the chat template (their sha256 stays), the first tokens of a prompt, texts of
    errors, and every free text in the settings that is long or may be a path or an address.
    """
    model, name = record.model, _folder_name(record.model.name)
    adapter = model.adapter.model_copy(update={"name": _folder_name(model.adapter.name)}) if model.adapter else None
    prompt = hidden_prompt(record.spec.system_prompt)
    spec = record.spec.model_copy(
        update={
            "model": name,
            "adapter": adapter.name if adapter else None,
            "base_url": None,
            "judge": _published_id(record.spec.judge),
            "engine_args": _harmless(record.spec.engine_args),
            "system_prompt": prompt,
        }
    )
    training = None
    if model.training is not None:
        training = {key: value for key, value in model.training.items() if key in _TRAINING}
        if base := lineage.base_name(model.model_copy(update={"adapter": None})):
            training = training | {"base_model": training["base_model"] | {"name": _folder_name(base)}}
        data = training.get("data")
        if isinstance(data, dict) and isinstance(data.get("files"), list):
            training = training | {"data": data | {"files": [_folder_name(str(file)) for file in data["files"]]}}
    return record.model_copy(
        update={
            "spec": spec,
            "model": model.model_copy(
                update={
                    "name": name,
                    "adapter": adapter,
                    "training": _harmless(training),
                    "engine_args": _harmless(model.engine_args),
                }
            ),
            "prompting": record.prompting.model_copy(
                update={"chat_template": None, "system_prompt": prompt, "first_token_ids": None}
            ),
            "judge": _published_judge(record.judge),
            "tasks": [_published_task(task, prompt) for task in record.tasks],
            "packages": _harmless(record.packages),
            "hardware": _harmless(record.hardware),
            "git": _harmless(record.git),
        }
    )


def _published_judge(judge: JudgeInfo) -> JudgeInfo:
    members = [_published_judge(member) for member in judge.members]
    agreement = {
        task: {
            code: entry.model_copy(
                update={"cohen_kappa": {_published_id(pair): kappa for pair, kappa in entry.cohen_kappa.items()}}
            )
            for code, entry in by_language.items()
        }
        for task, by_language in judge.agreement.items()
    }
    return judge.model_copy(
        update={
            "id": _published_id(judge.id),
            "version": "; ".join(f"{one.id} {one.version}" for one in members) if members else judge.version,
            "calibration": _harmless(judge.calibration),
            "labels": [one.model_copy(update={"file": _harmless(one.file)}) for one in judge.labels],
            "model": _folder_name(judge.model) if judge.model else None,
            "settings": _harmless(judge.settings),
            "members": members,
            "agreement": agreement,
        }
    )


def _published_id(judge_id: str) -> str:
    """The ids of judges in a text, without folders of the machine: of a path its last part."""
    return re.sub(r"@([^,()]+)", lambda found: f"@{_folder_name(found[1])}", judge_id)


def _published_task(task: TaskResult, prompt: str | None) -> TaskResult:
    policy = task.policy | ({"system_prompt": prompt} if "system_prompt" in task.policy else {})
    return task.model_copy(
        update={"error": None, "generation": _harmless(task.generation), "policy": _harmless(policy)}
    )


def hidden_prompt(prompt: str | None) -> str | None:
    """What a published record has in place of a system prompt: its sha256."""
    return None if prompt is None else f"{PROMPT_REMOVED}{prompt_digest(prompt)})"


def prompt_digest(prompt: str | None) -> str:
    """sha256 of a system prompt, also where a published record holds no more than this; empty for none."""
    if prompt is None:
        return ""
    if prompt.startswith(PROMPT_REMOVED):
        return prompt.removeprefix(PROMPT_REMOVED).rstrip(")")
    return hashlib.sha256(prompt.encode()).hexdigest()


def _folder_name(name: str) -> str:
    """A hub id (`owner/name`) as it is, of a path its last part."""
    return re.split(r"[/\\]", name.rstrip("/\\"))[-1] if _is_path(name) else name


def _is_path(text: str) -> bool:
    return "\\" in text or text.startswith(("/", ".", "~")) or text.count("/") > 1


def _harmless(value: Any) -> Any:
    """The value without texts that may be secrets, paths, addresses, accounts or prose; numbers stay (`tokens`)."""
    if isinstance(value, dict):
        return {
            key: _REMOVED if secrets.is_secret(str(key), entry) else _harmless(entry) for key, entry in value.items()
        }
    if isinstance(value, list | tuple):
        return [_harmless(entry) for entry in value]
    if isinstance(value, str) and (
        _is_path(value) or len(value) > 80 or re.search(r"@|://|[\r\n]", value) or secrets.text(value) != value
    ):
        return _REMOVED
    return value
