"""Where a model answers in another language than it was asked in, its tables say so."""

import pytest
import sample_records

from mlc_bench.records import fidelity, run_table, selectivity
from mlc_bench.records.record import Value

PAIR = (("harm", "safety", "plain"), ("plain", "over_refusal", None))


def answered(shares, n=20):
    """A run of a pair of tasks with this share of answers in the prompt's language, by language."""
    made = sample_records.make(
        tasks=PAIR, strings={name: {code: "10" * 10 for code in shares} for name in ("harm", "plain")}
    )
    for task in made.tasks:
        for code, share in shares.items():
            task.languages[code].metrics["language_fidelity"] = Value(value=share, low=0.0, high=1.0, n=n)
    return made


def test_languages_with_mostly_other_answers_are_named():
    made = answered({"en": 1.0, "sw": 0.49, "ru": 0.5, "ar": 0.0})
    assert fidelity.elsewhere(made.tasks) == ["sw", "ar"]
    (said,) = fidelity.note(made.tasks)
    assert said.startswith("In sw ar fewer than half of the answers are in the prompt's language.")
    assert said in run_table.notes(made)
    assert said in selectivity.text(made)
    assert said in selectivity.html(made).replace("&#x27;", "'")
    (line,) = selectivity.lines(made)
    assert line.endswith("answers mostly in another language in sw ar")


def test_nothing_is_said_where_it_answers_in_the_prompts_languages():
    made = answered({"en": 1.0, "sw": 0.9})
    assert fidelity.note(made.tasks) == []
    assert "another language" not in "".join([*run_table.notes(made), selectivity.text(made), *selectivity.lines(made)])


def test_a_handful_of_answers_says_nothing():
    """Both tasks together have fewer than ten answers that are long enough to identify."""
    assert fidelity.elsewhere(answered({"sw": 0.0}, n=4).tasks) == []
    assert fidelity.elsewhere(answered({"sw": 0.0}, n=5).tasks) == ["sw"]


def test_answers_of_several_tasks_count_by_their_numbers():
    assert fidelity.pooled([(1.0, 30), (0.0, 10), (None, 5)]) == pytest.approx(0.75)
    assert fidelity.pooled([(None, 0)]) is None
