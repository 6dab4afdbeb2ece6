"""One task file, key by key."""

import difflib
import re
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Any

from mlc_bench.catalog import data, listing, suites
from mlc_bench.contribute.validate import origin
from mlc_bench.contribute.validate.source import Faults, Yaml, check_todo, is_text, quote
from mlc_bench.core.names import is_name

# The keys of lm-eval's task files. It drops a file with another key, and says nothing (tests/engines/test_canaries.py).
KEYS = {
    "task", "task_alias", "tag", "dataset_path", "dataset_name", "dataset_kwargs", "custom_dataset", "training_split",
    "validation_split", "test_split", "fewshot_split", "process_docs", "doc_to_text", "doc_to_target", "doc_to_choice",
    "doc_to_image", "doc_to_audio", "doc_to_decontamination_query", "unsafe_code", "process_results", "use_prompt",
    "description", "target_delimiter", "fewshot_delimiter", "fewshot_config", "num_fewshot", "metric_list",
    "output_type", "generation_kwargs", "repeats", "filter_list", "should_decontaminate", "metadata", "gen_prefix",
}  # fmt: skip
METADATA = {"version", "measures", "over_refusal", "headline", "summary", "licence", "parallel", "caution"}
OUTPUTS = ("generate_until", "multiple_choice", "loglikelihood")
LOADER = "mlc_bench.data.load"
# What each scorer of mlc_bench.scoring gives; metrics of lm-eval itself need no scorer.
SCORERS = {
    "safety": {"refused", "complied", "invalid"},
    "over_refusal": {"refused", "invalid"},
    "choice": {"acc", "answered"},
    "number": {"exact_match", "answered"},
}
_NAME = re.compile(r"[a-z0-9][a-z0-9_]*")


def check(config: Yaml, pack: Path, others: list[Yaml], faults: Faults) -> bool:
    """Whether the file says what its data are, so that the rest can be checked."""
    path, value = config.path, config.value
    if path.suffix == ".yml":
        faults.add(path, 1, "is not read: its name ends in .yml", "name it .yaml")
    check_todo(config, faults)
    if not isinstance(value, dict):
        faults.add(path, 1, "is not a mapping of keys to values", "start it with 'task: <name>'")
        return False
    for key in value:
        if key not in KEYS:
            fix = nearest(key, KEYS, "remove it; lm-eval drops a task with a key that it does not know")
            faults.add(path, config.line(key), f"unknown key {quote(key)}", fix)
    for key in ("task", "dataset_kwargs", "output_type", "doc_to_text", "metadata"):
        if key not in value:
            faults.add(path, 1, f"the key '{key}' is missing", "add it, as in tasks/starter")
    _check_name(config, pack, others, faults)
    if value.get("custom_dataset") != LOADER:
        fix = f"write 'custom_dataset: !function {LOADER}'"
        faults.add(path, config.line("custom_dataset"), f"the rows are not read by {LOADER}", fix)
    if value.get("test_split") != "test":
        faults.add(path, config.line("test_split"), "'test_split' is not 'test'", "write 'test_split: test'")
    if "output_type" in value and value["output_type"] not in OUTPUTS:
        what = f"'output_type' is {quote(value['output_type'])}"
        faults.add(path, config.line("output_type"), what, f"write one of {', '.join(OUTPUTS)}")
    if "metadata" in value:
        check_metadata(config, METADATA, faults)
    _check_metrics(config, faults)
    if value.get("output_type") == "generate_until":
        _check_generation(config, faults)
    return "dataset_kwargs" in value and origin.check(config, pack, faults)


def check_metadata(config: Yaml, known: Collection[str], faults: Faults) -> None:
    """What tables and records need to know of a task."""
    metadata = config.value["metadata"]
    if not isinstance(metadata, dict):
        fix = "write version, measures, licence and summary under it"
        faults.add(config.path, config.line("metadata"), "'metadata' is not a mapping", fix)
        return
    for key in metadata:
        if key not in known:
            fix = nearest(key, known, f"remove it; known: {', '.join(sorted(known))}")
            faults.add(config.path, config.line("metadata", key), f"unknown key {quote(key)} in metadata", fix)

    def wrong(key: str, expected: str) -> None:
        what = f"metadata '{key}' is " + (quote(metadata[key]) if key in metadata else "missing")
        faults.add(config.path, config.line("metadata", key), what, expected)

    version = metadata.get("version")
    if type(version) is not int or version < 1:
        wrong("version", "write a whole number from 1 on")
    if metadata.get("measures") not in listing.MEASURES:
        wrong("measures", f"write one of {', '.join(listing.MEASURES)}")
    if not is_text(metadata.get("summary")):
        wrong("summary", "say in one line what the prompts are")
    if not is_text(metadata.get("licence")):
        wrong("licence", "name the licence of the data, as in: CC-BY-4.0")
    if not isinstance(metadata.get("parallel", True), bool):
        wrong("parallel", "write false where row k is another prompt in each language")
    if metadata.get("measures") == "utility" and not is_text(metadata.get("headline")):
        wrong("headline", "name the metric that tables show")


