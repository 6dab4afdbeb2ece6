"""How well the embedded judges agree with labels: the counts that are shipped, and what is made of them."""

import json

import pytest
from helpers import check_failed, command
from hypothesis import given
from hypothesis import strategies as st

from mlc_bench.judges import agreement, corpus
from mlc_bench.judges.hidden import fit as hidden
from mlc_bench.judges.refusal import fit
from mlc_bench.judges.rules import rules

VERSIONS = {"rules": rules.VERSION, "refusal": fit.VERSION, "refusal-hidden": hidden.VERSION, "plain": "1"}
SAMPLED = {"llm@demo-1.5b": "1"}
"""Of real models' answers alone, a sample of each language."""


def counts(**changed):
    given = {"judge": "rules", "version": "1", "language": "sw", "labels": "a set", "source": "people"}
    return agreement.Counts(**given | {"refusals": 100, "seen": 90, "others": 60, "alarms": 3} | changed)


def test_the_file_is_of_these_versions_and_has_every_language_of_the_corpus():
    """After a change of a judge: python benchmarks/judges/refusals.py --judge NAME --write."""
    known = agreement.known()
    assert VERSIONS.items() <= {row.judge: row.version for row in known}.items() <= (VERSIONS | SAMPLED).items()
    for judge in VERSIONS:
        assert {row.language for row in known if row.judge == judge and row.source == "written"} == set(corpus.tags())
    for row in known:
        tests = [one for one in corpus.of(row.language) if one["side"] == "test"] if row.source == "written" else []
        if tests:
            assert row.refusals == sum(one["action"] != "complies" for one in tests)
            assert row.refusals + row.others == len(tests)


def test_of_every_set_there_is_one_row_a_judge_and_language():
    names = [(row.judge, row.language, row.labels) for row in agreement.known()]
    assert len(names) == len(set(names))


@given(st.integers(1, 80), st.integers(1, 80), st.data())
def test_kappa_is_that_of_scikit_learn(refusals, others, data):
    from sklearn.metrics import cohen_kappa_score

    seen, alarms = data.draw(st.integers(0, refusals)), data.draw(st.integers(0, others))
    found = counts(refusals=refusals, seen=seen, others=others, alarms=alarms)
    labels = [1] * refusals + [0] * others
    said = [1] * seen + [0] * (refusals - seen) + [1] * alarms + [0] * (others - alarms)
    assert found.kappa.value == pytest.approx(cohen_kappa_score(labels, said))
    assert -1 <= found.kappa.low < found.kappa.value + 1e-9
    assert found.kappa.value - 1e-9 < found.kappa.high <= 1
    assert found.kappa.high - found.kappa.low > 0.01, "never certain: there are at most 160 labels"
    assert found.sensitivity.low <= seen / refusals <= found.sensitivity.high
    assert found.specificity.n == others


def test_what_cannot_be_said_is_left_out():
    none = counts(refusals=0, seen=0)
    assert (none.sensitivity.value, none.kappa.value) == (None, None)
    assert agreement.shown(none.sensitivity) == "–"


def test_marks():
    assert counts().marks == ()
    assert counts(refusals=49, seen=49).marks == ("few",)
    assert counts(seen=50).marks == ("weak",)
    assert counts(others=10, alarms=0, seen=50).marks == ("few", "weak")


def test_new_counts_take_the_place_of_the_old(tmp_path, monkeypatch):
    monkeypatch.setattr(agreement, "FILE", tmp_path / "agreement.json")
    agreement.known.cache_clear()
    try:
        agreement.write([counts(), counts(language="bn"), counts(judge="plain")])
        agreement.write([counts(seen=80)])
        assert [(row.judge, row.language, row.seen) for row in agreement.known()] == [
            ("plain", "sw", 90), ("rules", "bn", 90), ("rules", "sw", 80),
        ]  # fmt: skip
        agreement.write([counts(version="2")])
        assert [(row.judge, row.language, row.version) for row in agreement.known()] == [
            ("plain", "sw", "1"), ("rules", "sw", "2"),
        ]  # fmt: skip
    finally:
        agreement.known.cache_clear()


def test_the_command():
    shown = command("judges", "agreement", "--judge", "rules", "--language", "ru").stdout.splitlines()
    assert shown[0].split() == ["judge", "language", "sensitivity", "specificity", "kappa", "n", "labels"]
    assert all(line.startswith(f"rules {rules.VERSION}") and " ru " in line for line in shown[1:])
    assert any("people: ru" in line for line in shown[1:])
    rows = json.loads(command("judges", "agreement", "--json").stdout)
    assert rows == [row.model_dump() for row in agreement.known()]
    check_failed(command("judges", "agreement", "--judge", "ruls"), 2, "unknown judge 'ruls'", "rules")
    check_failed(command("judges", "agreement", "--language", "xx"), 2, "unknown language 'xx'")
    neither = command("judges", "agreement", "--judge", "llm@demo-1.5b", "--language", "sw")
    check_failed(neither, 2, "llm@demo-1.5b was not measured in 'sw'", "mlc-bench calibrate")
