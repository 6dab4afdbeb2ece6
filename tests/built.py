"""The package built by pip from a copy of the repository, without what earlier builds left behind."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from checkout import ROOT

_ANYWHERE = shutil.ignore_patterns(".*", "__pycache__")
_AT_THE_ROOT = shutil.ignore_patterns("build", "dist", "results", "runs", "site", "*.egg-info")


def copy_to(folder):
    """The repository, nearly as git has it: without hidden files and what builds and runs leave."""

    def left_behind(place, names):
        return _ANYWHERE(place, names) | (_AT_THE_ROOT(place, names) if Path(place) == ROOT else set())

    return shutil.copytree(ROOT, folder, ignore=left_behind)


def build(command, *options):
    """`pip install` or `pip wheel` of a copy."""
    with tempfile.TemporaryDirectory() as folder:
        source = copy_to(Path(folder) / "copy")
        line = [sys.executable, "-m", "pip", command, "--no-deps", "--no-build-isolation", *options, source]
        done = subprocess.run([*map(str, line)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
