"""Run by two processes (torchrun): a model sharded by FSDP, of which the first process alone has prompts.

The second reads a placeholder, so that both gather the same weights; gradients equal those of a whole model.
"""

import sys

import torch
import torch.distributed as dist
from sharded_step import auxiliary_loss, fsdp, own_loss, prepared, whole

from mlc_bench.baselines.mlc import hidden_states

if __name__ == "__main__":
    folder, layer = sys.argv[1], int(sys.argv[2])
    dist.init_process_group("gloo")
    sharded = prepared(folder, layer)
    fsdp(sharded)
    for _ in range(2):
        expected = whole(prepared(folder, layer))(True)
        sharded.zero_grad()
        if dist.get_rank() == 0:
            (dist.get_world_size() * auxiliary_loss(sharded)).backward()
        else:
            (0.0 * sharded(**hidden_states.layout([[0]], 0, share=False)).sum()).backward()
        own_loss(sharded).backward()
        for name, weight in sharded.named_parameters():
            torch.testing.assert_close(weight.grad.full_tensor(), expected[name], rtol=1e-4, atol=1e-5)
    dist.destroy_process_group()
    print("equal")
