"""What a user can do wrong: each gives one line that says what, where, and how to fix it, and the right exit code."""

import json

import pytest
from bad_input import CLOSED, SERVER, SMALL, hf
from helpers import check_failed, command

from mlc_bench import runner
from mlc_bench.core.errors import UserError
from mlc_bench.core.spec import RunSpec
from mlc_bench.engines.identity import resolve

USAGE = {
    "task": ([*SERVER, "--tasks", "starter_harmfull"], "unknown task 'starter_harmfull'; did you mean starter_harmful"),
    "tasks show": (["tasks", "show", "multijai"], "did you mean multijail"),
    "language": ([*SERVER, "--languages", "en,jaaa"], "unknown language 'jaaa'; did you mean ja"),
    "language by name": ([*SERVER, "--languages", "russian"], "did you mean ru"),
    "engine": (["run", "--model", "m", "--engine", "vlm"], "unknown engine 'vlm'; did you mean vllm"),
    "judge": ([*SERVER, "--judge", "ruls"], "unknown judge 'ruls'; did you mean rules"),
    "no =": ([*SERVER, "--engine-args", "batch_size"], "--engine-args 'batch_size' is not of the form key=value"),
    "no key": ([*SERVER, "--engine-args", "=8"], "not of the form key=value"),
    "copies": ([*SERVER, "--engine-args", "data_parallel_size=2"], "one job for each GPU (mlc-bench sweep)"),
    "own option": ([*SERVER, "--engine-args", "pretrained=x"], "use --model"),
    "no server": (["run", "--model", "m", "--engine", "openai"], "--base-url"),
    "no scheme": ([*SERVER[:-1], "localhost:8000"], "http://localhost:8000/v1"),
    "server and hf": (["run", "--model", "m", "--engine", "hf", "--base-url", CLOSED], "--engine openai"),
    "adapter of a server": ([*SERVER, "--adapter", "a"], "--engine hf or vllm"),
    "no model": (["run"], "--model"),
    "no such option": (["run", "--modle", "m"], "--model"),
    "no such command": (["ruin"], "ruin"),
    "limit": ([*SERVER, "--limit", "0"], "--limit"),
    "seed below 0": ([*SERVER, "--seed", "-1"], "--seed -1: give a number from 0 to 4294967295"),
    "huge seed": ([*SERVER, "--seed", "99999999999999999999"], "--seed 99999999999999999999: give a number from 0"),
    "no languages": ([*SERVER, "--languages", ""], "--languages names nothing; name one or more, or leave --languages"),
    "no tasks": ([*SERVER, "--tasks", " , "], "--tasks names nothing"),
    "no suite": ([*SERVER, "--suite", ""], "--suite names nothing"),
    "no judge": ([*SERVER, "--judge", ""], "--judge names nothing"),
    "no tasks to compare": (["compare", "/no/a", "/no/b", "--tasks", ""], "--tasks names nothing"),
    "no tasks to probe": (["probe", "--model", "m", "--tasks", ","], "--tasks names nothing"),
    "no languages to label": (["label", "/no/a", "--languages", ""], "--languages names nothing"),
    "no UTF-8": ([*SERVER, "--system-prompt", "a\udcff"], "'a\\udcff' in the command is not UTF-8"),
    "data folder": ([*SERVER, "--data-dir", "/no/such"], "--data-dir '/no/such' is not a folder"),
    "data folder of show": (["tasks", "show", "pku", "--data-dir", "/no/such"], "is not a folder"),
    "answers": (["judge", "/no/such.jsonl"], "there is no file '/no/such.jsonl'"),
    "record": (["show", "/no/such"], "there is no run record"),
}


@pytest.mark.parametrize("name", USAGE)
def test_usage(name):
    arguments, words = USAGE[name]
    check_failed(command(*arguments), 2, words)


def test_no_command_prints_the_help():
    done = command()
    assert done.returncode == 2
    assert "Commands" in done.stdout
    assert done.stderr == ""


def test_an_output_that_is_a_file(tmp_path):
    (tmp_path / "file").touch()
    check_failed(command(*SERVER, "--output", tmp_path / "file" / "results"), 2, "--output", "not a folder")


ENGINE_ARGUMENTS = {
    "hf": {
        "no_such=1": ("unknown argument in --engine-args: 'no_such'",),
        "batch_sise=4": ("'batch_sise'; did you mean batch_size",),
        "batch_size=auto": ("batch_size=auto", "a whole number"),
        "batch_size=0": ("batch_size=0", "a whole number"),
        "batch_size=1.5": ("batch_size=1.5", "a whole number"),
        "dtype=float33": ("--engine-args dtype=float33", "bfloat16"),
    },
    "openai": {
        "num_concurent=1": ("'num_concurent'; did you mean num_concurrent",),
        "num_concurrent=0": ("--engine-args num_concurrent=0",),
    },
    "vllm": {"max_model_length=9": ("'max_model_length'; did you mean max_model_len",)},
}


