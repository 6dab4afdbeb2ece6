"""Cost of MLC in a DPO step: python benchmarks/train_step.py [--model random-150k] [--json]

All in one process, on the same pairs and prompts, one pair for each pass, encoded prompts of at most 64 tokens:

  plain     DPO with precomputed reference log-probabilities
  mlc       ours, published settings: the mean of a pass with the auxiliary loss and one without (every second step)
  official  the work that the authors' code does in every pass, auxiliary loss on or off: pair and prompts padded to
            one length, logits of the whole vocabulary and all hidden states for all of them, the reference model too
  sampled   as mlc, with the prompts of English and four languages drawn anew (mlc.sample 4), of all that the data has
  floor     plain, plus the prompts' own tokens at the speed of the backbone's forward and backward pass over the pair,
            every second step

Memory is the peak above what the process had before the model was loaded, weights, gradients and Adam's moments
included, each variant in a process of its own. The variants take turns, since the machine's speed drifts; times are
given by the clock and by the processor, which on a machine with other work is the steadier one (OMP_NUM_THREADS=1).
"""

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, Qwen2Config, Qwen2ForCausalLM
from trl import DPOTrainer

from mlc_bench.baselines import methods, run
from mlc_bench.console import quiet
from mlc_bench.core.provenance import hardware
from mlc_bench.engines import demo_models

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "pku_safety_test.jsonl"
PROMPT_TOKENS = 64
SAMPLE = 4
VARIANTS = ("plain", "mlc", "official")


def random_model(folder: Path, vocabulary: int = 151_936) -> Path:
    """Random weights in the shape of Qwen2.5-0.5B with a third of its layers, and the tokenizer of the demo model."""
    tokenizer = AutoTokenizer.from_pretrained(demo_models.folder("demo-tiny"))
    config = Qwen2Config(
        vocab_size=vocabulary, hidden_size=896, intermediate_size=4864, num_hidden_layers=8,
        num_attention_heads=14, num_key_value_heads=2, tie_word_embeddings=True,
        bos_token_id=None, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    torch.manual_seed(0)
    Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def shortened(data: Path, tokenizer: Any, pairs: int, folder: Path) -> Path:
    """Pairs of a file in our schema, their texts cut so that the encoded prompts have 64 tokens at most.

    They are spread evenly over the file in order of length: the longer the responses, the more the authors' way costs.
    """
    from mlc_bench.baselines.data.tokenize_rows import prompt_ids
    from mlc_bench.baselines.data.training_data import load

    whole = [row for row in load([data]).rows if row["chosen"] and row["rejected"]]
    rows = sorted(whole, key=lambda row: len(row["chosen"] or "") + len(row["rejected"] or ""))
    rows = [rows[int((k + 0.5) * len(rows) / pairs)] for k in range(pairs)] if pairs < len(rows) else rows
    for row in rows:
        for code, text in row["prompts"].items():
            while (excess := len(prompt_ids(tokenizer, text)) - PROMPT_TOKENS) > 0:
                text = tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"][:-excess])
            row["prompts"][code] = text
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


class Bench:
    """One model, one trainer, and each variant's pass over a pair."""

    def __init__(self, model: Path, rows: Path, folder: Path, pairs: int, with_reference: bool) -> None:
        kind = methods.get("dpo").Config
        config = kind(model=str(model), data=[str(rows)], keep_out=[], output=folder / "out", mlc={}, accumulation=1)
        prepared = run.prepare("dpo", config)
        self.trainer = methods.get("dpo").build(prepared)
        self.model = self.trainer.model
        self.model.train()
        self.trainer.current_gradient_accumulation_steps = 1
        dataset = self.trainer.train_dataset
        self.batches = [self.trainer.data_collator([dataset[i]]) for i in range(pairs)]
        self.pairs = [{k: v for k, v in batch.items() if not k.startswith("mlc_")} for batch in self.batches]
        self.rows = [dataset[i] for i in range(pairs)]
        self.losses: dict[tuple[str, int], float] = {}
        self.frozen: PreTrainedModel | None = None
        if with_reference:
            self.frozen = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).requires_grad_(False)

    def pair_tokens(self, i: int) -> int:
        return int(self.pairs[i]["attention_mask"].sum())

    def prompt_tokens(self, i: int) -> int:
        return sum(map(len, self.rows[i]["mlc_ids"]))

    def plain(self, i: int) -> float:
        return float(DPOTrainer.training_step(self.trainer, self.model, dict(self.pairs[i])))

    def mlc(self, i: int, step: int = 0) -> float:
        self.trainer.state.global_step = step
        loss = float(self.trainer.training_step(self.model, dict(self.batches[i])))
        if step == 0:
            self.losses["mlc", i] = loss
        return loss

    def sampled(self, i: int) -> float:
        """A pass with the auxiliary loss over some of the languages."""
        whole = self.trainer.mlc
        self.trainer.mlc = whole.model_copy(update={"sample": SAMPLE})
        self.trainer.state.global_step = 0
        try:
            return float(self.trainer.training_step(self.model, dict(self.batches[i])))
        finally:
            self.trainer.mlc = whole

    def mlc_off(self, i: int) -> float:
        return self.mlc(i, 1)

    def backbone(self, i: int) -> float:
        pair = self.pairs[i]
        output = self.model.base_model(pair["input_ids"], attention_mask=pair["attention_mask"], use_cache=False)
        output.last_hidden_state.mean().backward()
        return 0.0

    def official(self, i: int) -> float:
        """Loss and gradients as the authors' code gets them on auxiliary steps; the others cost the same."""
        assert self.frozen is not None
        row, device = self.rows[i], self.model.device
        pair = [row["prompt_ids"] + row["chosen_ids"], row["prompt_ids"] + row["rejected_ids"]]
        everything = [torch.tensor(ids) for ids in (*pair, *row["mlc_ids"])]
        tokens = torch.nn.utils.rnn.pad_sequence(everything, True, self.trainer.processing_class.pad_token_id)
        mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(ids) for ids in everything], True).to(device)
        tokens = tokens.to(device)
        output = self.model(input_ids=tokens, attention_mask=mask, output_hidden_states=True, use_cache=False)
        with torch.no_grad():
            reference = self.frozen(input_ids=tokens, attention_mask=mask, output_hidden_states=True, use_cache=False)
        start = len(row["prompt_ids"])

        def log_probs(logits: torch.Tensor) -> torch.Tensor:
            logits = logits.float()[:2, :-1].log_softmax(-1)
            chosen = logits.gather(-1, tokens[:2, 1:].unsqueeze(-1)).squeeze(-1)
            return (chosen * mask[:2, 1:])[:, start - 1 :].sum(-1)

        ratio = log_probs(output.logits) - log_probs(reference.logits)
        loss = -F.logsigmoid(0.1 * (ratio[0] - ratio[1]))
        last = torch.tensor([len(ids) - 1 for ids in row["mlc_ids"]], device=device)
        states = output.hidden_states[-1][2:][torch.arange(len(last), device=device), last]
        values = torch.linalg.svdvals(F.normalize(self.model.mlc_extractor(states).float(), dim=-1))
        consistency = F.cross_entropy((values / values[0].detach() / 0.2).unsqueeze(0), last.new_zeros(1))
        loss = loss + 0.8 * consistency
        loss.backward()
        self.losses["official", i] = float(loss)
        return float(loss)


