"""The page's headline in headless Chromium: selectivity first, its chart by language, and what a number is made of."""

import csv
import io
import json

import board_page
from boards import cell, task_table

from mlc_bench.leaderboard.render import to_csv, to_json
from mlc_bench.leaderboard.tabulate import number_format

PAIR = "selectivity-harm-rules"
POINTS = "#pairs .mark-symbol.role-mark path"


def headline(board):
    return next(table for table in board.headline if table.id.startswith(PAIR))


def test_the_first_table_is_selectivity_and_its_numbers_are_those_of_the_files(open_board, shown_board):
    board, _ = shown_board
    page = open_board()
    assert page.page.inner_text("#table-heading").startswith("Selectivity, harm")
    assert "outside English, 3 languages" in " ".join(page.page.inner_text("#table-place thead").split())
    page.table(PAIR)
    table = headline(board)
    shown = [[text.rstrip("!") for text in row[1 : 1 + len(table.columns)]] for row in page.rows()]
    sheet = list(csv.reader(io.StringIO(to_csv.wide(table))))[1:]
    assert [[text.lstrip("+") for text in row] for row in shown] == [[text or "–" for text in row[4:]] for row in sheet]
    data = next(one for one in json.loads(to_json.document(board))["headline"] if one["id"] == table.id)
    for row, line in zip(data["rows"], shown, strict=True):
        for column, entry, text in zip(table.columns, row["cells"], line, strict=True):
            assert text == (number_format.shown(entry["value"], column) if "value" in entry else "–")
    outside = [float(row[0]) for row in shown if row[0] != "–"]
    assert outside == sorted(outside, reverse=True)
    small = page.page.locator("#table-place tbody tr").first.locator("td").nth(2).inner_text()
    assert "n 40" in small
    assert "[" in small
    heads = page.page.locator("#table-place thead th")
    assert "ps† ↑" in heads.filter(has_text="Pashto").inner_text()
    assert "sw‡ ↑" in heads.filter(has_text="Swahili").inner_text()
    assert "! in" in page.page.locator("#table-place tbody tr", has_text="silent").first.inner_text()


def test_the_chart_has_a_point_for_each_language_of_the_picked_models(open_board, shown_board):
    table = headline(shown_board[0])
    page = open_board()
    page.table(PAIR)
    page.page.wait_for_selector(POINTS)

    def wanted():
        labels = page.page.eval_on_selector_all("#p-models input:checked", "all => all.map(one => one.value)")
        rows = [row for row in table.rows if row.model.id[:12] in labels]
        columns = [column for column in table.columns if column.parts and column.language]
        return sum(row.cells[column.id].value is not None for row in rows for column in columns)

    assert page.page.locator(POINTS).count() == wanted() == 8
    texts = page.page.locator("#pairs .mark-text.role-mark text").all_text_contents()
    assert {"en", "ar†", "ps†", "sw‡"} <= {text.rstrip("!") for text in texts}
    third = page.page.locator("#p-models input:not(:checked)").first
    third.click()  # the list is drawn anew
    page.page.wait_for_function("count => document.querySelectorAll('" + POINTS + "').length > count", arg=8)
    assert page.page.locator(POINTS).count() == wanted()
    assert page.page.locator("#pairs .mark-rule.role-mark line").count() == 0
    page.page.check("#p-whiskers")
    page.page.wait_for_selector("#pairs .mark-rule.role-mark line", state="attached")
    again = open_board(page.page.evaluate("location.hash"))
    again.page.wait_for_selector(POINTS)
    assert again.page.locator(POINTS).count() == wanted()
    # The same numbers stand in the table beside it.
    cells = again.page.locator("#pairs-table tbody tr", has_text="Swahili").locator(".number").all_inner_texts()
    label = again.page.locator("#pairs-table th[scope=colgroup]").first.inner_text()
    assert cells[0].rstrip(" !") == number_format.shown(
        cell(table, label, "sw").value, headline(shown_board[0]).columns[0]
    )
    assert cells[1] == f"{100 * cell(task_table(shown_board[0]), label, 'sw').value:.1f}"
    assert cells[2] == f"{100 * cell(task_table(shown_board[0], 'benign'), label, 'sw').value:.1f}"


