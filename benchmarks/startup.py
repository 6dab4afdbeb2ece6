"""How long Python and the commands take to answer, each as a whole process: python benchmarks/startup.py

Each round starts every program once, in turn, so that a busy moment of a shared machine meets all of them. Quote the
minimum for an idle core and the median for the machine as it was. `over Python` is the median of the differences to
bare Python in the same round. --all adds commands that read tasks, and lm-eval's own list of tasks (half a minute).
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

PYTHON = ["python", "-c", "pass"]
PROGRAMS = (
    PYTHON,
    ["python", "-c", "import mlc_bench"],
    ["python", "-c", "from mlc_bench import run"],
    ["mlc-bench", "--help"],
    ["train-baseline", "--help"],
)
LONGER = (
    ["mlc-bench", "tasks", "list"],
    ["mlc-bench", "languages", "list"],
    ["mlc-bench", "suites", "show", "paper"],
    ["mlc-bench", "run", "--tasks", "paper", "--model", "demo-tiny", "--engine", "hf", "--dry-run"],
    ["lm_eval", "ls", "tasks"],
)


def seconds(command: list[str]) -> float:
    """Wall time of a program of this environment, from its start to its end."""
    program = Path(sys.executable).with_name(command[0])
    start = time.perf_counter()
    subprocess.run([program, *command[1:]], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=11, help="counted rounds, after one that is not counted")
    parser.add_argument("--all", action="store_true", help="also longer commands, and lm-eval's own list of tasks")
    options = parser.parse_args()
    programs = PROGRAMS + (LONGER if options.all else ())
    for program in programs:
        seconds(program)
    times: list[list[float]] = [[] for _ in programs]
    for _ in range(options.runs):
        for own, program in zip(times, programs, strict=True):
            own.append(seconds(program))
    load = ", ".join(f"{number:.1f}" for number in os.getloadavg())
    print(f"{options.runs} rounds, Python {sys.version.split()[0]}, {os.cpu_count()} cores, load {load}; seconds")
    print(f"{'program':38} {'min':>6} {'median':>7} {'max':>6}  {'over Python':>11} {'x Python':>8}")
    bare = times[0]
    for program, own in zip(programs, times, strict=True):
        name = " ".join(program).partition(" --model")[0]
        over = statistics.median(mine - base for mine, base in zip(own, bare, strict=True))
        ratio = statistics.median(mine / base for mine, base in zip(own, bare, strict=True))
        median = statistics.median(own)
        print(f"{name:38} {min(own):6.3f} {median:7.3f} {max(own):6.3f}  {over:11.3f} {ratio:8.1f}")


if __name__ == "__main__":
    main()