def seconds(work: Callable[[int], float], pairs: int) -> tuple[float, float]:
    """Seconds on the clock and of the processor for each pass, on average over the pairs."""
    synchronise()
    start, processor = time.perf_counter(), time.process_time()
    for i in range(pairs):
        work(i)
    synchronise()
    return (time.perf_counter() - start) / pairs, (time.process_time() - processor) / pairs


def synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def measure(bench: Bench, pairs: int, rounds: int) -> dict[str, Any]:
    bench.mlc(0)  # warms up
    names = ["plain", "mlc", "sampled", "mlc_off", "backbone", "official"]
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names if number % 2 == 0 else names[::-1]:
            times[name].append(seconds(getattr(bench, name), pairs))
            bench.model.zero_grad()
            wall, processor = times[name][-1]
            print(f"round {number + 1}: {name} {wall:.2f} s, processor {processor:.2f} s", file=sys.stderr, flush=True)
    tokens = {
        "pair": sum(bench.pair_tokens(i) for i in range(pairs)) / pairs,
        "prompts": sum(bench.prompt_tokens(i) for i in range(pairs)) / pairs,
    }
    means = {name: [sum(column) / rounds for column in zip(*found, strict=True)] for name, found in times.items()}
    return {
        "tokens": tokens,
        "clock": ratios({name: mean[0] for name, mean in means.items()}, tokens),
        "processor": ratios({name: mean[1] for name, mean in means.items()}, tokens),
        "largest_relative_difference_in_loss": max(
            abs(bench.losses["mlc", i] - loss) / loss for (name, i), loss in bench.losses.items() if name == "official"
        ),
    }


