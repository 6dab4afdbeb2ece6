"""Peak memory of a run whose answers a second model judges: python benchmarks/judges/judge_memory.py

Four processes: the imports alone, the run without a judge model, the judge alone, and both in one run. The evaluated
model is closed before the judge's is loaded, so the peak of both must be that of the larger one, not their sum. Both
are the demo model in float32 (0.5 GB each) on transformers. Exit code 1 where the peak is nearer to the sum.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def peak(*arguments: str) -> float:
    """Largest resident memory of one command, in MiB."""
    code = "import lm_eval.models.huggingface; from mlc_bench.cli.main import main; main()"
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    # 3: a judge of 135M parameters that never keeps to the format has judged nothing, and has been in memory.
    if os.waitstatus_to_exitcode(status) not in (0, 3):
        sys.exit(f"failed: mlc-bench {' '.join(arguments)}")
    return usage.ru_maxrss / 1024


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="mlc-judge-memory-"))
    answers = folder / "answers.jsonl"
    # Each time other answers: replies to the same ones would be in the cache, and no model be loaded.
    now = time.time_ns()
    rows = [{"id": i, "language": "en", "prompt": "Hello?", "response": f"Hello {i} at {now}."} for i in range(4)]
    answers.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = [
        "run",
        "--model",
        "demo-tiny",
        "--engine",
        "hf",
        "--engine-args",
        "dtype=float32",
        "--engine-args",
        "batch_size=1",
    ]
    run += ["--tasks", "starter_harmful", "--languages", "en", "--limit", "4", "--max-tokens", "8", "--output"]
    judge = ["--judge", "llm@demo-tiny", "--judge-args", "engine=hf", "--judge-args", "dtype=float32"]
    judge += ["--judge-args", "batch_size=1", "--judge-args", "max_tokens=8"]
    idle = peak(*run, str(folder / "0"), "--dry-run")
    evaluated = peak(*run, str(folder / "1"))
    both = peak(*run, str(folder / "2"), *judge, "--allow-self-judge")
    alone = peak("judge", str(answers), *judge)
    larger, added = max(evaluated, alone) - idle, evaluated + alone - 2 * idle
    print(f"imports {idle:.0f} MiB; over that: run {evaluated - idle:.0f}, judge alone {alone - idle:.0f} MiB")
    print(f"run with the judge {both - idle:.0f} MiB: {(both - idle) / larger:.2f} of the larger, "
          f"{(both - idle) / added:.2f} of the sum")  # fmt: skip
    return 0 if both - idle < (larger + added) / 2 else 1


if __name__ == "__main__":
    sys.exit(main())
