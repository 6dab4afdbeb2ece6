"""Time of our generate phase over the bare engine, same prompts, same process: python benchmarks/overhead.py

The bare engine is lm-eval's model class given all prompts in one call. Ours is the whole generate phase: the check of
lengths, lm-eval's evaluator, the store flushed after every chunk, the samples written. Short answers make the test
harder: the engine's share shrinks, ours stays.

The prompts are taken in slices, each by both in turn, and who goes first alternates: a machine whose speed drifts slows
both alike. Every slice pays our fixed cost anew (a whole run pays it once): the last line says how long our own work on
all prompts takes when the engine answers at once. CPU seconds (hf only: vLLM's engine is another process) do not count
the time that other processes took.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from lm_eval.api.instance import Instance

from mlc_bench.catalog import listing
from mlc_bench.console import quiet
from mlc_bench.core.spec import RunSpec
from mlc_bench.engines import generation, lifecycle, metered
from mlc_bench.engines.identity import resolve
from mlc_bench.engines.store import ResponseStore, StoredLM


def seconds(work: Callable[[], Any]) -> tuple[float, float]:
    """Wall and CPU seconds of a piece of work."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=["hf", "vllm"], default="hf")
    parser.add_argument("--model", default="demo-tiny")
    parser.add_argument("--task", default="pku", help="pku needs MLC_BENCH_DATA or a network")
    parser.add_argument("--max-tokens", type=int, default=16)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--batch-size", type=int, default=16, help="of hf")
    parser.add_argument("--slices", type=int, default=6, help="parts of the prompts, measured in turn")
    options = parser.parse_args()
    quiet()
    arguments = {"batch_size": options.batch_size} if options.engine == "hf" else {}
    spec = RunSpec(
        model=options.model,
        engine=options.engine,
        tasks=(options.task,),
        engine_args=arguments,
        max_tokens=options.max_tokens,
        limit=options.limit,
    )
    lm: Any = lifecycle.build(spec, resolve(spec), [])

    def load(part: int | None) -> list[generation.LoadedTask]:
        """The task's prompts, or every n-th of them, from the `part`-th on."""
        loaded = [generation.load(entry, spec) for entry in listing.select(list(spec.tasks))]
        for lm_task in (lm_task for task in loaded for lm_task in task.all if part is not None):
            lm_task.dataset["test"] = lm_task.dataset["test"].shard(options.slices, part)
        return loaded

    def requests(part: int) -> list[Instance]:
        return [
            Instance(
                "generate_until",
                doc,
                (
                    lm.apply_chat_template([{"role": "user", "content": lm_task.doc_to_text(doc)}]),
                    lm_task.config.generation_kwargs,
                ),
                index,
            )
            for task in load(part)
            for lm_task in task.all
            for index, doc in enumerate(lm_task.eval_docs)
        ]

    def bare(asked: list[Instance]) -> None:
        if options.engine == "vllm":
            lm.batch_size = len(asked)  # all of them in one call
        lm.generate_until(asked, disable_tqdm=True)
        if options.engine == "vllm":
            lm.batch_size = metered.chunk_size(spec)

    def ours(part: int | None) -> int:
        with tempfile.TemporaryDirectory() as folder:
            store = ResponseStore(Path(folder) / "responses.jsonl", "benchmark")
            stored = StoredLM(lm, store, metered.chunk_size(spec))
            tasks = load(part)
            generation.check_lengths(stored, tasks, spec)
            generation.run(stored, tasks, spec, Path(folder))
            return stored.generated

    lm.generate_until(requests(0)[:64], disable_tqdm=True)  # warm up
    total = dict.fromkeys(("bare", "ours", "bare cpu", "ours cpu"), 0.0)
    prompts = 0
    for part in range(options.slices):
        asked = requests(part)
        prompts += len(asked)
        order: list[tuple[str, Callable[[], Any]]] = [("bare", partial(bare, asked)), ("ours", partial(ours, part))]
        for name, work in order if part % 2 == 0 else reversed(order):
            wall, cpu = seconds(work)
            total[name] += wall
            total[f"{name} cpu"] += cpu
        print(
            f"{options.engine}, {prompts} prompts of {options.task}, {options.max_tokens} tokens each at most: "
            f"bare {total['bare']:.1f} s, ours {total['ours']:.1f} s, ratio {total['ours'] / total['bare']:.3f} "
            f"(bound 1.05); of CPU time {total['ours cpu'] / total['bare cpu']:.3f}",
            flush=True,
        )
    lm.generate_until = lambda asked, disable_tqdm: ["answered"] * len(asked)
    wall, _ = seconds(lambda: ours(None))
    share = wall / total["bare"]
    print(f"our own work alone, all {prompts} prompts at once: {wall:.1f} s, {share:.3f} of the bare engine")
    lifecycle.close(lm)


if __name__ == "__main__":
    main()