def ratios(times: dict[str, float], tokens: dict[str, float]) -> dict[str, Any]:
    """What the figures come to; `times` are seconds a pass."""
    ours = (times["mlc"] + times["mlc_off"]) / 2
    floor = times["plain"] + 0.5 * times["backbone"] * tokens["prompts"] / tokens["pair"]
    return {
        "seconds": {"plain": times["plain"], "floor": floor, "mlc": ours, "official": times["official"]},
        "mlc_with_auxiliary_loss": times["mlc"],
        "mlc_without": times["mlc_off"],
        "sampled_over_mlc": times["sampled"] / times["mlc"],
        "mlc_over_floor": ours / floor,
        "official_over_mlc": times["official"] / ours,
        "mlc_over_plain": ours / times["plain"],
        "tokens_per_second": (tokens["pair"] + 0.5 * tokens["prompts"]) / ours,
    }


def resident(field: str) -> int:
    """VmRSS or VmHWM of this process in bytes."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def peak(variant: str, model: Path, rows: Path, pairs: int) -> int:
    """Peak memory in bytes of two optimizer steps of a variant, above what the process had before."""
    gpu = torch.cuda.is_available()
    before = 0 if gpu else resident("VmRSS")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(model, rows, Path(folder), pairs, variant == "official")
        optimizer = torch.optim.AdamW(bench.model.parameters(), lr=1e-9)
        gc.collect()
        if gpu:
            torch.cuda.reset_peak_memory_stats()
        else:
            Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew: precomputing is not the step
        for i in range(2):
            getattr(bench, variant)(i % pairs)
            optimizer.step()
            getattr(bench, variant)(i % pairs)  # accumulates: gradients and moments are there now
            optimizer.zero_grad()
    return (torch.cuda.max_memory_allocated() if gpu else resident("VmHWM")) - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="demo-tiny", help="demo-tiny, random-150k, or a folder")
    parser.add_argument("--data", type=Path, default=SHARED, help="a training file with pairs in several languages")
    parser.add_argument("--pairs", type=int, default=8, help="spread over the file by length")
    parser.add_argument("--rounds", type=int, default=2, help="the order of the variants alternates")
    parser.add_argument("--no-memory", action="store_true", help="times only")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--peak", choices=VARIANTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    quiet()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = demo_models.folder("demo-tiny") if options.model == "demo-tiny" else Path(options.model)
        if options.model == "random-150k":
            model = random_model(folder / "random")
        if options.peak:
            print(peak(options.peak, model, options.data, options.pairs))
            return
        rows = shortened(options.data, AutoTokenizer.from_pretrained(model), options.pairs, folder)
        memory: dict[str, int] = {}
        for variant in () if options.no_memory else VARIANTS:
            command = [sys.executable, __file__, "--peak", variant, "--model", str(model), "--data", str(rows)]
            done = subprocess.run([*command, "--pairs", str(options.pairs)], capture_output=True, text=True)
            if done.returncode:
                sys.exit(done.stderr)
            memory[variant] = int(done.stdout.split()[-1])
            print(f"peak of {variant}: {memory[variant] / 2**30:.2f} GiB", file=sys.stderr, flush=True)
        bench = Bench(model, rows, folder, options.pairs, True)
        found = {"model": options.model, "hardware": hardware(), "threads": torch.get_num_threads()}
        found |= measure(bench, options.pairs, options.rounds)
    found["peak_bytes"] = memory
    if memory:
        found["peak_over_plain"] = memory["mlc"] / memory["plain"]
    if options.json:
        print(json.dumps(found, indent=1))
        return
    tokens = found["tokens"]
    print(f"{options.model}: {tokens['pair']:.0f} tokens a pair, {tokens['prompts']:.0f} of prompts")
    for kind in ("clock", "processor"):
        times = found[kind]
        print(f"by the {kind}, seconds a pass: " + ", ".join(f"{k} {v:.2f}" for k, v in times["seconds"].items()))
        print(f"  mlc over the floor {times['mlc_over_floor']:.3f} (bound 1.15)")
        print(f"  official over mlc {times['official_over_mlc']:.2f} (bound 4.5)")
        print(f"  a pass with {SAMPLE} languages drawn over one with all {times['sampled_over_mlc']:.2f}")
    print(
        f"largest difference between the losses of mlc and official: {found['largest_relative_difference_in_loss']:.0e}"
    )
    if not memory:
        return
    print("peak memory: " + ", ".join(f"{name} {size / 2**30:.2f} GiB" for name, size in memory.items()))
    print(f"  mlc over plain {found['peak_over_plain']:.3f} (bound 1.25)")


if __name__ == "__main__":
    main()
