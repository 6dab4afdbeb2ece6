"""lm-eval's own tasks through our families: names against the installed lm-eval, and a run of stand-ins for them."""

import json
from pathlib import Path

import pytest
from helpers import check_failed, command

from mlc_bench.catalog import languages, listing
from mlc_bench.catalog.listing import FAMILIES

FAMILY = """
task: {name}
lm_eval: {{folder: {folder}, task: "{pattern}", codes: mgsm{id}}}
output_type: {output_type}
metadata: {{version: 1, measures: utility, headline: "{headline}", licence: CC0, summary: a stand-in}}
card: "# {name}"
"""
CHOICE = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: "{data}"}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: "{{{{answer}}}}"
metric_list: [{{metric: acc, aggregation: mean, higher_is_better: true}}]
metadata: {{version: 3.0}}
"""
FREE = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: "{data}"}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: "7"
generation_kwargs: {{until: ["\\n"], max_gen_toks: 4}}
fewshot_split: test
num_fewshot: 1
metric_list: [{{metric: exact_match, aggregation: mean, higher_is_better: true}}]
filter_list:
  - {{name: first, filter: [{{function: take_first}}]}}
  - {{name: digits, filter: [{{function: regex, regex_pattern: "([0-9]+)"}}, {{function: take_first}}]}}
metadata: {{version: 2.0}}
"""


def rows(path, order):
    text = "".join(
        json.dumps({"qid": number, "question": f"Q{number}?", "choices": ["yes", "no"], "answer": number % 2}) + "\n"
        for number in order
    )
    path.write_text(text)
    return path


@pytest.fixture
def stand_ins(tmp_path, monkeypatch):
    """Two families: `fake_choice`, groups of two subtasks whose rows stand in another order in each language, and
    `fake_free`, single tasks with two filters."""
    tasks = tmp_path / "lm_eval_tasks"
    families = tmp_path / "families"
    tasks.mkdir()
    families.mkdir()
    for code, order in (("sw", [1, 2, 3]), ("bn", [3, 1, 2])):
        members = []
        for subject in ("art", "law"):
            name = f"fake_choice_{code}_{subject}"
            data = rows(tmp_path / f"{name}.jsonl", order)
            (tasks / f"{name}.yaml").write_text(CHOICE.format(name=name, data=data))
            members.append(name)
        (tasks / f"_{code}.yaml").write_text(f"group: fake_choice_{code}\ntask: {json.dumps(members)}\n")
        name = f"fake_free_{code}"
        data = rows(tmp_path / f"{name}.jsonl", [1, 2, 3])
        (tasks / f"{name}.yaml").write_text(FREE.format(name=name, data=data))
    common = {"folder": tasks}
    (families / "a.yaml").write_text(
        FAMILY.format(
            name="fake_choice", pattern="fake_choice_*", id=", id: qid", output_type="multiple_choice", headline="acc",
            **common,
        )
    )  # fmt: skip
    (families / "b.yaml").write_text(
        FAMILY.format(
            name="fake_free", pattern="fake_free_*", id="", output_type="generate_until",
            headline="exact_match,digits", **common,
        )
    )  # fmt: skip
    monkeypatch.setattr(listing, "FAMILIES", families)
    listing.include([])
    yield
    monkeypatch.undo()
    listing.include([])