def test_a_click_and_enter_tell_what_a_number_is_made_of(open_board, shown_board):
    record = board_page.records()[0]
    page = open_board()
    page.table("harm-rules")
    row = page.page.locator("#table-place tbody tr", has_text="base").filter(has_text="as released").first
    heads = page.page.locator("#table-place thead th").all_inner_texts()
    place = next(place for place, head in enumerate(heads) if "Swahili" in head)
    button = row.locator("td").nth(place).locator(".number")
    button.focus()
    page.page.keyboard.press("Enter")
    facts, text = page.facts()
    result = record.tasks[0].languages["sw"]
    value = result.metrics["refusal_rate"]
    assert facts["value"] == f"{100 * value.value:.1f} %"
    assert facts["95 % interval"] == f"[{100 * value.low:.1f}, {100 * value.high:.1f}]"
    assert "Wilson" in facts["its method"]
    assert facts["n, judged answers"] == str(value.n)
    assert facts["unscored"] == str(result.n_unscored)
    assert facts["judge"] == f"{record.judge.id}, version {record.judge.version}"
    assert facts["max tokens"] == str(record.tasks[0].generation["max_gen_toks"])
    assert facts["version"] == str(record.tasks[0].version)
    assert facts["system prompt"] == "none"
    assert facts["date"] == record.finished
    assert facts["engine"] == f"{record.model.engine} {record.model.engine_version}"
    assert f"Run {record.run_id}" in text
    checked = next(one for one in record.judge.checked if one.language == "sw")
    line = page.page.locator("#made-body tr", has_text=f"{checked.refusals} + {checked.others}").inner_text()
    assert f"{100 * checked.seen / checked.refusals:.0f} % [" in line
    assert f"{100 * (1 - checked.alarms / checked.others):.0f} % [" in line
    assert "‡ misses many refusals" in line
    assert "<i>made up</i>" in line
    page.page.keyboard.press("Escape")
    assert not page.page.evaluate("document.getElementById('made-of').open")
    assert page.page.evaluate("document.activeElement.closest('td').cellIndex") == place
    # A mean lists its languages and the two rates that it is the difference of, each with a dialog of its own.
    page.table(PAIR)
    page.open_number("base", 0)
    facts, text = page.facts()
    assert "Newcombe" in facts["its method"]
    for part in (
        "refuses harmful, outside English",
        "refuses harmless, outside English",
        "Swahili (sw)",
        "Pashto (ps)",
    ):
        assert part in text
    page.page.locator("#made-body .number").first.click()
    assert "refuses harmful" in page.page.inner_text("#made-heading")
    assert "bootstrap" in page.facts()[0]["its method"]


def test_every_number_has_its_dialog_in_every_table(open_board, shown_board):
    page = open_board()
    for table in shown_board[0].tables:
        page.page.select_option("#c-table", table.id)
        page.page.locator("#table-place .number").last.click()
        _, text = page.facts()
        assert "value" in text
        assert "undefined" not in text
        assert "NaN" not in text
        page.page.click("#made-close")


def test_a_point_opens_what_its_selectivity_is_made_of(open_board):
    page = open_board()
    page.table(PAIR)
    page.page.wait_for_selector(POINTS)
    page.page.locator(POINTS).first.click(force=True)
    page.page.wait_for_selector("#made-of[open]")
    assert "Refusal of harmful less refusal of harmless" in page.facts()[1]


def test_hostile_names_are_text_in_the_chart_and_in_the_dialog(open_board):
    page = open_board()
    page.table(PAIR)
    for _ in range(page.page.locator("#p-models input:checked").count()):
        page.page.locator("#p-models input:checked").first.click()  # the list is drawn anew
    page.page.locator("#p-models label", has_text="</script>").locator("input").click()
    page.page.wait_for_selector(POINTS)
    page.open_number("</script>", 0)
    assert page.facts()[0]["name"] == board_page.EVIL
    assert page.page.title() == "mlc-bench leaderboard"
    assert page.page.locator("#made-of img, #pairs-section img, #made-of i").count() == 0


def test_a_phone_shows_chart_and_dialog_without_scrolling_sideways(open_board):
    page = open_board(viewport={"width": 360, "height": 740})
    page.page.wait_for_selector(POINTS)
    assert page.page.evaluate("document.documentElement.scrollWidth") <= 360
    page.page.locator("#table-place .number").first.click()
    page.page.wait_for_selector("#made-of[open]")
    assert page.page.evaluate("document.documentElement.scrollWidth") <= 360
    box = page.page.locator("#made-of").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 360
