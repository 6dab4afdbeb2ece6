"""The probe: its figures against plain ones, batches, adapters, what it shows and refuses."""

import json

import pytest
import torch
from helpers import check_failed, command, make_adapter
from transformers import AutoModelForCausalLM, AutoTokenizer

from mlc_bench.baselines.mlc import probe

TEXTS = {
    "en": ["How do I bake bread?", "What is rain?", "Tell me a story about a very long winter."],
    "sw": ["Ninaokaje mkate?", "Mvua ni nini?", "Nisimulie hadithi."],
    "zh": ["怎么烤面包？", "雨是什么？", "给我讲一个故事。"],
}


def vectors(model, tokenizer, text):
    """Last-token states of every layer of one prompt, alone."""
    turns = [{"role": "user", "content": text}]
    ids = torch.tensor([tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)])
    with torch.no_grad():
        return [layer[0, -1].double() for layer in model(ids, output_hidden_states=True).hidden_states[1:]]


@pytest.fixture(scope="module")
def loaded(tiny_model):
    return AutoModelForCausalLM.from_pretrained(tiny_model), AutoTokenizer.from_pretrained(tiny_model)


@pytest.mark.parametrize("batch_size", [1, 4, 32])
def test_figures_are_the_plain_ones(loaded, batch_size):
    found = probe.measure(*loaded, TEXTS, batch_size, "tiny", "three")
    states = {code: [vectors(*loaded, text) for text in texts] for code, texts in TEXTS.items()}
    cosine = torch.nn.functional.cosine_similarity
    assert [layer.layer for layer in found.layers] == [1, 2]
    for index, layer in enumerate(found.layers):
        unit = {code: [row[index] / row[index].norm() for row in rows] for code, rows in states.items()}
        shares = []
        for prompt in range(3):
            values = torch.linalg.svdvals(torch.stack([unit[code][prompt] for code in TEXTS]))
            shares.append(values[0] / values.sum())
        assert layer.share == pytest.approx(torch.stack(shares).mean().item(), rel=1e-5)
        for code in ("sw", "zh"):
            own = [cosine(unit[code][i], unit["en"][i], dim=0).item() for i in range(3)]
            assert layer.cosine[code] == pytest.approx(sum(own) / 3, abs=1e-5)
            nearest = [max(range(3), key=lambda j: float(unit[code][i] @ unit["en"][j])) for i in range(3)]
            assert layer.matched[code] == pytest.approx(sum(i == j for i, j in enumerate(nearest)) / 3)


def test_the_same_text_in_every_language_is_collinear(loaded):
    same = dict.fromkeys(("en", "sw", "zh"), TEXTS["en"])
    for layer in probe.measure(*loaded, same, 4, "tiny", "same").layers:
        assert layer.share == pytest.approx(1, abs=1e-4)
        assert layer.cosine == pytest.approx({"sw": 1, "zh": 1}, abs=1e-5)
        assert layer.matched == {"sw": 1, "zh": 1}


def _layer(number, matched, margin):
    return probe.Layer(number, 0.5, {"sw": 0.5}, {"sw": matched}, margin)


def test_the_layer_that_is_picked():
    layers = [_layer(1, 0.2, 0.9), _layer(2, 0.8, 0.1), _layer(3, 0.8, 0.3), _layer(4, 0.5, 0.8)]
    assert probe.Probe("m", "t", 9, layers).picked == 3


def test_the_command(tiny_model, tmp_path):
    adapter = make_adapter(tiny_model, tmp_path / "trained")
    done = command(
        "probe", "--model", tiny_model, "--adapter", adapter, "--against", "base", "--languages", "en,sw,ku",
        "--limit", "4", "--output", tmp_path / "out",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "tiny+trained on starter_harmful, 4 prompts; in brackets the change against tiny" in done.stdout
    assert "by chance 25 %" in done.stdout
    saved = json.loads((tmp_path / "out" / "probe.json").read_text())
    assert [one["model"] for one in saved] == ["tiny+trained", "tiny"]
    assert saved[0]["layers"] != saved[1]["layers"]
    for suffix in ("png", "svg"):
        assert (tmp_path / "out" / f"starter_harmful.{suffix}").stat().st_size > 5000
    alone = command("probe", "--model", tiny_model, "--languages", "en,sw,ku", "--limit", "4", "--json")
    assert json.loads(alone.stdout) == saved[1:]


def test_bad_input(tiny_model, other_tiny_model):
    check_failed(command("probe", "--model", tiny_model, "--against", "base"), 2, "--adapter")
    check_failed(command("probe", "--model", tiny_model, "--languages", "en"), 2, "starter_harmful", "other language")
    check_failed(command("probe", "--model", tiny_model, "--tasks", "aya_redteaming"), 2, "not translations")
    check_failed(command("probe", "--model", tiny_model, "--tasks", "starter_harmfull"), 2, "starter_harmful")
