"""Adapters of every kind on every engine: of vision-language models, and those that vLLM gets merged."""

import json
import types
from pathlib import Path

import pytest
import torch
from helpers import check_failed, command, make_adapter
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, Gemma3Config, Gemma3ForConditionalGeneration

from mlc_bench.core.spec import RunSpec
from mlc_bench.engines import vllm_cpu
from mlc_bench.engines.adapters import merging
from mlc_bench.engines.adapters import names as adapter_names
from mlc_bench.engines.identity import resolve
from mlc_bench.records import record


@pytest.fixture(scope="session")
def vision_model(tiny_model, tmp_path_factory):
    """A Gemma 3 with a vision tower, random weights and the tiny model's tokenizer."""
    folder = tmp_path_factory.mktemp("models") / "tiny-gemma3"
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    size = len(tokenizer)
    text = {
        "vocab_size": size + 3, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": 2048,
        "sliding_window": 512, "initializer_range": 0.02, "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id,
    }  # fmt: skip
    vision = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
              "image_size": 28, "patch_size": 14}  # fmt: skip
    config = Gemma3Config(
        text_config=text, vision_config=vision, mm_tokens_per_image=4, image_token_index=size,
        boi_token_index=size + 1, eoi_token_index=size + 2,
    )  # fmt: skip
    Gemma3ForConditionalGeneration(config).save_pretrained(folder)
    return folder


def adapted(base, folder, **settings):
    """An adapter with random weights; returns its folder."""
    torch.manual_seed(1)
    wanted = {"r": 4, "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM"} | settings
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), LoraConfig(**wanted))
    for name, parameter in model.named_parameters():
        if "lora_B" in name or "modules_to_save" in name or "lora_embedding_B" in name:
            torch.nn.init.normal_(parameter.data, std=0.5)
    model.save_pretrained(folder)
    return folder


def renamed(adapter, folder, old, new):
    """A copy of an adapter of which the tensors' names are as another class of the model would write them."""
    folder.mkdir()
    tensors = load_file(adapter / "adapter_model.safetensors")
    kept = {key.replace(old, new): tensor for key, tensor in tensors.items() if "vision_tower" not in key}
    save_file(kept, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text((adapter / "adapter_config.json").read_text())
    return folder


def logits(model):
    model.eval()
    with torch.no_grad():
        return model(input_ids=torch.arange(3, 23).unsqueeze(0)).logits


def runs(model, output, *more):
    return [
        "run", "--model", model, "--engine", "hf", "--tasks", "starter_harmful", "--languages", "en", "--limit", 4,
        "--max-tokens", 8, "--output", output, *more,
    ]  # fmt: skip


def responses(output):
    (path,) = output.glob("*/*/samples/starter_harmful.jsonl")
    return [json.loads(line)["response"] for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("names", ["its own class", "the text part alone", "the file's"])
def test_an_adapter_of_a_vision_models_text_part(names, vision_model, tmp_path):
    """Whatever the class was that it was trained with, it is accepted, and it changes the answers alike."""
    adapter = adapted(vision_model, tmp_path / "own", target_modules=r".*language_model.*\.(q|v)_proj")
    expected = logits(PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(vision_model), adapter))
    new = {"the text part alone": "model.model.layers", "the file's": "model.language_model.model.layers"}.get(names)
    if new:
        adapter = renamed(adapter, tmp_path / "renamed", "model.model.language_model.layers", new)
    found = resolve(RunSpec(model=str(vision_model), engine="hf", adapter=str(adapter), tasks=("x",)))
    assert found.adapter.rank == 4
    model = AutoModelForCausalLM.from_pretrained(vision_model)
    fitted = adapter_names.fitted(adapter, model)
    assert (fitted == adapter) == (new is None)
    torch.testing.assert_close(logits(PeftModel.from_pretrained(model, fitted)), expected)
    torch.testing.assert_close(logits(merging.merged_model(vision_model, adapter)), expected, rtol=1e-4, atol=1e-4)
    done = command(*runs(vision_model, tmp_path / "with", "--adapter", adapter))
    assert done.returncode == 0, done.stderr
    assert command(*runs(vision_model, tmp_path / "without")).returncode == 0
    assert responses(tmp_path / "with") != responses(tmp_path / "without")


def test_a_vision_models_adapter_on_a_text_model_is_refused(vision_model, tiny_model, tmp_path):
    adapter = adapted(vision_model, tmp_path / "a", target_modules=r".*language_model.*\.(q|v)_proj")
    check_failed(command(*runs(tiny_model, tmp_path / "r", "--adapter", adapter)), 2, "does not fit the base model")


KINDS = {
    "plain": {},
    "DoRA": {"use_dora": True},
    "modules_to_save": {"modules_to_save": ["lm_head"]},
    "the embeddings saved": {"modules_to_save": ["embed_tokens"]},
    "an adapted head": {"target_modules": ["q_proj", "lm_head"]},
    "adapted embeddings": {"target_modules": ["q_proj", "embed_tokens"]},
    "an adapter that starts from pissa": {"init_lora_weights": "pissa"},
    "rank patterns": {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"v_proj": 3}},
}


