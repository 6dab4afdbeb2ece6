"""What the keys of a task's file may hold: where its rows come from, its metadata, its settings.

Each check raises UsageError naming the file and the key.
"""

from pathlib import Path
from typing import Any

from mlc_bench.catalog.languages import world
from mlc_bench.catalog.limits import check_not_packed
from mlc_bench.core.errors import UsageError
from mlc_bench.core.inside import check_relative, inside_pack
from mlc_bench.core.names import shown

MEASURES = ("safety", "over_refusal", "utility")
MOST_EXAMPLES = 1000  # worked examples before a question, and answers to one prompt
_SHAPES: dict[str, tuple[type | tuple[type, ...], str]] = {
    "output_type": (str, "text"),
    "test_split": (str, "text"),
    "description": (str, "text"),
    "doc_to_text": ((str, int), "a template"),
    "doc_to_target": ((str, int, list, dict), "a template"),
    "doc_to_choice": ((str, list, dict), "a template or a list"),
    "target_delimiter": (str, "text"),
    "gen_prefix": (str, "text"),
    "generation_kwargs": (dict, "a mapping"),
    "metric_list": (list, "a list of {metric: <name>}"),
    "filter_list": (list, "a list of filters"),
    "custom_dataset": (str, "!function mlc_bench.data.load"),
    "card": (str, "text"),
}
_METADATA = {"summary": str, "licence": str, "caution": str, "over_refusal": str, "headline": str, "parallel": bool}
_OF_A_SOURCE = {
    "root", "pack", "folder", "prompt_field", "file", "files", "path", "fields", "dataset", "columns", "where",
    "leave_out", "sample", "sha256", "sha256sums", "url", "hub", "hub_file", "revision", "category_column",
}  # fmt: skip
_TEXTS = ("prompt_field", "dataset", "sha256", "url", "hub", "revision", "category_column")


def check_source(source: Any, path: Path, included: bool) -> None:
    """Where a task's rows come from (`dataset_kwargs`): complete and, in a pack from elsewhere, nothing outside."""
    forms = {
        "folder": ("folder", "prompt_field"),
        "files": ("files", "path", "fields", "dataset"),
        "file": ("file", "sha256", "columns"),
    }
    form = next((key for key in forms if key in (source or ())), "file")
    if isinstance(source, dict) and "hub" in source:  # a revision pins it, and the first use its digest
        forms["file"] = ("file", "columns")
    if not isinstance(source, dict) or not all(source.get(key) for key in forms[form]):
        raise UsageError(f"{path}: 'dataset_kwargs' must hold {' and '.join(forms[form])}")
    if "hub" in source and not source.get("revision"):
        raise UsageError(f"{path}: 'dataset_kwargs' must hold the 'revision' of the hub's data set")
    for key in _TEXTS:
        if key in source and not isinstance(source[key], str):
            raise UsageError(f"{path}: '{key}' must be text, not {shown(source[key])}")
    if "url" in source and not source["url"].startswith("https://"):
        raise UsageError(f"{path}: 'url' must begin with https://")
    _check_columns(source, path)
    _check_paths(source, path, included)


def _check_columns(source: dict[str, Any], path: Path) -> None:
    for key in ("fields", "columns", "where"):
        value = source.get(key, {})
        is_plain = isinstance(value, dict) and all(
            isinstance(name, str) and _names_columns(column, by_language=key == "fields")
            for name, column in value.items()
        )
        if not is_plain:
            raise UsageError(f"{path}: '{key}' must be a mapping of names to columns, not {shown(value)}")
    if "columns" in source and not all(isinstance(column, str) for column in source["columns"].values()):
        raise UsageError(f"{path}: 'columns' must name columns by text, not {shown(source['columns'])}")
    if unknown := [name for name in source.get("columns", ()) if name != "*" and world.code_of(name) is None]:
        raise UsageError(
            f"{path}: 'columns' names no known language: {shown(unknown[0])}; write its code, or * for all"
        )
    leave_out = source.get("leave_out", [])
    if not isinstance(leave_out, list) or not all(isinstance(one, str) for one in leave_out):
        raise UsageError(f"{path}: 'leave_out' must be a list of ids, not {shown(leave_out)}")
    if "sample" in source and not is_count(source["sample"]):
        raise UsageError(f"{path}: 'sample' must be a number of rows, not {shown(source['sample'])}")
    if "files" in source and "prompt" not in source["fields"]:
        raise UsageError(f"{path}: 'fields' must name the column of the 'prompt'")


