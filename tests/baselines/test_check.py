"""`train-baseline METHOD --check`: what it finds, its exit code, and the arithmetic behind the memory that it names."""

import json
import shutil
import sys

import pytest
import torch
import yaml
from conftest import ROOT
from training import ROWS, write_rows
from transformers import AutoConfig, Gemma2Config, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from mlc_bench.baselines import cli, config, methods
from mlc_bench.baselines.check import estimate, preflight

GIB = 2**30
# The published shapes of the paper's models: their config.json on the hub.
SHAPES = {
    "qwen2.5-7b": Qwen2Config(
        hidden_size=3584, intermediate_size=18944, num_hidden_layers=28, num_attention_heads=28, num_key_value_heads=4,
        vocab_size=152064, tie_word_embeddings=False,
    ),
    "gemma-2-9b": Gemma2Config(
        hidden_size=3584, intermediate_size=14336, num_hidden_layers=42, num_attention_heads=16, num_key_value_heads=8,
        head_dim=256, vocab_size=256000,
    ),
}  # fmt: skip


@pytest.fixture
def check(tmp_path, monkeypatch, capsys):
    """`check(method, settings)`: exit code and findings by subject, through the command line."""

    def run(method, **settings):
        file = tmp_path / "settings.yaml"
        file.write_text(yaml.safe_dump({"output": str(tmp_path / "out"), "keep_out": []} | settings))
        monkeypatch.setattr(sys, "argv", ["train-baseline", method, "--config", str(file), "--check", "--json"])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert not (tmp_path / "out").exists()  # nothing was begun
        return ended.value.code, {one["subject"]: one for one in json.loads(capsys.readouterr().out)}

    return run


def test_a_run_that_can_start(check, tiny_model, tmp_path):
    code, found = check("dpo", model=str(tiny_model), data=[str(write_rows(tmp_path))], keep_out=["starter"], mlc={})
    assert code == 0
    assert {one["level"] for one in found.values()} == {"ok"}
    assert found["data"]["text"].startswith("4 rows, en and it ps sw zh")
    assert found["mlc layer"]["text"] == "2"
    assert "training rows with a test prompt: none" in found["keep out starter"]["text"]


def test_a_model_that_cannot_be_had(check, tmp_path):
    """The data is looked at all the same; the memory cannot be known."""
    code, found = check("dpo", model="nobody/no-such-model", data=[str(write_rows(tmp_path))])
    assert code == 3
    assert "config.json of 'nobody/no-such-model'" in found["model"]["text"]
    assert found["data"]["level"] == "ok"
    assert {name for name, one in found.items() if one["level"] == "problem"} == {"model", "memory"}


def test_data_that_is_absent_or_lacks_what_the_method_needs(check, tiny_model, tmp_path):
    code, found = check("dpo", model=str(tiny_model), data=["absent.jsonl"])
    assert (code, found["data"]["level"]) == (3, "problem")
    assert "there is no such file" in found["data"]["text"]
    assert found["memory"]["level"] == "ok"  # what can be known is said
    code, found = check("mpo", model=str(tiny_model), data=[str(write_rows(tmp_path))])
    assert (code, found["data"]["level"]) == (3, "problem")
    assert "no 'responses' in other languages" in found["data"]["text"]


def test_english_alone_is_no_data_for_mlc(check, tiny_model, tmp_path):
    rows = [row | {"prompts": {"en": row["prompts"]["en"]}} for row in ROWS]
    code, found = check("sft", model=str(tiny_model), data=[str(write_rows(tmp_path, rows))], mlc={})
    assert (code, found["mlc"]["level"]) == (3, "problem")


def test_memory_counts_the_prompts_that_mlc_reads_at_once(check, tiny_model, tmp_path, monkeypatch):
    """Of English and the drawn languages only; with a contrast those of the partner as well."""
    groups = []
    need = estimate.need
    monkeypatch.setattr(estimate, "need", lambda *given: groups.append(given[3]) or need(*given))
    rows = [row | {"partner": "bread"} for row in ROWS]
    for mlc in ({}, {"sample": 1}, {"objective": "contrast"}, {"objective": "contrast", "contrast": 0}):
        check("dpo", model=str(tiny_model), data=[str(write_rows(tmp_path, rows))], mlc=mlc)
    every, drawn, with_partner, without = groups
    assert 0 < drawn < every == without
    assert with_partner == 2 * every


def test_a_contrast_without_pairs_is_said(check, tiny_model, tmp_path):
    code, found = check("dpo", model=str(tiny_model), data=[str(write_rows(tmp_path))], mlc={"objective": "contrast"})
    assert code == 3
    assert "no row of the data names its 'partner'" in found["mlc"]["text"]


def test_a_layer_that_the_model_does_not_have(check, tiny_model, tmp_path):
    code, found = check("sft", model=str(tiny_model), data=[str(write_rows(tmp_path))], mlc={"layer": 9})
    assert code == 3
    assert "layers 1 to 2" in found["mlc layer"]["text"]


