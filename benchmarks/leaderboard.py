"""How the leaderboard grows with its records: python benchmarks/leaderboard.py

Makes up records of 4 tasks in 15 languages, 200 prompts each, a tenth of them of base models and the others trained
from those, and prints what reading them, `mlc-bench leaderboard build` (with 2,000 resamples) and `check` take for
100, 300 and 1,000: seconds by the clock and of the processor, which differ on a machine with other work, and memory.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from mlc_bench.core.spec import digest
from mlc_bench.stats.measures import wilson

LANGUAGES = ("en", "zh", "ar", "ru", "ja", "bn", "sw", "ur", "ps", "ku", "it", "vi", "ko", "th", "jv")
TASKS = (
    ("harm_a", "safety", "refusal_rate"), ("harm_b", "safety", "refusal_rate"),
    ("benign", "over_refusal", "over_refusal"), ("quiz", "utility", "acc"),
)  # fmt: skip
PROMPTS = 200
COMMAND = str(Path(sys.executable).with_name("mlc-bench"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, nargs="+", default=[100, 300, 1000])
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores; 4 tasks x {len(LANGUAGES)} languages x {PROMPTS} prompts, 2,000 resamples")
    with tempfile.TemporaryDirectory() as folder:
        for count in options.records:
            results, tables = Path(folder, f"results{count}"), Path(folder, f"tables{count}")
            for index in range(count):
                write(results / f"{index:05}" / "run.json", index)
            size = sum(path.stat().st_size for path in results.rglob("*.json")) / 2**20
            start = time.perf_counter()
            read(results)
            print(f"{count} records of {size:.0f} MiB: reading {time.perf_counter() - start:.2f} s", flush=True)
            for what, arguments in (
                ("tables", ("build", results, "--out", tables, "--no-plots", "--no-page")),
                ("check", ("check", results, "--tables", tables)),
                ("tables, plots, page", ("build", results, "--out", tables)),
            ):
                seconds, cpu, peak = measured(*map(str, arguments))
                print(
                    f"  {what:20}{seconds:7.2f} s, processor {cpu:6.2f} s, {1000 * cpu / count:5.1f} ms a record, "
                    f"{peak:.2f} GiB",
                    flush=True,
                )


def measured(*arguments: str) -> tuple[float, float, float]:
    """Seconds by the clock and of the processor, and peak GiB, of `mlc-bench leaderboard ...`."""
    start = time.perf_counter()
    process = subprocess.Popen([COMMAND, "leaderboard", *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, arguments
    seconds = time.perf_counter() - start
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 2**30


def read(results: Path) -> None:
    from mlc_bench.records import record

    for path in results.rglob("run.json"):
        record.read(path)


def write(path: Path, index: int) -> None:
    """One made-up record. Prompts differ in difficulty, so that the verdicts of languages and models are correlated."""
    generator = np.random.default_rng(index)
    is_base, name = index % 10 == 0, f"model-{index:05}"
    base = f"model-{index - index % 10:05}"
    training = {
        "method": f"method-{index % 10}",
        "base_model": {"name": base, "revision": None, "weights_digest": hashed(base)},
        "data": {"languages": list(LANGUAGES[:10])},
    }
    content = {
        "schema_version": 2, "run_id": hashed(name)[:12], "status": "complete", "limited": False,
        "created": "2026-11-01T00:00:00+00:00", "finished": "2026-11-01T00:00:00+00:00",
        "spec": {"model": name, "engine": "vllm", "tasks": [task for task, _, _ in TASKS]},
        "model": {
            "name": name, "requested_revision": None, "resolved_revision": None, "weights_digest": hashed(name),
            "config_digest": hashed("config"), "tokenizer_digest": hashed("tokenizer"), "adapter": None,
            "training": None if is_base else training, "fingerprint": hashed(f"{name} on vllm"), "dtype": "bfloat16",
            "quantization": None, "engine": "vllm", "engine_version": "0.33.0", "engine_args": {},
        },
        "prompting": {"chat_template": "t" * 1000, "chat_template_sha256": hashed("t"), "system_prompt": None,
                      "first_token_ids": [1, 2, 3]},
        "judge": {"id": "rules", "version": "1", "digest": hashed("rules"), "parse_failures": 0},
        "tasks": [task(generator, *one) for one in TASKS],
        "phases": {}, "responses": {}, "packages": {}, "hardware": {}, "git": {},
    }  # fmt: skip
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


def task(generator: np.random.Generator, name: str, measures: str, headline: str) -> dict[str, Any]:
    difficulty = np.random.default_rng(len(name)).normal(size=PROMPTS)
    level = generator.normal(0.5, 0.5) + generator.normal(0, 0.3, size=len(LANGUAGES))
    holds = generator.normal(size=(len(LANGUAGES), PROMPTS)) < level[:, None] + difficulty
    languages = {}
    for code, row in zip(LANGUAGES, holds, strict=True):
        outcomes = "".join("1" if hit else "0" for hit in row)
        metrics = {headline: rate(int(row.sum()))}
        if measures == "safety":
            metrics |= {
                "attack_success_rate": rate(PROMPTS - int(row.sum())), "invalid_rate": rate(0),
                "language_fidelity": rate(PROMPTS), "refusal_rate_invalid_as_refused": rate(int(row.sum())),
                "refusal_rate_invalid_excluded": rate(int(row.sum())),
            }  # fmt: skip
        prints = {part: hashed(f"{part} {name} {code}") for part in ("data_fingerprint", "prompt_fingerprint")}
        languages[code] = {
            "n": PROMPTS, "n_unscored": 0, "truncated": 0, "tokens_in": 1, "tokens_out": 1, **prints,
            "comparability_key": digest(name, prints), "metrics": metrics, "outcomes": outcomes,
        }  # fmt: skip
    return {
        "name": name, "pack": "made-up", "version": 1, "measures": measures, "status": "complete", "headline": headline,
        "over_refusal_task": "benign" if measures == "safety" else None, "generation": {"max_gen_toks": 256},
        "languages": languages,
    }  # fmt: skip


def rate(hits: int) -> dict[str, Any]:
    low, high = INTERVALS[hits]
    return {"value": hits / PROMPTS, "low": low, "high": high, "n": PROMPTS}


def hashed(text: str) -> str:
    return sha256(text.encode()).hexdigest()


INTERVALS = [wilson(hits, PROMPTS) for hits in range(PROMPTS + 1)]

if __name__ == "__main__":
    main()
