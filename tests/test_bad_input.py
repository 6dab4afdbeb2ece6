"""What a user can do wrong: each gives one line that says what, where, and how to mend it, and the right exit code."""

import json
import shutil
from urllib.error import URLError

import pytest
from fake_server import serve
from helpers import check_failed, command, make_adapter

from mlc_bench import catalog, data, engines, runner
from mlc_bench.errors import PrerequisiteError, UsageError, UserError
from mlc_bench.identity import resolve, resolve_adapter
from mlc_bench.spec import RunSpec

CLOSED = "http://127.0.0.1:9/v1"  # nothing listens there
SERVER = ["run", "--model", "m", "--engine", "openai", "--base-url", CLOSED]
SMALL = ["--tasks", "starter_harmful", "--languages", "en", "--limit", "2", "--max-tokens", "4"]


def hf(model, output, *more):
    return ["run", "--model", model, "--engine", "hf", *SMALL, "--output", output, *more]


USAGE = {
    "task": ([*SERVER, "--tasks", "starter_harmfull"], "unknown task 'starter_harmfull'; did you mean starter_harmful"),
    "tasks show": (["tasks", "show", "multijai"], "did you mean multijail"),
    "language": ([*SERVER, "--languages", "en,jaa"], "unknown language 'jaa'; did you mean ja"),
    "language by name": ([*SERVER, "--languages", "russian"], "did you mean ru"),
    "engine": (["run", "--model", "m", "--engine", "vlm"], "unknown engine 'vlm'; did you mean vllm"),
    "judge": ([*SERVER, "--judge", "ruls"], "unknown judge 'ruls'; did you mean rules"),
    "no =": ([*SERVER, "--engine-args", "batch_size"], "--engine-args 'batch_size' is not of the form key=value"),
    "no key": ([*SERVER, "--engine-args", "=8"], "not of the form key=value"),
    "own option": ([*SERVER, "--engine-args", "pretrained=x"], "use --model"),
    "no server": (["run", "--model", "m", "--engine", "openai"], "--base-url"),
    "no scheme": ([*SERVER[:-1], "localhost:8000"], "http://localhost:8000/v1"),
    "server and hf": (["run", "--model", "m", "--engine", "hf", "--base-url", CLOSED], "--engine openai"),
    "adapter of a server": ([*SERVER, "--adapter", "a"], "--engine hf or vllm"),
    "no model": (["run"], "--model"),
    "no such option": (["run", "--modle", "m"], "--model"),
    "no such command": (["ruin"], "ruin"),
    "limit": ([*SERVER, "--limit", "0"], "--limit"),
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


def test_engine_arguments_that_the_engine_does_not_know(tiny_model, tmp_path):
    check_failed(command(*hf(tiny_model, tmp_path, "--engine-args", "no_such=1")), 2, "'no_such'")
    server = command(*SERVER, *SMALL, "--output", tmp_path, "--engine-args", "num_concurent=1")
    check_failed(server, 2, "'num_concurent'; did you mean num_concurrent")
    for value in ("auto", "0", "1.5"):
        done = command(*hf(tiny_model, tmp_path, "--engine-args", f"batch_size={value}"))
        check_failed(done, 2, f"batch_size={value}", "a whole number")
    done = command(*hf(tiny_model, tmp_path, "--engine-args", "dtype=float33"))
    check_failed(done, 3, "hf does not start", "float33", "--engine-args")


# Models


def _remove(*patterns):
    def change(folder):
        for pattern in patterns:
            for path in folder.glob(pattern):
                path.unlink()

    return change


def _write(name, text):
    return lambda folder: (folder / name).write_text(text)


MODELS = {
    "no weights": ([_remove("*.safetensors")], "no weights (*.safetensors)"),
    "pickle only": ([_remove("*.safetensors"), _write("pytorch_model.bin", "x")], "pytorch_model.bin is not read"),
    "no chat template": ([_remove("*.jinja")], "no chat template"),
    "no config": ([_remove("config.json")], "it has no config.json"),
    "config not JSON": ([_write("config.json", "{")], "config.json is not readable as JSON"),
    "config a list": ([_write("config.json", "[]")], "config.json does not hold a JSON object"),
    "no tokenizer": ([_remove("tokenizer*")], "no tokenizer that transformers can read"),
    "damaged tokenizer": ([_write("tokenizer.json", "{}")], "no tokenizer that transformers can read"),
}


@pytest.mark.parametrize("name", MODELS)
def test_models(name, tiny_model, tmp_path):
    changes, words = MODELS[name]
    model = shutil.copytree(tiny_model, tmp_path / "model")
    for change in changes:
        change(model)
    check_failed(command(*hf(model, tmp_path / "results", "--dry-run")), 3, str(model), words)


def test_a_model_with_damaged_weights(tiny_model, tmp_path):
    model = shutil.copytree(tiny_model, tmp_path / "model")
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    check_failed(command(*hf(model, tmp_path / "results")), 3, "hf does not start", "Safetensor")


def test_models_that_are_not_there(tiny_model, tmp_path):
    check_failed(command(*hf(tmp_path / "none", tmp_path)), 3, "there is no model folder")
    check_failed(command(*hf("nobody/none", tmp_path)), 3, "cannot get the model 'nobody/none' from the hub")
    check_failed(command(*hf(tiny_model, tmp_path, "--revision", "v1")), 2, "--revision is for hub models")
    check_failed(command(*hf(tiny_model, tmp_path, "--adapter", tmp_path / "none")), 3, "there is no adapter folder")


# Task packs

TASK = """\
task: mine
dataset_kwargs: {folder: mine/rows, prompt_field: text}
output_type: generate_until
metadata: {version: 1, measures: safety}
"""
PACKS = {
    "malformed": ("task: mine\nmetadata: [1, 2\nx: {", "task.yaml, line 3: malformed YAML"),
    "a tag": ("task: !!python/object:os.system x", "task.yaml, line 1: malformed YAML"),
    "not a mapping": ("- task", "a mapping"),
    "empty": ("", "a mapping"),
    "broken UTF-8": (b"task: \xff\xfe", "malformed YAML"),
    "no task": (TASK.replace("task:", "tusk:"), "'task' is missing"),
    "no data": (TASK.replace("dataset_kwargs", "data"), "'dataset_kwargs' is missing"),
    "no output type": (TASK.replace("output_type", "output"), "'output_type' is missing"),
    "no metadata": (TASK.replace("metadata", "meta"), "'metadata' is missing"),
    "no version": (TASK.replace("version: 1, ", ""), "'version'"),
    "version a text": (TASK.replace("version: 1", "version: one"), "'version'"),
    "measures": (TASK.replace("safety", "danger"), "one of safety, over_refusal, utility"),
    "utility without headline": (TASK.replace("safety", "utility"), "'headline'"),
    "name a list": (TASK.replace("task: mine", "task: [a]"), "'task' must be a name"),
    "folder alone": (TASK.replace(", prompt_field: text", ""), "folder and prompt_field"),
    "file alone": (TASK.replace("folder: mine/rows", "file: x"), "file and sha256 and columns"),
    "data a text": (TASK.replace("{folder: mine/rows, prompt_field: text}", "folder"), "'dataset_kwargs' must hold"),
}


@pytest.mark.parametrize("name", PACKS)
def test_task_files(name, tmp_path):
    content, words = PACKS[name]
    path = tmp_path / "pack" / "task.yaml"
    path.parent.mkdir()
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    for reading in (lambda: catalog.read_yaml(path), lambda: catalog.tasks(tmp_path)):
        with pytest.raises(UsageError) as failure:
            reading()
        assert str(path) in str(failure.value)
        assert words in str(failure.value)
        assert "\n" not in str(failure.value)


def test_a_task_name_that_is_taken(tmp_path):
    for pack in ("a", "b"):
        (tmp_path / pack).mkdir()
        (tmp_path / pack / "task.yaml").write_text(TASK)
    with pytest.raises(UsageError, match=r"b/task.yaml.*'mine' is taken by .*a/task.yaml"):
        catalog.tasks(tmp_path)


# Rows: one folder with a file for each language, or one file with a column for each language

GOOD = '{"id": "1", "text": "Hi?"}\n'
FOLDERS = {
    "not JSON": ({"en": GOOD + "{oops\n"}, "en.jsonl, line 2: not JSON"),
    "not an object": ({"en": GOOD + "[1]\n"}, "en.jsonl, line 2: a JSON object"),
    "broken UTF-8": ({"en": GOOD.encode() + b'{"id": "2", "text": "\xff"}'}, "en.jsonl, line 2: broken UTF-8"),
    "no id": ({"en": '\n{"text": "Hi?"}'}, "en.jsonl, line 2: 'id' is missing"),
    "no prompt": ({"en": '{"id": "1"}'}, "en.jsonl, line 1: 'text' is missing, empty, or not text"),
    "empty prompt": ({"en": '{"id": "1", "text": " \\t"}'}, "line 1: 'text' is missing, empty, or not text"),
    "prompt a number": ({"en": '{"id": "1", "text": 5}'}, "line 1: 'text' is missing, empty, or not text"),
    "no rows": ({"en": "\n"}, "en.jsonl has no rows"),
    "unknown language": ({"english": GOOD}, "unknown language 'english'; did you mean en"),
    "an id twice": ({"en": GOOD + GOOD}, "an id stands for two rows"),
    "other ids": ({"en": GOOD, "ru": GOOD.replace("1", "2")}, "'ru' has other ids than the others"),
    "fewer rows": ({"en": GOOD + GOOD.replace("1", "2"), "ru": GOOD}, "'ru' has other ids than the others"),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_rows_in_a_folder(name, tmp_path):
    files, words = FOLDERS[name]
    for stem, content in files.items():
        (tmp_path / f"{stem}.jsonl").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError) as failure:
        data.read({"folder": str(tmp_path), "prompt_field": "text"})
    assert words in str(failure.value)
    assert str(tmp_path) in str(failure.value)


def test_an_empty_folder(tmp_path):
    with pytest.raises(PrerequisiteError, match="has no data files"):
        data.read({"folder": str(tmp_path), "prompt_field": "text"})


COLUMNS = {
    "not JSON": ("x.jsonl", b'{"en": "Hi?"}\n{oops', "x.jsonl, line 2: not JSON"),
    "broken UTF-8": ("x.jsonl", b'{"en": "Hi?"}\n{"en": "\xff"}', "x.jsonl, line 2: broken UTF-8"),
    "broken UTF-8 in CSV": ("x.csv", b"en,ru\nHi?,\xff", "x.csv, line 2: broken UTF-8"),
    "no language": ("x.jsonl", b'{"en": "Hi?", "ru": "Hi?"}\n{"en": "Hi?"}', "row 2: no prompt for language 'ru'"),
    "a short line": ("x.csv", b"en,ru\nHi?,Hi?\nHi?", "row 2: no prompt for language 'ru'"),
    "empty prompt": ("x.jsonl", b'{"en": "Hi?"}\n{"en": " "}', "row 2: no prompt for language 'en'"),
    "empty cell": ("x.csv", b"en,ru\n,Hi?", "row 1: no prompt for language 'en'"),
    "empty turns": ("x.jsonl", b'{"en": []}', "row 1: no prompt for language 'en'"),
    "a turn without text": ("x.jsonl", b'{"en": [{"value": 7}]}', "row 1: no prompt for language 'en'"),
    "a number": ("x.jsonl", b'{"en": 7}', "row 1: no prompt for language 'en'"),
    "no known column": ("x.jsonl", b'{"klingon": "Hi?"}', "no rows with a column for a known language"),
    "a heading alone": ("x.csv", b"en,ru\n", "no rows"),
    "nothing": ("x.csv", b"", "no rows"),
    "nothing in JSON": ("x.jsonl", b"", "has no rows"),
    "an id twice": ("x.jsonl", b'{"id": 1, "en": "a"}\n{"id": 1, "en": "b"}', "an id stands for two rows"),
}


def columns(name, content):
    return {"file": name, "sha256": data.sha256(content), "columns": {"*": "*"}, "url": "https://nowhere.invalid/x"}


@pytest.mark.parametrize("name", COLUMNS)
def test_rows_in_columns(name, tmp_path, monkeypatch):
    file, content, words = COLUMNS[name]
    (tmp_path / file).write_bytes(content)
    monkeypatch.setenv("MLC_BENCH_DATA", str(tmp_path))
    with pytest.raises(UsageError) as failure:
        data.read(columns(file, content))
    assert words in str(failure.value)
    assert file in str(failure.value)


def test_data_with_another_digest(tmp_path, monkeypatch):
    (tmp_path / "x.jsonl").write_text('{"en": "edited"}')
    monkeypatch.setenv("MLC_BENCH_DATA", str(tmp_path))
    with pytest.raises(PrerequisiteError, match=r"x.jsonl is not the file .*https://nowhere.invalid/x"):
        data.read(columns("x.jsonl", b"as it was"))


def _no_network(*_, **__):
    raise URLError("no network")


@pytest.mark.parametrize(("task", "origin"), [("pku", "https://raw.githubusercontent"), ("multijail", "DAMO-NLP-SG")])
def test_data_that_cannot_be_downloaded(task, origin, monkeypatch, tiny_model, tmp_path):
    monkeypatch.setattr("urllib.request.urlopen", _no_network)
    file = catalog.tasks()[task].source["file"]
    done = command(*hf(tiny_model, tmp_path, "--tasks", task)[:5], "--tasks", task, "--output", tmp_path)
    check_failed(done, 3, origin, f"save it as '{file}' in a folder", "--data-dir or MLC_BENCH_DATA")
    plan = command(*hf(tiny_model, tmp_path, "--tasks", task, "--dry-run"))
    assert plan.returncode == 0
    assert "--data-dir" in plan.stdout


def test_a_download_that_is_something_else(monkeypatch):
    import io

    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: io.BytesIO(b"<html>not found</html>"))
    with pytest.raises(PrerequisiteError, match="wrong sha256"):
        data.read(columns("x.jsonl", b"as it should be"))
    assert not list((data.cache_dir() / "data").glob("*"))


