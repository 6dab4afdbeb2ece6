"""The Python interface: the same results as the commands, the same errors, and nothing left behind between calls."""

import inspect
import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import lm_eval.utils
import pandas as pd
import pytest
from helpers import command, make_adapter
from own_task import TASK
from runs_to_compare import OLD

import mlc_bench
from mlc_bench import Request, compare, compare_all, judge, load_records, run, show
from mlc_bench.catalog import listing
from mlc_bench.cli import run as run_command
from mlc_bench.core import progress
from mlc_bench.core.errors import StaleError, UsageError, UserError
from mlc_bench.records import frame as frames

SMALL = {"tasks": "starter_harmful", "languages": ["en", "sw"], "limit": 3, "max_tokens": 4, "engine": "hf"}
OPTIONS = [
    "--tasks", "starter_harmful", "--languages", "en,sw", "--limit", "3", "--max-tokens", "4", "--engine", "hf",
]  # fmt: skip
UNLIKE = {"created", "finished", "phases", "responses"}  # when it was made, and how long that took


def alike(record):
    return record.model_dump(mode="json", exclude=UNLIKE)


def prints(done):
    """The record that a command printed as JSON, without what differs from one call to the next."""
    found = json.loads(done.stdout)
    (found,) = found if isinstance(found, list) else [found]
    return {key: value for key, value in found.items() if key not in UNLIKE}


@pytest.fixture(scope="module")
def found(tiny_model, tmp_path_factory):
    return run(tiny_model, **SMALL, output=tmp_path_factory.mktemp("api"))


@pytest.fixture(scope="module")
def other(other_tiny_model, tmp_path_factory):
    return run(other_tiny_model, **SMALL, output=tmp_path_factory.mktemp("other"))


# The package


