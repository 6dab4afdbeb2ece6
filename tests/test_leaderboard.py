"""The leaderboard from records to tables: golden tables, what shares a column, ranks, gains, seen languages."""

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import records
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_catalog import golden

from mlc_bench import aggregate, bootstrap, record, stats
from mlc_bench.errors import UsageError
from mlc_bench.leaderboard import build, collect, published, ranks, tables

HERE = Path(__file__).parent
RECORDS = HERE / "golden" / "leaderboard" / "records"
OLD = HERE / "golden" / "run_schema1.json"


few = settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def board(tmp_path, *contents):
    return tables.build(collect.collect([records.save(tmp_path, *contents)]))


def documents(folder):
    return build.documents(build.leaderboard([folder]))


def task_table(found, task="harm", judge="rules"):
    return next(
        table for table in found.tasks if table.setting.task == task and (table.judge == judge or task == "quiz")
    )


def cell(table, model, column):
    """By the model's label and by the heading of a column (for the main table: task and heading)."""
    row = next(row for row in table.rows if row.model.label == model)
    return row.cells[next(one.id for one in table.columns if one.heading == column)]


# Golden tables: records of schema 1 and 2 that a tiny model made, made-up ones, a broken one and a slice.


def test_golden_tables():
    made = documents(RECORDS)
    for name, text in made.items():
        golden(f"leaderboard/tables/{name}", text)
    assert {path.name for path in (HERE / "golden/leaderboard/tables").iterdir()} == set(made)


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
    records.save(tmp_path, *records.family(), records.make("slice", limit=3))
    partial = records.make("partial", finished="2026-11-02")
    partial.status, partial.tasks[0].status, partial.tasks[0].error = "partial", "failed", "out of memory"
    partial.tasks[0].languages.clear()
    records.save(tmp_path, partial)
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
    first = records.make("m", languages=("en", "sw"), run="1" * 12, finished="2026-01-01")
    second = records.make("m", languages=("sw", "ps"), run="2" * 12, finished="2026-01-02")
    found = collect.collect([records.save(tmp_path, first, second)])
    table = task_table(tables.build(found))
    assert [len(table.rows), cell(table, "m", "en").runs, cell(table, "m", "sw").runs] == [1, ("1" * 12,), ("2" * 12,)]
    assert any("run " + "2" * 12 in one.reason and "sw" in one.source for one in found.left_out)


# The frame.


def test_the_frame_is_tidy(tmp_path):
    frame = collect.collect([records.save(tmp_path, *records.family())]).frame
    assert tuple(frame.columns) == collect.FRAME
    one = frame[(frame["model"] == "base + dpo") & (frame["task"] == "harm") & (frame["language"] == "sw")]
    assert set(one["metric"]) == {"safe_rate", "invalid_rate"}
    headline = one[one["metric"] == "safe_rate"].iloc[0]
    assert (headline["method"], headline["base_model"], headline["judge"]) == ("dpo", "base", "rules")
    assert headline["low"] < headline["value"] < headline["high"]
    assert headline["n"] == 40
    assert not frame.duplicated(["model_id", "key", "language", "metric"]).any()


# Columns and comparability.


def test_another_version_of_a_task_has_its_own_table(tmp_path):
    found = board(tmp_path, records.make("a"), records.make("b", version=2))
    versions = [table for table in found.tasks if table.setting.task == "harm"]
    assert [(table.setting.version, [row.model.label for row in table.rows]) for table in versions] == [
        (2, ["b"]),
        (1, ["a"]),
    ]
    assert all(row.cells["average"].rank == (1, 1) for table in versions for row in table.rows)


def test_two_judges_never_share_a_table(tmp_path):
    found = board(tmp_path, *records.family(), records.make("base", judge="guard", chance=0.1))
    harm = {table.judge: table for table in found.tasks if table.setting.task == "harm"}
    assert set(harm) == {"rules", "guard"}
    assert [row.model.label for row in harm["guard"].rows] == ["base"]
    assert {table.judge for table in found.main} == {"rules", "guard"}
    # Utility needs no judge: one table, and in the main table of each.
    assert len([table for table in found.tasks if table.setting.task == "quiz"]) == 1
    assert all(any("quiz" in column.heading for column in table.columns) for table in found.main)


