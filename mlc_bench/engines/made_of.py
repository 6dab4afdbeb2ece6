"""What the answers of a finished run were made of, and what has changed since: rows, code, the server's model.

It is compared before a finished run is believed, without an engine and without lm-eval: new prompts are then asked,
those that are gone leave, and what has changed is asked again.
"""

import contextlib
import importlib.metadata
import json
from pathlib import Path
from typing import Any

from mlc_bench.catalog import data, listing
from mlc_bench.catalog.listing import TaskEntry
from mlc_bench.core.errors import UserError
from mlc_bench.core.progress import say
from mlc_bench.core.spec import RunSpec, digest
from mlc_bench.engines.servers.served import Card, difference

_ALL = "all"  # no language of a task is on this machine
Rows = dict[str, dict[str, str]]
"""Language -> id -> digest of a row, in the order in which they are asked."""


def now(spec: RunSpec, served: Card) -> dict[str, Any]:
    """What answers are made of today: by task, and the model as its server describes it.

    A task whose data cannot be read has the reason as its `error`.
    """
    return {"tasks": {entry.name: _task(entry, spec) for entry in listing.select(list(spec.tasks))}, "server": served}


def changes(generated: dict[str, Any], folder: Path, spec: RunSpec) -> list[str]:
    """What has changed since a run was generated, one line each; none: it may be believed.

    `generated` is the content of its generation.json. Where an earlier version left no `made_of` in it, the prompts in
    the samples are compared with the data.
    """
    before = generated.get("made_of")
    lines = []
    for entry in listing.select(list(spec.tasks)):
        if before is not None:
            lines += _changes(entry.name, before["tasks"][entry.name], _task(entry, spec))
        elif not entry.family:
            lines += _changes(entry.name, {"rows": _asked(folder, entry.name)}, _task(entry, spec, only_prompts=True))
    return lines


def other_model(generated: dict[str, Any], served: Card) -> str | None:
    """How the model that a server has now differs from the one that answered; None: not at all, as far as is known."""
    before = (generated.get("made_of") or {}).get("server")
    return None if before is None or before == served else difference(before, served)


def _task(entry: TaskEntry, spec: RunSpec, only_prompts: bool = False) -> dict[str, Any]:
    if entry.family:
        covered = listing.languages(entry) or []
        codes = [code for code in spec.languages or covered if code in covered]
        return {"lm_eval": importlib.metadata.version("lm-eval"), "rows": {code: {} for code in codes}}
    found: dict[str, Any] = {"rows": {}}
    if entry.included and listing.code_is_allowed():
        found["code"] = _code(entry.path.parent)
    try:
        documents = data.read_what_is_here(entry.source, spec.languages)
        absent = data.not_here(entry.source, spec.languages)
    except UserError as error:
        return found | {"error": str(error)}
    if absent:
        found["absent"] = absent
    elif not documents:  # which languages they have, only the data would say
        found["absent"] = _ALL
    for code in spec.languages or documents:
        if code in documents:
            docs = documents[code][: spec.limit]
            found["rows"][code] = {doc["id"]: _row(doc["prompt"] if only_prompts else doc) for doc in docs}
    return found


def _row(content: Any) -> str:
    return digest(content)[:12]


def _code(folder: Path) -> str:
    """Digest of what decides the prompts of a pack besides its rows."""
    paths = sorted(path for pattern in ("*.py", "*.yaml") for path in folder.rglob(pattern))
    return digest({str(path.relative_to(folder)): data.sha256(path.read_bytes()) for path in paths})


def _asked(folder: Path, name: str) -> Rows:
    """The prompts in a task's samples."""
    rows: Rows = {}
    with contextlib.suppress(OSError, ValueError, KeyError):
        for line in (folder / "samples" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            rows.setdefault(row["language"], {})[row["id"]] = _row(row["prompt"])
    return rows


def _changes(name: str, before: dict[str, Any], today: dict[str, Any]) -> list[str]:
    if error := today.get("error"):
        return [f"{name}: its data cannot be read any more ({error})"]
    lines = []
    if before.get("code") != today.get("code"):
        lines.append(f"{name}: the code of its pack has changed")
    if before.get("lm_eval") != today.get("lm_eval"):
        lines.append(f"{name}: it was made with lm-eval {before.get('lm_eval')}, and this is {today.get('lm_eval')}")
    absent = today.get("absent", [])
    unread = [code for code in before["rows"] if absent == _ALL or code in absent]
    if unread:
        say(f"{name}: the data of {', '.join(unread)} are not here, so that the answers are taken as they are")
    for code in dict.fromkeys([*before["rows"], *today["rows"]]):
        if absent != _ALL and code not in absent:
            lines += _of_language(name, code, before["rows"].get(code), today["rows"].get(code))
    return lines


def _of_language(name: str, code: str, before: dict[str, str] | None, today: dict[str, str] | None) -> list[str]:
    """The lines of one language; None: the task does not have it."""
    old, new = before or {}, today or {}
    if not old and not new:  # of lm-eval's own tasks the rows are not known
        if (before is None) == (today is None):
            return []
        return [f"{name}: {code} is {'new' if before is None else 'gone'}"]
    counts = {
        "new": len(new.keys() - old.keys()),
        "gone": len(old.keys() - new.keys()),
        "changed": sum(old[key] != new[key] for key in old.keys() & new.keys()),
    }
    lines = []
    for what, count in counts.items():
        if count:
            prompts = "1 prompt" if count == 1 else f"{count} prompts"
            verb = ("has" if count == 1 else "have") if what == "changed" else ("is" if count == 1 else "are")
            lines.append(f"{name}: {prompts} in {code} {verb} {what}")
    if not lines and list(old) != list(new):
        lines.append(f"{name}: the prompts in {code} are in another order")
    return lines
