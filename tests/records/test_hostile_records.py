"""Records of others: the names in them become names of files, and none leads out of the run's folder."""

import json
import shutil

import pytest
from helpers import check_failed, command

from mlc_bench.core.errors import StaleError, UsageError
from mlc_bench.judges import judging
from mlc_bench.records import correction, frame, record

NAMES = ("../../x", "/tmp/x", "a/b", "..", "a\\b", "CON", "x" * 81, "a\0b", "", "-rf")


@pytest.fixture
def run(tiny_model, tmp_path):
    """A finished run's folder."""
    done = command(
        "run", "--model", tiny_model, "--engine", "hf", "--tasks", "starter_harmful", "--languages", "en", "--limit",
        "1", "--max-tokens", "2", "--output", tmp_path / "results", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return next((tmp_path / "results").glob("*/*/run.json")).parent


def changed(run, change):
    content = json.loads((run / "run.json").read_text())
    change(content)
    (run / "run.json").write_text(json.dumps(content))


def test_names_of_tasks_and_languages_are_names(run, tmp_path):
    before = {path for path in tmp_path.rglob("*")}
    text = (run / "run.json").read_text()
    for name in NAMES:
        for change in (
            lambda content, name=name: content["tasks"][0].update(name=name),
            lambda content, name=name: content["tasks"][0].update(
                languages={name: content["tasks"][0]["languages"]["en"]}
            ),
        ):
            (run / "run.json").write_text(text)
            changed(run, change)
            with pytest.raises(StaleError, match="is not 1 to 80 letters, digits"):
                record.read(run / "run.json")
            check_failed(command("judge", run), 4, "is not a valid run record")
    assert {path for path in tmp_path.rglob("*")} == before


def test_links_in_a_run_that_lead_out_are_not_followed(run, tmp_path):
    outside = tmp_path / "outside"
    shutil.move(run / "samples", outside)
    (run / "samples").symlink_to(outside)
    with pytest.raises(UsageError, match="is a link that leads out"):
        judging.read_samples(run, "starter_harmful")
    (run / "samples").unlink()
    shutil.copytree(outside, run / "samples")
    shutil.rmtree(run / "verdicts")
    (tmp_path / "empty").mkdir()
    (run / "verdicts").symlink_to(tmp_path / "empty")
    check_failed(command("judge", run), 2, "is a link that leads out")
    assert not list((tmp_path / "empty").iterdir())


def test_a_record_behind_a_link_is_left_out(run, tmp_path, capsys):
    submitted = tmp_path / "submitted"
    submitted.mkdir()
    (submitted / "run-mine.json").symlink_to(run / "run.json")
    assert list(frame.files([submitted])) == []
    assert "is a link that leads out" in capsys.readouterr().err
    assert [name for name, _ in frame.files([run])] == ["run.json"]


def test_a_judges_digest_names_no_other_file(tmp_path):
    with pytest.raises(UsageError, match="leads out of its folder"):
        correction.find("../../../secret")


def test_a_record_that_is_too_large_is_not_read(tmp_path):
    path = tmp_path / "run.json"
    path.write_text("{")
    with path.open("ab") as file:
        file.truncate(record.LARGEST + 1)
    with pytest.raises(StaleError, match="more than"):
        record.read(path)
