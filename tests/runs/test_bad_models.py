"""Models, adapters and servers that are wrong, and what does not fit them: one line each, and the right exit code."""

import json
import shutil

import pytest
from bad_input import CLOSED, SERVER, SMALL, hf
from fake_server import serve
from helpers import check_failed, command, make_adapter

from mlc_bench import runner
from mlc_bench.catalog import data, listing
from mlc_bench.core.errors import PrerequisiteError, UsageError
from mlc_bench.core.spec import RunSpec
from mlc_bench.engines import lifecycle
from mlc_bench.engines.identity import resolve_adapter

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


# Servers; tests/engines/test_openai.py has those that stop half-way


def test_a_server_that_is_not_there(tmp_path):
    done = command(*SERVER, *SMALL, "--output", tmp_path)
    check_failed(done, 3, f"no server answers at {CLOSED}/chat/completions", "fix --base-url")


BROKEN = {
    "500": (500, b"line one\nline two", "http-500: HTTP 500: line one line two"),
    "garbage": (200, b"<html>hello", "malformed: not a chat completion"),
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
        for doc in data.read(listing.tasks()[task].source)["en"][:2]:
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
        explained = lifecycle.explain(error, spec)
        assert isinstance(explained, PrerequisiteError)
        assert setting in str(explained)
        assert "\n" not in str(explained)
    if spec.engine != "openai":
        assert lifecycle.explain(RuntimeError("something else"), spec) is None