def test_another_system_prompt_has_its_own_table(tmp_path):
    found = board(tmp_path, records.make("a"), records.make("b", system_prompt="Be good."))
    assert len([table for table in found.tasks if table.setting.task == "harm"]) == 2


def test_other_data_in_one_language_is_a_column_of_its_own(tmp_path):
    changed = records.make("b")
    changed.tasks[0].languages["sw"].data_fingerprint = "other"
    changed.tasks[0].languages["sw"].comparability_key = "other"
    table = task_table(board(tmp_path, records.make("a"), records.make("c"), changed))
    assert [column.heading for column in table.columns if column.language == "sw"] == ["sw (1)", "sw (2)"]
    assert cell(table, "b", "sw (1)").blank == "run with other data: see sw (2)"
    assert cell(table, "a", "sw (2)").blank == "run with other data: see sw (1)"
    assert cell(table, "b", "average").blank == "incomplete: no sw"
    assert cell(table, "a", "average").value is not None


def test_a_key_that_claims_other_data_gets_no_shared_column(tmp_path):
    forged = records.make("b", n=30)
    for code, result in forged.tasks[0].languages.items():
        result.comparability_key = records.make("a").tasks[0].languages[code].comparability_key
    table = task_table(board(tmp_path, records.make("a"), forged))
    assert len([column for column in table.columns if column.language == "en"]) == 2


def test_a_missing_language_is_blank_and_no_average_goes_over_the_rest(tmp_path):
    table = task_table(board(tmp_path, *records.family()))
    assert cell(table, "other", "ar").blank == "not run"
    for column in ("average", "worst", "Var", "PAG", "kappa"):
        assert cell(table, "other", column).blank == "incomplete: no ar"
    assert cell(table, "other", "average").rank is None


def test_averages_are_over_the_largest_set_that_half_of_the_models_have(tmp_path):
    few = [records.make(f"few{i}", languages=("en", "sw")) for i in range(2)]
    table = task_table(board(tmp_path, *records.family(), *few))
    assert cell(table, "base", "average").languages == ("en", "ar", "ps", "sw")
    many = [records.make(f"many{i}", languages=("en", "sw")) for i in range(9)]
    table = task_table(board(tmp_path, *many))
    assert cell(table, "base", "average").languages == ("en", "sw")
    assert cell(table, "base", "ar").value is not None


def test_answers_without_a_verdict_leave_a_cell_blank(tmp_path):
    good = records.outcomes("m", "harm", records.LANGUAGES, 40)
    strings = good | {"sw": "-" * 3 + good["sw"][3:], "ps": "-" + good["ps"][1:]}
    table = task_table(board(tmp_path, records.make("m", strings={"harm": strings})))
    assert cell(table, "m", "sw").blank == "3 of 40 answers without a verdict"
    assert cell(table, "m", "ps").unscored == 1
    assert cell(table, "m", "ps").n == 39


def test_a_task_without_any_verdict_is_a_table_of_blanks(tmp_path):
    nothing = {code: "-" * 40 for code in records.LANGUAGES}
    records.save(tmp_path, records.make("m", strings={"harm": nothing}), records.make("k", strings={"harm": nothing}))
    found = build.leaderboard([tmp_path])
    table = task_table(found)
    assert {one.blank for row in table.rows for one in row.cells.values()} >= {"no answer has a verdict"}
    assert all(one.value is None for row in table.rows for one in row.cells.values())
    assert "no answer has a verdict" in build.documents(found)["README.md"]


# Numbers.


