"""`make imports`: the floors hold, and an import that goes against them fails, wherever it stands."""

import os
import subprocess
import sys

import pytest
from built import copy_to


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the repository with this environment as its .venv."""
    folder = copy_to(tmp_path_factory.mktemp("imports") / "copy")
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


def make_imports(folder):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "-o", ".venv/test-is-installed", "imports"]
    return subprocess.run(command, cwd=folder, env=environment | {"COLUMNS": "200"}, capture_output=True, text=True)


def test_the_floors_hold(copy):
    done = make_imports(copy)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 broken" in done.stdout


@pytest.mark.parametrize(
    ("file", "line", "importer"),
    [
        ("mlc_bench/stats/measures.py", "from mlc_bench.core import errors", "mlc_bench.stats"),
        ("mlc_bench/records/record.py", "from mlc_bench import runner", "mlc_bench.records"),
        ("baselines/config.py", "from mlc_bench import scoring", "mlc_bench.baselines"),
        ("leaderboard/lineage.py", "from mlc_bench.engines import metered", "mlc_bench.leaderboard"),
        ("mlc_bench/newcomer.py", "", "newcomer"),
    ],
)
def test_a_wrong_import_fails(copy, file, line, importer):
    path = copy / file
    before = path.read_text(encoding="utf-8") if path.exists() else None
    path.write_text(f"{before or ''}\n{line}\n", encoding="utf-8")
    try:
        done = make_imports(copy)
    finally:
        path.write_text(before, encoding="utf-8") if before is not None else path.unlink()
    assert done.returncode != 0
    assert importer in done.stdout + done.stderr
