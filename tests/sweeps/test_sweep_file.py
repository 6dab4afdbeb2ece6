"""A sweep's file: what it may hold, what is said of what it may not, and the commands that it stands for."""

import json
import shlex

import pytest
from helpers import check_failed, command


def commands(*args):
    done = command("sweep", *args, "--print-commands")
    assert done.returncode == 0, done.stderr
    return [shlex.split(line) for line in done.stdout.splitlines()]


def written(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return path


def options(words):
    """The options of a command that has each one once."""
    return dict(zip(words[2::2], words[3::2], strict=True))


def test_models_times_adapters(tmp_path):
    path = written(tmp_path, "models: [a/b, ./c]\nadapters: [null, ./x]\njudges: [rules, refusal]\nlimit: 5\n")
    found = [options(words) for words in commands(path, "--output", "here")]
    assert [(one["--model"], one.get("--adapter")) for one in found] == [
        ("a/b", None), ("a/b", "./x"), ("./c", None), ("./c", "./x"),
    ]  # fmt: skip
    assert {(one["--judge"], one["--limit"], one["--output"]) for one in found} == {("rules,refusal", "5", "here")}


def test_a_list_of_jobs_each_with_settings_of_its_own(tmp_path):
    text = """
output: there
max_tokens: 64
jobs:
  - {model: a, adapter: [x, y], judge: rules}
  - {model: b, max_tokens: 8, thinking: off, languages: [en, sw], engine_args: {batch_size: 4, dtype: float32}}
  - {model: b, max_tokens: 8, thinking: off, languages: [en, sw], engine_args: {batch_size: 4, dtype: float32}}
"""
    x, y, b = commands(written(tmp_path, text))  # equal jobs are one
    assert options(x) == {
        "--model": "a", "--adapter": "x", "--judge": "rules", "--max-tokens": "64", "--output": "there",
    }  # fmt: skip
    assert options(y)["--adapter"] == "y"
    arguments = ["--engine-args", "batch_size=4", "--engine-args", "dtype=float32"]
    assert " ".join(arguments) in " ".join(b)
    assert options([word for word in b if word not in arguments]) == {
        "--model": "b", "--judge": "refusal", "--max-tokens": "8", "--output": "there", "--languages": "en,sw",
        "--thinking": "off",
    }  # fmt: skip


def test_a_command_is_the_job(tmp_path, tiny_model):
    """What --print-commands prints makes the run that the sweep would make."""
    text = f"models: {tiny_model}\nengine: hf\ntasks: starter_harmful\nlanguages: [en]\nlimit: 2\nseed: 7\n"
    path = written(tmp_path, text + f"judges: rules\nengine_args: {{batch_size: 3}}\noutput: {tmp_path / 'r'}\n")
    (words,) = commands(path)
    (alone,) = json.loads(command(*words[1:], "--dry-run", "--json").stdout)
    (planned,) = json.loads(command("sweep", path, "--dry-run", "--json").stdout)
    assert planned["folder"] == alone["folder"]
    assert planned["missing"] == 2
    assert planned["hours"] is None  # nothing was measured


WRONG = {
    "modls: [a]": "unknown key 'modls'; did you mean models?",
    "models: a\nlimt: 5": "unknown key 'limt'; did you mean limit?",
    "model: a": "did you mean models",
    "models: a\nlimit: '5'": "'limit': Input should be a valid integer, not '5'",
    "models: a\nlanguages: [no]": "'languages'",
    "models: [1]": "'models' must be a name or a list of names",
    "models: a\nfresh: true": "'fresh' goes with a single run (mlc-bench run --fresh)",
    "models: a\nengine_args: {auth_token: abcdefgh}": "engine_args.auth_token is a key, which does not belong",
    "models: a\njobs: [{model: a}]": "leave out models and adapters, or jobs",
    "jobs: [{adapter: a}]": "job 1: the key 'model' is missing",
    "jobs: [{model: a}, {model: b, output: c}]": "job 2: unknown key 'output'",
    "jobs: []": "jobs must be a list",
    "limit: 5": "models or jobs are missing",
    "[a": "malformed YAML",
    "a": "keys and values are expected",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_named_with_the_file(text, tmp_path):
    path = written(tmp_path, text)
    check_failed(command("sweep", path, "--print-commands"), 2, str(path), WRONG[text])


def test_bad_options(tmp_path):
    check_failed(command("sweep"), 2, "give a file, or --checkpoints FOLDER")
    check_failed(command("sweep", tmp_path / "no.yaml"), 2, "there is no file")
    path = written(tmp_path, "models: demo\n")
    check_failed(command("sweep", path, "--on", "rya"), 2, "did you mean ray?")
    check_failed(command("sweep", path, "--on", "ray", "--workers", 2), 2, "--workers goes with --on local")


def test_what_is_wrong_in_every_job_ends_the_sweep_before_any_model(tmp_path, tiny_model):
    path = written(tmp_path, f"models: {tiny_model}\nengine: hf\ntasks: starter_harmfull\n")
    check_failed(command("sweep", path, "--output", tmp_path / "r"), 2, "did you mean starter_harmful")
    assert not (tmp_path / "r").exists()


# Checkpoints


def make_run(folder, kind, base="the/base"):
    """A folder as a training run leaves it, with weights that nobody reads here."""
    for name in ("checkpoint-10", "checkpoint-9", "."):
        where = folder / name
        where.mkdir(parents=True, exist_ok=True)
        config = "adapter_config.json" if kind == "adapter" else "config.json"
        (where / config).write_text(json.dumps({"base_model_name_or_path": base}))
        (where / ("adapter_model.safetensors" if kind == "adapter" else "model.safetensors")).touch()
    (folder / "checkpoint-11").mkdir()  # one that was being written
    return folder


def test_checkpoints_of_adapters_in_the_order_of_their_steps(tmp_path):
    run = make_run(tmp_path / "dpo", "adapter")
    found = [options(words) for words in commands("--checkpoints", run)]
    assert {one["--model"] for one in found} == {"the/base"}
    assert [one["--adapter"] for one in found] == [str(run / "checkpoint-9"), str(run / "checkpoint-10"), str(run)]
    path = written(tmp_path, "models: ./base\nlimit: 3\n")
    found = [options(words) for words in commands(path, "--checkpoints", run)]
    assert {(one["--model"], one["--limit"]) for one in found} == {("./base", "3")}


def test_checkpoints_of_models_and_of_several_runs(tmp_path):
    first, second = make_run(tmp_path / "sft", "model"), make_run(tmp_path / "dpo", "model")
    (second / "checkpoints").mkdir()
    for name in ("checkpoint-9", "checkpoint-10"):
        (second / name).rename(second / "checkpoints" / name)
    found = [options(words)["--model"] for words in commands("--checkpoints", first, "--checkpoints", second)]
    assert found == [
        str(first / "checkpoint-9"), str(first / "checkpoint-10"), str(first),
        str(second / "checkpoints/checkpoint-9"), str(second / "checkpoints/checkpoint-10"), str(second),
    ]  # fmt: skip


def test_folders_that_are_no_training_runs(tmp_path):
    check_failed(command("sweep", "--checkpoints", tmp_path / "no"), 2, "there is no folder")
    check_failed(command("sweep", "--checkpoints", tmp_path), 2, "neither checkpoint-N folders nor a model")
    run = make_run(tmp_path / "dpo", "adapter", base=None)
    check_failed(command("sweep", "--checkpoints", run), 2, "names no base model")
    path = written(tmp_path, "models: [a, b]\n")
    check_failed(command("sweep", path, "--checkpoints", run), 2, "one model at most")