def is_count(value: Any) -> bool:
    """Whether a value of a task file is a whole number from 1 on."""
    return type(value) is int and value > 0


def _names_columns(value: Any, by_language: bool) -> bool:
    """A column by its name or number; of a field also one for each language."""
    if by_language and isinstance(value, dict):
        return bool(value) and all(isinstance(key, str) and isinstance(one, str | int) for key, one in value.items())
    return isinstance(value, str | int)


def _check_paths(source: dict[str, Any], path: Path, included: bool) -> None:
    for key in ("folder", "sha256sums"):
        if key in source and included:
            inside_pack(path.parent, source[key], f"{path}: '{key}'")
        elif key in source and not isinstance(source[key], str):
            raise UsageError(f"{path}: '{key}' must be text, not {shown(source[key])}")
    for key in ("file", "files", "hub", "hub_file", "revision"):
        if key in source:
            check_relative(source[key], f"{path}: '{key}'")
    patterns = source.get("path", {})
    for pattern in patterns.values() if isinstance(patterns, dict) else [patterns]:
        name = check_relative(pattern, f"{path}: 'path'")
        try:
            filled = name.format(language="en")
        except (LookupError, ValueError, AttributeError):
            filled = ""
        if name.replace("{language}", "en") != filled:
            raise UsageError(f"{path}: 'path' {shown(name)}: write {{language}} in it, and no other braces")
        check_not_packed(name, f"{path}: 'path' {shown(name)}")
    if "file" in source:
        check_not_packed(source["file"], f"{path}: 'file' {shown(source['file'])}")


def check_metadata(metadata: Any, path: Path) -> None:
    """What tables and records need to know of a task."""
    if not isinstance(metadata, dict) or type(metadata.get("version")) is not int:
        raise UsageError(f"{path}: 'metadata' must be a mapping with a whole number as 'version'")
    if not 0 <= metadata["version"] <= 10**9:
        raise UsageError(f"{path}: metadata 'version' must be from 1 to 1,000,000,000")
    if metadata.get("measures") not in MEASURES:
        raise UsageError(f"{path}: metadata 'measures' must be one of {', '.join(MEASURES)}")
    if metadata["measures"] == "utility" and not metadata.get("headline"):
        raise UsageError(f"{path}: metadata 'headline' must name the metric that tables show")
    for key, kind in _METADATA.items():
        if key in metadata and not isinstance(metadata[key], kind) and (metadata[key] is not None or kind is bool):
            expected = "true or false" if kind is bool else "text"
            raise UsageError(f"{path}: metadata '{key}' must be {expected}, not {shown(metadata[key])}")
    # What stands in the metadata reaches the loader of rows as well, where it would replace what was checked.
    if misplaced := sorted(_OF_A_SOURCE & metadata.keys()):
        raise UsageError(f"{path}: '{misplaced[0]}' belongs under 'dataset_kwargs', not under 'metadata'")


def check_shapes(config: dict[str, Any], path: Path) -> None:
    """The other keys hold what those who read them expect."""
    for key, (kinds, expected) in _SHAPES.items():
        if key in config and config[key] is not None and not isinstance(config[key], kinds):
            raise UsageError(f"{path}: '{key}' must be {expected}, not {shown(config[key])}")
    for metric in config.get("metric_list") or []:
        if not isinstance(metric, dict) or not isinstance(metric.get("metric"), str):
            raise UsageError(f"{path}: 'metric_list' must be a list of {{metric: <name>}}, not of {shown(metric)}")
    for one in config.get("filter_list") or []:
        steps = one.get("filter") if isinstance(one, dict) and isinstance(one.get("name"), str) else None
        if not isinstance(steps, list) or not all(
            isinstance(s, dict) and isinstance(s.get("function"), str) for s in steps
        ):
            form = "{name: <name>, filter: [{function: <name>}]}"
            raise UsageError(f"{path}: 'filter_list' must be a list of {form}, not of {shown(one)}")
    for key in ("num_fewshot", "repeats"):
        value = config.get(key)
        if value is not None and (type(value) is not int or not 0 <= value <= MOST_EXAMPLES):
            raise UsageError(f"{path}: '{key}' must be a whole number up to {MOST_EXAMPLES}, not {shown(value)}")
    most = (config.get("generation_kwargs") or {}).get("max_gen_toks")
    if most is not None and (type(most) is not int or most < 1):
        raise UsageError(f"{path}: 'max_gen_toks' must be a whole number from 1 on, not {shown(most)}")