def test_a_family_runs_like_a_task_of_ours(stand_ins, tiny_model, tmp_path):
    done = command(
        "run", "--model", tiny_model, "--engine", "hf", "--tasks", "fake_choice,fake_free", "--languages", "sw,ku,bn",
        "--output", tmp_path / "r", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "fake_choice: lm-eval has no task for ku; left out there" in done.stderr
    (record,) = json.loads(done.stdout)
    choice, free = record["tasks"]
    assert (choice["measures"], choice["headline"], choice["version"], choice["licence"]) == (
        "utility",
        "acc",
        3,
        "CC0",
    )
    assert choice["generation"]["lm_eval_task_version"] == 3.0
    assert choice["generation"]["lm_eval"] == "0.4.13"
    assert list(choice["languages"]) == ["sw", "bn"]
    assert choice["languages"]["sw"]["n"] == 6  # two subtasks of three
    assert free["headline"] == "exact_match,digits"
    assert set(free["languages"]["sw"]["metrics"]) == {"exact_match,first", "exact_match,digits"}
    samples = [json.loads(line) for line in next(tmp_path.glob("r/*/*/samples/fake_choice.jsonl")).open()]
    ids = {code: [row["id"] for row in samples if row["language"] == code] for code in ("sw", "bn")}
    # Rows are matched by the question's id, whatever their order in a language.
    assert ids["sw"] == ids["bn"] == ["art-1", "art-2", "art-3", "law-1", "law-2", "law-3"]
    assert choice["parallel"]
    assert choice["summary"]["pag"]["value"] is not None
    assert free["generation"]["num_fewshot"] == 1
    (kept,) = tmp_path.glob("r/*/*/samples/fake_free.jsonl")
    assert all(json.loads(line)["response"] is not None for line in kept.open())


def test_limit_takes_the_first_of_each_subtask_in_turn(stand_ins, tiny_model, tmp_path):
    done = command(
        "run", "--model", tiny_model, "--engine", "hf", "--tasks", "fake_choice", "--languages", "sw", "--limit", 3,
        "--output", tmp_path / "r", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    samples = [json.loads(line)["id"] for line in next(tmp_path.glob("r/*/*/samples/fake_choice.jsonl")).open()]
    assert samples == ["art-1", "art-2", "law-1"]


def test_languages_that_no_task_of_a_family_has(stand_ins, tiny_model, tmp_path):
    done = command(
        "run", "--model", tiny_model, "--engine", "hf", "--tasks", "fake_free", "--languages", "ku",
        "--output", tmp_path / "r",
    )  # fmt: skip
    check_failed(done, 2, "fake_free has none of the languages asked for", "bn")


def test_data_that_cannot_be_had_is_one_line(tiny_model, tmp_path):
    done = command(
        "run", "--model", tiny_model, "--engine", "hf", "--tasks", "mgsm_direct", "--languages", "sw",
        "--output", tmp_path / "r",
    )  # fmt: skip
    check_failed(done, 3, "cannot get the data of lm-eval's task 'mgsm_direct_sw'")


def test_a_server_cannot_score_choices(tmp_path):
    done = command(
        "run", "--model", "m", "--engine", "openai", "--base-url", "http://127.0.0.1:9/v1", "--tasks", "mmmlu",
        "--output", tmp_path / "r",
    )  # fmt: skip
    check_failed(done, 2, "mmmlu needs log-likelihoods")


@pytest.mark.parametrize("path", sorted(FAMILIES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_task_that_the_language_files_name_is_in_this_lm_eval(path):
    """A canary that reads files only: a task that lm-eval renames or drops, or a code that it does not have."""
    from mlc_bench.catalog import upstream

    entry = listing.read_family(path)
    text = "\n".join(
        file.read_text(encoding="utf-8") for file in (upstream.FOLDER / entry.family["folder"]).rglob("*.yaml")
    )
    codes = listing.languages(entry)
    assert codes
    for code in codes:
        name = upstream.name(entry, code)
        assert f"task: {name}\n" in text or f"group: {name}\n" in text, f"lm-eval has no task {name}"


@pytest.mark.parametrize("path", sorted(FAMILIES.glob("*.yaml")), ids=lambda path: path.stem)
def test_no_task_of_a_language_that_we_have_is_left_unnamed(path):
    """The other way round: a task whose code some language file would know by its ISO 639-3 or own code."""
    from mlc_bench.catalog import upstream

    entry = listing.read_family(path)
    pattern = entry.family["task"]
    if "*" not in pattern:
        return
    start, end = pattern.split("*")
    own = {code: languages.get(code) for code in languages.known()}
    names = {
        line.partition(": ")[2].strip().strip("\"'")
        for file in (upstream.FOLDER / entry.family["folder"]).rglob("*.yaml")
        for line in file.read_text(encoding="utf-8").splitlines()
        if line.startswith(("task: ", "group: "))
    }
    covered = set(listing.languages(entry) or [])
    for code, language in own.items():
        flores = f"{language.iso639_3}_{language.script}"
        if {f"{start}{code}{end}", f"{start}{flores}{end}"} & names:
            assert code in covered, f"{entry.name}: the file of '{code}' does not name lm-eval's task for it"


def test_listing_does_not_load_lm_eval():
    """Families are read from our own files: the index of all of lm-eval's tasks takes 8 to 21 s."""
    import subprocess
    import sys

    slow = ("torch", "transformers", "lm_eval", "datasets", "pyarrow", "pandas", "numpy")
    code = (
        "import sys; sys.argv = ['mlc-bench', {0}]\nfrom mlc_bench.cli import main\n"
        "try: main.main()\nexcept SystemExit: pass\n"
        f"print([name for name in {slow} if name in sys.modules])"
    )
    for arguments in (
        "'tasks', 'list'",
        "'languages', 'list'",
        "'suites', 'show', 'paper'",
        "'tasks', 'show', 'mmmlu'",
    ):
        done = subprocess.run(
            [sys.executable, "-c", code.format(arguments)], capture_output=True, text=True, check=True, cwd=Path.cwd()
        )
        assert done.stdout.splitlines()[-1] == "[]", arguments
