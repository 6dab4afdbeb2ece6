"""The numbers of the tables: statistics, gains, seen languages, what is said below a table."""

import numpy as np
import pytest
import sample_records
from boards import board, cell, task_table

from mlc_bench.leaderboard import collect
from mlc_bench.records import aggregate
from mlc_bench.stats import bootstrap, measures


def test_statistics_are_those_of_the_outcomes(tmp_path):
    base = sample_records.family()[0]
    table = task_table(board(tmp_path, *sample_records.family()))
    codes = cell(table, "base", "average").languages
    matrix = measures.outcome_matrix([base.tasks[0].languages[code].outcomes for code in codes])
    expected = bootstrap.summary(matrix)
    for column, name in (("average", "average"), ("Var", "var"), ("PAG", "pag"), ("kappa", "kappa")):
        found = cell(table, "base", column)
        assert (found.value, found.low, found.high) == pytest.approx(tuple(expected[name].values())), column
    assert cell(table, "base", "worst").value == expected["worst"]["value"]
    assert cell(table, "base", "worst").languages == ("sw",)
    # The quick way to averages of some languages gives the same replicates as the full one.
    seen = cell(table, "base-mlc", "seen")
    mlc = sample_records.family()[2].tasks[0].languages
    over = measures.outcome_matrix([mlc[code].outcomes for code in ("en", "sw")])
    assert (seen.value, seen.low, seen.high) == pytest.approx(tuple(bootstrap.summary(over)["average"].values()))


def test_over_refusal_is_that_of_the_companion_in_the_same_languages(tmp_path):
    found = board(tmp_path, *sample_records.family())
    mine, theirs = cell(task_table(found), "base", "over-refusal"), cell(task_table(found, "benign"), "base", "average")
    assert (mine.value, mine.low, mine.high, mine.rank) == (theirs.value, theirs.low, theirs.high, theirs.rank)
    wide = sample_records.make("wide", languages=("en", "sw"))
    wide.tasks[1] = sample_records.make("wide").tasks[
        1
    ]  # the harmless prompts in four languages, the harmful ones in two
    table = task_table(board(tmp_path / "wide", wide))
    assert cell(table, "wide", "over-refusal").languages == ("en", "sw")


def test_the_worst_language_of_over_refusal_is_the_one_that_refuses_most(tmp_path):
    table = task_table(board(tmp_path, *sample_records.family()), "benign")
    rates = [cell(table, "base", code).value for code in sample_records.LANGUAGES]
    assert cell(table, "base", "worst").value == max(rates)


def test_gains_are_paired_with_the_base_model(tmp_path):
    found = board(tmp_path, *sample_records.family())
    table = task_table(found)
    gain = cell(table, "base-mlc", "gain")
    difference = cell(table, "base-mlc", "average").value - cell(table, "base", "average").value
    assert gain.value == pytest.approx(difference)
    assert gain.low < difference < gain.high
    assert gain.mark == "***"
    assert cell(table, "base + dpo", "gain").mark == ""
    assert cell(table, "base", "gain").blank == "not trained from a known model"
    assert next(row for row in table.rows if row.model.label == "base + dpo").base == "base"
    change = cell(table, "base-mlc", "utility change, quiz")
    quiz = task_table(found, "quiz")
    assert change.value == pytest.approx(cell(quiz, "base-mlc", "average").value - cell(quiz, "base", "average").value)


def test_a_base_model_on_another_engine_is_second_choice(tmp_path):
    base, dpo, *_ = sample_records.family()
    other = base.model_copy(deep=True)
    other.run_id, other.model.fingerprint, other.model.engine = "b" * 12, "0" * 64, "vllm"
    found = collect.collect([sample_records.save(tmp_path, base, dpo, other)])
    assert found.models[dpo.model.fingerprint].base == base.model.fingerprint
    found = collect.collect([sample_records.save(tmp_path / "only", dpo, other)])
    assert found.models[dpo.model.fingerprint].base == other.model.fingerprint


def test_seen_and_unseen_languages_are_apart(tmp_path):
    table = task_table(board(tmp_path, *sample_records.family()))
    assert cell(table, "base-mlc", "seen").languages == ("en", "sw")
    assert cell(table, "base-mlc", "unseen").languages == ("ar", "ps")
    rates = [cell(table, "base-mlc", code).value for code in ("ar", "ps")]
    assert cell(table, "base-mlc", "unseen").value == pytest.approx(np.mean(rates))
    assert cell(table, "other", "seen").blank == "training languages not known"
    # Where no model says what it was trained on, all languages are one group.
    plain = task_table(board(tmp_path / "plain", sample_records.make("a"), sample_records.make("b")))
    assert not {"seen", "unseen"} & {column.heading for column in plain.columns}


def test_training_data_that_was_not_checked_for_test_prompts_is_named(tmp_path):
    found = board(tmp_path, *sample_records.family())
    for task, expected in (
        ("harm", ()),
        ("quiz", ()),
        ("benign", ("training data not checked for prompts of benign",)),
    ):
        notes = {row.model.label: row.notes for row in task_table(found, task).rows}
        assert notes == {"base": (), "base + dpo": expected, "base-mlc": expected, "other": ()}
    main = {row.model.label: row.notes for row in found.main[0].rows}
    assert main["base-mlc"] == ("training data not checked for prompts of benign",)


def test_what_a_reader_must_know_of_a_task_is_said_below_its_table(tmp_path):
    content = sample_records.make("m")
    content.tasks[0].caution, content.tasks[0].unreviewed = "Small.", ["sw", "ps"]
    notes = task_table(board(tmp_path, content)).notes
    assert "Caution: Small." in notes
    assert "Translated by a model, read by no speaker: ps sw." in notes


def test_a_refusal_that_is_also_invalid_is_no_contradiction(tmp_path):
    content = sample_records.make(
        "m", strings={"benign": dict.fromkeys(sample_records.LANGUAGES, "1" * 10 + "i" * 10 + "0" * 20)}
    )
    for result in content.tasks[1].languages.values():
        result.metrics["over_refusal"] = aggregate.rate(15, 40)  # five of the invalid answers refuse
    table = task_table(board(tmp_path, content), "benign")
    assert cell(table, "m", "en").value == cell(table, "m", "average").value == 15 / 40
    assert cell(table, "m", "average").rank is None  # which five, the outcomes do not say


def test_prompts_that_are_not_translations_have_no_pag(tmp_path):
    content = sample_records.make("m")
    for task in content.tasks:
        task.parallel = False
    table = task_table(board(tmp_path, content))
    assert cell(table, "m", "PAG").blank == cell(table, "m", "kappa").blank != ""
    assert cell(table, "m", "average").low < cell(table, "m", "average").high


def test_the_best_is_marked_with_all_whose_interval_reaches_it(tmp_path):
    table = task_table(board(tmp_path, *sample_records.family()))
    for column in (column for column in table.columns if column.language):
        numbers = [row.cells[column.id] for row in table.rows if row.cells[column.id].value is not None]
        top = max(one.value for one in numbers)
        assert all(one.best == (one.high >= top) for one in numbers)
