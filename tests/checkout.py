"""Where the tests' files are, golden files, and a copy of the repository for tests that write into it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
GOLDEN = TESTS / "golden"
PARTS = ("mlc_bench", "tasks", "docs", "baselines", "leaderboard")
MAINS = {"mlc-bench": "mlc_bench.cli.main", "train-baseline": "mlc_bench.baselines.cli"}


def golden(name: str, text: str) -> None:
    """Compare with a committed file; UPDATE_GOLDEN=1 writes it anew (read the difference before you commit it)."""
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text


class Checkout:
    """`run(command)` runs one line of shell in the copy, where the commands are the copy's."""

    def __init__(self, folder):
        self.folder = folder
        for part in PARTS:
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        for part in ("baselines", "leaderboard"):  # one package, as it is where it is installed
            (folder / "mlc_bench" / part).symlink_to(Path("..", part), target_is_directory=True)
        (folder / "bin").mkdir()
        for name, module in MAINS.items():
            script = folder / "bin" / name
            script.write_text(f"#!{sys.executable}\nfrom {module} import main\nmain()\n")
            script.chmod(0o755)

    def run(self, line, timeout=300):
        path = os.pathsep.join([str(self.folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
        environment = os.environ | {"PATH": path, "PYTHONPATH": str(self.folder)}
        return subprocess.run(
            line, shell=True, cwd=self.folder, capture_output=True, text=True, env=environment, timeout=timeout
        )

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def read(self, name):
        return (self.folder / name).read_text(encoding="utf-8")
