"""Packed prompts give the states that each prompt has alone, on several architectures and layers."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from training import relative_error
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from mlc_bench.baselines.mlc import hidden_states
from mlc_bench.core.errors import UsageError

SHAPE = {
    "vocab_size": 99,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.3,
}
PROMPTS = [
    [7, 3, 5],
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
    [9],
    [4, 4, 8, 8, 2, 6, 1],
    [5, 1],
    [8, 7, 6, 5, 4, 3, 2, 1],
]


def model(kind):
    torch.manual_seed(0)
    return {
        "llama": lambda: LlamaForCausalLM(LlamaConfig(**SHAPE)),
        "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SHAPE)),
        # its layers see a window of four tokens, but for every sixth
        "gemma3": lambda: Gemma3ForCausalLM(Gemma3TextConfig(**SHAPE, head_dim=8, sliding_window=4)),
    }[kind]().eval()


@pytest.mark.parametrize("how", ["rows", "one row", "shared"])
@pytest.mark.parametrize("layer", [4, 2, 1])
@pytest.mark.parametrize("kind", ["llama", "qwen2", "gemma3"])
def test_prompts_keep_apart(kind, layer, how):
    lm = model(kind)
    opening = [11, 12, 13, 14, 15, 16, 17, 18, 19] if how == "shared" else []
    prompts = [opening + ids for ids in PROMPTS]
    packed = hidden_states.layout(prompts, 0, one_row=how == "one row")
    assert ("prompt_prefix" in packed) == (how == "shared")
    found = hidden_states.last_token_states(lm.base_model, packed, layer)
    for ids, state in zip(prompts, found, strict=True):
        alone = lm(torch.tensor([ids]), output_hidden_states=True).hidden_states[layer]
        torch.testing.assert_close(state, alone[0, -1], rtol=1e-4, atol=1e-5)


def test_gradients_flow_through_what_prompts_share():
    lm = model("llama")
    prompts = [[*range(20, 30), *ids] for ids in PROMPTS]
    found = []
    for share in (False, True):
        lm.zero_grad()
        hidden_states.last_token_states(
            lm.base_model, hidden_states.layout(prompts, 0, share=share), 3
        ).square().sum().backward()
        found.append({name: p.grad.clone() for name, p in lm.named_parameters() if p.grad is not None})
    assert found[0].keys() == found[1].keys()
    for name, gradient in found[0].items():
        assert relative_error(found[1][name], gradient) < 1e-5, name


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_either_way_gives_the_same(side):
    lm = model("llama")
    tokens = torch.nn.utils.rnn.pad_sequence([torch.tensor(ids) for ids in PROMPTS], True, 0, padding_side=side)
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones(len(ids)).long() for ids in PROMPTS], True, 0, padding_side=side)
    hidden = lm(tokens, attention_mask=mask, output_hidden_states=True).hidden_states[-1]
    last = [len(ids) - 1 if side == "right" else -1 for ids in PROMPTS]
    padded = hidden[torch.arange(len(PROMPTS)), torch.tensor(last)]
    torch.testing.assert_close(
        hidden_states.last_token_states(lm.base_model, hidden_states.pack(PROMPTS, 0), 4), padded, rtol=1e-4, atol=1e-5
    )


def test_layers_above_the_one_asked_for_do_not_run():
    lm = model("llama")
    ran = []
    for number, layer in enumerate(lm.model.layers, 1):
        layer.register_forward_hook(lambda *_, number=number: ran.append(number))
    hidden_states.last_token_states(lm.base_model, hidden_states.pack(PROMPTS, 0), 2)
    assert ran == [1, 2]
    assert len(lm.model.layers) == 4
    lm(torch.tensor([PROMPTS[0]]))
    assert ran == [1, 2, 1, 2, 3, 4]


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(1, 50), min_size=1, max_size=20), min_size=1, max_size=12), st.booleans())
def test_packing_loses_no_token(prompts, one_row):
    packed = hidden_states.pack(prompts, 0, one_row)
    for ids, (row, column) in zip(prompts, packed["prompt_ends"].tolist(), strict=True):
        assert packed["input_ids"][row, column - len(ids) + 1 : column + 1].tolist() == ids
        assert packed["position_ids"][row, column - len(ids) + 1 : column + 1].tolist() == list(range(len(ids)))
    assert packed["input_ids"].numel() <= max(1, len(prompts)) * 1.5 * max(map(len, prompts)) or one_row
    if one_row:
        assert packed["input_ids"].numel() == sum(map(len, prompts))


def test_layers_by_number_and_fraction():
    assert [hidden_states.resolve_layer(layer, 28) for layer in (None, 28, 1, 0.5, 1.0, 0.01)] == [28, 28, 1, 14, 28, 1]
    for wrong in (0, 29, -1, 1.5):
        with pytest.raises(UsageError, match="layers 1 to 28"):
            hidden_states.resolve_layer(wrong, 28)


@given(st.integers(8, 40), st.lists(st.integers(1, 120), min_size=2, max_size=20))
def test_of_two_layouts_the_one_with_fewer_tokens_is_taken(opening, rests):
    """Padding to the longest prompt may cost more than the common beginning saves."""
    prompts = [[*range(1, opening + 1), *([1000 + number] * size)] for number, size in enumerate(rests)]
    chosen, packed = hidden_states.layout(prompts, 0), hidden_states.pack(prompts, 0)
    apart = opening + len(prompts) * max(rests)
    computed = sum(chosen[name].numel() for name in ("input_ids", "prompt_prefix") if name in chosen)
    assert computed == min(apart, packed["input_ids"].numel())
    assert ("prompt_prefix" in chosen) == (apart <= packed["input_ids"].numel())
