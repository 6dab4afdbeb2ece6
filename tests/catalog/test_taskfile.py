"""One task file: what its entry says, and that every fault of it is named with the file."""

import pytest
import yaml

from mlc_bench.catalog import taskfile
from mlc_bench.core.errors import UsageError

TASK = {
    "task": "mine",
    "dataset_kwargs": {"folder": "pack/rows", "prompt_field": "text"},
    "output_type": "generate_until",
    "metadata": {"version": 3, "measures": "safety"},
}
FAMILY = {
    "task": "theirs",
    "lm_eval": {"folder": "mmlu", "task": "mmlu", "codes": {"en": "en"}},
    "output_type": "multiple_choice",
    "metadata": {"version": 1, "measures": "utility", "headline": "acc"},
    "card": "# Theirs\n",
}


def place(tmp_path, config, name="mine.yaml"):
    folder = tmp_path / "pack"
    (folder / "rows").mkdir(parents=True, exist_ok=True)
    text = config if isinstance(config, str) else yaml.safe_dump(config)
    (folder / name).write_text(text, encoding="utf-8")
    (folder / "card.md").write_text("# Mine\n", encoding="utf-8")
    return folder / name


def entry(tmp_path, changes=None, metadata=None, included=False):
    config = TASK | {"metadata": TASK["metadata"] | (metadata or {})} | (changes or {})
    return taskfile.read_yaml(place(tmp_path, config), included)


def test_what_an_entry_says_of_itself(tmp_path):
    found = entry(tmp_path)
    assert (found.name, found.pack, found.included, found.code) == ("mine", "pack", False, [])
    assert (found.version, found.measures, found.headline) == (3, "safety", "")
    assert (found.summary, found.licence, found.caution, found.parallel) == ("", None, None, True)
    assert found.family is None
    assert found.card == "# Mine\n"
    assert found.identity == 3
    root = str(tmp_path)
    assert found.source == {"folder": "pack/rows", "prompt_field": "text", "root": root, "parallel": True}


def test_what_the_metadata_says(tmp_path):
    said = {"summary": "s", "licence": "CC0", "caution": "c", "parallel": False, "measures": "over_refusal"}
    found = entry(tmp_path, metadata=said)
    assert (found.summary, found.licence, found.caution, found.parallel) == ("s", "CC0", "c", False)
    assert found.headline == "", "the judge decides it"
    assert found.source["parallel"] is False
    assert entry(tmp_path, metadata={"measures": "utility", "headline": "f1"}).headline == "f1"


def test_a_family_has_its_card_and_no_source_of_its_own(tmp_path):
    found = taskfile.read_family(place(tmp_path, FAMILY))
    assert (found.name, found.pack, found.card, found.source) == ("theirs", "lm-eval", "# Theirs\n", {})
    assert found.family == FAMILY["lm_eval"]
    assert (found.version, found.headline, found.included, found.identity) == (1, "acc", False, 1)


def test_an_edited_pack_is_another_task(tmp_path):
    """Of a pack of the user's own the content counts: the file and its rows."""
    first = entry(tmp_path, included=True).identity
    assert entry(tmp_path, included=True).identity == first
    (tmp_path / "pack" / "rows" / "en.jsonl").write_text('{"id": "1", "text": "Hi?"}\n', encoding="utf-8")
    second = entry(tmp_path, included=True).identity
    (tmp_path / "pack" / "rows" / "notes.txt").write_text("not a row", encoding="utf-8")
    assert entry(tmp_path, included=True).identity == second != first
    third = entry(tmp_path, metadata={"summary": "changed"}, included=True).identity
    assert third not in (first, second, 3)
    # A source that is no folder has its rows elsewhere: the task file counts, and no .jsonl beside it.
    (tmp_path / "stray.jsonl").write_text("{}\n", encoding="utf-8")
    (tmp_path / "pack" / "stray.jsonl").write_text("{}\n", encoding="utf-8")
    files = {"dataset_kwargs": {"file": "a", "sha256": "b", "columns": {"en": "x"}}}
    alone = entry(tmp_path, files, included=True).identity
    (tmp_path / "stray.jsonl").unlink()
    (tmp_path / "pack" / "stray.jsonl").unlink()
    assert entry(tmp_path, files, included=True).identity == alone


