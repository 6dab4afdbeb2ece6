"""Run by two processes (torchrun): gradients of a sharded model against those of a whole one, in three steps.

With the auxiliary loss, without it, with it again. `fsdp` is FSDP's second version as accelerate applies it: each layer
a unit, embeddings, final norm and head another, the rest (the extractor) the root; two backward passes. `zero2` and
`zero3` are DeepSpeed's, with both losses in one backward pass. accelerate itself offers either on accelerators only, so
the trainer cannot be run sharded on a CPU.
"""

import sys

import torch
import torch.distributed as dist
from torch.distributed.fsdp import fully_shard
from transformers import AutoModelForCausalLM

from mlc_bench.baselines.mlc import hidden_states, mlc_loss

PROMPTS = [[5, 9, 3], [4, 4, 8, 1, 7], [2, 6], [9, 9, 1, 3]]
TOKENS = torch.tensor([[3, 1, 4, 1, 5, 9]])


def auxiliary_loss(model):
    slots = torch.tensor([(0, place) for place in range(len(PROMPTS))])
    return (
        0.8 * mlc_loss.consistency(mlc_loss.unit(model(**hidden_states.layout(PROMPTS, 0, share=False)), slots)).mean()
    )


def own_loss(model):
    return model(input_ids=TOKENS, labels=TOKENS).loss


def prepared(folder, layer):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    hidden_states.attach(model, layer, 16)
    return model


def whole(model):
    def step(auxiliary):
        model.zero_grad()
        if auxiliary:
            auxiliary_loss(model).backward()
        own_loss(model).backward()
        return {name: p.grad for name, p in model.named_parameters()}

    return step


def fsdp(model):
    for block in model.model.layers:
        fully_shard(block)
    tail = [model.model.norm, model.model.embed_tokens, model.lm_head]
    fully_shard(tail if model.config.tie_word_embeddings else tail[::2], reshard_after_forward=False)
    fully_shard(model)
    step = whole(model)
    return lambda auxiliary: {name: g if g is None else g.full_tensor() for name, g in step(auxiliary).items()}


def zero(model, stage):
    import deepspeed
    from deepspeed.utils import safe_get_full_grad

    settings = {
        "train_micro_batch_size_per_gpu": 1,
        "zero_optimization": {"stage": stage, "stage3_param_persistence_threshold": 0},  # shard small ones, too
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
    }
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    engine = deepspeed.initialize(model=model, optimizer=optimizer, config=settings)[0]

    def step(auxiliary):
        extra = auxiliary_loss(engine) if auxiliary else engine(prompt_ends=torch.empty(0, 2)).sum()
        engine.backward(own_loss(engine) + extra)
        gradients = {name: safe_get_full_grad(p) for name, p in model.named_parameters()}
        engine.step()
        return gradients

    return step


def main(kind, folder, layer):
    if kind == "fsdp":
        dist.init_process_group("gloo")
        sharded = fsdp(prepared(folder, layer))
    else:
        import deepspeed

        deepspeed.init_distributed("gloo")
        sharded = zero(prepared(folder, layer), int(kind[-1]))
    alone = whole(prepared(folder, layer))
    for auxiliary in (True, False, True):
        expected, found = alone(auxiliary), sharded(auxiliary)
        for name, gradient in expected.items():
            if gradient is None:
                assert found[name] is None or not found[name].any(), name
            else:
                torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-5)
    dist.barrier()
    dist.destroy_process_group()
    print("equal")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
