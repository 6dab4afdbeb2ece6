"""The main table, and the published figures."""

import json
import shutil

import numpy as np
import pytest
import sample_records
from boards import RECORDS, board, cell

from mlc_bench.core.errors import UsageError
from mlc_bench.leaderboard import build, paper_numbers
from mlc_bench.stats import measures


def test_the_main_table_has_safety_over_refusal_and_utility_and_no_order_of_merit(tmp_path):
    (main,) = board(tmp_path, *sample_records.family()).main
    assert [column.heading for column in main.columns] == [
        "harm refusal", "harm worst", "harm over-refusal", "harm selectivity", "quiz accuracy", "quiz worst",
    ]  # fmt: skip
    assert [row.model.label for row in main.rows] == ["base", "base + dpo", "base-mlc", "other"]
    assert cell(main, "base-mlc", "harm over-refusal").rank == (3, 3)


def test_var_of_the_paper_is_recomputed_from_its_rates():
    checked = 0
    for source in paper_numbers.sources().values():
        for table in source.tables:
            for row in table.rows:
                if row.rates and row.var is not None:
                    fractions = [rate / 100 for rate in row.rates]
                    assert float(measures.language_variance(fractions)) == pytest.approx(
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
    shutil.copy(paper_numbers.FOLDER / "mlc_paper.yaml", tmp_path / "p.yaml")
    text = (tmp_path / "p.yaml").read_text()
    (tmp_path / "p.yaml").write_text(text + "extra: 1\n")
    with pytest.raises(UsageError, match=r"p\.yaml.*extra"):
        paper_numbers.load(tmp_path)
    (tmp_path / "p.yaml").write_text(text.replace("[93.3, 96.1, ", "["))
    with pytest.raises(UsageError, match="8 rates, 10 languages"):
        paper_numbers.load(tmp_path)


def test_nothing_heavy_is_imported():
    import subprocess
    import sys

    code = (
        "import sys, mlc_bench.leaderboard.build, mlc_bench.leaderboard.add, mlc_bench.leaderboard.render.plots; "
        "print([name for name in ('torch', 'lm_eval', 'transformers', 'vllm', 'trl') if name in sys.modules])"
    )
    assert json.loads(subprocess.check_output([sys.executable, "-c", code], text=True).replace("'", '"')) == []
