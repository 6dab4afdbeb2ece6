"""A language file, key by key."""

import re
from pathlib import Path
from typing import Any

from mlc_bench.catalog import languages
from mlc_bench.contribute.validate import text as texts
from mlc_bench.contribute.validate.source import TODO, Faults, Yaml, check_todo, quote, read_yaml

FEWEST_PHRASES = 20
SECOND_SCRIPT = 0.1  # of the phrases in another script: people write the language in both, as they do Serbian
_CODE = re.compile(r"[a-z]{2,3}(?:-[A-Z][a-z]{3})?(?:-(?:[A-Z]{2}|\d{3}))?")  # BCP 47: language, script, region


def check(path: Path, faults: Faults) -> None:
    """Every fault of one language file."""
    found = read_yaml(path, faults)
    if not _CODE.fullmatch(path.stem) or path.suffix != ".yaml":
        fix = "name it <code>.yaml, with the BCP 47 code: yo, pt-BR, zh-Hant"
        faults.add(path, 1, f"{quote(path.name)} is not the name of a language file", fix)
    if found is None:
        return
    check_todo(found, faults)
    if not isinstance(found.value, dict):
        faults.add(path, 1, "is not a mapping of keys to values", "start it with 'name: <the language in English>'")
        return
    valid = _check_schema(found, faults)
    _check_script(found, valid, faults)
    _check_identification(found, valid, faults)
    _check_phrases(found, valid, faults)
    _check_choosing(found, valid, faults)
    _check_reviews(found, valid, faults)
    _check_others(found, valid, faults)


def _check_schema(found: Yaml, faults: Faults) -> set[str]:
    """The keys whose values have the right form."""
    known = languages.REQUIRED | languages.OPTIONAL
    for key in found.value:
        if key not in known:
            fix = f"remove it; known: {', '.join(sorted(known))}"
            faults.add(found.path, found.line(key), f"unknown key {quote(key)}", fix)
    for key in sorted(languages.REQUIRED - set(found.value)):
        faults.add(found.path, 1, f"the key '{key}' is missing", "add it, as in en.yaml")
    valid = {key for key in known & set(found.value) if isinstance(key, str)}
    for key, (right, expected) in languages.EXPECTED.items():
        if key in found.value and not right(found.value[key]):
            faults.add(found.path, found.line(key), f"'{key}' is {quote(found.value[key])}", f"write {expected}")
            valid.discard(key)
    for key, value in _texts(found, valid):
        for finding in texts.findings(value):
            if finding.check != "placeholder":  # TODO has been said, line by line
                faults.add(found.path, found.line(*key), f"'{key[0]}' {finding.what}", finding.fix)
    return valid


def _texts(found: Yaml, valid: set[str]) -> list[tuple[tuple[Any, ...], str]]:
    """(path, text) of what people wrote, for checks of each text."""
    result: list[tuple[tuple[Any, ...], str]] = []
    for key in sorted(valid & {"name", "native_name", "words", "choose", "choosing", "refusal"}):
        value = found.value[key]
        if key == "choosing":
            result += [((key, name, index), text) for name, own in value.items() for index, text in enumerate(own)]
        elif isinstance(value, dict):
            result += [((key, name), text) for name, text in value.items()]
        elif isinstance(value, list):
            result += [((key, index), text) for index, text in enumerate(value)]
        else:
            result.append(((key,), value))
    return result


def _check_script(found: Yaml, valid: set[str], faults: Faults) -> None:
    if "script" not in valid:
        return
    script = found.value["script"]
    if script not in texts.SCRIPTS:
        fix = f"write an ISO 15924 code: {', '.join(sorted(texts.SCRIPTS))}; another needs a line in validate/text.py"
        faults.add(found.path, found.line("script"), f"'script' {quote(script)} is not known here", fix)
        return
    if "direction" in valid:
        wanted = "rtl" if script in texts.RIGHT_TO_LEFT else "ltr"
        if found.value["direction"] != wanted:
            what = f"'direction' is {found.value['direction']}, and {script} is written {wanted}"
            faults.add(found.path, found.line("direction"), what, f"write {wanted}")
    strays = []
    for key, value in _texts(found, valid - {"name", "choose"}):  # in English; full of A, B, C, D
        share = texts.script_share(value, script)
        if share is not None and share < texts.SMALLEST_SHARE and not TODO.search(value):
            strays.append((key, value))
    phrases = sum(key[0] == "refusal" for key, _ in strays)
    for key, value in strays:
        if key[0] != "refusal" or phrases < SECOND_SCRIPT * len(found.value["refusal"]):
            what = f"{quote(value)} is not in the script {script}"
            faults.add(found.path, found.line(*key), what, "write it in that script, or fix 'script'")


