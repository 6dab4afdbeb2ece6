"""A folder of tasks: its YAMLs, its rows, its card and what they say of each other."""

import difflib
import re
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

from mlc_bench import catalog, data, review
from mlc_bench.errors import UserError
from mlc_bench.validate import rows
from mlc_bench.validate.source import Faults, Yaml, quote, read_rows, read_text, read_yaml

# The keys of lm-eval's task files. It drops a file with another key, and says nothing; tests/test_canaries.py compares.
TASK_KEYS = {
    "task", "task_alias", "tag", "dataset_path", "dataset_name", "dataset_kwargs", "custom_dataset", "training_split",
    "validation_split", "test_split", "fewshot_split", "process_docs", "doc_to_text", "doc_to_target", "doc_to_choice",
    "doc_to_image", "doc_to_audio", "doc_to_decontamination_query", "unsafe_code", "process_results", "use_prompt",
    "description", "target_delimiter", "fewshot_delimiter", "fewshot_config", "num_fewshot", "metric_list",
    "output_type", "generation_kwargs", "repeats", "filter_list", "should_decontaminate", "metadata", "gen_prefix",
}  # fmt: skip
METRICS = {"safety": {"safe", "unsafe", "invalid"}, "over_refusal": {"refused", "invalid"}}
OUTPUTS = ("generate_until", "multiple_choice", "loglikelihood")
TEMPLATES = ("doc_to_text", "doc_to_target", "doc_to_choice")
LOADER = "mlc_bench.data.load"
_NAME = re.compile(r"[a-z0-9][a-z0-9_]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}")


def check(pack: Path, faults: Faults, only: str | None = None) -> None:
    """Check a folder of tasks; `only` its rows in one language, where that is given."""
    paths = sorted([*pack.glob("*.yaml"), *pack.glob("*.yml")])
    if not paths:
        faults.add(pack, 1, "has no task file", "write one: mlc-bench tasks new NAME")
    silent = faults if only is None else Faults()
    configs = [found for path in paths if (found := read_yaml(path, silent)) is not None]
    usable = [config for config in configs if _check_config(config, pack, configs, silent)]
    _check_card(pack, usable, silent)
    accepted = rows.read_accepted(pack, silent)
    covered: dict[Path, set[str]] = {}
    for folder in _folders(pack, usable, accepted, faults):
        codes = rows.check(folder, only)
        if codes is not None:
            covered[folder.path] = codes
    accepted.report_unused(faults, only)
    _check_reviews(pack, covered, silent)
    if only is None:
        _check_coverage(covered, faults)
        for config in usable:
            _check_rendering(config, pack, faults)
            _check_companion(config, pack, usable, faults)


# One task file


def _check_config(config: Yaml, pack: Path, others: list[Yaml], faults: Faults) -> bool:
    """Whether the file says what its data are, so that the rest can be checked."""
    path, value = config.path, config.value
    if path.suffix == ".yml":
        faults.add(path, 1, "is not read: its name ends in .yml", "name it .yaml")
    if not isinstance(value, dict):
        faults.add(path, 1, "is not a mapping of keys to values", "start it with 'task: <name>'")
        return False
    for key in value:
        if key not in TASK_KEYS:
            faults.add(path, config.line(key), f"unknown key {quote(key)}", _nearest(key, TASK_KEYS))
    for key in ("task", "dataset_kwargs", "output_type", "doc_to_text", "metadata"):
        if key not in value:
            faults.add(path, 1, f"the key '{key}' is missing", "add it, as in tasks/starter")
    _check_name(config, pack, others, faults)
    if value.get("custom_dataset", LOADER) != LOADER or "custom_dataset" not in value:
        mend = f"write 'custom_dataset: !function {LOADER}'"
        faults.add(path, config.line("custom_dataset"), f"the rows are not read by {LOADER}", mend)
    if value.get("test_split") != "test":
        faults.add(path, config.line("test_split"), "'test_split' is not 'test'", "write 'test_split: test'")
    if "output_type" in value and value["output_type"] not in OUTPUTS:
        what = f"'output_type' is {quote(value['output_type'])}"
        faults.add(path, config.line("output_type"), what, f"write one of {', '.join(OUTPUTS)}")
    _check_metadata(config, faults)
    _check_metrics(config, faults)
    if value.get("output_type") == "generate_until":
        _check_generation(config, faults)
    for key in TEMPLATES:
        _check_template(config, key, faults)
    return _check_source(config, pack, faults)


