"""What may be a password or a key, and values without it: for records, manifests, messages and tables."""

import json
import re
from typing import Any
from urllib.parse import urlsplit, urlunsplit

REMOVED = "(removed)"

_CERTAIN = re.compile(
    r"secret|passw|passphrase|passcode|pwd|credential|cookie|bearer|authori[sz]ation|apikey|accesskey|privatekey|"
    r"signingkey|subscriptionkey|accountkey|authkey|serviceaccount|connectionstring"
)
"""In a name without anything between its letters: whatever its value is, it is secret."""
_WORDS = {"auth", "oauth", "pass", "header", "headers", "jwt", "sas", "sig", "signature", "pat"}
"""Words of a name that make its value secret."""
_NOT_VALUES = {"env", "yaml", "yml", "json", "jsonl", "csv", "tsv", "txt", "md"}
"""Last words of names of a variable, which may be shown, and of files."""
_ALONE = {"auth", "header", "headers", "key", "keys", "pass", "pat", "sas", "sig", "signature", "tokens"}
"""Of these and the last word of `is_key`, those that prose may have before a colon."""
_BEFORE_TOKEN = {
    "allowed", "audio", "banned", "batched", "begin", "bos", "cls", "completion", "dummy", "end", "eos", "fake",
    "first", "forced", "generated", "ignore", "image", "input", "last", "mask", "mean", "new", "output", "pad",
    "prefix", "prompt", "sep", "skip", "special", "start", "stop", "suffix", "suppress", "think", "thinking", "total",
    "unk", "video",
}  # fmt: skip
_COUNTED = {"max", "min", "n", "num", "number"}
_AFTER_TOKEN = {
    "budget", "count", "counts", "embeddings", "field", "id", "ids", "in", "length", "level", "limit", "out", "per",
    "size", "type", "types",
}  # fmt: skip
_BEFORE_KEY = {
    "cache", "column", "comparability", "foreign", "group", "primary", "prompt", "public", "row", "sort",
}  # fmt: skip
_SHAPES = re.compile(
    r"\b(?:sk|pk|rk)[-_][A-Za-z0-9_-]{12,}|\bhf_[A-Za-z0-9]{12,}|\bgh[pousr]_[A-Za-z0-9]{16,}|"
    r"\bgithub_pat_\w{16,}|\bglpat-[\w-]{12,}|\bxox[a-z]-[\w-]{8,}|\bAKIA[0-9A-Z]{12,}|\bAIza[\w-]{20,}|"
    r"\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"
)
"""What keys of well-known services look like."""
_SCHEME = re.compile(r"\b(?i:(Bearer|Basic))\s+(?=\S*[A-Z0-9=])(?!\(removed\))[^\s,;\"']{6,}")
_ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s\"'<>]+", re.IGNORECASE)
_USER = re.compile(r"(?<![\w@/.])[\w.%+-]+:[^\s@/:\"']+@(?=[\w\[])")
_ASSIGNED = re.compile(r"(?P<name>[A-Za-z][\w.-]*)(?P<between>[\"']?\s*=\s*[\"']?)(?P<value>[^\s\"'&,;}\])]+)")
_HEADER = re.compile(r"(?P<name>[A-Za-z][\w.-]*)(?P<between>[\"']?\s*:\s*[\"']?)(?P<value>[^\r\n\"']+)")
_OPTION = re.compile(r"(?P<name>--[A-Za-z][\w-]*)(?P<between>\s+[\"']?)(?P<value>[^\s\"'-][^\s\"']*)")


def is_secret(name: str, value: Any = "") -> bool:
    """Whether the value of an argument, header, variable or field of this name may be a password or a key.

    Names are read in any spelling (`x-api-key`, `apiKey`, `HF_TOKEN`). Counts and ids of tokens are none, nor are
    numbers under a name that may be a count, nor true, false and null.
    """
    parts = value if isinstance(value, list | tuple) and value else [value]
    if all(part is None or isinstance(part, bool) for part in parts):
        return False
    words = _words(name)
    if not words or words[-1] in _NOT_VALUES:
        return False
    if _CERTAIN.search("".join(words)) or _WORDS & set(words):
        return True
    if all(isinstance(part, int | float) for part in parts):
        return False
    return _is_token(words) or _is_key(words)


def _words(name: str) -> list[str]:
    """`maxTokens`, `X-Max-Tokens` and `MAX_TOKENS` are the words max and tokens."""
    apart = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1 \2", name))
    return re.findall(r"[a-z]+", apart.casefold())


