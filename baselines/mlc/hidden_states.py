"""Hidden states of the last prompt token, with no work that they do not need.

Either what all prompts begin with (the chat template's opening, with its system prompt) is computed once, and its keys
and values serve every prompt. Or prompts are laid one after another into rows (packed), so that little padding is
computed; position ids that start anew at each prompt keep them apart, in the attention mask too (transformers does
that). Of the two, the one with fewer tokens is taken: prompts of languages that take very different numbers of tokens
are packed. Only the backbone runs, without the LM head, and only up to the layer asked for.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from mlc_bench.core.errors import UsageError

EXTRACTOR = "mlc_extractor"
# In a folder of its own, since vLLM takes every *.safetensors beside a model for weights of the model.
EXTRACTOR_FILE = f"{EXTRACTOR}/weights.safetensors"
_WORTH_SHARING = 8  # tokens


def layout(prompts: list[list[int]], pad: int, one_row: bool = False, share: bool = True) -> dict[str, Tensor]:
    """Prompts as the arguments of a model that `attach` has prepared: with their common beginning apart, or packed.

    Whichever computes fewer tokens. `share` must be off with gradient checkpointing, which keeps no keys and values,
    and for a sharded model, whose layers are gathered again for what they returned, and keys and values are not among
    that. `one_row` is for `pack`.
    """
    columns = zip(*prompts, strict=False)
    shared = sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns)) if share else 0
    shared = min(shared, min(map(len, prompts)) - 1)  # each keeps its last token
    packed = pack(prompts, pad, one_row)
    lengths = torch.tensor([len(ids) - shared for ids in prompts])
    apart = shared + len(prompts) * int(lengths.max())
    if len(prompts) < 2 or shared < _WORTH_SHARING or apart > packed["input_ids"].numel():
        return packed
    rests = [torch.tensor(ids[shared:]) for ids in prompts]
    tokens = nn.utils.rnn.pad_sequence(rests, batch_first=True, padding_value=pad)
    return {
        "prompt_prefix": torch.tensor([prompts[0][:shared]]),
        "input_ids": tokens,
        "attention_mask": (torch.arange(shared + tokens.shape[1]) < shared + lengths.unsqueeze(1)).long(),
        "position_ids": torch.arange(shared, shared + tokens.shape[1]).expand_as(tokens).contiguous(),
        "prompt_ends": torch.stack([torch.arange(len(rests)), lengths - 1], dim=-1),
    }


def pack(prompts: list[list[int]], pad: int, one_row: bool = False) -> dict[str, Tensor]:
    """Prompts as rows of tokens: `input_ids` and `position_ids` (rows, T), `prompt_ends` (len(prompts), 2).

    `prompt_ends` holds row and column of each prompt's last token, in the order given. Rows are as long as the longest
    prompt, or a little longer where that leaves less to pad; long rows would make attention dear. `one_row` is for
    flash attention, which takes packed prompts in a single row only and pays nothing for its length.
    """
    longest = max(map(len, prompts))
    if one_row:
        rows = [list(range(len(prompts)))]
    else:
        plans = [_fit(prompts, int(longest * factor)) for factor in (1, 1.25, 1.5)]
        rows = min(plans, key=lambda plan: len(plan) * max(sum(len(prompts[i]) for i in row) for row in plan))
    width = max(sum(len(prompts[i]) for i in row) for row in rows)
    ends = [(0, 0)] * len(prompts)
    tokens, positions = [], []
    for number, row in enumerate(rows):
        filled: list[int] = []
        places: list[int] = []
        for index in row:
            filled += prompts[index]
            places += range(len(prompts[index]))
            ends[index] = (number, len(filled) - 1)
        empty = width - len(filled)
        tokens.append(filled + [pad] * empty)
        positions.append(places + list(range(empty)))
    return {
        "input_ids": torch.tensor(tokens),
        "position_ids": torch.tensor(positions),
        "prompt_ends": torch.tensor(ends),
    }


def _fit(prompts: list[list[int]], capacity: int) -> list[list[int]]:
    """First fit, longest first: rows of indices whose prompts together have at most `capacity` tokens."""
    rows: list[list[int]] = []
    room: list[int] = []
    for index in sorted(range(len(prompts)), key=lambda i: -len(prompts[i])):
        size = len(prompts[index])
        row = next((i for i, left in enumerate(room) if left >= size), None)
        if row is None:
            rows.append([])
            room.append(capacity)
            row = len(rows) - 1
        rows[row].append(index)
        room[row] -= size
    return rows


def resolve_layer(layer: int | float | None, depth: int) -> int:
    """A layer as its number, 1 to `depth`: None is the last one, a float below one is a fraction of the depth.

    Raises UsageError for a layer that the model does not have.
    """
    if layer is None:
        return depth
    number = max(1, round(layer * depth)) if isinstance(layer, float) else layer
    if not 1 <= number <= depth:
        raise UsageError(
            f"mlc.layer {layer}: the model has layers 1 to {depth} (or a fraction of its depth, 0.0 to 1.0)"
        )
    return number


def last_token_states(backbone: Any, batch: dict[str, Tensor], layer: int) -> Tensor:
    """Hidden states (prompts, H) at `prompt_ends` of a batch laid out as above, after `layer` (1 to depth).

    After the last layer the final norm is applied, as transformers does for `hidden_states[-1]`; before it, the output
    of the layer is taken as it is, which is `hidden_states[layer]`.
    """
    given: dict[str, Any] = {"input_ids": batch["input_ids"], "position_ids": batch["position_ids"], "use_cache": False}
    with stopped_after(backbone, layer) as before_norm:
        if "prompt_prefix" in batch:
            cache = backbone(input_ids=batch["prompt_prefix"], use_cache=True).past_key_values
            for kept in cache.layers[:layer]:
                kept.keys, kept.values = (part.expand(len(batch["input_ids"]), *part.shape[1:])
                                          for part in (kept.keys, kept.values))  # fmt: skip
            given |= {"past_key_values": cache, "attention_mask": batch["attention_mask"], "use_cache": True}
        output = backbone(**given)
    states = before_norm[-1] if before_norm else output.last_hidden_state
    row, column = batch["prompt_ends"].unbind(dim=-1)
    return states[row, column]


@contextmanager
def stopped_after(backbone: Any, layer: int) -> Iterator[list[Tensor]]:
    """Let the backbone end after `layer`; what it hands to the final norm is put into the list that this yields.

    The list stays empty for the last layer.
    """
    layers = backbone.layers
    found: list[Tensor] = []
    if layer == len(layers):
        yield found
        return
    hook = backbone.norm.register_forward_pre_hook(lambda module, args: found.append(args[0]))
    backbone.layers = layers[:layer]
    try:
        yield found
    finally:
        backbone.layers = layers
        hook.remove()


def can_stop(backbone: Any) -> bool:
    """Whether `stopped_after` knows where the backbone keeps its layers and its final norm."""
    return hasattr(backbone, "layers") and hasattr(backbone, "norm")


def attach(model: Any, layer: int, size: int) -> None:
    """Teach a causal LM `model(**layout(...))`: the representations (prompts, D) of prompts instead of logits.

    Going through the model's own forward keeps every wrapper (DDP, FSDP, ZeRO, peft) in charge of its parameters. The
    extractor, a linear layer to `size` dimensions (0: none), becomes a part of the model, so that it is trained,
    placed and sharded with it. With no prompts in it (`prompt_ends` (0, 2)) the call costs nothing, and gives the
    extractor gradients of zero.
    """
    if not can_stop(model.base_model):
        raise UsageError(f"MLC does not know where {type(model).__name__} keeps its layers")
    if size:
        extractor = nn.Linear(model.config.get_text_config().hidden_size, size)
        setattr(model, EXTRACTOR, extractor.to(model.device))
    plain = type(model).forward

    def forward(self: Any, *args: Any, prompt_ends: Tensor | None = None, **kwargs: Any) -> Any:
        if prompt_ends is None:
            return plain(self, *args, **kwargs)
        extract: Any = getattr(self, EXTRACTOR, None)
        if not len(prompt_ends):
            return extract(extract.weight.new_zeros(0, extract.in_features))
        states = last_token_states(self.base_model, kwargs | {"prompt_ends": prompt_ends}, layer)
        return states if extract is None else extract(states.to(extract.weight.dtype))

    forward.__wrapped__ = plain  # type: ignore[attr-defined]  # the trainers read its signature
    model.forward = MethodType(forward, model)


def is_extractor(name: str) -> bool:
    """Whether a weight of this name is the extractor's."""
    return f"{EXTRACTOR}." in name
