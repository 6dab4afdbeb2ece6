"""A full disk is said as such, whoever was writing. The limit on a file's size stands for the disk."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

LIMIT = 100_000  # bytes
WRITERS = {
    "python": "open(path, 'wb').write(bytes(200_000))",
    "torch": "torch.save(torch.zeros(100_000), path)",
    "safetensors": "save_file({'x': torch.zeros(100_000)}, path)",
}
PROGRAM = """
import sys, torch
from safetensors.torch import save_file
from mlc_bench.core.errors import is_full
path = sys.argv[1]
try:
    {writer}
except Exception as error:
    print(is_full(error), is_full(RuntimeError("no disk")))
"""


def limited():
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT))


@pytest.mark.parametrize("who", WRITERS)
def test_what_each_writer_raises_is_known(tmp_path, who):
    """A canary: torch and safetensors raise no OSError."""
    program = PROGRAM.format(writer=WRITERS[who])
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "file"], preexec_fn=limited, capture_output=True, text=True
    )
    assert done.stdout.split() == ["True", "False"], done.stderr


def test_training_on_a_full_disk_ends_with_one_line(tiny_model, tmp_path):
    rows = [
        {"id": str(n), "kind": "benign", "prompts": {"en": f"Bake bread {n}?"}, "chosen": "Mix it."} for n in range(4)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = [Path(sys.executable).parent / "train-baseline", "sft", "--model", tiny_model, "--data"]
    command += [tmp_path / "rows.jsonl", "--max-steps", "1", "--output", tmp_path / "out"]
    done = subprocess.run(command, preexec_fn=limited, capture_output=True, text=True)
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert last.endswith("; make room or name another place to write to, and run it again")