def test_statistics_are_those_of_the_outcomes(tmp_path):
    base = records.family()[0]
    table = task_table(board(tmp_path, *records.family()))
    codes = cell(table, "base", "average").languages
    matrix = stats.outcome_matrix([base.tasks[0].languages[code].outcomes for code in codes])
    expected = bootstrap.summary(matrix)
    for column, name in (("average", "average"), ("Var", "var"), ("PAG", "pag"), ("kappa", "kappa")):
        found = cell(table, "base", column)
        assert (found.value, found.low, found.high) == pytest.approx(tuple(expected[name].values())), column
    assert cell(table, "base", "worst").value == expected["worst"]["value"]
    assert cell(table, "base", "worst").languages == ("sw",)
    # The quick way to averages of some languages gives the same replicates as the full one.
    seen = cell(table, "base-mlc", "seen")
    mlc = records.family()[2].tasks[0].languages
    over = stats.outcome_matrix([mlc[code].outcomes for code in ("en", "sw")])
    assert (seen.value, seen.low, seen.high) == pytest.approx(tuple(bootstrap.summary(over)["average"].values()))


def test_over_refusal_is_that_of_the_companion_in_the_same_languages(tmp_path):
    found = board(tmp_path, *records.family())
    mine, theirs = cell(task_table(found), "base", "over-refusal"), cell(task_table(found, "benign"), "base", "average")
    assert (mine.value, mine.low, mine.high, mine.rank) == (theirs.value, theirs.low, theirs.high, theirs.rank)
    wide = records.make("wide", languages=("en", "sw"))
    wide.tasks[1] = records.make("wide").tasks[1]  # the harmless prompts in four languages, the harmful ones in two
    table = task_table(board(tmp_path / "wide", wide))
    assert cell(table, "wide", "over-refusal").languages == ("en", "sw")


def test_the_worst_language_of_over_refusal_is_the_one_that_refuses_most(tmp_path):
    table = task_table(board(tmp_path, *records.family()), "benign")
    rates = [cell(table, "base", code).value for code in records.LANGUAGES]
    assert cell(table, "base", "worst").value == max(rates)


def test_gains_are_paired_with_the_base_model(tmp_path):
    found = board(tmp_path, *records.family())
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
    base, dpo, *_ = records.family()
    other = base.model_copy(deep=True)
    other.run_id, other.model.fingerprint, other.model.engine = "b" * 12, "0" * 64, "vllm"
    found = collect.collect([records.save(tmp_path, base, dpo, other)])
    assert found.models[dpo.model.fingerprint].base == base.model.fingerprint
    found = collect.collect([records.save(tmp_path / "only", dpo, other)])
    assert found.models[dpo.model.fingerprint].base == other.model.fingerprint


def test_seen_and_unseen_languages_are_apart(tmp_path):
    table = task_table(board(tmp_path, *records.family()))
    assert cell(table, "base-mlc", "seen").languages == ("en", "sw")
    assert cell(table, "base-mlc", "unseen").languages == ("ar", "ps")
    rates = [cell(table, "base-mlc", code).value for code in ("ar", "ps")]
    assert cell(table, "base-mlc", "unseen").value == pytest.approx(np.mean(rates))
    assert cell(table, "other", "seen").blank == "training languages not known"
    # Where no model says what it was trained on, all languages are one group.
    plain = task_table(board(tmp_path / "plain", records.make("a"), records.make("b")))
    assert not {"seen", "unseen"} & {column.heading for column in plain.columns}


def test_training_data_that_was_not_checked_for_test_prompts_is_named(tmp_path):
    found = board(tmp_path, *records.family())
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
    content = records.make("m")
    content.tasks[0].caution, content.tasks[0].unreviewed = "Small.", ["sw", "ps"]
    notes = task_table(board(tmp_path, content)).notes
    assert "Caution: Small." in notes
    assert "Translated by a model, read by no speaker: ps sw." in notes


def test_a_refusal_that_is_also_invalid_is_no_contradiction(tmp_path):
    content = records.make("m", strings={"benign": dict.fromkeys(records.LANGUAGES, "1" * 10 + "i" * 10 + "0" * 20)})
    for result in content.tasks[1].languages.values():
        result.metrics["over_refusal"] = aggregate.rate(15, 40)  # five of the invalid answers refuse
    table = task_table(board(tmp_path, content), "benign")
    assert cell(table, "m", "en").value == cell(table, "m", "average").value == 15 / 40
    assert cell(table, "m", "average").rank is None  # which five, the outcomes do not say


