"""Run by two processes (torchrun): a sharded model's gradients of a step with the auxiliary loss, and of one without.

FSDP's second version, as accelerate applies it: each layer a unit, embeddings, final norm and head another, the rest
(the extractor) the root. accelerate itself offers FSDP on accelerators only, so the trainer cannot be run here.
"""

import sys

import torch
import torch.distributed as dist
from torch.distributed.fsdp import fully_shard
from transformers import AutoModelForCausalLM

from mlc_bench.baselines import mlc, states

PROMPTS = [[5, 9, 3], [4, 4, 8, 1, 7], [2, 6], [9, 9, 1, 3]]


def step(model, auxiliary):
    if auxiliary:
        packed = states.pack(PROMPTS, 0)
        slots = torch.tensor([(0, place) for place in range(len(PROMPTS))])
        (0.8 * mlc.consistency(mlc.unit(model(**packed), slots)).mean()).backward()
    tokens = torch.tensor([[3, 1, 4, 1, 5, 9]])
    model(input_ids=tokens, labels=tokens).loss.backward()


def gradients(model):
    return {
        name: getattr(p.grad, "full_tensor", lambda p=p: p.grad)().clone()
        for name, p in model.named_parameters()
        if p.grad is not None
    }


def prepared(folder, layer):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    states.attach(model, layer, 16)
    return model


def main(folder, layer):
    dist.init_process_group("gloo")
    alone, sharded = prepared(folder, layer), prepared(folder, layer)
    for block in sharded.model.layers:
        fully_shard(block)
    tail = [sharded.model.norm, sharded.model.embed_tokens, sharded.lm_head]
    fully_shard(tail if sharded.config.tie_word_embeddings else tail[::2], reshard_after_forward=False)
    fully_shard(sharded)
    for auxiliary in (True, False, True):
        for model in (alone, sharded):
            model.zero_grad()
            step(model, auxiliary)
        expected, found = gradients(alone), gradients(sharded)
        assert expected.keys() == found.keys(), expected.keys() ^ found.keys()
        for name, gradient in expected.items():
            torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-6)
    dist.barrier()
    dist.destroy_process_group()
    print("equal")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