@pytest.fixture(scope="session")
def tied_model(tiny_model, tmp_path_factory):
    """The tiny model with its output layer tied to its embeddings, as small models have it."""
    folder = tmp_path_factory.mktemp("models") / "tied"
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    model.config.tie_word_embeddings = True
    model.lm_head.weight = model.model.embed_tokens.weight
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(folder)
    return folder


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("base", ["tiny_model", "tied_model"])
def test_merged_weights_answer_as_the_adapter_does(base, kind, request, tmp_path):
    """The checkpoint on the disk gives the logits of the adapter on its base, to rounding."""
    base = request.getfixturevalue(base)
    adapter = adapted(base, tmp_path / "adapter", **KINDS[kind])
    expected = logits(PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter))
    spec = RunSpec(model=str(base), engine="vllm", adapter=str(adapter), tasks=("x",))
    identity = resolve(spec)
    folder = merging.folder(identity, "because")
    torch.testing.assert_close(logits(AutoModelForCausalLM.from_pretrained(folder)), expected, rtol=1e-3, atol=1e-3)
    assert AutoTokenizer.from_pretrained(folder).chat_template == AutoTokenizer.from_pretrained(base).chat_template
    assert merging.folder(identity, "because") == folder


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("plain", None),
        ("rank patterns", None),
        ("DoRA", "DoRA"),
        ("modules_to_save", "modules_to_save"),
        ("an adapted head", "an adapter of the vocabulary"),
        ("an adapter that starts from pissa", "starts from pissa"),
    ],
)
def test_what_vllm_gets_merged(kind, words, tiny_model, tmp_path, monkeypatch):
    """On a GPU what it cannot load; on a CPU every adapter; transformers none."""
    adapter = adapted(tiny_model, tmp_path / "adapter", **KINDS[kind])
    spec = RunSpec(model=str(tiny_model), engine="vllm", adapter=str(adapter), tasks=("x",))
    identity = resolve(spec)
    version = {"vllm-cpu": None}
    monkeypatch.setattr(merging.vllm_cpu, "version", version.get)
    found = merging.reason(spec, identity)
    assert found is None if words is None else words in found
    version["vllm-cpu"] = "0.32.0"
    assert merging.reason(spec, identity) is not None
    assert merging.reason(spec.model_copy(update={"engine": "hf"}), identity) is None


def test_a_full_disk_is_said_before_the_merge(tiny_model, tmp_path, monkeypatch):
    from mlc_bench.core.errors import PrerequisiteError

    adapter = make_adapter(tiny_model, tmp_path / "adapter")
    identity = resolve(RunSpec(model=str(tiny_model), engine="vllm", adapter=str(adapter), tasks=("x",)))
    monkeypatch.setattr(merging.shutil, "disk_usage", lambda path: types.SimpleNamespace(free=10))
    with pytest.raises(PrerequisiteError, match=r"no room .* use --engine hf"):
        merging.folder(identity, "because")
    assert not list(Path(tmp_path).rglob("*.part"))


@pytest.mark.integration
@pytest.mark.skipif(vllm_cpu.version("vllm-cpu") is None, reason="vllm-cpu is not installed")
def test_vllm_on_a_cpu_answers_with_merged_adapters(tiny_model, tmp_path):
    """Two adapters in one command, each with its own answers and record, which names the adapter."""
    base = tmp_path / "base"
    config = AutoModelForCausalLM.from_pretrained(tiny_model).config
    config.hidden_size, config.head_dim = 128, 64  # the least that vLLM takes
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(base)
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(base)
    adapters = [make_adapter(base, tmp_path / name, seed=seed) for seed, name in enumerate(("one", "two"))]
    arguments = [part for adapter in adapters for part in ("--adapter", adapter)]
    for engine in ("vllm", "hf"):
        output = tmp_path / engine
        more = ["--engine", engine, "--engine-args", "dtype=float32"]
        more += ["--engine-args", "max_model_len=1024"] if engine == "vllm" else []
        done = command(*runs(base, output, *more, *arguments))
        assert done.returncode == 0, done.stderr
        assert ("merging one into base" in done.stderr) == (engine == "vllm")
    said = []
    for name in ("one", "two"):
        (merged,), (loaded,) = ((tmp_path / engine).glob(f"base+{name}/*/run.json") for engine in ("vllm", "hf"))
        found = record.read(merged).model.adapter
        assert (found.name, found.merged) == (name, True)
        assert record.read(loaded).model.adapter.merged is False
        answers = [
            [
                json.loads(line)["response"].rstrip("\ufffd")
                for line in (path.parent / "samples/starter_harmful.jsonl").open()
            ]
            for path in (merged, loaded)  # half a character at the end is shown by one engine alone
        ]
        assert answers[0] == answers[1]
        said.append(answers[0])
    assert said[0] != said[1]


def test_an_adapter_with_another_template_than_its_base_is_told_of(tiny_model, tmp_path):
    adapter = adapted(tiny_model, tmp_path / "adapter")
    asked = ["run", "--model", str(tiny_model), "--adapter", str(adapter), "--tasks", "starter_harmful", "--dry-run"]
    template = (tiny_model / "chat_template.jinja").read_text(encoding="utf-8")
    (adapter / "chat_template.jinja").write_text(template, encoding="utf-8")
    assert "another chat template" not in command(*asked).stderr
    (adapter / "chat_template.jinja").write_text(template.replace("<|assistant|>", "<|model|>"), encoding="utf-8")
    done = command(*asked)
    assert done.returncode == 0
    assert "has another chat template than" in done.stderr