def test_prompts_that_are_not_translations_have_no_pag(tmp_path):
    content = records.make("m")
    for task in content.tasks:
        task.parallel = False
    table = task_table(board(tmp_path, content))
    assert cell(table, "m", "PAG").blank == cell(table, "m", "kappa").blank != ""
    assert cell(table, "m", "average").low < cell(table, "m", "average").high


def test_the_best_is_marked_with_all_whose_interval_reaches_it(tmp_path):
    table = task_table(board(tmp_path, *records.family()))
    for column in (column for column in table.columns if column.language):
        numbers = [row.cells[column.id] for row in table.rows if row.cells[column.id].value is not None]
        top = max(one.value for one in numbers)
        assert all(one.best == (one.high >= top) for one in numbers)


# Ranks.


def replicated(rates, prompts=200, seed=0):
    generator = np.random.default_rng(seed)
    hits = generator.random((len(rates), prompts)) < np.array(rates)[:, None]
    return hits.mean(axis=1), bootstrap.paired_means(hits.astype(float))


def test_models_that_cannot_be_told_apart_share_a_rank():
    values, replicates = replicated([0.9, 0.5, 0.5, 0.1])
    assert ranks.ranks(values, replicates, 200).tolist() == [[1, 1], [2, 3], [2, 3], [4, 4]]
    assert ranks.ranks(values, replicates, 200, higher_is_better=False).tolist() == [[4, 4], [2, 3], [2, 3], [1, 1]]


def test_few_prompts_prove_nothing():
    values, replicates = np.array([1.0, 0.0]), np.array([[1.0] * 50, [0.0] * 50])
    assert ranks.ranks(values, replicates, 3).tolist() == [[1, 2], [1, 2]]
    assert ranks.ranks(values, replicates, 30).tolist() == [[1, 1], [2, 2]]


def test_equal_models_are_told_apart_in_no_more_than_a_twentieth_of_tables():
    wrong = 0
    for seed in range(80):
        values, replicates = replicated([0.5] * 6, seed=seed)
        wrong += (ranks.ranks(values, replicates, 200) != [1, 6]).any()
    assert wrong <= 11  # 4 expected at most; more than 11 has a probability of 0.001


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
@settings(max_examples=30, deadline=None)
def test_rank_intervals_hold_the_order_of_the_values(rates):
    values, replicates = replicated(rates)
    found = ranks.ranks(values, replicates, 200)
    assert (found[:, 0] >= 1).all()
    assert (found[:, 1] <= len(rates)).all()
    order = (values[:, None] < values).sum(axis=1) + 1
    assert (found[:, 0] <= order).all()
    assert (found[:, 1] >= order).all()


# Whatever the files are called and whatever lies beside them.


@given(order=st.randoms(use_true_random=False), repeated=st.integers(0, 3))
@few
def test_order_of_files_and_repeated_records_change_nothing(tmp_path_factory, order: random.Random, repeated):
    contents = [*records.family(), records.make("base", judge="guard")]
    expected = documents(records.save(tmp_path_factory.mktemp("plain"), *contents))
    folder = tmp_path_factory.mktemp("shuffled")
    shuffled = contents + order.choices(contents, k=repeated)
    order.shuffle(shuffled)
    for index, content in enumerate(shuffled):
        record.write(content, folder / str(order.random()) / f"run{index}.json")
    assert documents(folder) == expected


@given(dropped=st.sets(st.sampled_from(records.LANGUAGES), min_size=1, max_size=3))
@few
def test_a_missing_language_changes_no_other_number(tmp_path_factory, dropped):
    base, dpo, mlc, _ = records.family()
    whole = task_table(board(tmp_path_factory.mktemp("whole"), base, dpo, mlc))
    cut = dpo.model_copy(deep=True)
    for task in cut.tasks:
        for code in dropped:
            del task.languages[code]
    table = task_table(board(tmp_path_factory.mktemp("cut"), base, mlc, cut))
    for code in records.LANGUAGES:
        for label in ("base", "base-mlc", "base + dpo"):
            found = cell(table, label, code)
            if label == "base + dpo" and code in dropped:
                assert found.blank == "not run"
            else:
                was = cell(whole, label, code)
                assert (found.value, found.low, found.high, found.n) == (was.value, was.low, was.high, was.n)
    assert cell(table, "base + dpo", "average").value is None


