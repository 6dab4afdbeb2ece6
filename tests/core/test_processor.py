"""How the libraries use the processor: our settings by default, the user's own wherever there is one."""

import json
import os
import subprocess
import sys

import pytest

from mlc_bench.core import processor

NAMES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_",
         "MALLOC_ARENA_MAX", "GLIBC_TUNABLES", "LD_PRELOAD", "VLLM_CPU_OMP_THREADS_BIND",
         "VLLM_CPU_NUM_OF_RESERVED_CPU")  # fmt: skip
SHOW = """
import json, os, sys
import mlc_bench
assert "torch" not in sys.modules
from mlc_bench.core import processor
processor.keep_memory(); processor.use_every_core()
print(json.dumps(dict(os.environ)))
"""
CORES = ",".join(map(str, sorted(os.sched_getaffinity(0))))
OURS = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "1000",
    "MALLOC_MMAP_THRESHOLD_": str(1 << 25),
    "MALLOC_TRIM_THRESHOLD_": str((1 << 63) - 1),
    "VLLM_CPU_OMP_THREADS_BIND": CORES,
}


def settled(**own):
    environment = {name: value for name, value in os.environ.items() if name not in NAMES}
    done = subprocess.run([sys.executable, "-c", SHOW], env=environment | own, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {name: value for name, value in json.loads(done.stdout).items() if name in NAMES}


def test_by_default():
    assert settled() == OURS


@pytest.mark.parametrize(
    ("own", "dropped"),
    [
        ({"OMP_WAIT_POLICY": "ACTIVE"}, ("GOMP_SPINCOUNT",)),
        ({"GOMP_SPINCOUNT": "100"}, ("OMP_WAIT_POLICY",)),
        ({"KMP_BLOCKTIME": "1"}, ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")),
        ({"MALLOC_ARENA_MAX": "2"}, ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")),
        ({"MALLOC_TRIM_THRESHOLD_": "1000"}, ("MALLOC_MMAP_THRESHOLD_",)),
        ({"GLIBC_TUNABLES": "glibc.malloc.arena_max=2"}, ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")),
        ({"VLLM_CPU_OMP_THREADS_BIND": "0"}, ()),
        ({"VLLM_CPU_NUM_OF_RESERVED_CPU": "1"}, ("VLLM_CPU_OMP_THREADS_BIND",)),
    ],
)
def test_the_users_own_wins(own, dropped):
    assert settled(**own) == {name: value for name, value in OURS.items() if name not in dropped} | own


def test_torch_waits_passively():
    """What libgomp itself says it has read, as torch brings it."""
    environment = {name: value for name, value in os.environ.items() if name not in NAMES}
    command = [sys.executable, "-c", "import mlc_bench, torch; torch.ones(9) @ torch.ones(9)"]
    done = subprocess.run(command, env=environment | {"OMP_DISPLAY_ENV": "VERBOSE"}, capture_output=True, text=True)
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in done.stderr
    assert "GOMP_SPINCOUNT = '1000'" in done.stderr


def test_doctor_shows_each(monkeypatch):
    from mlc_bench import doctor

    for name in NAMES:
        monkeypatch.setenv(name, "")  # so that the test's end removes what is set in it
        monkeypatch.delenv(name)
    monkeypatch.setattr(doctor.vllm_cpu, "install", processor.use_every_core)
    processor.wait_passively()
    text = doctor._processor().text
    assert all(f"{name}={value}" in text for name, value in OURS.items())


FRAGMENTED = """
import psutil
from mlc_bench.core import processor
processor.keep_memory()
blocks = [bytearray(1 << 20) for _ in range(400)]  # 400 MiB; every second one stays, so that free blocks lie between
kept = blocks[::2]
del blocks
held = psutil.Process().memory_info().rss
processor.release_memory()
print(held - psutil.Process().memory_info().rss)
"""


def test_a_fragmented_heap_is_released():
    done = subprocess.run([sys.executable, "-c", FRAGMENTED], capture_output=True, text=True)
    assert int(done.stdout) > 150 << 20, done.stderr
