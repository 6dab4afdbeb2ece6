"""What stops a run, found by the code that a run reads a task file with: the two never differ."""

import re
from pathlib import Path

from mlc_bench.catalog import data, languages, listing, taskfile
from mlc_bench.contribute.validate.source import Faults, one_line, shown
from mlc_bench.core import bounded, safe_yaml
from mlc_bench.core.errors import UsageError
from mlc_bench.core.progress import say
from mlc_bench.engines.settings import sampling


def check(path: Path, faults: Faults) -> None:
    """What a run says of a task file, unless it has been found already, by the line or by the key that it names.

    A task that brings code is none: it runs with --allow-code, and that is said.
    """
    is_ours = path.resolve().parent.parent == data.TASKS
    try:
        entry = taskfile.read_yaml(path, included=not is_ours)
        if not is_ours:
            listing.check_templates(entry)
        if entry.config["output_type"] == "generate_until":
            with safe_yaml.naming_lines(path, bounded.read_text(path)):
                sampling.of(entry.config.get("generation_kwargs") or {}, f"{path}: 'generation_kwargs'")
    except UsageError as error:
        _add(path, str(error), faults)
        return
    if not is_ours:
        try:
            listing.refuse_code(entry)
        except UsageError as error:
            say(f"without --allow-code it does not run: {one_line(str(error))}")


def languages_hold(faults: Faults) -> bool:
    """Whether all language files can be used: every text is held against all of them."""
    holds = True
    for code in languages.known():
        try:
            languages.get(code)
        except UsageError as error:
            holds = False
            _add(languages.FOLDER / f"{code}.yaml", str(error), faults)
    return holds


def _add(path: Path, said: str, faults: Faults) -> None:
    place = re.match(r"(?:, line (\d+))?: ", said.removeprefix(str(path)))
    what, _, fix = said.removeprefix(str(path))[place.end() if place else 0 :].partition("; ")
    line = int(place[1] or 1) if place else 1
    key = re.search(r"'(\w+)'|^malformed", what)
    word = key and (key[1] or key[0])
    here = [one for one in faults.found if one.file == shown(path)]
    if not any(one.line == line or (word and word in one.what) for one in here):
        faults.add(path, line, one_line(what), one_line(fix) or "a run stops here: fix the line")
