"""The page's training runs in headless Chromium: points and table against the records, what can be chosen, no harm."""

import re

import board_page
import pytest
import sample_records

from mlc_bench.leaderboard import curves
from mlc_bench.leaderboard.tabulate import number_format
from mlc_bench.leaderboard.tabulate.cells import Column

RUN, OTHER = "a" * 12, "b" * 12
EVIL = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
CHANCES = {0: 0.2, 10: 0.5, 20: 0.9, 30: 0.7}
POINTS = "#training .mark-symbol.role-mark path"
PERCENT, POINTS_UNIT = Column("", "", "percent", None), Column("", "", "points", None)
LINES = {"harmful refused": "refusal", "harmless refused": "over_refusal", "selectivity": "selectivity"}


def records():
    """A base model, a run of three checkpoints, and one of two whose method is called by a hostile name."""
    base = sample_records.summarised(sample_records.make("base", chance=CHANCES[0]))
    own = [sample_records.checkpoint(step, CHANCES[step], run=RUN) for step in (10, 20, 30)]
    fine = sample_records.outcomes("fine", "benign", ("en",), 40)
    silent = fine | sample_records.outcomes("silent", "benign", ("sw",), 40, invalid=0.5)
    other = [
        sample_records.checkpoint(step, 0.4, run=OTHER, base=EVIL, method=EVIL, languages=languages, strings=strings)
        for step, languages, strings in ((5, sample_records.LANGUAGES, None), (6, ("en", "sw"), {"benign": silent}))
    ]
    return [base, *own, *other]


@pytest.fixture(scope="module")
def shown_board(tmp_path_factory):
    return board_page.made_of(records(), tmp_path_factory)


def line(board, measure, language, task="harm", run=RUN):
    one = next(one for one in board.curves if one.run == run)
    return one.lines()[task, measure, language]


def points(page):
    """What each point of the chart says of itself: (line, step) -> (the rest of the text, its height on the screen)."""
    page.wait_for_selector(POINTS)
    found = page.eval_on_selector_all(
        POINTS, "all => all.map(one => [one.getAttribute('aria-label'), one.getAttribute('transform')])"
    )
    made = {}
    for text, transform in found:
        name, step, rest = re.fullmatch(r"(.*), step (\d+): (.*)", text).groups()
        made[name, int(step)] = rest, float(re.search(r"translate\(.*?,(.*?)\)", transform)[1])
    return made


def shown(point, column):
    return number_format.shown(point.value.value, column), number_format.interval(point.value, column)


@pytest.mark.parametrize("language", ["mean", "sw"])
def test_chart_and_table_have_the_numbers_of_the_records(open_board, shown_board, language):
    page = open_board().page
    page.select_option("#t-language", language)
    page.wait_for_function(
        "text => document.querySelector('#training-caption').textContent.includes(text)",
        arg="mean over languages" if language == "mean" else "Swahili (sw)",
    )
    found = points(page)
    of = curves.ALL if language == "mean" else language
    heads = page.locator("#training-table thead th").all_inner_texts()
    rows = {int(row[0]): row for row in texts(page)}
    assert sorted(rows) == [0, 10, 20, 30]
    heights = []
    for place, (name, measure) in enumerate(LINES.items(), 1):
        column = POINTS_UNIT if measure == "selectivity" else PERCENT
        assert heads[place].startswith(name)
        for point in line(shown_board[0], measure, of):
            value, interval = shown(point, column)
            said, height = found.pop((name, point.step))
            assert said == f"{value}{' points' if measure == 'selectivity' else ' %'} {interval}, n {point.value.n}"
            heights.append((point.value.value, height))
            assert rows[point.step][place] == f"{value}{interval}n {point.value.n}"
    assert found == {}
    (low, bottom), (high, top) = min(heights), max(heights)
    for value, height in heights:  # on one scale
        assert height == pytest.approx(bottom + (value - low) / (high - low) * (top - bottom), abs=0.05)
    assert bottom > top
    # A band and a line for each of the three.
    assert page.locator("#training .mark-area.role-mark path").count() == 3
    dashes = page.eval_on_selector_all(
        "#training .mark-line.role-mark path", "all => all.map(one => one.getAttribute('stroke-dasharray'))"
    )
    assert len(set(dashes)) == 3
    assert len(set(page.eval_on_selector_all(POINTS, "all => all.map(one => one.getAttribute('d'))"))) == 3