@pytest.mark.parametrize(
    ("function", "ours"),
    [
        ("mlc_bench.data.load", True),
        ("mlc_bench.scoring.safety", True),
        ("mlc_bench.scoring.over_refusal", True),
        ("mlc_bench.scoring.Safety", False),
        ("mlc_bench.scoring.a.b", False),
        ("mlc_bench.data.load_more", False),
        ("utils.safety", False),
    ],
)
def test_which_functions_are_ours(function, ours, tmp_path):
    assert taskfile.is_ours(function) is ours
    text = f"process_results: !function {function}\n" + yaml.safe_dump(TASK)
    found = taskfile.read_yaml(place(tmp_path, text), included=True)
    assert found.config["process_results"] == function
    assert found.code == ([] if ours else [(1, function)])


def without(config, key):
    return {name: value for name, value in config.items() if name != key}


FAULTS = {
    **{f"no {key}": (without(TASK, key), f"the key '{key}' is missing") for key in TASK},
    "a name that is a number": (TASK | {"task": 3}, "'task' must be a name"),
    "not a mapping": ("- a\n- b\n", "a task file is a mapping"),
    "malformed": ("task: mine\nother: [\n", "line 3: malformed YAML"),
    "no source": (TASK | {"dataset_kwargs": None}, "must hold file and sha256 and columns"),
    "a source that is text": (TASK | {"dataset_kwargs": "folder"}, "must hold folder and prompt_field"),
    "a folder alone": (TASK | {"dataset_kwargs": {"folder": "x"}}, "must hold folder and prompt_field"),
    "files alone": (TASK | {"dataset_kwargs": {"files": "x"}}, "must hold files and path and fields and dataset"),
    "a file without digest": (
        TASK | {"dataset_kwargs": {"file": "x", "columns": {"en": "a"}}}, "must hold file and sha256 and columns"
    ),
    "a hub without columns": (
        TASK | {"dataset_kwargs": {"file": "x", "hub": "h"}}, "must hold file and columns"
    ),
    "a hub without revision": (
        TASK | {"dataset_kwargs": {"file": "x", "hub": "h", "columns": {"en": "a"}}}, "the 'revision'"
    ),
    "an address that is not encrypted": (
        TASK | {"dataset_kwargs": {"file": "x", "sha256": "s", "columns": {"en": "a"}, "url": "http://x"}}, "https://"
    ),
    "fields without prompt": (
        TASK | {"dataset_kwargs": {"files": "f", "path": "p", "fields": {"id": "i"}, "dataset": "d"}}, "'prompt'"
    ),
    "metadata that is text": (TASK | {"metadata": "version"}, "a whole number as 'version'"),
    "a version that is text": (TASK | {"metadata": {"version": "1"}}, "a whole number as 'version'"),
    "no measures": (TASK | {"metadata": {"version": 1}}, "safety, over_refusal, utility"),
    "utility without headline": (TASK | {"metadata": {"version": 1, "measures": "utility"}}, "'headline'"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_with_its_file(fault, tmp_path):
    config, words = FAULTS[fault]
    path = place(tmp_path, config)
    with pytest.raises(UsageError) as error:
        taskfile.read_yaml(path)
    assert str(error.value).startswith(str(path))
    assert words in str(error.value)


FAMILY_FAULTS = {
    **{f"no {key}": (without(FAMILY, key), f"the key '{key}' is missing") for key in FAMILY},
    **{
        f"lm_eval without {key}": (FAMILY | {"lm_eval": without(FAMILY["lm_eval"], key)}, "must hold folder, task")
        for key in FAMILY["lm_eval"]
    },
    "lm_eval that is text": (FAMILY | {"lm_eval": "mmlu"}, "must hold folder, task and codes"),
    "another measure": (FAMILY | {"metadata": {"version": 1, "measures": "speed"}}, "'measures' must be one of"),
}


@pytest.mark.parametrize("fault", FAMILY_FAULTS)
def test_a_fault_of_a_family_is_named_with_its_file(fault, tmp_path):
    config, words = FAMILY_FAULTS[fault]
    path = place(tmp_path, config)
    with pytest.raises(UsageError) as error:
        taskfile.read_family(path)
    assert str(error.value).startswith(str(path))
    assert words in str(error.value)


@pytest.mark.parametrize(
    "source",
    [
        {"file": "x", "sha256": "s", "columns": {"en": "a"}},
        {"file": "x", "sha256": "s", "columns": {"en": "a"}, "url": "https://x"},
        {"file": "x", "hub": "h", "revision": "r", "columns": {"en": "a"}},
        {"files": "f", "path": "p", "fields": {"prompt": "q"}, "dataset": "d"},
    ],
)
def test_every_form_of_a_source_is_read(source, tmp_path):
    found = entry(tmp_path, {"dataset_kwargs": source})
    assert source.items() <= found.source.items()
