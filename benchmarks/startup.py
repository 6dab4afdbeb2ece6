"""How long the command line takes to answer, beside lm-eval's own: python benchmarks/startup.py"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = (
    ["mlc-bench", "--help"],
    ["mlc-bench", "tasks", "list"],
    ["mlc-bench", "languages", "list"],
    ["mlc-bench", "suites", "show", "paper"],
    ["mlc-bench", "run", "--tasks", "paper", "--model", "demo", "--engine", "hf", "--dry-run"],
    ["lm_eval", "ls", "tasks"],
)
REPEATS = 3


def seconds(command: list[str]) -> float:
    program = Path(sys.executable).with_name(command[0])
    start = time.perf_counter()
    subprocess.run([program, *command[1:]], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    reference = None
    for command in reversed(COMMANDS):
        times = sorted(seconds(command) for _ in range(REPEATS))
        median = statistics.median(times)
        reference = reference or median
        name = " ".join(command).partition(" --model")[0]
        print(
            f"{name:30} median {median:6.2f} s ({times[0]:.2f} to {times[-1]:.2f})  "
            f"1/{reference / median:.0f} of lm_eval ls tasks"
        )


if __name__ == "__main__":
    main()
