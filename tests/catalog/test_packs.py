"""Task packs from outside the repository: found, run, and kept from running code."""

import json

import pytest
from helpers import check_failed, command
from own_task import TASK

from mlc_bench.catalog import data, listing
from mlc_bench.core.errors import UsageError


@pytest.fixture
def pack(tmp_path):
    """A pack with one task in two languages; `pack.parent` is what --include names."""
    folder = tmp_path / "packs" / "pack"
    (folder / "rows").mkdir(parents=True)
    (folder / "mine.yaml").write_text(TASK)
    (folder / "card.md").write_text("# pack\n\nMine.\n")
    for code in ("en", "yo"):
        (folder / "rows" / f"{code}.jsonl").write_text('{"id": "1", "text": "Hi?"}\n{"id": "2", "text": "Who?"}\n')
    yield folder
    listing.include([])


def run(pack, model, output, *more):
    return command(
        "run", "--model", model, "--engine", "hf", "--tasks", "mine", "--include", pack.parent, "--output", output,
        "--json", *more,
    )  # fmt: skip


def test_a_pack_is_listed_shown_and_run(pack, tiny_model, tmp_path):
    done = command("tasks", "list", "--include", pack.parent, "--json")
    (row,) = [row for row in json.loads(done.stdout) if row["task"] == "mine"]
    assert (row["languages"], row["licence"]) == (["en", "yo"], "CC0")
    assert "Mine." in command("tasks", "show", "mine", "--include", pack).stdout, "one pack by itself"
    done = run(pack, tiny_model, tmp_path / "r")
    assert done.returncode == 0, done.stderr
    (record,) = json.loads(done.stdout)
    (task,) = record["tasks"]
    assert (task["status"], list(task["languages"]), task["licence"]) == ("complete", ["en", "yo"], "CC0")


def test_without_the_option_the_pack_is_unknown(pack):
    command("tasks", "list", "--include", pack.parent)
    check_failed(command("tasks", "show", "mine"), 2, "unknown task 'mine'")


def test_edited_rows_are_another_run(pack, tiny_model, tmp_path):
    """Whoever writes a pack does not raise its version at every change."""
    (first,) = json.loads(run(pack, tiny_model, tmp_path / "r").stdout)
    (pack / "rows" / "yo.jsonl").write_text('{"id": "1", "text": "Bawo?"}\n{"id": "2", "text": "Tani?"}\n')
    data.forget()
    (second,) = json.loads(run(pack, tiny_model, tmp_path / "r").stdout)
    assert first["run_id"] != second["run_id"]
    assert second["responses"] == {"generated": 2, "from_store": 2}