def _check_identification(found: Yaml, valid: set[str], faults: Faults) -> None:
    from mlc_bench.judges import langid

    if "identified_as" not in valid:
        return
    labels = langid.labels()
    for index, label in enumerate(found.value["identified_as"]):
        line = found.line("identified_as", index)
        if label not in labels:
            near = ", ".join(sorted(one for one in labels if one[:1] == label[:1]))
            faults.add(found.path, line, f"py3langid has no label {quote(label)}", f"write one of its labels: {near}")
            continue
        for code in languages.known():
            if code != found.path.stem and (other := _other(code)) and label in other.identified_as:
                faults.add(found.path, line, f"the label '{label}' counts as '{code}' already", "give it to one only")


def _check_phrases(found: Yaml, valid: set[str], faults: Faults) -> None:
    if "refusal" not in valid:
        return
    phrases = found.value["refusal"]
    todo = sum(bool(TODO.search(phrase)) for phrase in phrases)
    if todo == 0 and len(phrases) < FEWEST_PHRASES:
        what = f"{len(phrases)} refusal phrases"
        faults.add(found.path, found.line("refusal"), what, f"write at least {FEWEST_PHRASES}, better 30 to 50")
    first: dict[str, int] = {}
    for index, phrase in enumerate(phrases):
        line = found.line("refusal", index)
        spelling = " ".join(phrase.casefold().split())
        if not any(char.isalpha() for char in phrase):
            faults.add(found.path, line, f"the phrase {quote(phrase)} says nothing", "write words of a refusal")
        elif spelling in first and not TODO.search(phrase):
            what = f"the phrase {quote(phrase)} appears twice (first on line {first[spelling]})"
            faults.add(found.path, line, what, "keep one of the two")
        first.setdefault(spelling, line)
    if found.path.stem != "en" and (english := _other("en")):
        known = {phrase.casefold() for phrase in english.refusal}
        for index, phrase in enumerate(phrases):
            if phrase.casefold() in known:
                what = f"the phrase {quote(phrase)} is English"
                faults.add(found.path, found.line("refusal", index), what, "remove it: English ones count everywhere")


def _check_choosing(found: Yaml, valid: set[str], faults: Faults) -> None:
    """The words around a chosen letter: each once, and none that calls it right and rules it out."""
    words = found.value["choosing"] if "choosing" in valid else {}
    for key, own in words.items():
        for index, word in enumerate(own):
            line = found.line("choosing", key, index)
            if word in own[:index]:
                faults.add(found.path, line, f"{quote(word)} appears twice under '{key}'", "keep one of the two")
            if key == "right" and word in (*words.get("not_before", []), *words.get("not_after", [])):
                what = f"{quote(word)} is under 'right' and under what rules a letter out"
                faults.add(found.path, line, what, "keep the one that is meant")


def _check_reviews(found: Yaml, valid: set[str], faults: Faults) -> None:
    import datetime

    if "native_speaker_checks" not in valid:
        return
    for index, check in enumerate(found.value["native_speaker_checks"]):
        line = found.line("native_speaker_checks", index)
        if missing := [key for key in ("who", "date", "what") if not check.get(key)]:
            faults.add(found.path, line, f"a check without '{missing[0]}'", "write {who: ..., date: ..., what: ...}")
            continue
        try:
            datetime.date.fromisoformat(str(check["date"]))
        except ValueError:
            faults.add(found.path, line, f"{quote(check['date'])} is not a day", "write it as 2026-01-31")


def _check_others(found: Yaml, valid: set[str], faults: Faults) -> None:
    """No two files are one language."""
    for key in sorted(valid & {"name", "native_name"}):
        for code in languages.known():
            other = _other(code)
            if (
                other
                and code != found.path.stem
                and getattr(other, key) == found.value[key]
                and not TODO.search(found.value[key])
            ):
                what = f"'{key}' {quote(found.value[key])} is that of '{code}' too"
                faults.add(found.path, found.line(key), what, "say how the two differ, or remove one")


def _other(code: str) -> languages.Language | None:
    try:
        return languages.get(code)
    except languages.UsageError:
        return None