def _is_token(words: list[str]) -> bool:
    for place, word in enumerate(words):
        stem = word.removesuffix("s")
        if not stem.endswith("token"):
            continue
        before = {stem.removesuffix("token"), *words[max(0, place - 1) : place]}
        is_counted = _COUNTED & set(words[:place]) or any(stem.startswith(one) for one in ("max", "min", "num"))
        if not (is_counted or before & _BEFORE_TOKEN or set(words[place + 1 : place + 2]) & _AFTER_TOKEN):
            return True
    return False


def _is_key(words: list[str]) -> bool:
    return words[-1] in ("key", "keys") and not set(words[-2:-1]) & _BEFORE_KEY


def removed(value: Any) -> Any:
    """The value without what may be secret, however deep it is in dictionaries, lists and texts; a new one.

    What stands under a secret name goes as a whole. Texts lose what `text` takes out, and JSON in a text is gone
    through as well.
    """
    if isinstance(value, dict):
        named = next((value[key] for key in ("name", "key", "header") if isinstance(value.get(key), str)), None)
        return {
            text(key) if isinstance(key, str) else key: REMOVED
            if is_secret(str(key), entry) or (key == "value" and named is not None and is_secret(named, entry))
            else removed(entry)
            for key, entry in value.items()
        }
    if isinstance(value, list | tuple):
        return [
            REMOVED if number and _announces(value[number - 1], entry) else removed(entry)
            for number, entry in enumerate(value)
        ]
    return text(value) if isinstance(value, str) else value


def _announces(before: Any, value: Any) -> bool:
    """Whether an item of a list is the name of the next: `["--api-key", "..."]`, `["Authorization", "..."]`."""
    return isinstance(before, str) and re.fullmatch(r"[\w.-]+", before) is not None and is_secret(before, value)


def text(value: str) -> str:
    """A text without credentials of addresses, values that are given to secret names, and keys of known shapes."""
    if value.lstrip().startswith(("{", "[")):
        try:
            content = json.loads(value)
        except (ValueError, RecursionError):
            content = None
        if isinstance(content, dict | list):
            cleaned = removed(content)
            return value if cleaned == content else json.dumps(cleaned, ensure_ascii=False)
    value = _USER.sub("", _ADDRESS.sub(lambda found: address(found[0]), value))
    value = _SCHEME.sub(lambda found: f"{found[1]} {REMOVED}", value)
    for pattern in (_ASSIGNED, _HEADER, _OPTION):
        value = _without_values(pattern, value)
    return _SHAPES.sub(REMOVED, value)


def _without_values(pattern: re.Pattern[str], value: str) -> str:
    """The text without what secret names give. A harmless name's value is read again: `error: password: ...`."""
    parts, done, place = [], 0, 0
    while found := pattern.search(value, place):
        place = found.end("name")
        if (left := _without_value(found)) != found[0]:
            parts += [value[done : found.start()], left]
            done = place = found.end()
    return "".join([*parts, value[done:]])


def _without_value(found: re.Match[str]) -> str:
    name, between, value = found["name"], found["between"], found["value"]
    if value.startswith(("(", "...", "$")):  # gone, to fill in, a variable
        return found[0]
    if name in ("key", "--key") and re.match(r"value\b", value):  # help: `key=value`, `--key value`
        return found[0]
    if ":" in between and re.search(r"/[\w.~-]*$", found.string[: found.start()]):  # a path: `/etc/passwd: ...`
        return found[0]
    if ":" in between and _words(name)[-1:] == _words(name) and set(_words(name)) & _ALONE:
        return found[0]
    return name + between + REMOVED if is_secret(name, value) else found[0]


def address(url: str) -> str:
    """An address as records and messages show it: no user, no password, no key among its parameters."""
    bare = without_user(url)
    start = re.split("[?#]", bare, maxsplit=1)[0]
    return start + _without_values(_ASSIGNED, bare[len(start) :])


def without_user(url: str) -> str:
    """An address without user and password, as a client is given it that sends them in a header."""
    try:
        parts = urlsplit(url)
    except ValueError:  # no address: brackets that do not close
        return url
    if "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def values(value: Any) -> list[str]:
    """The texts under secret names, for those who must keep them out of messages of others."""
    if isinstance(value, dict):
        own = [entry for key, entry in value.items() if is_secret(str(key), entry)]
        rest = [entry for key, entry in value.items() if not is_secret(str(key), entry)]
        return [*(found for entry in own for found in _texts(entry)), *(v for entry in rest for v in values(entry))]
    if isinstance(value, list | tuple):
        return [found for entry in value for found in values(entry)]
    return []


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [found for entry in value.values() for found in _texts(entry)]
    if isinstance(value, list | tuple):
        return [found for entry in value for found in _texts(entry)]
    return [str(value)] if len(str(value)) > 3 else []
