"""Builds replace and remove what an earlier build wrote, and nothing else."""

import json

import pytest
import sample_records
from helpers import check_failed, command

from mlc_bench.core.errors import UsageError
from mlc_bench.leaderboard import build, owned
from mlc_bench.leaderboard.report import document

USERS = ("notes.csv", "notes.md", "data.json", "paper.tex", "plots/bars-mine.png", "plots/heatmap-mine.svg", "a/b.csv")


@pytest.fixture(scope="module")
def boards(tmp_path_factory):
    """Two leaderboards; the second has fewer tables."""
    quiz = sample_records.make("a", tasks=sample_records.TASKS[2:])
    return [
        build.leaderboard([sample_records.save(tmp_path_factory.mktemp("r"), *records)])
        for records in ((quiz, sample_records.make("b")), (quiz,))
    ]


def save(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")


def there(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("has_list", [True, False], ids=["listed", "of an older version, without a list"])
@pytest.mark.parametrize("name", USERS)
def test_files_of_others_survive_the_next_builds(tmp_path, boards, monkeypatch, name, has_list):
    monkeypatch.setattr(
        "mlc_bench.leaderboard.render.plots.files",
        lambda board: {f"bars-{table.id}.png": b"drawn" for table in board.tasks},
    )
    both, one = boards
    tables = tmp_path / "t"
    build.write(both, tables, page=False)
    more = there(tables)
    save(tables, name)
    if not has_list:
        (tables / owned.LIST).unlink()
    build.write(one, tables, page=False)
    assert (tables / name).read_text() == "mine"
    left = there(tables) - {name}
    assert more - left  # what the records no longer give is gone, and a build from nothing makes the same files
    build.write(one, tmp_path / "u", page=False)
    assert left == there(tmp_path / "u")


@pytest.mark.parametrize(
    "name", ["README.md", "leaderboard.json", "leaderboard.csv", "index.html", "plots/bars-quiz.png"]
)
def test_a_file_of_somebody_else_stops_the_build_before_it_writes(tmp_path, name, monkeypatch):
    monkeypatch.setattr("mlc_bench.leaderboard.render.plots.files", lambda board: {"bars-quiz.png": b"drawn"})
    monkeypatch.setattr("mlc_bench.leaderboard.render.to_html.document", lambda board: "<html>")
    board = build.leaderboard([sample_records.save(tmp_path / "r", sample_records.make("a"))])
    save(tmp_path / "t", name)
    with pytest.raises(Exception, match=name.split("/")[-1]):
        build.write(board, tmp_path / "t")
    assert there(tmp_path / "t") == {name}
    assert (tmp_path / "t" / name).read_text() == "mine"


def test_the_commands_leave_notes_alone_and_check_does_not_mind_them(tmp_path):
    results = sample_records.save(tmp_path / "r", sample_records.make("a"))
    tables = tmp_path / "t"
    for _ in range(2):
        done = command("leaderboard", "build", results, "--out", tables, "--no-plots", "--no-page")
        assert done.returncode == 0, done.stderr
        save(tables, "notes.csv")
    assert command("leaderboard", "check", results, "--tables", tables).returncode == 0
    (tables / "leaderboard.csv").unlink()
    check_failed(command("leaderboard", "check", results, "--tables", tables), 4, "leaderboard.csv")


def test_a_file_that_came_with_the_repository_is_taken_where_it_is_what_would_be_written(tmp_path):
    """As after a pull: the list is that of the last build here, and files that it does not have are there."""
    owned.write(tmp_path, {"old.csv": "1"}, {})
    (tmp_path / "new.csv").write_text("2")
    owned.write(tmp_path, {"old.csv": "1", "new.csv": "2"}, owned.listed(tmp_path))
    assert set(owned.listed(tmp_path)) == {"old.csv", "new.csv"}
    (tmp_path / "newer.csv").write_text("mine")
    with pytest.raises(UsageError, match=r"newer\.csv' was not written by an earlier build"):
        owned.write(tmp_path, {"newer.csv": "3"}, owned.listed(tmp_path))


def test_what_was_changed_since_it_was_listed_is_not_removed(tmp_path):
    owned.write(tmp_path, {"a.csv": "1", "b.csv": "1"}, {})
    (tmp_path / "b.csv").write_text("my corrections")
    owned.write(tmp_path, {"c.csv": "1"}, owned.listed(tmp_path))
    assert there(tmp_path) == {"b.csv", "c.csv", owned.LIST}


@pytest.mark.parametrize("name", ["../victim.csv", "/etc/victim.csv", "plots/../../victim.csv", "..", ".victim.csv"])
def test_a_list_names_files_of_its_folder_only(tmp_path, name):
    save(tmp_path, "victim.csv", "t/.victim.csv")
    (tmp_path / "t" / owned.LIST).write_text(json.dumps({name: ""}))
    owned.write(tmp_path / "t", {"new.csv": "1"}, owned.listed(tmp_path / "t"))
    assert there(tmp_path) == {"victim.csv", "t/.victim.csv", "t/new.csv", f"t/{owned.LIST}"}
    (tmp_path / "t" / owned.LIST).unlink()
    board = {"main": [{"id": name.removesuffix(".csv")}], "tasks": [], "published": []}
    (tmp_path / "t" / "leaderboard.json").write_text(json.dumps(board))
    build.write(build.leaderboard([]), tmp_path / "t", plots=False, page=False)
    assert (tmp_path / "victim.csv").read_text() == (tmp_path / "t" / ".victim.csv").read_text() == "mine"


def test_a_report_does_not_replace_another_report(tmp_path):
    board = build.leaderboard([sample_records.save(tmp_path / "r", sample_records.make("a"))])
    made = document.Report("text\n", {}, board)
    save(tmp_path / "t", "report.md")
    with pytest.raises(Exception, match=r"report\.md"):
        document.write(made, tmp_path / "t")
    assert there(tmp_path / "t") == {"report.md"}
    for _ in range(2):
        assert document.write(made, tmp_path / "u").is_file()
