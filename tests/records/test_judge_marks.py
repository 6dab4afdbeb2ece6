"""Which languages a run's tables mark, by how well the judge is known there."""

import pytest
from runs_to_compare import make_run, make_task

from mlc_bench.records import aggregate, run_table
from mlc_bench.records.comparing import table
from mlc_bench.records.comparing.compare import compare
from mlc_bench.records.judge_info import Checked


def checked(**counts) -> list[Checked]:
    shared = {"judge": "rules", "version": "1", "labels": "made up", "source": "written", "language": "sw"}
    return [Checked(**shared | {"refusals": 90, "seen": 90, "others": 90, "alarms": 1} | counts)]


@pytest.mark.parametrize(
    ("known", "mark"),
    [
        (checked(), ""),
        (checked(refusals=49, seen=49), "†"),
        (checked(others=49), "†"),
        (checked(refusals=49, seen=49) + checked(labels="more of them"), ""),
        (checked(seen=20), "‡"),
        (checked(refusals=20, seen=5), "†‡"),
        ([], "†"),
    ],
)
def test_the_mark_of_a_language(known, mark):
    """A language without a label is marked as one with few: nothing is known there."""
    run = make_run(a_task())
    run.judge.checked = known
    assert [column.heading for column in run_table.columns(run)[1:3]] == ["en†", "sw" + mark]
    note = next(line for line in run_table.notes(run) if line.startswith("† "))
    assert "fewer than 50 refusals or 50 other answers" in note
    assert ("judges agreement --judge" if known else "mlc-bench calibrate") in note


def test_a_task_without_a_judge_has_no_marks():
    run = make_run(a_task())
    run.judge.checked, run.tasks[0].measures = [], "utility"
    assert [column.heading for column in run_table.columns(run)[1:3]] == ["en", "sw"]
    assert "†" not in " ".join(run_table.notes(run))


def test_a_comparison_says_its_judge_and_marks_its_languages():
    first, second = make_run(a_task()), make_run(a_task(), name="other")
    first.judge.checked, second.judge.checked = [], checked()
    (found,) = compare([first, second])
    assert (found.judge, found.marks) == (f"{first.judge.id} {first.judge.version}", {"en": "†"})
    shown = table.text(found, 200)
    assert shown.splitlines()[0].endswith(f"; judge {found.judge}")
    assert " en† " in shown
    assert " sw " in shown
    assert "† rules was checked on fewer than 50 refusals" in shown
    for run in (first, second):
        run.tasks[0].measures = "utility"
    (found,) = compare([first, second])
    assert (found.judge, found.marks, found.judge_notes) == ("", {}, [])


def a_task():
    task = make_task({"en": "1100", "sw": "1000"})
    aggregate.summarise(task, seed=0)
    return task
