"""The leaderboard from records to tables: golden tables, what is left out, what shares a column."""

import pytest
import sample_records
from boards import RECORDS, board, cell, documents, task_table
from checkout import GOLDEN, golden

from mlc_bench.core.errors import UsageError
from mlc_bench.leaderboard import build, collect
from mlc_bench.leaderboard.tabulate import all_tables
from mlc_bench.records import record

# Golden tables: records of schema 1 and 2 that a tiny model made, made-up ones, a broken one and a slice.


def test_golden_tables():
    made = documents(RECORDS)
    for name, text in made.items():
        golden(f"leaderboard/tables/{name}", text)
    assert {path.name for path in (GOLDEN / "leaderboard/tables").iterdir()} == set(made)


def test_a_record_of_schema_1_has_rates_and_no_ranks():
    table = task_table(build.leaderboard([RECORDS]), "starter_harmful")
    old = cell(table, "tiny", "average")
    assert old.value is not None
    assert old.low is not None
    assert old.rank is None
    assert cell(table, "tiny + tiny-dpo", "average").rank == (1, 1)


def test_a_newer_record_of_the_same_run_takes_the_place_of_an_older_one(tmp_path):
    content = record.read(RECORDS / "schema1" / "run.json")
    newer = content.model_copy(update={"finished": "2030-01-01T00:00:00+00:00", "packages": {"torch": "9"}})
    for name, one in (("a", newer), ("b", content)):
        record.write(one, tmp_path / name / "run.json")
    found = collect.collect([tmp_path])
    assert found.left_out == ()
    assert found.frame["run"].nunique() == 1


# What is left out, and why.


def test_what_cannot_be_used_is_listed_with_its_reason(tmp_path):
    sample_records.save(tmp_path, *sample_records.family(), sample_records.make("slice", limit=3))
    partial = sample_records.make("partial", finished="2026-11-02")
    partial.status, partial.tasks[0].status, partial.tasks[0].error = "partial", "failed", "out of memory"
    partial.tasks[0].languages.clear()
    sample_records.save(tmp_path, partial)
    (tmp_path / "run-truncated.json").write_text('{"schema_version": 2')
    (tmp_path / "run-list.json").write_text("[1]")
    (tmp_path / "run-newer.json").write_text('{"schema_version": 99}')
    found = collect.collect([tmp_path])
    reasons = {one.source: one.reason for one in found.left_out}
    assert "not a run record" in reasons["run-truncated.json"]
    assert "not a run record" in reasons["run-list.json"]
    assert "upgrade" in reasons["run-newer.json"]
    assert any("--limit 3" in reason for reason in reasons.values())
    assert any("partial: harm failed" in reason for reason in reasons.values())
    assert len(reasons) == 5
    assert set(found.frame["model"]) == {"base", "base + dpo", "base-mlc", "other"}


def test_a_path_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(UsageError, match="no folder or record"):
        collect.collect([tmp_path / "nowhere"])


def test_two_runs_of_a_model_fill_one_row_and_the_newer_one_wins(tmp_path):
    first = sample_records.make("m", languages=("en", "sw"), run="1" * 12, finished="2026-01-01")
    second = sample_records.make("m", languages=("sw", "ps"), run="2" * 12, finished="2026-01-02")
    found = collect.collect([sample_records.save(tmp_path, first, second)])
    table = task_table(all_tables.build(found))
    assert [len(table.rows), cell(table, "m", "en").runs, cell(table, "m", "sw").runs] == [1, ("1" * 12,), ("2" * 12,)]
    assert any("run " + "2" * 12 in one.reason and "sw" in one.source for one in found.left_out)


# The frame.


def test_the_frame_is_tidy(tmp_path):
    frame = collect.collect([sample_records.save(tmp_path, *sample_records.family())]).frame
    assert tuple(frame.columns) == collect.FRAME
    one = frame[(frame["model"] == "base + dpo") & (frame["task"] == "harm") & (frame["language"] == "sw")]
    assert set(one["metric"]) == {"refusal_rate", "invalid_rate"}
    headline = one[one["metric"] == "refusal_rate"].iloc[0]
    assert (headline["method"], headline["base_model"], headline["judge"]) == ("dpo", "base", "rules")
    assert headline["low"] < headline["value"] < headline["high"]
    assert headline["n"] == 40
    assert not frame.duplicated(["model_id", "key", "language", "metric"]).any()


# Columns and comparability.


