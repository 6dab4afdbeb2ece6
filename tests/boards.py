"""The leaderboard of made-up records, and where to find a cell of it."""

import sample_records
from checkout import GOLDEN
from hypothesis import HealthCheck, settings

from mlc_bench.leaderboard import build, collect
from mlc_bench.leaderboard.tabulate import all_tables

RECORDS = GOLDEN / "leaderboard" / "records"
OLD = GOLDEN / "run_schema1.json"
few = settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def board(tmp_path, *contents):
    return all_tables.build(collect.collect([sample_records.save(tmp_path, *contents)]))


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