def nearest(name: Any, known: Collection[str], otherwise: str) -> str:
    """The known name that was meant, or what to do where none is near."""
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.6)
    return f"did you mean '{near[0]}'?" if near else otherwise


def _check_name(config: Yaml, pack: Path, others: list[Yaml], faults: Faults) -> None:
    name = config.value.get("task")
    if "task" not in config.value:
        return
    line = config.line("task")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or not is_name(name):
        faults.add(config.path, line, f"'task' is {quote(name)}", "write small letters, digits and _")
        return
    for other in others:
        if isinstance(other.value, dict) and other.value.get("task") == name and other.path < config.path:
            faults.add(config.path, line, f"the name '{name}' is taken by {other.path.name}", "choose another")
    owner = embedded_names().get(name)
    if owner is not None and owner.parent.name != pack.name:  # a copy of an embedded folder keeps its names
        what = f"the name '{name}' is taken by {owner.parent.name}/{owner.name}"
        faults.add(config.path, line, what, "choose another")


@cache
def embedded_names() -> dict[str, Path]:
    """The names that no other task may have, of tasks even where their files have faults, of folders and suites."""
    found = {path.name: path for path in data.TASKS.iterdir() if path.is_dir()}
    found |= {name: suites.FOLDER / f"{name}.yaml" for name in suites.known()}
    for path in [*data.TASKS.glob("*/*.yaml"), *listing.FAMILIES.glob("*.yaml")]:
        match = re.search(rb"(?m)^task: *(\w+)", path.read_bytes() if path.is_file() else b"")
        if match:
            found[match[1].decode("utf-8", "replace")] = path
    return found


def _check_metrics(config: Yaml, faults: Faults) -> None:
    value = config.value
    metadata = value.get("metadata")
    measures = metadata.get("measures") if isinstance(metadata, dict) else None
    listed = value.get("metric_list")
    line = config.line("metric_list")
    if not isinstance(listed, list) or not all(
        isinstance(entry, dict) and is_text(entry.get("metric")) for entry in listed
    ):
        faults.add(config.path, line, "'metric_list' is not a list of {metric: ...}", "write it as in tasks/starter")
        return
    names = {entry["metric"] for entry in listed}
    scorer = value.get("process_results")
    wanted = [measures] if measures in ("safety", "over_refusal") else ["choice", "number"]
    kind = next((name for name in wanted if scorer == f"mlc_bench.scoring.{name}"), None)
    if kind is None and (measures != "utility" or scorer is not None):
        what = f"'process_results' does not score what the task measures ({measures})"
        fix = f"write 'process_results: !function mlc_bench.scoring.{wanted[0]}'"
        if measures in listing.MEASURES:
            faults.add(config.path, config.line("process_results"), what, fix)
    if kind is not None and names != SCORERS[kind]:
        what = f"'metric_list' has {', '.join(sorted(map(quote, names)))}"
        fix = f"the scorer '{kind}' gives {', '.join(sorted(SCORERS[kind]))}"
        faults.add(config.path, line, what, fix)
    headline = metadata.get("headline") if isinstance(metadata, dict) and measures == "utility" else None
    if is_text(headline) and headline not in names:
        what = f"'headline' {quote(headline)} is no metric of the task"
        fix = f"name one of {', '.join(sorted(names))}"
        faults.add(config.path, config.line("metadata", "headline"), what, fix)


def _check_generation(config: Yaml, faults: Faults) -> None:
    settings = config.value.get("generation_kwargs")
    if not isinstance(settings, dict):
        fix = "write {until: [], do_sample: false, temperature: 0.0, max_gen_toks: 256}"
        faults.add(config.path, config.line("generation_kwargs"), "'generation_kwargs' is missing", fix)
        return
    limit = settings.get("max_gen_toks")
    if type(limit) is not int or limit < 1:
        line = config.line("generation_kwargs", "max_gen_toks")
        faults.add(config.path, line, f"'max_gen_toks' is {quote(limit)}", "write the most tokens of an answer")