CODE = """from pathlib import Path
Path('ran').touch()
def load(**_): ...
def safety(doc, results): return {'safe': 1.0}
"""
REFUSED = {
    "a function": (
        lambda t: t.replace("mlc_bench.scoring.safety", "utils.safety"),
        "mine.yaml, line 10: '!function utils.safety' would run code of this pack; add --allow-code",
    ),
    "another file": (lambda t: t + "include: other.yaml\n", "the key 'include' could bring in code"),
    "a data set of the hub": (lambda t: t + "dataset_path: who/what\n", "the key 'dataset_path' could bring in code"),
    "a metric of the hub": (
        lambda t: t.replace("{metric: safe,", "{metric: safe, hf_evaluate: true,"),
        "'hf_evaluate' runs code from the hub",
    ),
    "a key of lm-eval that nobody needs here": (lambda t: t + "use_prompt: x.py:y\n", "the key 'use_prompt' could"),
    "a function that only looks like ours": (
        lambda t: t.replace("mlc_bench.scoring.safety", "mlc_bench.scoring.safety.run"),
        "'!function mlc_bench.scoring.safety.run' would run code",
    ),
    "an address of this machine": (
        lambda t: t.replace("{folder: pack/rows,", "{file: x, sha256: '0', columns: {en: en}, url: 'file:///etc/x',"),
        "'url' must begin with https://",
    ),
    "no loader of ours": (
        lambda t: t.replace("custom_dataset: !function mlc_bench.data.load\n", ""),
        "'custom_dataset: !function mlc_bench.data.load' is missing",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_code_is_refused(name, pack):
    change, words = REFUSED[name]
    (pack / "mine.yaml").write_text(change(TASK))
    done = command("tasks", "list", "--include", pack.parent)
    check_failed(done, 2, str(pack / "mine.yaml"), words)


def test_a_pack_cannot_put_its_code_in_place_of_ours(pack, tiny_model, tmp_path, monkeypatch):
    """lm-eval looks for the module of `!function mlc_bench.data.load` beside the task file first."""
    monkeypatch.chdir(tmp_path)
    (pack / "mlc_bench").mkdir()
    for module in ("data", "scoring"):
        (pack / "mlc_bench" / f"{module}.py").write_text(CODE)
    done = run(pack, tiny_model, tmp_path / "r")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "ran").exists()


def test_a_prompt_template_cannot_reach_python(pack, tiny_model, tmp_path, monkeypatch):
    """lm-eval renders prompts with a Jinja that can."""
    import lm_eval.utils

    monkeypatch.setattr(lm_eval.utils, "env", lm_eval.utils.env)  # put back afterwards
    monkeypatch.chdir(tmp_path)
    escape = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
    (pack / "mine.yaml").write_text(TASK.replace('"{{prompt}}"', f'"{escape}"'))
    done = run(pack, tiny_model, tmp_path / "r")
    check_failed(done, 2, f"{pack / 'mine.yaml'}: a prompt cannot be rendered", "is unsafe")


def test_a_prompt_that_names_a_field_the_rows_lack(pack, tiny_model, tmp_path):
    (pack / "mine.yaml").write_text(TASK.replace("{{prompt}}", "{{question}}"))
    done = run(pack, tiny_model, tmp_path / "r")
    check_failed(done, 2, "a prompt cannot be rendered ('question' is undefined)")


def test_an_unknown_metric_is_not_looked_for_on_the_hub(pack, tiny_model, tmp_path):
    text = TASK.replace("process_results: !function mlc_bench.scoring.safety\n", "").replace(
        "metric: safe", "metric: x/y"
    )
    (pack / "mine.yaml").write_text(text.replace("measures: safety", "measures: utility, headline: x/y"))
    done = run(pack, tiny_model, tmp_path / "r")
    check_failed(done, 2, "does not know the metric 'x/y'")


@pytest.mark.parametrize("name", ["../x.csv", "/x.csv", "a/../../x.csv"])
def test_data_stay_below_one_folder(name, pack):
    source = f"{{file: {name}, sha256: '0', columns: {{en: en}}, url: 'https://nowhere.invalid/x'}}"
    (pack / "mine.yaml").write_text(TASK.replace("{folder: pack/rows, prompt_field: text}", source))
    check_failed(command("tasks", "list", "--include", pack.parent), 2, f"'{name}'", "leave '/' and '..' out")


def test_allowed_code_runs(pack, tiny_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (pack / "utils.py").write_text(CODE.replace("def safety", "def score"))
    text = TASK.replace("mlc_bench.scoring.safety", "utils.score").replace(
        "measures: safety", "measures: utility, headline: safe"
    )
    (pack / "mine.yaml").write_text(text)
    check_failed(run(pack, tiny_model, tmp_path / "r"), 2, "line 10: '!function utils.score'")
    assert not (tmp_path / "ran").exists()
    done = run(pack, tiny_model, tmp_path / "r", "--allow-code")
    assert done.returncode == 0, done.stderr
    (record,) = json.loads(done.stdout)
    assert record["tasks"][0]["languages"]["yo"]["metrics"]["safe"]["value"] == 1.0
    assert (tmp_path / "ran").exists()


def test_a_folder_without_tasks(tmp_path):
    check_failed(command("tasks", "list", "--include", tmp_path), 2, str(tmp_path), "no task file")


def test_a_name_that_is_taken(pack):
    (pack / "mine.yaml").write_text(TASK.replace("task: mine", "task: pku"))
    check_failed(command("tasks", "list", "--include", pack.parent), 2, "the task name 'pku' is taken by")


def test_packs_of_an_earlier_call_are_forgotten(pack):
    listing.include([pack.parent])
    assert "mine" in listing.tasks()
    listing.include([])
    with pytest.raises(UsageError):
        listing.select(["mine"])
