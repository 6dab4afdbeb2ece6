"""A copy of the repository with a command `mlc-bench` of its own, for tests that write into it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("mlc_bench", "tasks", "docs", "baselines", "leaderboard")


class Checkout:
    """`run(command)` runs one line of shell in the copy, where `mlc-bench` is the copy's."""

    def __init__(self, folder):
        self.folder = folder
        for part in PARTS:
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        script = folder / "bin" / "mlc-bench"
        script.parent.mkdir()
        script.write_text(
            f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(folder)!r})\n"
            "from mlc_bench.cli import main\nmain()\n"
        )
        script.chmod(0o755)

    def run(self, line, timeout=300):
        environment = os.environ | {"PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}
        return subprocess.run(
            line, shell=True, cwd=self.folder, capture_output=True, text=True, env=environment, timeout=timeout
        )

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def read(self, name):
        return (self.folder / name).read_text(encoding="utf-8")