def test_a_task_without_data_fails_alone_and_is_tried_again(monkeypatch, tiny_model, tmp_path):
    """The same command completes once the data are there."""
    monkeypatch.setattr("urllib.request.urlopen", _no_network)
    arguments = hf(tiny_model, tmp_path / "results", "--tasks", "pku")
    done = command(*arguments)
    assert done.returncode == 1
    assert "pku failed: cannot get the data" in done.stdout
    (path,) = tmp_path.glob("results/*/*/run.json")
    states = {task["name"]: task["status"] for task in json.loads(path.read_text())["tasks"]}
    assert states == {"starter_harmful": "complete", "pku": "failed"}
    rows = b"".join(json.dumps({"prompt": f"Hi {n}?"}).encode() + b"\n" for n in range(2))
    (tmp_path / "pku_safety_test.jsonl").write_bytes(rows)
    monkeypatch.setattr(catalog, "include", lambda folders, allow_code: None)  # would read the task files again
    monkeypatch.setitem(catalog.tasks()["pku"].config["dataset_kwargs"], "sha256", data.sha256(rows))
    done = command(*arguments, "--data-dir", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    (record,) = json.loads(done.stdout)
    assert record["responses"] == {"generated": 2, "from_store": 2}


# Adapters


def test_an_adapter_of_another_model(tiny_model, tmp_path):
    adapter = make_adapter(tiny_model, tmp_path / "a", change=lambda c: c.update(base_model_name_or_path="org/one"))
    with pytest.raises(UsageError, match="was trained on 'org/one', not on 'org/two'"):
        resolve_adapter(str(adapter), tiny_model, "org/two")
    # Which hub model a folder is, nobody knows: the shapes decide.
    assert resolve_adapter(str(adapter), tiny_model, str(tiny_model)).rank == 4


def test_an_adapter_whose_shapes_do_not_fit(tiny_model, tmp_path):
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig.from_pretrained(tiny_model, hidden_size=48, num_hidden_layers=3)
    LlamaForCausalLM(config).save_pretrained(tmp_path / "wider")
    adapter = make_adapter(tmp_path / "wider", tmp_path / "a")
    done = command(*hf(tiny_model, tmp_path / "results", "--adapter", adapter))
    check_failed(done, 2, "does not fit the base model", "q_proj' is [32, 32], the adapter has", "wider")


def test_an_adapter_that_changes_nothing(tiny_model, tmp_path):
    adapter = make_adapter(tiny_model, tmp_path / "fresh", trained=False)
    done = command(*hf(tiny_model, tmp_path / "results", "--adapter", adapter))
    check_failed(done, 2, "changes nothing", "lora_B", "leave --adapter out")


def test_adapters_that_are_none(tiny_model, tmp_path):
    adapter = make_adapter(tiny_model, tmp_path / "a")
    (adapter / "adapter_model.safetensors").write_bytes(b"damaged")
    arguments = hf(tiny_model, tmp_path / "results", "--adapter", adapter)
    check_failed(command(*arguments), 3, "damaged")
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    check_failed(command(*arguments), 3, "is not a peft adapter", "adapter_model.safetensors")
    check_failed(command(*hf(tiny_model, tmp_path, "--adapter", "nobody/none")), 3, "cannot get the adapter")


# Servers; tests/test_openai.py has those that stop half-way


def test_a_server_that_is_not_there(tmp_path):
    done = command(*SERVER, *SMALL, "--output", tmp_path)
    check_failed(done, 3, f"no server answers at {CLOSED}/chat/completions", "mend --base-url")


BROKEN = {
    "500": (500, b"line one\nline two", "ClientResponseError: 500"),
    "garbage": (200, b"<html>hello", "JSONDecodeError"),
    "an error": (200, {"error": "no such model"}, "no choices in what it sent"),
    "no choices": (200, {"choices": []}, "no choices in what it sent"),
    "a list": (200, [1, 2], "the server at"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_servers_that_answer_nonsense(name, tmp_path):
    status, content, words = BROKEN[name]
    with serve() as server:
        server.answer = lambda body: (status, content)
        arguments = [*SERVER[:-1], server.url, *SMALL, "--output", tmp_path, "--engine-args", "max_retries=1"]
        done = command(*arguments)
    check_failed(done, 3, f"the server at {server.url}/chat/completions failed", words, "run the same command again")
    assert [path for path in tmp_path.rglob("responses/*") if path.read_bytes()] == []


# Prompts that do not fit


def _samples(output, task="starter_harmful"):
    (path,) = output.glob(f"*/*/samples/{task}.jsonl")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def lengths(tiny_model):
    """The tokens of the first two prompts of a task in English, by id."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)

    def count(task, text="{prompt}"):
        found = {}
        for doc in data.read(catalog.tasks()[task].source)["en"][:2]:
            turns = [{"role": "user", "content": text.format(**doc)}]
            found[doc["id"]] = len(tokenizer.apply_chat_template(turns, add_generation_prompt=True)["input_ids"])
        return found

    return count


QUESTION = "{question_word}: {question}\n{answer_word}:"


def test_prompts_are_whole_or_refused(lengths, tiny_model, tmp_path):
    """Up to the last token: a prompt that fits exactly is asked whole; with one token less its task fails."""
    tokens = lengths("starter_harmful")
    longest = max(tokens, key=tokens.__getitem__)
    context = tokens[longest] + 4
    done = command(*hf(tiny_model, tmp_path / "fits", "--engine-args", f"max_length={context}"))
    assert done.returncode == 0, done.stderr
    assert {row["id"]: row["tokens_in"] for row in _samples(tmp_path / "fits")} == tokens
    done = command(*hf(tiny_model, tmp_path / "not", "--engine-args", f"max_length={context - 1}"))
    assert done.returncode == 1
    refused = f"has {tokens[longest]} tokens, and the model's context of {context - 1} leaves {context - 5}"
    assert f"starter_harmful failed: prompt '{longest}' in 'en' {refused}" in " ".join(done.stdout.split())
    assert not list(tmp_path.glob("not/*/*/samples/*"))


def test_a_task_with_a_long_prompt_fails_alone_and_is_tried_again(lengths, tiny_model, tmp_path):
    arguments = hf(tiny_model, tmp_path, "--tasks", "starter_choice", "--max-tokens", "40")
    context = max(lengths("starter_harmful").values()) + 39
    assert max(lengths("starter_choice", QUESTION).values()) + 20 < context  # 20: a choice
    done = command(*arguments, "--engine-args", f"max_length={context}", "--json")
    assert done.returncode == 1
    assert "error:" not in done.stderr
    (record,) = json.loads(done.stdout)
    assert record["status"] == "partial"
    assert {task["name"]: task["status"] for task in record["tasks"]} == {
        "starter_harmful": "failed",
        "starter_choice": "complete",
    }
    assert "lower --max-tokens" in record["tasks"][0]["error"]
    done = command(*arguments, "--engine-args", f"max_length={context + 1}", "--json")
    assert done.returncode == 0, done.stderr
    (again,) = json.loads(done.stdout)
    assert again["run_id"] == record["run_id"]
    assert again["responses"] == {"generated": 2, "from_store": 8}


def test_choices_are_part_of_what_must_fit(lengths, tiny_model, tmp_path):
    """A question that fits, but not with its longest choice."""
    name, tokens = next(iter(lengths("starter_choice", QUESTION).items()))
    arguments = hf(tiny_model, tmp_path, "--limit", "1")
    arguments[arguments.index("starter_harmful")] = "starter_choice"
    done = command(*arguments, "--engine-args", f"max_length={tokens + 2}")
    assert done.returncode == 1
    assert f"prompt '{name}' in 'en' has {tokens} tokens" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    "template",
    [
        "{% for m in messages if m.role == 'user' %}<|user|>{{ m.content }}<|end|>{% endfor %}<|assistant|>",
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
        "<|user|>{{ m.content }}<|end|>{% endfor %}<|assistant|>",
    ],
    ids=["ignores it", "raises"],
)
def test_a_system_prompt_without_a_place(template, tiny_model, tmp_path):
    model = shutil.copytree(tiny_model, tmp_path / "model")
    (model / "chat_template.jinja").write_text(template)
    done = command(*hf(model, tmp_path / "results", "--system-prompt", "Be kind."))
    check_failed(done, 2, "no place for a system prompt", "leave --system-prompt out")


# Memory


def test_out_of_memory_names_the_setting_and_keeps_what_is_done(monkeypatch, tiny_model, tmp_path):
    import torch
    from lm_eval.models.huggingface import HFLM

    whole, calls = HFLM._model_generate, []

    def fails(self, *args, **kwargs):
        calls.append(args)
        if len(calls) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2.00 GiB")
        return whole(self, *args, **kwargs)

    spec = RunSpec(
        model=str(tiny_model), engine="hf", tasks=("starter_harmful",), languages=("en",), limit=5, max_tokens=4,
        engine_args={"batch_size": 2},
    )  # fmt: skip
    monkeypatch.setattr(HFLM, "_model_generate", fails)
    with pytest.raises(PrerequisiteError, match=r"out of memory; lower the setting --engine-args batch_size=1 "):
        runner.execute(runner.prepare([spec], tmp_path))
    smaller = spec.model_copy(update={"engine_args": {"batch_size": 1}})
    (record,) = runner.execute(runner.prepare([smaller], tmp_path))
    assert record.status == "complete"
    assert record.responses == {"generated": 3, "from_store": 2}


MEMORY = {
    "hf": ({"batch_size": 8}, "batch_size=4"),
    "hf, one by one": ({"batch_size": 1}, "--max-tokens"),
    "vllm": ({"batch_size": "auto"}, "gpu_memory_utilization"),
    "openai": ({}, "num_concurrent"),
}


@pytest.mark.parametrize("name", MEMORY)
def test_every_engine_has_a_setting_to_lower(name):
    import torch

    arguments, setting = MEMORY[name]
    spec = RunSpec(model="m", engine=name.split(",")[0], tasks=("pku",), engine_args=arguments, base_url=CLOSED)
    for error in (
        MemoryError(),
        torch.OutOfMemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:119] DefaultCPUAllocator: can't allocate memory: you tried ..."),
        RuntimeError("CUDA error: out of memory"),
    ):
        explained = engines.explain(error, spec)
        assert isinstance(explained, PrerequisiteError)
        assert setting in str(explained)
        assert "\n" not in str(explained)
    if spec.engine != "openai":
        assert engines.explain(RuntimeError("something else"), spec) is None


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
    "unknown language": (json.dumps({**ROW, "language": "eng-GB"}), "line 2: unknown language 'eng-GB'"),
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