@pytest.mark.parametrize(
    ("engine", "argument"), [(one, given) for one in ENGINE_ARGUMENTS for given in ENGINE_ARGUMENTS[one]]
)
@pytest.mark.parametrize("more", [(), ("--dry-run",)], ids=["run", "dry run"])
def test_engine_arguments_that_the_engine_does_not_take(engine, argument, more, tiny_model, tmp_path):
    """A dry run refuses what the run would, and no engine is started to find out."""
    if engine == "vllm":
        pytest.importorskip("vllm")
    start = SERVER if engine == "openai" else ["run", "--model", tiny_model, "--engine", engine]
    done = command(*start, *SMALL, "--output", tmp_path, "--engine-args", argument, *more)
    check_failed(done, 2, *ENGINE_ARGUMENTS[engine][argument])
    assert "starting" not in done.stderr


def test_engine_arguments_of_the_library_below_are_taken(tiny_model, tmp_path):
    given = ["attn_implementation=eager", "device_map=cpu", "max_length=512", "rms_norm_eps=0.1", "dtype=float32"]
    words = [word for one in given for word in ("--engine-args", one)]
    done = command(*hf(tiny_model, tmp_path, *words, "--dry-run"))
    assert done.returncode == 0, done.stderr


# Results and answers of other makes

RECORDS = {
    "newer": ('{"schema_version": 99}', "schema version 99", "upgrade mlc-bench"),
    "not JSON": ("{oops", "is not a run record", "remove it"),
    "broken UTF-8": (b"\xff", "is not a run record", "remove it"),
    "a list": ("[1]", "is not a run record", "remove it"),
    "no version": ("{}", "is not a run record", "remove it"),
    "version a text": ('{"schema_version": "1"}', "is not a run record", "remove it"),
    "other keys": ('{"schema_version": 1, "run_id": 5}', "is not a valid run record", "run_id"),
    "empty": ("", "is not a run record", "remove it"),
}


@pytest.mark.parametrize("name", RECORDS)
def test_records(name, tmp_path):
    content, *words = RECORDS[name]
    spec = RunSpec(model="m", engine="openai", base_url=CLOSED, tasks=("starter_harmful",))
    (run,) = runner.prepare([spec], tmp_path)
    path = run.folder / "run.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    check_failed(command(*SERVER, "--tasks", "starter_harmful", "--output", tmp_path), 4, str(path), *words)
    check_failed(command("show", path), 4, str(path), *words)


def test_a_damaged_run_is_made_again_from_the_store(tiny_model, tmp_path):
    arguments = hf(tiny_model, tmp_path, "--json")
    assert command(*arguments).returncode == 0
    for damage in (
        lambda folder: (folder / "generation.json").write_text("{oops"),
        lambda folder: (folder / "samples" / "starter_harmful.jsonl").unlink(),
    ):
        (path,) = tmp_path.glob("*/*/generation.json")
        damage(path.parent)
        done = command(*arguments)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)[0]["responses"] == {"generated": 0, "from_store": 2}


ROW = {"id": 1, "language": "en", "prompt": "p", "response": "r"}
ANSWERS = {
    "not JSON": ("{oops", "line 2: not JSON"),
    "a list": ("[]", "line 2: a JSON object is expected"),
    "no response": (json.dumps({**ROW, "response": None}), "line 2: 'response' must be text, not null"),
    "response a number": (json.dumps({**ROW, "response": 5}), "line 2: 'response' must be text, not 5"),
    "unknown language": (json.dumps({**ROW, "language": "xx-YY"}), "line 2: unknown language 'xx-YY'"),
    "broken UTF-8": (b'{"id": "\xff"}', "line 2: broken UTF-8"),
    **{
        f"without {field}": (
            json.dumps({key: value for key, value in ROW.items() if key != field}),
            f"line 2: the field '{field}' is missing",
        )
        for field in ROW
    },
}


@pytest.mark.parametrize("name", ANSWERS)
def test_judging_bad_rows(name, tmp_path):
    content, words = ANSWERS[name]
    path = tmp_path / "answers.jsonl"
    path.write_bytes(json.dumps(ROW).encode() + b"\n" + (content if isinstance(content, bytes) else content.encode()))
    done = command("judge", path)
    check_failed(done, 2, str(path), words)
    assert done.stdout == ""  # nothing is judged before all rows are read


def test_every_error_for_users_is_one_line(tmp_path):
    """Whatever a library put into its message."""
    with pytest.raises(UserError) as failure:
        resolve(RunSpec(model="a/b", engine="hf", tasks=("pku",)))
    assert "\n" not in str(failure.value)