def texts(page):
    return page.evaluate(
        "() => [...document.querySelectorAll('#training-table tbody tr')].map("
        "row => [...row.children].map(cell => cell.textContent))"
    )


def test_it_says_where_selectivity_is_highest(open_board, shown_board):
    page = open_board().page
    for language, of in (("mean", curves.ALL), ("ps", "ps")):
        page.select_option("#t-language", language)
        top, others = curves.peak(line(shown_board[0], "selectivity", of))
        value, interval = shown(top, POINTS_UNIT)
        said = page.inner_text("#training-peak")
        assert said.startswith(f"Selectivity is highest at step {top.step}: {value} points {interval}.")
        assert all(f"{step}" in said.split("]. ")[1] for step in others)


def test_measure_language_and_run_are_chosen_and_kept_in_the_address(open_board, shown_board):
    page = open_board().page
    options = page.locator("#t-measure option").all_inner_texts()
    assert options == [
        "Refusal, over-refusal and selectivity: harm", "PAG: benign", "PAG: harm", "PAG: quiz", "Utility: quiz"
    ]  # fmt: skip
    page.focus("#t-measure")
    for _ in range(4):
        page.keyboard.press("ArrowDown")
    page.wait_for_function("document.querySelector('#training-caption').textContent.startsWith('Utility')")
    assert page.inner_text("#training-peak") == ""
    page.select_option("#t-language", "sw")
    page.wait_for_function("document.querySelector('#training-caption').textContent.includes('Swahili')")
    found = points(page)
    for point in line(shown_board[0], "utility", "sw", "quiz"):
        assert found["utility", point.step][0].startswith(f"{shown(point, PERCENT)[0]} %")
    again = open_board(page.evaluate("location.hash")).page
    again.wait_for_selector(POINTS)
    assert again.inner_text("#training-caption") == page.inner_text("#training-caption")
    again.select_option("#t-measure", "pag:harm")
    again.wait_for_function("document.querySelector('#training-caption').textContent.startsWith('PAG')")
    assert [row[0] for row in texts(again)] == ["0", "10", "20", "30"]
    assert again.locator("#t-language option").all_inner_texts() == ["all languages"]


def test_hostile_names_are_text(open_board):
    page = open_board().page
    assert page.locator("#t-run option").count() == 2
    page.select_option("#t-run", index=1)
    page.wait_for_function("document.querySelector('#training-caption').textContent.includes('</script>')")
    assert [row[0] for row in texts(page)] == ["6"]  # of equally many the last step's
    page.select_option("#t-language", "en")
    page.wait_for_function("document.querySelectorAll('#training-table tbody tr').length === 2")
    assert [row[0] for row in texts(page)] == ["5", "6"]
    assert len(points(page)) == 6
    assert "!" not in page.locator("#training-table tbody").text_content()
    page.select_option("#t-language", "sw")
    page.wait_for_function("document.querySelector('#training-caption').textContent.includes('Swahili')")
    assert [" !" in cell for _, cell, *_ in texts(page)] == [False, True]
    found = points(page)
    assert found["selectivity", 6][0].endswith("over a tenth of the answers are invalid")
    assert "refusal of harm (all) at step 5" in page.locator("#training-left-out").text_content()
    assert page.title() == "mlc-bench leaderboard"
    assert page.locator("#training-section img, #training-section script").count() == 0
    odd = open_board("#run=<b>&measure=pag:x&of=xx").page
    odd.wait_for_selector(POINTS)
    assert RUN in odd.inner_text("#training-caption")


def test_a_phone_shows_it_without_scrolling_sideways(open_board):
    page = open_board(viewport={"width": 360, "height": 740}).page
    page.wait_for_selector(POINTS)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.locator("#training svg").bounding_box()["width"] <= 360


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_fault(open_board, scheme):
    from axe_playwright_python.sync_playwright import Axe

    page = open_board(color_scheme=scheme).page
    page.wait_for_selector(POINTS)
    page.wait_for_selector("#bars svg")
    found = Axe().run(page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found] == []
