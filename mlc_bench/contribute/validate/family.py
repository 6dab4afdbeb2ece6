"""The YAML that describes a family of lm-eval's own tasks."""

from pathlib import Path

from mlc_bench.contribute.validate import task
from mlc_bench.contribute.validate.source import Faults, is_text, quote, read_yaml

KEYS = {"task", "lm_eval", "output_type", "metadata", "card"}
OPTIONAL: set[str] = set()
LM_EVAL = {"folder", "task", "codes"}


def check(path: Path, faults: Faults) -> None:
    """Every fault of one family file."""
    found = read_yaml(path, faults)
    if found is None:
        return
    if not isinstance(found.value, dict):
        faults.add(path, 1, "is not a mapping of keys to values", "start it with 'task: <name>'")
        return
    for key in found.value:
        if key not in KEYS | OPTIONAL:
            fix = task.nearest(key, KEYS, f"remove it; known: {', '.join(sorted(KEYS))}")
            faults.add(path, found.line(key), f"unknown key {quote(key)}", fix)
    for key in sorted(KEYS - set(found.value)):
        faults.add(path, 1, f"the key '{key}' is missing", "add it, as in mgsm_direct.yaml")
    if "task" in found.value and found.value["task"] != path.stem:
        what = f"'task' is {quote(found.value['task'])}"
        faults.add(path, found.line("task"), what, f"write '{path.stem}', as the file is called")
    upstream = found.value.get("lm_eval")
    if "lm_eval" in found.value and not (isinstance(upstream, dict) and all(is_text(upstream.get(k)) for k in LM_EVAL)):
        faults.add(path, found.line("lm_eval"), "'lm_eval' does not name lm-eval's tasks", "write folder, task, codes")
    if "metadata" in found.value:
        task.check_metadata(found, task.METADATA, faults)
    card = found.value.get("card")
    if is_text(card) and "known" not in card.lower():
        fix = "write it, after the word: Known"
        faults.add(path, found.line("card"), "the card says nothing on: known faults", fix)
