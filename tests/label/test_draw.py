"""Which answers are drawn, and with what probability."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelled_runs import lines, make, read, typed

from mlc_bench.core.errors import UsageError
from mlc_bench.judges.labels import draw, session

SIZES = st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.integers(1, 80), min_size=1, max_size=9)


@given(SIZES, st.integers(1, 120))
def test_strata_give_as_many_as_they_can_and_equally(sizes, sample):
    rows = draw.allocate(sizes, sample)
    assert sum(rows.values()) == min(sample, sum(sizes.values()))
    assert all(0 <= rows[name] <= size for name, size in sizes.items())
    open_ = [rows[name] for name, size in sizes.items() if rows[name] < size]
    assert not open_ or max(open_) - min(open_) <= 1
    full = [rows[name] for name, size in sizes.items() if rows[name] == size]
    assert not open_ or not full or max(full) <= max(open_) + 1


@given(SIZES, st.integers(9, 120), st.integers(0, 5))
def test_the_probability_is_what_was_drawn_of_each_stratum(sizes, sample, seed):
    groups = {name: [("run", "task", "en", f"{name}{place}") for place in range(n)] for name, n in sizes.items()}
    drawn = draw.draw(groups, sample, seed)
    assert len({one.key for one in drawn}) == len(drawn) == min(sample, sum(sizes.values()))
    of_strata = Counter(one.stratum for one in drawn)
    assert set(of_strata) == set(sizes), "every stratum is drawn from"
    for one in drawn:
        assert one.probability == of_strata[one.stratum] / sizes[one.stratum]
        assert one.key in groups[one.stratum]
    assert sum(1 / one.probability for one in drawn) == pytest.approx(sum(sizes.values()))


def test_every_answer_of_a_stratum_is_as_likely():
    groups = {"a": [("run", "task", "en", str(place)) for place in range(10)]}
    counts = Counter(one.key for seed in range(2000) for one in draw.draw(groups, 3, seed))
    assert all(520 <= count <= 680 for count in counts.values())


def test_the_same_seed_draws_the_same_whatever_the_order_of_runs(tmp_path):
    runs = [make(tmp_path, name) for name in ("one", "two")]
    found = [
        session.start(order, sample=20, file=tmp_path / f"{n}.jsonl") for n, order in enumerate((runs, runs[::-1]))
    ]
    assert found[0].drawn == found[1].drawn
    other = session.start(runs, sample=20, seed=1, file=tmp_path / "c.jsonl")
    assert other.drawn != found[0].drawn
    mixed = [one.key for one in found[0].drawn]
    assert len({key[0] for key in mixed[:12]}) == len({key[2] for key in mixed[:12]}) == 2


def test_rare_verdicts_and_both_tasks_are_drawn(tmp_path):
    run = make(tmp_path, outcomes={"en": "1" * 200 + "00" + "i"}, benign={"en": "1" + "0" * 99})
    one = session.start([run], sample=60, annotator="ann")
    assert Counter(drawn.stratum.split()[1::2][0] + " " + drawn.stratum.split()[-1] for drawn in one.drawn) == {
        "harmful refuses": 28, "harmful complies": 2, "harmful invalid": 1, "benign refuses": 1, "benign complies": 28,
    }  # fmt: skip


def test_going_on_shows_the_same_rows_though_the_run_was_judged_again(tmp_path):
    run = make(tmp_path)
    done = typed(["r", "r", "q"], run, "--sample", 6, "--annotator", "ann")
    assert done.returncode == 0, done.stderr
    before = session.start([run], sample=6, annotator="ann")
    path = run / "verdicts/rules/harmful.jsonl"
    path.write_text(lines(row | {"verdict": "invalid"} for row in read(path)))
    after = session.start([run], sample=6, annotator="ann")
    assert after.drawn == before.drawn
    assert after.left == 10
    assert after.shown == before.shown


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"seed": 1}, "seed"),
        ({"sample": 7}, "sample"),
        ({"languages": ["sw"]}, "languages"),
        ({"tasks": ["harmful"]}, "tasks"),
    ],
)
def test_another_setting_needs_another_file(tmp_path, change, word):
    run = make(tmp_path)
    session.start([run], sample=6, annotator="ann")
    with pytest.raises(UsageError, match=f"was drawn with {word}.*name another --file"):
        session.start([run], **({"sample": 6, "annotator": "ann"} | change))


def test_only_some_languages_and_tasks(tmp_path):
    run = make(tmp_path, benign={"en": "10" * 5})
    one = session.start([run], languages=["sw"], annotator="a")
    assert {drawn.key[2] for drawn in one.drawn} == {"sw"}
    one = session.start([run], tasks=["benign"], annotator="b")
    assert {drawn.key[1] for drawn in one.drawn} == {"benign"}
    for change, words in (
        ({"languages": ["ps"]}, "unknown language of the .* 'ps'"),
        ({"tasks": ["harmfull"]}, "did you mean harmful"),
    ):
        with pytest.raises(UsageError, match=words):
            session.start([run], annotator="c", **change)


def test_every_stratum_must_be_drawn_from(tmp_path):
    with pytest.raises(UsageError, match=r"en has 3 strata .*more than --sample 2"):
        session.start([make(tmp_path)], sample=2, annotator="a")


def test_answers_that_no_judge_read_are_not_drawn(tmp_path):
    run = make(tmp_path, outcomes={"en": "1" * 10 + "0" * 10})
    path = run / "verdicts/rules/harmful.jsonl"
    rows = read(path)
    rows[0]["verdict"], rows[1]["verdict"] = None, "blocked"
    path.write_text(lines(rows))
    ids = {one.key[3] for one in session.start([run], annotator="a").drawn}
    assert ids == {str(place) for place in range(2, 20)}
    path.write_text(lines(row | {"verdict": None} for row in rows))
    with pytest.raises(UsageError, match="judge the run first"):
        session.start([run], annotator="b")