@given(changed=st.integers(2, 9))
@few
def test_a_changed_task_version_takes_nothing_from_the_old_table(tmp_path_factory, changed):
    contents = records.family()
    before = task_table(board(tmp_path_factory.mktemp("before"), *contents))
    after = board(
        tmp_path_factory.mktemp("after"), *contents, records.make("new", version=changed, tasks=records.TASKS[:1])
    )
    same = next(table for table in after.tasks if table.setting.task == "harm" and table.setting.version == 1)
    assert same == before


@given(level=st.floats(0, 1))
@few
def test_a_second_judge_changes_nothing_of_the_first(tmp_path_factory, level):
    contents = records.family()
    before = board(tmp_path_factory.mktemp("before"), *contents)
    after = board(tmp_path_factory.mktemp("after"), *contents, records.make("base", judge="guard", chance=level))
    assert [table for table in after.tasks if table.judge != "guard"] == list(before.tasks)
    assert [table for table in after.main if table.judge != "guard"] == list(before.main)


# The main table and the published figures.


def test_the_main_table_has_safety_over_refusal_and_utility_and_no_order_of_merit(tmp_path):
    (main,) = board(tmp_path, *records.family()).main
    assert [column.heading for column in main.columns] == [
        "harm safe", "harm worst", "harm over-refusal", "quiz accuracy", "quiz worst",
    ]  # fmt: skip
    assert [row.model.label for row in main.rows] == ["base", "base + dpo", "base-mlc", "other"]
    assert cell(main, "base-mlc", "harm over-refusal").rank == (3, 3)


def test_var_of_the_paper_is_recomputed_from_its_rates():
    checked = 0
    for source in published.sources().values():
        for table in source.tables:
            for row in table.rows:
                if row.rates and row.var is not None:
                    fractions = [rate / 100 for rate in row.rates]
                    assert float(stats.language_variance(fractions)) == pytest.approx(
                        row.var, abs=0.01
                    )  # rounded rates
                    assert float(np.mean(row.rates)) == pytest.approx(row.average, abs=0.051)
                    checked += 1
    assert checked == 4


def test_published_figures_are_shown_apart_and_never_ranked():
    found = build.leaderboard([RECORDS])
    assert len(found.published) == 3
    for table in found.published:
        assert "Reported, not run here" in table.notes[0]
        cells = [one for row in table.rows for one in row.cells.values()]
        assert not any(one.rank or one.best for one in cells)
    ours = {row.model.id for table in (*found.main, *found.tasks) for row in table.rows}
    assert not ours & {row.model.id for table in found.published for row in table.rows}


def test_a_published_file_with_a_wrong_key_is_named(tmp_path):
    shutil.copy(published.FOLDER / "mlc_paper.yaml", tmp_path / "p.yaml")
    text = (tmp_path / "p.yaml").read_text()
    (tmp_path / "p.yaml").write_text(text + "extra: 1\n")
    with pytest.raises(UsageError, match=r"p\.yaml.*extra"):
        published.load(tmp_path)
    (tmp_path / "p.yaml").write_text(text.replace("[93.3, 96.1, ", "["))
    with pytest.raises(UsageError, match="8 rates, 10 languages"):
        published.load(tmp_path)


def test_nothing_heavy_is_imported():
    import subprocess
    import sys

    code = (
        "import sys, mlc_bench.leaderboard.build, mlc_bench.leaderboard.add, mlc_bench.leaderboard.plots; "
        "print([name for name in ('torch', 'lm_eval', 'transformers', 'vllm', 'trl') if name in sys.modules])"
    )
    assert json.loads(subprocess.check_output([sys.executable, "-c", code], text=True).replace("'", '"')) == []
