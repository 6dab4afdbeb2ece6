"""Which model a server answers with under a name, as far as its list of models tells.

Another model may stand behind the same address and name tomorrow. What a server said last is kept beside the responses,
so that those of one model are never taken for those of another.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlc_bench.core.errors import PrerequisiteError
from mlc_bench.core.progress import say
from mlc_bench.core.spec import RunSpec
from mlc_bench.engines.servers.options import options
from mlc_bench.records.record import without_secrets, write_text

Card = dict[str, Any]
"""What tells a model from others; empty where the server says no more than its name."""

# Of a model's entry in the list: what stays as it is while the server answers with one model. `created` does not.
_TELLING = ("root", "parent", "owned_by", "max_model_len", "meta", "revision", "version", "digest", "canonical_slug")


@dataclass(frozen=True)
class Listing:
    """A server's list of models, read for one name. `card` is that of the model that answers to the name."""

    offered: tuple[str, ...]
    is_listed: bool
    card: Card


def ask(spec: RunSpec, memo: Path) -> tuple[Card, bool]:
    """The card of a spec's model, and whether the server has said it now.

    Raises PrerequisiteError where the server has the model no longer, UsageError for a wrong argument.
    """
    given = options(spec)
    address = without_secrets(spec).base_url or ""
    found = look(address, spec.model, given.all_headers, given.verify)
    return settle(memo, address, spec.model, found), found is not None


def look(address: str, model: str, headers: dict[str, str], verify: bool | str = True) -> Listing | None:
    """Ask a server, by the base URL of its API, for its list. None where it does not answer or gives none."""
    import requests

    try:
        reply = requests.get(
            f"{address.rstrip('/')}/models",
            headers=headers,
            auth=lambda request: request,  # else one of ~/.netrc would take the place of ours
            timeout=10,
            verify=verify,
        )
        content = reply.json() if reply.ok else None
    except (requests.RequestException, ValueError):
        return None
    return read(content, model)


def read(content: Any, model: str) -> Listing | None:
    """The list in a server's reply; None for what is no list of models."""
    entries = content.get("data") if isinstance(content, dict) else content
    if not isinstance(entries, list):
        return None
    by_name = {str(entry["id"]): entry for entry in entries if isinstance(entry, dict) and entry.get("id")}
    if not by_name:
        return None
    # Some list `models/NAME` and answer to NAME, too.
    name = next((name for name in by_name if model in (name, name.removeprefix("models/"))), None)
    if name is not None:
        return Listing(tuple(by_name), True, _card(by_name[name], model))
    # A server that has one model may answer with it whatever it is called.
    only = next(iter(by_name.values())) if len(by_name) == 1 else None
    return Listing(tuple(by_name), False, {"id": only["id"]} | _card(only, model) if only else {})


def _card(entry: dict[str, Any], model: str) -> Card:
    return {key: entry[key] for key in _TELLING if entry.get(key) not in (None, "", model)}


def last(memo: Path) -> Card:
    """What the server said the last time; empty where it was never asked."""
    return _memo(memo)[1]


def settle(memo: Path, where: str, model: str, found: Listing | None, fix: str = "--model or --base-url") -> Card:
    """What to go by from now on: what the server says, or said the last time where it does not answer.

    Says in one line where another model answers now. Raises PrerequisiteError where the server had the model and has
    it no longer; `fix` names the options that may be wrong.
    """
    was_listed, before = _memo(memo)
    if found is None:
        return before
    if was_listed and not found.is_listed:
        raise PrerequisiteError(
            f"the server at {where} serves '{model}' no longer; it serves {', '.join(found.offered[:5])}; start it "
            f"with that model, or fix {fix}"
        )
    if was_listed is not None and before != found.card:
        say(
            f"another model answers to '{model}' at {where} now ({difference(before, found.card)}): what it answers is "
            "kept apart from earlier answers"
        )
    if (was_listed, before) != (found.is_listed, found.card):
        write_text(memo, json.dumps({"listed": found.is_listed, "card": found.card}, indent=1, ensure_ascii=False))
    return found.card


def difference(before: Card, now: Card) -> str:
    """How two cards differ: `root /models/a, was /models/b`."""
    keys = [key for key in {**now, **before} if now.get(key) != before.get(key)]
    return "; ".join(f"{key} {_shown(now.get(key))}, was {_shown(before.get(key))}" for key in keys)


def _shown(value: Any) -> str:
    return "not said" if value is None else str(value)[:80]


def _memo(path: Path) -> tuple[bool | None, Card]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return content["listed"], content["card"]
    except (OSError, ValueError, KeyError, TypeError):  # never asked, or damaged
        return None, {}
