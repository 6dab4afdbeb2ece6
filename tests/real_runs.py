"""Runs of a real model by the command line, and what they leave behind."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from mlc_bench.core.errors import PrerequisiteError
from mlc_bench.engines import demo_models, vllm_cpu

BIN = Path(sys.executable).parent
ASKED = ["--tasks", "starter_harmful,starter_benign", "--languages", "en,sw", "--limit", "4", "--max-tokens", "24"]
needs_vllm = pytest.mark.skipif(
    not (vllm_cpu.version("vllm") or vllm_cpu.version("vllm-cpu")), reason="neither vllm nor vllm-cpu is installed"
)


@pytest.fixture(scope="session")
def demo_model() -> Path:
    """The converted demo model, from the user's own cache so that it is converted once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLC_BENCH_CACHE", raising=False)
        try:
            return demo_models.folder("demo-tiny")
        except PrerequisiteError as error:
            pytest.skip(str(error))


def run(*arguments: str | Path, cwd: Path, timeout: int = 600) -> subprocess.CompletedProcess[str]:
    command = [BIN / "mlc-bench", "run", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=timeout)


def samples(folder: Path, task: str = "starter_harmful") -> list[dict]:
    (path,) = folder.glob(f"results/*/*/samples/{task}.jsonl")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def record(folder: Path) -> dict:
    (path,) = folder.glob("results/*/*/run.json")
    return json.loads(path.read_text(encoding="utf-8"))


def engine_processes(folder: Path) -> set[int]:
    """Ids of the processes of vLLM engines that runs in this folder started; other tests may have theirs."""
    found = psutil.process_iter(["name", "cwd"])
    return {one.pid for one in found if one.info["cwd"] == str(folder) and "VLLM::" in (one.info["name"] or "")}


def wait_for(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.5)


def check_samples(rows: list[dict]) -> None:
    assert len(rows) == 8
    assert [row["language"] for row in rows] == ["en"] * 4 + ["sw"] * 4
    assert {row["id"] for row in rows[:4]} == {row["id"] for row in rows[4:]}
    for row in rows:
        assert row["response"].strip()
        assert 0 < row["tokens_out"] <= 24
        assert row["tokens_in"] > 5
        assert not row["truncated"] or row["tokens_out"] == 24
