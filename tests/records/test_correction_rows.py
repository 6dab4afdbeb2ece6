"""Rows of a run's table that only some languages have."""

from runs_to_compare import make_run, make_task

from mlc_bench.records import aggregate, run_table


def test_a_mean_of_some_languages_is_no_mean():
    task = make_task({"en": "1100", "sw": "1000"})
    aggregate.summarise(task, seed=0)
    task.languages["en"].metrics["refusal_rate_corrected"] = aggregate.rate(3, 4)
    (row,) = [
        place
        for place, label in enumerate(run_table.columns(make_run(task))[0].cells)
        if label == "corrected for the judge %"
    ]
    cells = {column.heading.rstrip("†"): column.cells[row] for column in run_table.columns(make_run(task))}
    assert cells["en"].startswith("75")
    assert (cells["sw"], cells["average"]) == ("", "–")
    task.languages["sw"].metrics["refusal_rate_corrected"] = aggregate.rate(1, 4)
    cells = {column.heading.rstrip("†"): column.cells[row] for column in run_table.columns(make_run(task))}
    assert cells["average"] == "50"
