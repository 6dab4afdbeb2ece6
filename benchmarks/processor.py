"""What the settings of mlc_bench.core.processor are worth: python benchmarks/processor.py [vllm] [run] [train]

  vllm    64 prompts on vLLM: two engines in one process, one started with vLLM's own settings and one with ours, which
          take turns; the ratio of their median seconds
  run     an `mlc-bench run` on transformers, alone and beside one process that only computes
  train   a step of `train-baseline sft --mlc`, alone and beside the same

`run` and `train` are whole processes, once with our settings and once with the libraries' own, in turn. The libraries'
own are given by name, since a setting that the user made is left alone: GOMP_SPINCOUNT is libgomp's own default, and
an empty GLIBC_TUNABLES leaves the allocator as it comes. Run it on a machine where nothing else runs.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mlc_bench.core import processor

BIN = Path(sys.executable).parent
OURS: dict[str, str] = {}
THEIRS = {"GOMP_SPINCOUNT": "300000", "GLIBC_TUNABLES": ""}
BUSY = "while True: pass"


def environment(settings: dict[str, str]) -> dict[str, str]:
    """This process's environment without what importing our package has set, and with `settings`."""
    ours = processor.settings()
    return {name: value for name, value in os.environ.items() if name not in ours} | settings


@contextmanager
def beside(busy: bool) -> Iterator[None]:
    """Beside one process that only computes, or alone."""
    other = subprocess.Popen([sys.executable, "-c", BUSY]) if busy else None
    try:
        yield
    finally:
        if other:
            other.kill()
            other.wait()


def engines(rounds: int, tokens: int, model: str) -> None:
    """Both engines of vLLM, in this process; each takes its settings from the environment when it is started."""
    from mlc_bench.engines import demo_models, vllm_cpu

    vllm_cpu.install()
    from vllm import LLM, SamplingParams

    folder = str(demo_models.folder(model))
    prompts = [[{"role": "user", "content": f"Write a short story about the number {i}."}] for i in range(64)]
    parameters = SamplingParams(temperature=0, max_tokens=tokens, ignore_eos=True)
    os.environ["VLLM_CPU_KVCACHE_SPACE"] = "1"  # GiB, of each
    started = {}
    for name, settings in (("theirs", {}), ("ours", OURS)):  # each is read by the engine's own process
        plain = environment(settings)
        os.environ.clear()
        os.environ.update(plain)
        if name == "ours":
            processor.wait_passively()
            processor.keep_memory()
            processor.use_every_core()
        started[name] = LLM(folder, dtype="bfloat16", max_model_len=512, enforce_eager=True)
    seconds: dict[str, list[float]] = {name: [] for name in started}
    for turn in range(rounds + 1):
        for name, engine in started.items():
            begun = time.perf_counter()
            engine.chat(prompts, parameters, use_tqdm=False)
            if turn:  # the first is a warm-up
                seconds[name].append(time.perf_counter() - begun)
    theirs, ours = (statistics.median(seconds[name]) for name in ("theirs", "ours"))
    print(
        f"vllm, 64 prompts, {tokens} tokens each, {rounds} turns: vLLM's own {theirs:.1f} s, ours {ours:.1f} s: "
        f"{theirs / ours:.2f} times as fast",
        flush=True,
    )


def run_seconds(settings: dict[str, str], busy: bool, model: str) -> float:
    """Seconds of one process that answers 40 prompts on transformers."""
    with tempfile.TemporaryDirectory() as folder, beside(busy):
        command = [str(BIN / "mlc-bench"), "run", "--model", model, "--engine", "hf", "--tasks", "starter_harmful"]
        command += ["--languages", "en,zh", "--limit", "20", "--max-tokens", "32", "--output", folder]
        command += ["--engine-args", "batch_size=20"]
        begun = time.perf_counter()
        subprocess.run(command, check=True, env=environment(settings), stdout=subprocess.DEVNULL)
        return time.perf_counter() - begun


def step_seconds(settings: dict[str, str], busy: bool, model: str) -> float:
    """Seconds of one step of SFT + MLC over all languages, a row each: the mean of three."""
    with tempfile.TemporaryDirectory() as folder, beside(busy):
        output = Path(folder) / "run"
        command = [str(BIN / "train-baseline"), "sft", "--mlc", "--mlc.every", "1", "--lora", "--model", model]
        command += ["--data", "embedded", "--batch-size", "1", "--accumulation", "1", "--max-steps", "3"]
        command += ["--output", str(output)]
        subprocess.run(command, check=True, env=environment(settings), stdout=subprocess.DEVNULL)
        return json.loads((output / "train_manifest.json").read_text())["seconds"] / 3


def paired(what: str, work: Callable[[dict[str, str], bool, str], float], rounds: int, model: str) -> None:
    """Each of the four conditions in turn, `rounds` times, and the ratios of their medians."""
    seconds: dict[tuple[str, bool], list[float]] = {}
    for _ in range(rounds):
        for name, settings in (("ours", OURS), ("theirs", THEIRS)):
            for busy in (False, True):
                seconds.setdefault((name, busy), []).append(work(settings, busy, model))
    middle = {key: statistics.median(values) for key, values in seconds.items()}
    for name in ("ours", "theirs"):
        alone, beside_one = middle[name, False], middle[name, True]
        ratio = f"{beside_one / alone:.2f} times as long"
        print(f"{what}, {name}: alone {alone:.1f} s, beside a busy process {beside_one:.1f} s: {ratio}")
    print(f"{what}, theirs over ours: alone {middle['theirs', False] / middle['ours', False]:.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=["vllm", "run", "train"], metavar="vllm|run|train")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="demo", help="a demo model")
    parser.add_argument("--tokens", type=int, default=48, help="of each prompt on vLLM")
    options = parser.parse_args()
    if wrong := set(options.what) - {"vllm", "run", "train"}:
        parser.error(f"no such measurement: {', '.join(sorted(wrong))}")
    if "run" in options.what:
        paired("run", run_seconds, options.rounds, options.model)
    if "train" in options.what:
        paired("train", step_seconds, options.rounds, options.model)
    if "vllm" in options.what:
        engines(options.rounds, options.tokens, options.model)


if __name__ == "__main__":
    main()
