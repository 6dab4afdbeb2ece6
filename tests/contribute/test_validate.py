"""`mlc-bench tasks validate`: what is embedded has no faults, the command, what there is not to validate."""

import json
import subprocess
import sys

import pytest
from checkout import GOLDEN
from helpers import check_failed, command
from planted_faults import faults

from mlc_bench.catalog import data, languages, suites
from mlc_bench.contribute import validate


def test_everything_embedded_is_whole_and_nothing_heavy_is_imported():
    code = (
        "import json, sys; from mlc_bench.contribute import validate; "
        "print(json.dumps([list(map(str, validate.check())), list(sys.modules)]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found, modules = json.loads(done.stdout)
    assert found == []
    assert not {"torch", "datasets", "lm_eval", "transformers", "pandas"} & set(modules)


def test_each_kind_of_thing_validates_by_name_and_by_path():
    names = ("pku", "sw", "quick", "belebele", languages.FOLDER / "sw.yaml", data.TASKS / "pku" / "pku.yaml")
    for name in (*names, suites.FOLDER, suites.FOLDER / "quick.yaml"):
        assert validate.check(str(name)) == []


def test_the_command(packs):
    good = command("tasks", "validate", packs / "pku")
    assert (good.returncode, good.stdout) == (0, "")
    (packs / "pku" / "card.md").unlink()
    done = command("tasks", "validate", packs / "pku")
    assert done.returncode == 2
    assert done.stdout == f"{packs / 'pku' / 'card.md'}:1: is not there, or is not a file; write it\n"
    done = command("tasks", "validate", packs / "pku", "--json")
    (fault,) = json.loads(done.stdout)
    assert set(fault) == {"file", "line", "what", "fix"}


NONE = {
    "pkuu": "did you mean pku",
    "swa": "did you mean sw",
    "a" * 300: "unknown task folder",
    "a\nb\u202e": "unknown task folder",
    str(data.TASKS / "pku" / "card.md"): "neither a task folder nor a YAML file",
    str(GOLDEN): "holds no tasks",
}


@pytest.mark.parametrize("name", NONE)
def test_what_there_is_not(name):
    check_failed(command("tasks", "validate", name), 2, NONE[name])


def test_downloaded_data_are_checked_where_they_are_here(shared_data, tmp_path, monkeypatch):
    monkeypatch.setenv("MLC_BENCH_DATA", str(shared_data))
    for name in ("pku", "multijail"):
        assert validate.check(name) == []
    monkeypatch.setenv("MLC_BENCH_DATA", str(tmp_path))
    (tmp_path / "multijail.csv").write_bytes((shared_data / "multijail.csv").read_bytes()[:-5])
    (fault,) = validate.check("multijail")
    assert "is not the file that the task was made for" in fault.what


def test_a_copy_without_faults_has_none(packs):
    assert faults(packs) == []
