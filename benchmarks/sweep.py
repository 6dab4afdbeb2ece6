"""What a sweep adds to its answers, and whether it survives kills: two bases, six adapters each.

    python benchmarks/sweep.py --limit 60 --max-tokens 64
    python benchmarks/sweep.py --kills 10 --model tiny --limit 10 --max-tokens 16

Without --kills: the time of one `mlc-bench sweep`, and of what it cannot do without: the generate phases of its twelve
records and two starts. A start is a whole `mlc-bench run` of one prompt and one token: process, imports, engine.

With --kills: so many sweeps on a Ray cluster of two worker nodes on this machine. In each, at a random moment, the
process of a job is ended with SIGKILL, and at another one a whole node, in whose place a new one comes. All jobs must
be complete, samples equal to those of an undisturbed sweep, and no answer may be in a store twice or be lost from it.
Exit code 1 where a check fails.

The bases are a model and a copy of it with slightly other weights; the adapters are random. `--model tiny` makes a
model with two layers.
"""

import argparse
import importlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
JOBS = 12


def make(model: str, folder: Path) -> None:
    """Two bases and six adapters in a folder."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    from mlc_bench.engines import demo_models

    if model == "tiny":
        sys.path.insert(0, str(ROOT / "tests"))
        source = importlib.import_module("conftest").make_tiny_model(folder / "one", seed=0)
    else:
        source = demo_models.folder(model) if model in demo_models.MODELS else Path(model)
        shutil.copytree(source, folder / "one")
    torch.manual_seed(0)
    other = AutoModelForCausalLM.from_pretrained(source)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1 + 0.01 * torch.randn(()).item())
    shutil.copytree(folder / "one", folder / "two", ignore=shutil.ignore_patterns("*.safetensors*"))
    other.save_pretrained(folder / "two")
    settings = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    for seed in range(JOBS // 2):
        torch.manual_seed(seed)
        adapted = get_peft_model(AutoModelForCausalLM.from_pretrained(source), settings)
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter.data, std=1.0 if model == "tiny" else 0.02)
        adapted.save_pretrained(folder / f"a{seed}")


def command(name: str, *arguments: str | Path | int) -> list[str]:
    return [str(BIN / "mlc-bench"), name, *map(str, arguments)]


def write_file(folder: Path, options: argparse.Namespace) -> Path:
    path = folder / "sweep.yaml"
    path.write_text(
        "models: [one, two]\n"
        f"adapters: [{', '.join(f'a{seed}' for seed in range(JOBS // 2))}]\n"
        "tasks: starter_harmful\nlanguages: [en, sw]\nengine: hf\n"
        f"limit: {options.limit}\nmax_tokens: {options.max_tokens}\nengine_args: {{batch_size: {options.batch}}}\n"
    )
    return path


def events(stdout: str) -> list[dict[str, Any]]:
    if strange := [line for line in stdout.splitlines() if not line.startswith("{")]:
        raise SystemExit(f"stdout has more than events: {strange}")
    return [json.loads(line) for line in stdout.splitlines()]


def records(output: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(output.glob("*/*/run.json"))]


def samples(output: Path) -> dict[str, str]:
    return {str(path.relative_to(output)): path.read_text() for path in sorted(output.glob("*/*/samples/*.jsonl"))}


def keys(output: Path) -> list[str]:
    paths = sorted(output.glob("*/responses/*.jsonl"))
    return [json.loads(line)["key"] for path in paths for line in path.read_text().split("\n")[:-1]]  # whole ones


def measure(folder: Path, options: argparse.Namespace) -> bool:
    small: list[str | int] = [
        "--tasks",
        "starter_harmful",
        "--languages",
        "en",
        "--limit",
        1,
        "--max-tokens",
        1,
        "--engine",
        "hf",
    ]
    starts = []
    for name in ("one", "two"):
        begin = time.perf_counter()
        asked = command("run", "--model", name, "--adapter", "a0", "--output", "starts", *small)
        subprocess.run(asked, cwd=folder, check=True, capture_output=True)
        starts.append(time.perf_counter() - begin)
    begin = time.perf_counter()
    asked = command("sweep", write_file(folder, options), "--json")
    done = subprocess.run(asked, cwd=folder, check=True, stdout=subprocess.PIPE, text=True)
    took = time.perf_counter() - begin
    engines = sum(event["event"] == "engine" for event in events(done.stdout))
    generation = sum(found["phases"]["generate"] for found in records(folder / "results"))
    needed = generation + sum(starts)
    print(f"sweep of {JOBS} jobs: {took:.1f} s, {engines} engine starts")
    print(f"generation {generation:.1f} s, two starts {sum(starts):.1f} s: {needed:.1f} s")
    print(f"ratio {took / needed:.3f}")
    return engines == 2


class Nodes:
    """A Ray cluster of processes on this machine: a head without room for jobs, and two workers."""

    def __init__(self) -> None:
        os.environ.setdefault("RAY_memory_monitor_refresh_ms", "0")  # it would count what others use, and kill for that
        from ray.cluster_utils import Cluster

        small = {"object_store_memory": 80 << 20, "include_dashboard": False}
        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **small})
        self.small = {"num_cpus": 1, "memory": 4 << 30, "object_store_memory": 80 << 20}
        for _ in range(2):
            self._add()

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def lose(self, number: int) -> None:
        """End all processes of a worker node with SIGKILL, and add another one."""
        self.cluster.remove_node(list(self.cluster.worker_nodes)[number], allow_graceful=False)
        self._add()

    def _add(self) -> None:
        for attempt in range(5):
            try:
                self.cluster.add_node(**self.small)
                return
            except Exception as error:  # Ray gives a node 30 seconds to start, too few on a busy machine
                print(f"a node did not start ({error})" if attempt < 4 else "no node starts", file=sys.stderr)
        raise SystemExit(1)

    def task_processes(self) -> list[Any]:
        """Of the jobs that are under way, wherever they run."""
        import psutil

        return [process for process in psutil.process_iter(["cmdline"]) if _is_task(process)]


def _is_task(process: Any) -> bool:
    title = " ".join(process.info["cmdline"] or [])
    return title.startswith("ray::") and "mlc-bench" in title


def disturbed(nodes: Nodes, folder: Path, options: argparse.Namespace, number: int, expected: Any) -> bool:
    """One sweep with two kills; whether it ended as one without."""
    chance = random.Random(options.seed + number)
    output = folder / f"killed-{number}"
    asked = command("sweep", write_file(folder, options), "--on", "ray", "--json", "--output", output)
    environment = os.environ | {"RAY_ADDRESS": nodes.address}
    sweep = subprocess.Popen(asked, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
    log = []

    def kill() -> None:
        total = len(expected[1])
        targets = sorted(chance.randrange(1, total * 9 // 10) for _ in range(2))
        for kind, target in zip(chance.sample(["process", "node"], 2), targets, strict=True):
            while output.exists() is False or len(keys(output)) < target:
                if sweep.poll() is not None:
                    return
                time.sleep(0.05)
            stored = len(keys(output))
            if kind == "process" and (found := nodes.task_processes()):
                chance.choice(found).kill()
            else:
                kind = "node"
                nodes.lose(chance.randrange(2))
            log.append(f"{kind} at {stored} of {total} answers")

    printed: list[str] = []
    reader = threading.Thread(target=lambda: printed.extend(sweep.stdout or ()))
    reader.start()
    kill()  # here, as only the main thread may start a node
    sweep.wait(timeout=1800)
    reader.join()
    told = events("".join(printed))
    stored = keys(output)
    checks = {
        "complete": sweep.returncode == 0 and told[-1]["complete"] == JOBS,
        "equal samples": samples(output) == expected[0],
        "stored once": sorted(stored) == sorted(expected[1]),
    }
    print(f"sweep {number}: killed {', '.join(log)}; {checks}", flush=True)
    return all(checks.values())


def survive(folder: Path, options: argparse.Namespace) -> bool:
    asked = command("sweep", write_file(folder, options), "--json", "--output", "undisturbed")
    subprocess.run(asked, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    expected = samples(folder / "undisturbed"), keys(folder / "undisturbed")
    nodes = Nodes()
    return all([disturbed(nodes, folder, options, number, expected) for number in range(1, options.kills + 1)])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="demo-tiny", help="tiny, a demo model or a folder")
    parser.add_argument("--limit", type=int, default=60)
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--kills", type=int, default=0, help="sweeps with kills, instead of the measurement")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # sums are the same wherever a job runs
    with tempfile.TemporaryDirectory() as name:
        make(options.model, Path(name))
        return 0 if (survive if options.kills else measure)(Path(name), options) else 1


if __name__ == "__main__":
    sys.exit(main())