def test_weights_that_are_missing(check, tiny_model, tmp_path):
    bare = tmp_path / "bare"
    shutil.copytree(tiny_model, bare, ignore=shutil.ignore_patterns("*.safetensors"))
    code, found = check("sft", model=str(bare), data=[str(write_rows(tmp_path))])
    assert (code, found["model"]["level"]) == (3, "problem")
    assert found["memory"]["level"] == "ok"


def test_too_little_memory_and_disk(check, tiny_model, tmp_path, monkeypatch):
    need = estimate.Need(10**9, 10**9, 2, 1, states=2**60, activations=0, disk=2**60)
    monkeypatch.setattr(estimate, "need", lambda *arguments: need)
    code, found = check("sft", model=str(tiny_model), data=[str(write_rows(tmp_path))])
    assert code == 3
    assert found["memory"]["level"] == found["disk"]["level"] == "problem"


def test_the_method_decides_what_rows_need():
    for name in methods.names():
        assert set(methods.get(name).NEEDS) <= {"chosen", "rejected", "responses"}


def test_parameters_are_those_of_the_model(tiny_model):
    shape = AutoConfig.from_pretrained(tiny_model)
    settings = config.TrainConfig(model="m", output="out")
    found = estimate.need(shape, settings, row=100, group=0)
    model = LlamaForCausalLM(shape)
    assert found.parameters == model.num_parameters()
    largest = max(weight.numel() for weight in model.parameters())
    assert found.states == 16 * found.parameters + 4 * largest
    rounded = config.TrainConfig(model="m", output="out", bf16=True)
    assert estimate.need(shape, rounded, row=100, group=0).states == 18 * found.parameters + 4 * largest
    assert estimate.need(shape, settings, 100, 0, processes=2).states == 8 * found.parameters


@pytest.mark.parametrize("how", estimate.KEPT)
@pytest.mark.parametrize(("width", "inside", "groups"), [(128, 704, 1), (128, 344, 2), (256, 1024, 4)])
def test_activations_are_what_autograd_keeps(how, width, inside, groups):
    """A canary: another version of transformers may keep more."""
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    def of(layers):
        """Bytes for each token; a weight, or its copy in 16 bits, is no activation."""
        shape = Qwen2Config(
            hidden_size=width, intermediate_size=inside, num_hidden_layers=layers, vocab_size=100,
            num_attention_heads=8, num_key_value_heads=groups,
        )  # fmt: skip
        model = Qwen2ForCausalLM(shape).to(torch.bfloat16 if how == "bfloat16" else torch.float32)
        ids = torch.ones(4, 60, dtype=torch.long)
        kept.clear()
        with (
            torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
            torch.autocast("cpu", torch.bfloat16, enabled=how == "autocast"),
        ):
            output = model.base_model(input_ids=ids, use_cache=False)
        sizes = {weight.numel() for weight in model.parameters()}
        assert output.last_hidden_state.requires_grad
        return sum(one.untyped_storage().nbytes() for one in kept.values() if one.numel() not in sizes) / ids.numel()

    for_width, for_inside = estimate.KEPT[how]
    assert (of(4) - of(2)) / 2 == pytest.approx(for_width * width + for_inside * inside, rel=0.1)


def test_an_adapter_has_the_weights_that_peft_gives_it(tiny_model):
    from peft import LoraConfig, get_peft_model

    shape = AutoConfig.from_pretrained(tiny_model)
    settings = config.TrainConfig(model="m", output="out", lora={"r": 4})
    lora = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")
    adapted = get_peft_model(LlamaForCausalLM(shape), lora)
    assert estimate.need(shape, settings, 100, 0).trained == adapted.get_nb_trainable_parameters()[0]


@pytest.mark.parametrize("name", SHAPES)
def test_the_page_on_the_paper_scale_says_what_the_arithmetic_gives(name):
    """docs/paper_scale.md: a row for each form of a model, from the shipped configurations."""
    lines = (ROOT / "docs" / "paper_scale.md").read_text(encoding="utf-8").splitlines()
    forms = [("dpo", f"dpo-mlc-{name}", 8), ("dpo", f"dpo-mlc-{name}-lora", 1), ("grpo", f"grpo-{name}-lora", 1)]
    for method, stem, processes in forms:
        path = ROOT / "baselines" / "configs" / "paper" / f"{stem}.yaml"
        if method == "grpo" and not path.is_file():
            continue
        settings = config.load(methods.get(method).Config, path, [])
        need = estimate.need(SHAPES[name], settings, *preflight._longest(None, settings, len), processes)
        cells = [f"{need.parameters / 1e9:.2f} B", f"{need.trained / 1e6:,.0f} M", f"{need.states / GIB:.1f}",
                 f"{need.activations / GIB:.1f}", f"{need.memory / GIB:.1f}", f"{need.disk / GIB:.0f}"]  # fmt: skip
        wanted = f"| `{path.stem}` | " + " | ".join(cells) + " |"
        assert wanted in lines, wanted
