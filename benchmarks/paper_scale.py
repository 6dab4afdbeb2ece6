"""Steps of a paper-scale training run on random weights: python benchmarks/paper_scale.py [--steps 4] [--tiny]

For planning: what `train-baseline` takes at the size of gemma-2-9b, without the weights. A checkpoint of its shape is
made, with the tokenizer of 'demo-gemma' (262,144 entries for 256,000), and DPO is trained on it without and with MLC by
the shipped LoRA configuration, on the rows of the paper's test file. Seconds are those between the trainer's steps;
loading and saving are in the last figure only. Needs a GPU of 80 GB and 20 GB of disk; `--tiny` tries the script.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import AutoModelForCausalLM, AutoTokenizer, Gemma2Config

from mlc_bench.baselines.data import training_data
from mlc_bench.core.provenance import hardware
from mlc_bench.engines import demo_models

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data" / "pku_safety_test.jsonl"
CONFIG = ROOT / "baselines" / "configs" / "paper" / "dpo-mlc-gemma-2-9b-lora.yaml"
GEMMA_2_9B = {
    "hidden_size": 3584, "intermediate_size": 14336, "num_hidden_layers": 42, "num_attention_heads": 16,
    "num_key_value_heads": 8, "head_dim": 256,
}  # fmt: skip
TINY = GEMMA_2_9B | {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "head_dim": 8}
SHARD = 3 << 30  # bytes
WARM = 2  # steps that are not counted: one with MLC's prompts, one without


def random_model(folder: Path, shape: dict[str, int]) -> int:
    """Random weights in bfloat16, one at a time, so that no more than a shard of them is in memory; how many."""
    tokenizer = AutoTokenizer.from_pretrained(demo_models.folder("demo-gemma"))
    ends = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    config = Gemma2Config(**shape, vocab_size=len(tokenizer), dtype="bfloat16", **ends)
    config.architectures = ["Gemma2ForCausalLM"]
    config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    with torch.device("meta"):
        weights = dict(AutoModelForCausalLM.from_config(config).named_parameters())
    shard: dict[str, torch.Tensor] = {}
    places: dict[str, str] = {}
    for number, (name, weight) in enumerate(weights.items(), 1):
        drawn = torch.zeros(weight.shape, dtype=torch.bfloat16, device="cuda" if torch.cuda.is_available() else "cpu")
        shard[name] = (drawn if "norm" in name else drawn.normal_(0, 0.02)).cpu()
        if sum(map(torch.Tensor.numel, shard.values())) * 2 > SHARD or number == len(weights):
            file = f"model-{number:05d}.safetensors"
            save_file(shard, folder / file, metadata={"format": "pt"})
            places |= dict.fromkeys(shard, file)
            shard = {}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return sum(map(torch.Tensor.numel, weights.values()))


def train(model: Path, data: Path, output: Path, options: argparse.Namespace, mlc: bool) -> dict[str, Any]:
    """A run of so many optimizer steps: seconds of those after the first two, tokens and memory by its manifest."""
    command = [sys.executable, "-m", "mlc_bench.baselines.cli", "dpo", "--config", CONFIG, "--model", model]
    command += ["--data", data, "--keep_out", "[]", "--output", output, "--max_steps", options.steps]
    command += ["--accumulation", options.accumulation, "--save_steps", 10_000, "--report_to", "tensorboard"]
    command += [*([] if mlc else ["--mlc", "false"])]
    command += ["--dtype", "float32", "--bf16", "false"] if options.tiny else []  # for CPUs that emulate bf16
    begun = time.monotonic()
    subprocess.run(list(map(str, command)), check=True)
    whole = time.monotonic() - begun
    manifest = json.loads((output / "train_manifest.json").read_text())
    log = EventAccumulator(str(output / "logs"))
    log.Reload()
    ends = [entry.wall_time for entry in log.Scalars("train/loss")]
    rows = options.accumulation * (len(ends) - WARM)
    return {
        "method": manifest["method"],
        "seconds a row": round((ends[-1] - ends[WARM - 1]) / rows, 3),
        "tokens a row": round(manifest["tokens"] / options.accumulation / options.steps),
        "MLC tokens a row": round(manifest.get("mlc_tokens", 0) / options.accumulation / options.steps),
        "peak GiB": round(manifest["peak_memory_bytes"] / 2**30, 1),
        "whole command, s": round(whole),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED, help="pairs with prompts in several languages")
    parser.add_argument("--steps", type=int, default=4, help="an even number above two")
    parser.add_argument("--accumulation", type=int, default=8, help="rows a step (the configuration has 32)")
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model, begun = Path(folder) / "model", time.monotonic()
        weights = random_model(model, TINY if options.tiny else GEMMA_2_9B)
        print(f"{weights:,} weights written in {time.monotonic() - begun:.0f} s", file=sys.stderr)
        rows = [row for row in training_data.load([options.data]).rows if row["chosen"] and row["rejected"]]
        data = Path(folder) / "rows.jsonl"
        # No more rows than are trained on: the reference's log-probabilities are computed for all of them first.
        rows = rows[: options.steps * options.accumulation]
        data.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        for mlc in (False, True):
            print(json.dumps(train(model, data, Path(folder) / f"mlc-{mlc}", options, mlc)), flush=True)
    print(json.dumps(hardware()))


if __name__ == "__main__":
    main()