def test_another_version_of_a_task_has_its_own_table(tmp_path):
    found = board(tmp_path, sample_records.make("a"), sample_records.make("b", version=2))
    versions = [table for table in found.tasks if table.setting.task == "harm"]
    assert [(table.setting.version, [row.model.label for row in table.rows]) for table in versions] == [
        (2, ["b"]),
        (1, ["a"]),
    ]
    assert all(row.cells["average"].rank == (1, 1) for table in versions for row in table.rows)


def test_two_judges_never_share_a_table(tmp_path):
    found = board(tmp_path, *sample_records.family(), sample_records.make("base", judge="guard", chance=0.1))
    harm = {table.judge: table for table in found.tasks if table.setting.task == "harm"}
    assert set(harm) == {"rules", "guard"}
    assert [row.model.label for row in harm["guard"].rows] == ["base"]
    assert {table.judge for table in found.main} == {"rules", "guard"}
    # Utility needs no judge: one table, and in the main table of each.
    assert len([table for table in found.tasks if table.setting.task == "quiz"]) == 1
    assert all(any("quiz" in column.heading for column in table.columns) for table in found.main)


def test_another_system_prompt_has_its_own_table(tmp_path):
    found = board(tmp_path, sample_records.make("a"), sample_records.make("b", system_prompt="Be good."))
    assert len([table for table in found.tasks if table.setting.task == "harm"]) == 2


def test_other_data_in_one_language_is_a_column_of_its_own(tmp_path):
    changed = sample_records.make("b")
    changed.tasks[0].languages["sw"].data_fingerprint = "other"
    changed.tasks[0].languages["sw"].comparability_key = "other"
    table = task_table(board(tmp_path, sample_records.make("a"), sample_records.make("c"), changed))
    assert [column.heading for column in table.columns if column.language == "sw"] == ["sw (1)", "sw (2)"]
    assert cell(table, "b", "sw (1)").blank == "run with other data: see sw (2)"
    assert cell(table, "a", "sw (2)").blank == "run with other data: see sw (1)"
    assert cell(table, "b", "average").blank == "incomplete: no sw"
    assert cell(table, "a", "average").value is not None


def test_a_key_that_claims_other_data_gets_no_shared_column(tmp_path):
    forged = sample_records.make("b", n=30)
    for code, result in forged.tasks[0].languages.items():
        result.comparability_key = sample_records.make("a").tasks[0].languages[code].comparability_key
    table = task_table(board(tmp_path, sample_records.make("a"), forged))
    assert len([column for column in table.columns if column.language == "en"]) == 2


def test_a_missing_language_is_blank_and_no_average_goes_over_the_rest(tmp_path):
    table = task_table(board(tmp_path, *sample_records.family()))
    assert cell(table, "other", "ar").blank == "not run"
    for column in ("average", "worst", "Var", "PAG", "kappa"):
        assert cell(table, "other", column).blank == "incomplete: no ar"
    assert cell(table, "other", "average").rank is None


def test_averages_are_over_the_largest_set_that_half_of_the_models_have(tmp_path):
    few = [sample_records.make(f"few{i}", languages=("en", "sw")) for i in range(2)]
    table = task_table(board(tmp_path, *sample_records.family(), *few))
    assert cell(table, "base", "average").languages == ("en", "ar", "ps", "sw")
    many = [sample_records.make(f"many{i}", languages=("en", "sw")) for i in range(9)]
    table = task_table(board(tmp_path, *many))
    assert cell(table, "base", "average").languages == ("en", "sw")
    assert cell(table, "base", "ar").value is not None


def test_answers_without_a_verdict_leave_a_cell_blank(tmp_path):
    good = sample_records.outcomes("m", "harm", sample_records.LANGUAGES, 40)
    strings = good | {"sw": "-" * 3 + good["sw"][3:], "ps": "-" + good["ps"][1:]}
    table = task_table(board(tmp_path, sample_records.make("m", strings={"harm": strings})))
    assert cell(table, "m", "sw").blank == "3 of 40 answers without a verdict"
    assert cell(table, "m", "ps").unscored == 1
    assert cell(table, "m", "ps").n == 39


def test_a_task_without_any_verdict_is_a_table_of_blanks(tmp_path):
    nothing = {code: "-" * 40 for code in sample_records.LANGUAGES}
    sample_records.save(
        tmp_path,
        sample_records.make("m", strings={"harm": nothing}),
        sample_records.make("k", strings={"harm": nothing}),
    )
    found = build.leaderboard([tmp_path])
    table = task_table(found)
    assert {one.blank for row in table.rows for one in row.cells.values()} >= {"no answer has a verdict"}
    assert all(one.value is None for row in table.rows for one in row.cells.values())
    assert "no answer has a verdict" in build.documents(found)["README.md"]