def _check_name(config: Yaml, pack: Path, others: list[Yaml], faults: Faults) -> None:
    name = config.value.get("task")
    if "task" not in config.value:
        return
    line = config.line("task")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        faults.add(config.path, line, f"'task' is {quote(name)}", "write small letters, digits and _")
        return
    for other in others:
        if other is not config and isinstance(other.value, dict) and other.value.get("task") == name:
            if other.path < config.path:
                faults.add(config.path, line, f"the name '{name}' is taken by {other.path.name}", "choose another")
            return
    for path in data.TASKS.glob("*/*.yaml"):
        # A copy of an embedded folder keeps its names.
        if path.parent.name != pack.name and re.search(rf"(?m)^task: *{re.escape(name)}\s*$", _peek(path)):
            what = f"the name '{name}' is taken by tasks/{path.parent.name}"
            faults.add(config.path, line, what, "choose another")


def _peek(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _check_metadata(config: Yaml, faults: Faults) -> None:
    metadata = config.value.get("metadata")
    line = config.line("metadata")
    if "metadata" not in config.value:
        return
    if not isinstance(metadata, dict):
        faults.add(config.path, line, "'metadata' is not a mapping", "write version, measures and summary under it")
        return
    version = metadata.get("version")
    if type(version) is not int or version < 1:
        what = "metadata 'version' is missing" if version is None else f"metadata 'version' is {quote(version)}"
        faults.add(config.path, config.line("metadata", "version"), what, "write a whole number from 1 on")
    measures = metadata.get("measures")
    if measures not in catalog.MEASURES:
        what = "metadata 'measures' is missing" if measures is None else f"metadata 'measures' is {quote(measures)}"
        mend = f"write one of {', '.join(catalog.MEASURES)}"
        faults.add(config.path, config.line("metadata", "measures"), what, mend)
    if not isinstance(metadata.get("summary"), str) or not metadata["summary"].strip():
        mend = "say in one line what the prompts are"
        faults.add(config.path, config.line("metadata", "summary"), "metadata 'summary' is missing", mend)


def _check_metrics(config: Yaml, faults: Faults) -> None:
    value = config.value
    metadata = value.get("metadata")
    measures = metadata.get("measures") if isinstance(metadata, dict) else None
    listed = value.get("metric_list")
    line = config.line("metric_list")
    if not isinstance(listed, list) or not all(isinstance(entry, dict) and "metric" in entry for entry in listed):
        faults.add(config.path, line, "'metric_list' is not a list of {metric: ...}", "write it as in tasks/starter")
        return
    names = {entry["metric"] for entry in listed if isinstance(entry["metric"], str)}
    if measures in METRICS:
        if names != METRICS[measures]:
            what = f"'metric_list' has {', '.join(sorted(names)) or 'no names'}"
            faults.add(config.path, line, what, f"a task that measures {measures} has {', '.join(METRICS[measures])}")
        scorer = f"mlc_bench.scoring.{measures}"
        if value.get("process_results") != scorer:
            what = f"'process_results' does not score what the task measures ({measures})"
            mend = f"write 'process_results: !function {scorer}'"
            faults.add(config.path, config.line("process_results"), what, mend)
    elif measures == "utility" and isinstance(metadata, dict):
        headline = metadata.get("headline")
        if headline not in names:
            what = (
                "metadata 'headline' is missing" if headline is None else f"'headline' {quote(headline)} is no metric"
            )
            mend = f"name the one that tables show: {', '.join(sorted(names))}"
            faults.add(config.path, config.line("metadata", "headline"), what, mend)


def _check_generation(config: Yaml, faults: Faults) -> None:
    settings = config.value.get("generation_kwargs")
    if not isinstance(settings, dict):
        mend = "write {until: [], do_sample: false, temperature: 0.0, max_gen_toks: 256}"
        faults.add(config.path, config.line("generation_kwargs"), "'generation_kwargs' is missing", mend)
        return
    limit = settings.get("max_gen_toks")
    if type(limit) is not int or limit < 1:
        line = config.line("generation_kwargs", "max_gen_toks")
        faults.add(config.path, line, f"'max_gen_toks' is {quote(limit)}", "write the most tokens of an answer")


def _check_source(config: Yaml, pack: Path, faults: Faults) -> bool:
    source = config.value.get("dataset_kwargs")
    line = config.line("dataset_kwargs")
    if "dataset_kwargs" not in config.value:
        return False
    if not isinstance(source, dict) or ("folder" not in source and "file" not in source):
        mend = "write folder and prompt_field, or file, sha256 and columns"
        faults.add(config.path, line, "'dataset_kwargs' does not say where the rows are", mend)
        return False
    at: Callable[[str], int] = lambda key: config.line("dataset_kwargs", key)  # noqa: E731
    if "folder" in source:
        if not _is_text(source["folder"]) or not _resolve(pack, source["folder"]).is_dir():
            mend = f"name a folder from {pack.parent.name}/ on, such as {pack.name}/prompts"
            faults.add(config.path, at("folder"), f"there is no folder {quote(source['folder'])}", mend)
            return False
        if not _is_text(source.get("prompt_field")):
            faults.add(config.path, at("prompt_field"), "'prompt_field' is missing", "name the field of the prompt")
            return False
        return True
    complete = True
    if not _is_text(source["file"]):
        faults.add(config.path, at("file"), f"'file' is {quote(source['file'])}", "write the file's name")
        complete = False
    if not isinstance(source.get("sha256"), str) or not _SHA256.fullmatch(source["sha256"]):
        mend = "write the 64 digits that 'sha256sum FILE' prints"
        faults.add(config.path, at("sha256"), "'sha256' is not a digest", mend)
        complete = False
    for key in ("revision",) if "hub" in source else ():
        if not isinstance(source.get(key), str) or not _COMMIT.fullmatch(source[key]):
            what = f"'{key}' is not a commit, so the data could change"
            faults.add(config.path, at(key), what, "write the 40 digits of a commit")
    if not _is_text(source.get("url")) and not (_is_text(source.get("hub")) and _is_text(source.get("hub_file"))):
        faults.add(config.path, line, "does not say where the file comes from", "write url, or hub and hub_file")
    return complete


def _resolve(pack: Path, folder: str) -> Path:
    """A `folder` counts from the folder that holds the task folders."""
    return pack.parent / folder


# Templates


def _check_template(config: Yaml, key: str, faults: Faults) -> None:
    """The template can be read, whatever the rows are."""
    from jinja2 import TemplateSyntaxError

    template = config.value.get(key)
    if template is None and key != "doc_to_text":
        return
    line = config.line(key)
    if not isinstance(template, str):
        if key == "doc_to_text" and key in config.value:
            faults.add(config.path, line, "'doc_to_text' is not text", 'write a template such as "{{prompt}}"')
        return
    try:
        _environment().parse(template)
    except TemplateSyntaxError as error:
        faults.add(config.path, line, f"'{key}' is no template ({error.message})", "mend its {{ }} and {% %}")
    except RecursionError:
        faults.add(config.path, line, f"'{key}' is no template (nested too deeply)", "write a plain one")


def _environment() -> Any:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(undefined=StrictUndefined)


def _check_rendering(config: Yaml, pack: Path, faults: Faults) -> None:
    """The prompt of every row in every language: all fields exist, and the row's own text is in it."""
    source = config.value["dataset_kwargs"]
    if "folder" in source:
        source = source | {"folder": str(_resolve(pack, source["folder"]).resolve())}
    elif data.languages(source) is None:
        return  # the data is elsewhere
    data.forget()
    try:
        documents = data.read(source)
    except UserError as error:
        if "folder" not in source:
            faults.add(config.path, config.line("dataset_kwargs"), quote_line(error), "get the right file")
        return  # what is wrong with rows has been said
    for key in TEMPLATES:
        if not isinstance(config.value.get(key), str) or not config.value[key]:
            continue
        if problem := _render_all(config.value[key], documents, key):
            faults.add(config.path, config.line(key), f"'{key}' {problem[0]}", problem[1])


def quote_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _render_all(text: str, documents: dict[str, list[dict[str, Any]]], key: str) -> tuple[str, str] | None:
    from jinja2 import TemplateError

    try:
        template = _environment().from_string(text)
    except (TemplateError, RecursionError):
        return None  # said before
    for code, docs in documents.items():
        for doc in docs:
            where = f"row {quote(doc['id'])} of '{code}'"
            try:
                rendered = template.render(**doc)
            except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
                known = ", ".join(sorted(doc))
                return f"does not render for {where} ({quote_line(error)})", f"use these fields: {known}"
            if key == "doc_to_text" and doc["prompt"].strip() not in rendered:
                return f"leaves out the prompt of {where}", "use {{prompt}} in it"
    return None


# What the files of a pack say of each other


def _folders(pack: Path, configs: list[Yaml], accepted: rows.Accepted, faults: Faults) -> Iterable[rows.Folder]:
    found: dict[Path, rows.Folder] = {}
    for config in configs:
        source = config.value["dataset_kwargs"]
        if "folder" not in source:
            continue
        path = _resolve(pack, source["folder"])
        folder = found.setdefault(path, rows.Folder(path, set(), False, accepted, faults))
        folder.fields.add(source["prompt_field"])
        if config.value.get("output_type") == "multiple_choice":
            folder.fields |= {"choices", "answer"}
            folder.has_choices = True
        folder.is_harmful_and_benign = {"harmful", "benign"} <= folder.fields
    return found.values()


def _check_coverage(covered: dict[Path, set[str]], faults: Faults) -> None:
    every = set().union(*covered.values())
    for path, codes in covered.items():
        for code in sorted(every - codes):
            if not (path / f"{code}.jsonl").exists():
                mend = f"write it, the ids of en.jsonl: mlc-bench languages new {code}"
                faults.add(path / f"{code}.jsonl", 1, f"is missing; the task's other rows have '{code}'", mend)


def _check_companion(config: Yaml, pack: Path, configs: list[Yaml], faults: Faults) -> None:
    metadata = config.value.get("metadata")
    if not isinstance(metadata, dict) or metadata.get("measures") != "safety":
        return
    name = metadata.get("over_refusal")
    line = config.line("metadata", "over_refusal")
    if name is None:
        mend = "name the over-refusal task that tables show beside it"
        faults.add(config.path, line, "metadata 'over_refusal' is missing", mend)
        return
    companions = {c.value.get("task"): c.value for c in configs if isinstance(c.value.get("task"), str)}
    companion = companions.get(name) if isinstance(name, str) else None
    if companion is None:
        try:
            companion = catalog.tasks()[name].config if isinstance(name, str) else None
        except (UserError, KeyError):
            companion = None
    measured = companion.get("metadata") if companion else None
    if not isinstance(measured, dict) or measured.get("measures") != "over_refusal":
        faults.add(config.path, line, f"{quote(name)} is no over-refusal task", "name one that measures over_refusal")


def _check_card(pack: Path, configs: list[Yaml], faults: Faults) -> None:
    path = pack / "card.md"
    if (text := read_text(path, faults)) is None:
        return
    lines = text.split("\n")
    if lines[0].strip() != f"# {pack.name}":
        faults.add(path, 1, "does not begin with the folder's name", f"write '# {pack.name}' on its first line")
    for number, line in enumerate(lines, 1):
        if "TODO" in line:
            faults.add(path, number, "still holds 'TODO'", "put the text in its place")
    for subject, words in CARD.items():
        if not any(word in text.lower() for word in words):
            mend = f"write it, with one of the words: {', '.join(words)}"
            faults.add(path, len(lines), f"says nothing on: {subject}", mend)
    versions = {
        config.value["metadata"]["version"]
        for config in configs
        if isinstance(config.value.get("metadata"), dict) and type(config.value["metadata"].get("version")) is int
    }
    said = {
        (int(number), index)
        for index, line in enumerate(lines, 1)
        for number in re.findall(r"Version (\d{1,9})\b", line)
    }
    if versions and not said & {(version, line) for version in versions for _, line in said}:
        line = min((line for _, line in said), default=len(lines))
        wanted = " and ".join(str(version) for version in sorted(versions))
        faults.add(path, line, "does not say the version of the task files", f"write 'Version {wanted}.'")


CARD = {
    "where the data come from": ("source", "how they were made", "made"),
    "the licence": ("licence",),
}


def _check_reviews(pack: Path, covered: dict[Path, set[str]], faults: Faults) -> None:
    path = pack / review.REVIEWS
    if not path.exists():
        return
    known = set().union(*covered.values())
    ids = {
        row.values["id"]
        for folder in covered
        for row in read_rows(folder / f"{rows.REFERENCE}.jsonl", Faults()) or []
        if isinstance(row.values.get("id"), str)
    }
    for row in read_rows(path, faults) or []:
        try:
            found = review.parse(row.values)
        except UserError as error:
            mend = 'write {"language": "sw", "who": "...", "date": "2026-01-31", "ids": "all"}'
            faults.add(path, row.line, str(error), mend)
            continue
        if found.language not in known:
            what = f"there are no rows in {quote(found.language)}"
            faults.add(path, row.line, what, f"write one of {', '.join(sorted(known))}")
        for row_id in sorted((found.ids or frozenset()) - ids):
            faults.add(path, row.line, f"there is no row {quote(row_id)}", "mend the id")


def _nearest(name: Any, known: Collection[str]) -> str:
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.6)
    return f"did you mean '{near[0]}'?" if near else "remove it; lm-eval drops a task with a key that it does not know"


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and "\0" not in value