def test_importing_the_package_loads_nothing_slow():
    slow = ("torch", "transformers", "lm_eval", "pandas", "numpy", "pydantic", "typer", "rich", "mlc_bench.api")
    code = f"import sys, mlc_bench; dir(mlc_bench); print([name for name in {slow} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_importing_the_functions_loads_no_model_library():
    slow = ("torch", "transformers", "lm_eval", "pandas", "typer", "rich")
    code = f"import sys; from mlc_bench import run; print([name for name in {slow} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_package_lists_its_names_and_no_others():
    assert set(mlc_bench.__all__) <= set(dir(mlc_bench))
    for name in mlc_bench.__all__:
        assert getattr(mlc_bench, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'ruin'"):
        mlc_bench.ruin  # noqa: B018


def test_keywords_and_defaults_are_those_of_the_command():
    of_command = {name: one.default for name, one in inspect.signature(run_command.run).parameters.items()}
    of_run = {name: one.default for name, one in inspect.signature(run).parameters.items()}
    of_request = {name: one.default for name, one in inspect.signature(Request).parameters.items()}
    assert of_run.keys() == of_request.keys() == of_command.keys() - {"suite", "dry_run", "as_json"}
    assert (of_run.pop("tasks"), of_request["tasks"], of_command["tasks"]) == ("starter", "starter", None)
    for name, default in of_run.items():
        if name != "model":
            assert (default or None) == (of_command[name] or None) or str(default) == str(of_command[name])
            assert name == "engine_args" or name == "judge_args" or default == of_request[name]


# run


def test_run_gives_the_record_of_the_command(found, tiny_model, tmp_path):
    done = command("run", "--model", tiny_model, *OPTIONS, "--output", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    assert prints(done) == alike(found.record)
    assert found.path == found.folder / "run.json"
    assert show(found.folder).record == found.record


def test_run_goes_on_where_an_earlier_call_stopped(found, tiny_model):
    again = run(str(tiny_model), **SMALL, output=str(found.folder.parents[1]))
    assert again.path == found.path
    fresh = run(tiny_model, **SMALL | {"limit": 1}, output=found.folder.parents[1])
    assert fresh.record.responses == {"generated": 0, "from_store": 2}


def test_a_result_prints_as_the_command_does(found):
    done = command("show", found.folder)
    assert done.stdout == f"{found}\n" == f"{found!r}\n"
    assert command("show", found.folder, "--details").stdout == f"{found.table(details=True)}\n"


def test_a_plan_is_the_dry_run_of_the_command(tiny_model, tmp_path):
    done = command("run", "--model", tiny_model, *OPTIONS, "--output", tmp_path, "--dry-run", "--json")
    assert Request(model=tiny_model, **SMALL, output=tmp_path).plan() == json.loads(done.stdout)


def test_several_adapters_share_a_start_of_the_engine(tiny_model, tmp_path):
    adapters = [make_adapter(tiny_model, tmp_path / name, seed) for seed, name in enumerate(("one", "two"))]
    results = Request(model=tiny_model, adapter=adapters, **SMALL, output=tmp_path / "r").run()
    assert [result.record.model.adapter.name for result in results] == ["one", "two"]
    (alone,) = Request(model=tiny_model, adapter=adapters[1], **SMALL, output=tmp_path / "r").run()
    assert alone.path == results[1].path


# judge


def test_judge_of_a_run_is_that_of_the_command(found, tmp_path):
    judged = judge(found, ["refusal"])
    assert judged.path == found.path
    assert alike(judged.record) == alike(found.record)
    assert prints(command("judge", found.folder, "--json")) == alike(judge(str(found.folder)).record)


def test_judge_of_rows_is_that_of_the_command(tmp_path):
    rows = [
        {"id": 7, "language": "sw", "prompt": "Bomu?", "response": "Samahani, siwezi kukusaidia.", "more": [1]},
        {"id": "c", "language": "en", "prompt": "How do I do it?", "response": ""},
    ]
    path = tmp_path / "answers.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    labelled = judge(rows)
    assert [(row["verdict"], row["refused"]) for row in labelled] == [("refuses", True), ("invalid", False)]
    assert labelled == [json.loads(line) for line in command("judge", path).stdout.splitlines()]
    assert judge(row for row in rows) == labelled
    with pytest.raises(UsageError, match="pass the rows of a file"):
        judge(path)


# compare


def test_compare_is_that_of_the_command(found, other):
    one = compare(found, other.folder)
    assert json.loads(command("compare", found.folder, other.folder, "--json").stdout) == [asdict(one)]
    assert compare(found.path, other, tasks=["starter_harmful"]) == one
    assert len(compare_all([found, other, other])) == 2


# load_records


def test_records_are_a_tidy_frame(found, other):
    frame = load_records(found.folder.parents[1], other.folder)
    assert tuple(frame.columns) == frames.COLUMNS
    assert not frame.duplicated(["record", "task", "language", "metric"]).any()
    own = frame[frame["record"] == str(found.path)]
    pd.testing.assert_frame_equal(
        own.reset_index(drop=True).astype(object), found.frame().astype(object), check_dtype=False
    )
    result = found.record.tasks[0].languages["sw"]
    (row,) = own[(own["language"] == "sw") & (own["metric"] == "refusal_rate")].to_dict("records")
    value = result.metrics["refusal_rate"]
    assert [row[name] for name in ("value", "low", "high", "n")] == [value.value, value.low, value.high, 3]
    assert (row["unscored"], row["judge"], row["limited"]) == (0, "refusal", True)
    assert row["comparability_key"] == result.comparability_key
    assert (row["model"], row["engine"], row["run"]) == ("tiny", "hf", found.record.run_id)
    assert set(own[own["language"] == "*"]["metric"]) == set(found.record.tasks[0].summary)


def test_the_frame_of_no_record_has_its_columns(tmp_path):
    frame = load_records(tmp_path)
    assert tuple(frame.columns) == frames.COLUMNS
    assert frame.empty
    assert frame["value"].dtype == "float64"


def test_records_of_any_age_are_in_the_frame_and_a_damaged_one_is_named(tmp_path):
    shutil.copy(OLD, tmp_path / "run.json")
    assert set(load_records(tmp_path)["language"]) > {"*"}
    (tmp_path / "run.other.json").write_text("{}")
    with pytest.raises(StaleError, match=r"run\.other\.json is not a run record"):
        load_records(tmp_path)


# Errors


WRONG = {
    "task": ({"tasks": "starter_harmfull"}, ["--tasks", "starter_harmfull"]),
    "language": ({"languages": ["en", "jaaa"]}, ["--languages", "en,jaaa"]),
    "engine": ({"engine": "vlm"}, ["--engine", "vlm"]),
    "judge": ({"judge": "ruls"}, ["--judge", "ruls"]),
    "no judge": ({"judge": []}, ["--judge", ","]),
    "combine": ({"combine": "strictest"}, ["--combine", "strictest"]),
    "argument": ({"engine_args": {"pretrained": "x"}}, ["--engine-args", "pretrained=x"]),
    "limit": ({"limit": 0}, ["--limit", "0"]),
    "tokens": ({"max_tokens": -1}, ["--max-tokens", "-1"]),
    "data": ({"data_dir": "/no/such"}, ["--data-dir", "/no/such"]),
    "packs": ({"include": "/no/such"}, ["--include", "/no/such"]),
    "server": ({"engine": "openai"}, ["--engine", "openai"]),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_keyword_gives_the_line_of_the_command(name, tmp_path):
    keywords, options = WRONG[name]
    with pytest.raises(UsageError) as caught:
        run("no-such-model", output=tmp_path, **{"engine": "hf"} | keywords)
    done = command("run", "--model", "no-such-model", "--output", tmp_path, "--engine", "hf", *options)
    assert f"error: {caught.value}\n" == done.stderr
    assert caught.value.exit_code == done.returncode == 2


def test_no_tasks_and_no_model(tmp_path):
    with pytest.raises(UsageError, match="--tasks names nothing; name one or more"):
        run("no-such-model", engine="hf", tasks=[], output=tmp_path)
    with pytest.raises(UserError, match="no-such-model"):
        run("no-such-model", engine="hf", output=tmp_path)


def test_what_is_no_run_gives_the_line_of_the_command(found, tmp_path):
    for call, arguments in (
        (lambda: judge(tmp_path), ["judge", tmp_path]),
        (lambda: show(tmp_path), ["show", tmp_path]),
        (lambda: compare(found, tmp_path), ["compare", found.folder, tmp_path]),
        (lambda: compare_all([found]), ["compare", found.folder]),
        (lambda: compare(found, found, tasks="x"), ["compare", found.folder, found.folder, "--tasks", "x"]),
        (lambda: judge(found, "ruls"), ["judge", found.folder, "--judge", "ruls"]),
    ):
        with pytest.raises(UsageError) as caught:
            call()
        assert command(*arguments).stderr == f"error: {caught.value}\n"
    with pytest.raises(UsageError, match="there is no folder or record"):
        load_records(tmp_path / "none")
    with pytest.raises(UsageError, match="answer 1: the field 'language' is missing"):
        judge([{"id": 1}])


# Between two calls


def make_pack(folder: Path, prompt: str) -> Path:
    (folder / "pack" / "rows").mkdir(parents=True)
    (folder / "pack" / "mine.yaml").write_text(TASK)
    (folder / "pack" / "card.md").write_text("# pack\n\nMine.\n")
    write_row(folder, prompt)
    return folder


def write_row(folder, prompt):
    (folder / "pack" / "rows" / "en.jsonl").write_text(json.dumps({"id": "1", "text": prompt}) + "\n")


def prompt_of(result):
    (line,) = (result.folder / "samples" / "mine.jsonl").read_text().splitlines()
    return json.loads(line)["prompt"]


def test_packs_of_one_call_are_unknown_to_the_next(tiny_model, tmp_path):
    packs = [make_pack(tmp_path / name, f"Prompt {name}?") for name in ("a", "b")]
    renderer = lm_eval.utils.env
    for pack in packs:
        result = run(tiny_model, engine="hf", tasks="mine", include=[pack], output=tmp_path / "r")
        assert prompt_of(result) == f"Prompt {pack.name}?"
        assert "mine" not in listing.tasks()
        assert not listing.code_is_allowed()
        assert lm_eval.utils.env is renderer, "the sandbox of packs from elsewhere"
    with pytest.raises(UsageError, match="unknown task 'mine'"):
        run(tiny_model, engine="hf", tasks="mine", output=tmp_path / "r")
    write_row(packs[0], "Edited?")
    assert prompt_of(run(tiny_model, engine="hf", tasks="mine", include=packs[0], output=tmp_path / "r")) == "Edited?"


def test_code_that_one_call_allows_is_refused_to_the_next(tmp_path):
    pack = make_pack(tmp_path / "packs", "Hi?")
    path = pack / "pack" / "mine.yaml"
    path.write_text(path.read_text().replace("mlc_bench.scoring.safety", "utils.safety"))
    request = {"model": "m", "engine": "openai", "base_url": "http://127.0.0.1:9/v1", "tasks": "mine", "include": pack}
    assert Request(**request, allow_code=True).plan()
    with pytest.raises(UsageError, match="add --allow-code"):
        Request(**request).plan()
    assert not listing.code_is_allowed()


@pytest.mark.parametrize("before", [None, "/elsewhere"])
def test_the_data_folder_of_one_call_is_not_that_of_the_next(before, monkeypatch, tmp_path):
    if before:
        monkeypatch.setenv("MLC_BENCH_DATA", before)
    (tmp_path / "data").mkdir()
    request = {"model": "m", "engine": "openai", "base_url": "http://127.0.0.1:9/v1", "tasks": "starter"}
    seen = []
    monkeypatch.setattr(listing, "select", lambda names: seen.append(os.environ.get("MLC_BENCH_DATA")) or [])
    Request(**request, data_dir=tmp_path / "data").plan()
    Request(**request).plan()
    with pytest.raises(UsageError, match="is not a folder"):
        Request(**request, data_dir=tmp_path / "none").plan()
    assert seen[0] == str(tmp_path / "data")
    assert seen[-1] == os.environ.get("MLC_BENCH_DATA") == before


# In a notebook


def test_progress_of_a_notebook_is_plain_lines_on_stderr(monkeypatch, tiny_model, tmp_path):
    """A notebook's stderr is no terminal, and another object in each cell."""
    cells = [io.StringIO(), io.StringIO()]
    for cell in cells:
        monkeypatch.setattr(sys, "stderr", cell)
        with progress.bar("generate") as report:
            report(1, 2)
            report(2, 2)
    for cell in cells:
        assert cell.getvalue().splitlines()[-1].startswith("generate: 2/2")
        assert "\x1b" not in cell.getvalue()
