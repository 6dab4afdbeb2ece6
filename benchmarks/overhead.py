"""Wall time of our generate phase over the bare engine, same prompts, same process: python benchmarks/overhead.py

The bare engine is lm-eval's model class given all prompts in one call. Ours is the whole generate phase: the check of
lengths, lm-eval's evaluator, the store flushed after every chunk, the samples written. Short answers make the test
harder: the engine's share shrinks, ours stays.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lm_eval.api.instance import Instance

from mlc_bench import catalog, engines, generation
from mlc_bench.cli import quiet
from mlc_bench.identity import resolve
from mlc_bench.spec import RunSpec
from mlc_bench.store import ResponseStore, StoredLM


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=["hf", "vllm"], default="hf")
    parser.add_argument("--model", default="demo")
    parser.add_argument("--task", default="pku", help="pku needs MLC_BENCH_DATA or a network")
    parser.add_argument("--max-tokens", type=int, default=16)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--batch-size", type=int, default=64, help="of hf")
    parser.add_argument("--rounds", type=int, default=1, help="who goes first alternates; for a noisy machine")
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
    lm: Any = engines.build(spec, resolve(spec), [])

    def load() -> list[generation.LoadedTask]:
        return [generation.load(entry, spec) for entry in catalog.select(list(spec.tasks))]

    requests = []
    for task in load():
        for lm_task in task.by_language.values():
            settings = lm_task.config.generation_kwargs
            for index, doc in enumerate(lm_task.eval_docs):
                context = lm.apply_chat_template([{"role": "user", "content": lm_task.doc_to_text(doc)}])
                requests.append(Instance("generate_until", doc, (context, settings), index))
    print(f"{options.engine}, {len(requests)} prompts of {options.task}, {options.max_tokens} tokens each at most")

    def bare() -> None:
        if options.engine == "vllm":
            lm.batch_size = len(requests)  # all of them in one call
        lm.generate_until(requests, disable_tqdm=True)
        if options.engine == "vllm":
            lm.batch_size = engines.chunk_size(spec)

    def ours() -> None:
        with tempfile.TemporaryDirectory() as folder:
            stored = StoredLM(
                lm, ResponseStore(Path(folder) / "responses.jsonl", "benchmark"), engines.chunk_size(spec)
            )
            tasks = load()
            generation.check_lengths(stored, tasks, spec)
            generation.run(stored, tasks, spec, Path(folder))
            assert stored.generated == len({request.args[0] for request in requests})

    lm.generate_until(random.Random(0).sample(requests, min(64, len(requests))), disable_tqdm=True)  # warm up
    total = {"bare": 0.0, "ours": 0.0}
    for number in range(options.rounds):
        pair = {"bare": bare, "ours": ours}
        order = ["bare", "ours"] if number % 2 == 0 else ["ours", "bare"]
        times = {}
        for name in order:
            times[name] = seconds(pair[name])
            total[name] += times[name]
            print(f"{name} {times[name]:.1f} s", flush=True)
        ratio = total["ours"] / total["bare"]
        print(f"rounds so far: {number + 1}, ours over bare: {ratio:.3f} (bound 1.05)", flush=True)
    engines.close(lm)


if __name__ == "__main__":
    main()
