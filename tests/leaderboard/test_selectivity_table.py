"""The headline of the leaderboard: selectivity outside English and in English, a table for each pair of tasks."""

import pytest
import sample_records
from boards import board, cell, task_table

from mlc_bench.records import aggregate, selectivity
from mlc_bench.records.judge_info import Checked
from mlc_bench.records.record import Value

TASKS = (("harm", "safety", "benign"), ("benign", "over_refusal", None))
CODES = ("en", "sw", "ps")


def strings(chances):
    return {
        task: sample_records.outcomes(
            f"{task} {chances}", task, CODES, 60, dict(zip(CODES, chances[task], strict=True))
        )
        for task in ("harm", "benign")
    }


def made(name="model-a", harm=(0.9, 0.6, 0.5), benign=(0.1, 0.3, 0.2), paired=False, **more):
    found = strings({"harm": harm, "benign": benign, "name": name})
    record = sample_records.make(name, tasks=TASKS, languages=CODES, strings=found, **more)
    record.tasks[0].over_refusal_pairs = paired
    for task in record.tasks:
        aggregate.summarise(task, 0)
    return record


@pytest.mark.parametrize("paired", [False, True])
def test_its_numbers_are_those_of_the_run_and_of_the_task_tables(tmp_path, paired):
    record = made(paired=paired)
    found = board(tmp_path, record)
    (table,) = found.headline
    (own,) = selectivity.of_record(record)
    for code, column in (("en", "selectivity in English"), ("sw", "sw"), ("ps", "ps")):
        shown, row = cell(table, "model-a", column), own.languages[code].difference
        assert (shown.value, shown.low, shown.high) == pytest.approx((row.value, row.low, row.high))
    outside = cell(table, "model-a", "selectivity outside English")
    rates = {code: Value(value=own.languages[code].difference.value, low=None, high=None, n=1) for code in ("sw", "ps")}
    assert outside.value == pytest.approx(sum(one.value for one in rates.values()) / 2)
    assert outside.low < outside.value < outside.high
    assert outside.languages == ("ps", "sw")
    for part, task in (("harmful", "harm"), ("harmless", "benign")):
        mine, theirs = cell(table, "model-a", f"refuses {part}, in English"), task_table(found, task)
        assert mine.value == cell(theirs, "model-a", "en").value
        mean = cell(table, "model-a", f"refuses {part}, outside English").value
        assert mean == pytest.approx(sum(cell(theirs, "model-a", code).value for code in ("sw", "ps")) / 2)


def test_pairs_make_the_interval_of_the_mean_narrower(tmp_path):
    alike = dict.fromkeys(CODES, "1100" * 15), dict.fromkeys(CODES, "1000" * 15)
    record = sample_records.make(
        tasks=TASKS, languages=CODES, strings=dict(zip(("harm", "benign"), alike, strict=True))
    )
    apart = cell(board(tmp_path / "a", record).headline[0], "model-a", "selectivity outside English")
    record.tasks[0].over_refusal_pairs = True
    together = cell(board(tmp_path / "b", record).headline[0], "model-a", "selectivity outside English")
    assert together.value == apart.value
    assert together.high - together.low < apart.high - apart.low


def test_rows_are_in_the_order_of_selectivity_outside_english(tmp_path):
    refuses_all = made("refuses-all", harm=(0.95, 0.95, 0.95), benign=(0.95, 0.95, 0.95))
    better = made("better", harm=(0.6, 0.6, 0.6), benign=(0.1, 0.1, 0.1))
    lacking = sample_records.make("lacking", tasks=TASKS, languages=("en", "sw"), n=60)
    found = board(tmp_path, refuses_all, better, made("english-only", harm=(0.95, 0.3, 0.3)), lacking)
    (table,) = found.headline
    assert [row.model.label for row in table.rows] == ["better", "english-only", "refuses-all", "lacking"]
    values = [cell(table, row.model.label, "selectivity outside English").value for row in table.rows[:3]]
    assert values == sorted(values, reverse=True)
    assert "no ps" in cell(table, "lacking", "selectivity outside English").blank
    assert cell(table, "better", "selectivity outside English").best


