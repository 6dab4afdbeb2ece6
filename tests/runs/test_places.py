"""Places to write to: one that cannot be written to is said before any work, by the option that names it."""

import pytest
from bad_input import SERVER
from helpers import check_failed, command
from runs_to_compare import make_run, make_task, write

from mlc_bench.baselines import cli as training


@pytest.fixture
def run(tmp_path):
    """The folder of a finished run."""
    return write(make_run(make_task({"en": "10"})), tmp_path / "run")


FOLDERS = {
    "run": [*SERVER, "--output"],
    "dry run": [*SERVER, "--dry-run", "--output"],
    "probe": ["probe", "--model", "no-such-model", "--output"],
    "gate fit": ["gate", "fit", "--model", "no-such-model", "--output"],
    "gate apply": ["gate", "apply", "RUN", "--gate", "no-gate", "--output"],
    "export": ["export", "RUN", "--to", "hub", "--out"],
    "leaderboard build": ["leaderboard", "build", "RUN", "--out"],
    "leaderboard add": ["leaderboard", "add", "RUN", "--results"],
    "leaderboard curves": ["leaderboard", "curves", "RUN", "--out"],
    "tasks translate": ["tasks", "translate", "--to", "sw", "--with", "no-such-model", "--output"],
    "tasks new": ["tasks", "new", "mine", "--into"],
}
FILES = {
    "label": ["label", "RUN", "--file"],
    "label --page": ["label", "RUN", "--page"],
    "view": ["view", "RUN", "--static"],
}
BUILD = ["build", "translate-sft", "--languages", "sw", "--output"]


def typed(words, run):
    return [run if word == "RUN" else word for word in words]


@pytest.mark.parametrize("name", FOLDERS)
def test_a_file_where_a_folder_is_needed(name, run, tmp_path):
    words = typed(FOLDERS[name], run)
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / ("x" * 300)):
        check_failed(command(*words, place), 2, f"{words[-1]} '{place}'", "is not a folder that can be written to")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("name", FILES)
def test_a_folder_where_a_file_is_needed(name, run, tmp_path):
    words = typed(FILES[name], run)
    check_failed(command(*words, tmp_path), 2, f"{words[-1]} '{tmp_path}' is a folder; name a file")
    (tmp_path / "file").touch()
    check_failed(command(*words, tmp_path / "file" / "below"), 2, words[-1], "is not a folder that can be written to")


def test_of_training(tiny_model, tmp_path):
    check_failed(command(*BUILD, tmp_path, main=training.main), 2, f"--output '{tmp_path}' is a folder; name a file")
    (tmp_path / "file").touch()
    done = command("sft", "--model", tiny_model, "--output", tmp_path / "file" / "below", main=training.main)
    check_failed(done, 2, "--output", "is not a folder that can be written to")


def test_a_folder_that_takes_no_files(tmp_path):
    """/proc may look as if it could be written to."""
    check_failed(command(*SERVER, "--output", "/proc/foo"), 2, "--output '/proc/foo'", "'/proc' is not a folder")
    done = command("doctor", "--output", "/proc/foo")
    assert done.returncode == 3
    assert "disk for results '/proc/foo': '/proc' is not a folder that can be written to" in done.stdout


def test_looking_leaves_nothing(tmp_path):
    (tmp_path / "here").mkdir()
    done = command(*SERVER, "--tasks", "starter_harmful", "--dry-run", "--output", tmp_path / "here" / "a" / "b")
    assert done.returncode == 0, done.stderr
    assert not list((tmp_path / "here").iterdir())


def test_a_file_in_the_way_of_a_run_is_one_line(run, tmp_path):
    """Deeper than the place that was named, and so found when it is written to."""
    (run / "export").write_text("mine")
    check_failed(command("export", run, "--to", "every-eval-ever"), 2, str(run / "export"), "move it, or name another")
