"""The packages that define the formats, in an environment of their own: they bring what does not fit ours.

inspect_ai brings 30 packages and an older fsspec, every_eval_ever wants Python 3.12, an older rich and an older
huggingface-hub. `make readers` makes that environment; MLC_BENCH_READERS names another.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import ROOT

FOLDER = Path(os.environ.get("MLC_BENCH_READERS") or ROOT / ".venv" / "readers")


def python(package):
    """The Python that has a package; skips the test where there is none."""
    if importlib.util.find_spec(package):
        return sys.executable
    found = FOLDER / "bin" / "python"
    if not found.exists() or subprocess.run([found, "-c", f"import {package}"], capture_output=True).returncode:
        pytest.skip(f"there is no {package}: make readers")
    return str(found)


def run(package, code, *arguments):
    """What a program that uses the package prints, as JSON."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [python(package), "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