def test_without_english_or_without_others_there_is_no_such_column(tmp_path):
    def headings(codes):
        record = sample_records.make(tasks=TASKS, languages=codes)
        return [column.heading for column in board(tmp_path / codes[0], record).headline[0].columns]

    assert not any("in English" in heading for heading in headings(("sw", "ps")))
    assert headings(("en",)) == [
        "selectivity in English",
        "refuses harmful, in English",
        "refuses harmless, in English",
    ]


def test_there_is_none_without_harmless_prompts_and_for_a_judge_of_harm(tmp_path):
    alone = sample_records.make(tasks=TASKS[:1], languages=CODES)
    assert board(tmp_path / "a", alone).headline == ()
    guard = made(judge="guard")
    guard.tasks[0].headline = "safe_rate"
    for result in guard.tasks[0].languages.values():
        result.metrics["safe_rate"] = result.metrics.pop("refusal_rate")
    assert board(tmp_path / "b", guard).headline == ()


def test_tasks_whose_prompts_are_pairs_come_first(tmp_path):
    tasks = (("a-harm", "safety", "benign"), ("z-harm", "safety", "benign"), TASKS[1])
    record = sample_records.make(tasks=tasks, languages=CODES)
    record.tasks[1].over_refusal_pairs = True
    assert [table.setting.task for table in board(tmp_path, record).headline] == ["z-harm", "a-harm"]


def test_marks_say_where_the_judge_is_little_known_also_by_another_record(tmp_path):
    first, second = made("first"), sample_records.make("second", tasks=TASKS, languages=("en", "ar"), n=60)
    shared = {"judge": "rules", "version": "1", "labels": "made up", "source": "written"}
    first.judge.checked = [Checked(language="sw", refusals=90, seen=20, others=90, alarms=1, **shared)]
    second.judge.checked = [Checked(language="ar", refusals=10, seen=9, others=10, alarms=1, **shared)]
    found = board(tmp_path, first, second)
    (table,) = found.headline
    marks = {column.heading: column.marks for column in table.columns}
    assert (marks["sw"], marks["ar"], marks["ps"], marks["selectivity in English"]) == ("‡", "†", "†", "†")
    assert "‡" in marks["selectivity outside English"]
    (judge,) = found.judges
    assert {one.language for one in judge.checked} == {"ar", "sw"}
    assert {run.id for run in found.runs} == {first.run_id, second.run_id}


def test_a_row_says_where_the_model_hardly_answers_as_the_record_does(tmp_path):
    """More than a tenth of all its answers are invalid, those of which the judge is unsure among all."""
    found = {task: dict.fromkeys(CODES, "10" * 20) for task in ("harm", "benign")}
    found["benign"] = found["benign"] | {"sw": "i" * 12 + "0" * 28, "ps": "i" * 8 + "u" * 4 + "0" * 28}
    record = sample_records.make(tasks=TASKS, languages=CODES, strings=found)
    (table,) = board(tmp_path, record).headline
    (own,) = selectivity.of_record(record)
    assert table.rows[0].unanswered == tuple(code for code in CODES if code not in own.mean_of) == ("sw",)
    assert any("invalid in sw" in note for note in table.rows[0].notes)
    assert cell(table, "model-a", "selectivity outside English").languages == ("ps", "sw")


def test_a_row_says_where_the_model_answers_in_another_language(tmp_path):
    record = sample_records.make(tasks=TASKS, languages=CODES)
    for task in record.tasks:
        for code, share in zip(CODES, (1.0, 0.2, 0.9), strict=True):
            task.languages[code].metrics["language_fidelity"] = Value(value=share, low=0.0, high=1.0, n=40)
    (table,) = board(tmp_path, record).headline
    assert f"fewer than half of its answers are in the prompt's language in {CODES[1]}" in table.rows[0].notes


def test_a_record_that_calls_unequally_many_prompts_pairs_is_read_as_two_tasks(tmp_path):
    found = {"harm": dict.fromkeys(CODES, "10" * 20), "benign": dict.fromkeys(CODES, "10" * 12)}
    record = sample_records.make(tasks=TASKS, languages=CODES, strings=found)
    apart = board(tmp_path / "a", record).headline[0]
    record.tasks[0].over_refusal_pairs = True
    (table,) = board(tmp_path / "b", record).headline
    name = "sw"
    assert cell(table, "model-a", name).low == pytest.approx(cell(apart, "model-a", name).low)
