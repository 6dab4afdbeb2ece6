"""The leaderboard's page of made-up records, open in headless Chromium."""

import pytest
import sample_records
from chromium import WatchedPage

from mlc_bench.leaderboard import build
from mlc_bench.leaderboard.render import to_html
from mlc_bench.records.judge_info import Checked

EVIL = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"


def records():
    """A base model with two trained from it, one of which nothing is known, one with a hostile name, a second judge."""
    strong = {"en": 0.9, "ar": 0.8, "ps": 0.5, "sw": 0.2}
    found = [*sample_records.family(), sample_records.make(EVIL, chance=strong)]
    silent = sample_records.outcomes("silent", "benign", sample_records.LANGUAGES, 40, invalid=0.5)
    found.append(sample_records.make("silent", strings={"benign": silent}))
    about = {
        "judge": "rules",
        "version": "1",
        "labels": "<i>made up</i>",
        "source": "written",
        "others": 90,
        "alarms": 9,
    }
    for one in found:
        one.tasks[0].over_refusal_pairs = True
        one.judge.checked = [
            Checked(language="en", refusals=90, seen=81, **about),
            Checked(language="sw", refusals=80, seen=20, **about),
            Checked(language="ps", refusals=20, seen=15, **about),
        ]
    return [*found, sample_records.make("base", judge="guard", chance=0.5)]


@pytest.fixture(scope="module")
def shown_board(tmp_path_factory):
    return made_of(records(), tmp_path_factory)


def made_of(found, tmp_path_factory):
    """The leaderboard of records, and where its page is."""
    board = build.leaderboard([sample_records.save(tmp_path_factory.mktemp("records"), *found)])
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(to_html.document(board), encoding="utf-8")
    return board, path.as_uri()


class Page(WatchedPage):
    """An open leaderboard with its filters unfolded."""

    def ready_at(self, address):
        super().ready_at(address)
        self.page.evaluate("document.querySelectorAll('#controls details').forEach(one => { one.open = true })")
        return self

    def table(self, part):
        names = self.page.eval_on_selector_all("#c-table option", "all => all.map(one => one.value)")
        self.page.select_option("#c-table", next(name for name in names if name.startswith(part)))

    def column(self, name):
        """The shown texts of a column, top to bottom."""
        return self.page.evaluate(
            """name => {
              const heads = [...document.querySelectorAll('#table-place thead th')];
              const place = heads.findIndex(head => head.innerText.trim().split(/\\s+/).includes(name));
              const rows = [...document.querySelectorAll('#table-place tbody tr')];
              return rows.map(row => row.children[place]).map(
                cell => (cell?.querySelector('.number') ?? cell?.firstChild)?.textContent)
            }""",
            name,
        )

    def rows(self):
        """All texts of the table, row by row, without what is small print."""
        return self.page.evaluate(
            """() => [...document.querySelectorAll('#table-place tbody tr')].map(row => [...row.children].map(
              cell => (cell.querySelector('.number') ?? cell.firstChild)?.textContent ?? ''))"""
        )

    def open_number(self, model, place):
        """Click a number: the model's row, and its place among the numbers."""
        row = self.page.locator("#table-place tbody tr", has_text=model).first
        row.locator(".number").nth(place).click()

    def facts(self):
        """What the dialog says: term -> text (of several the first), and everything as one text."""
        pairs = self.page.eval_on_selector_all(
            "#made-body dl > div", "all => all.map(one => [one.children[0].textContent, one.children[1].textContent])"
        )
        found = {}
        for term, text in pairs:
            found.setdefault(term, text)
        return found, self.page.inner_text("#made-body")

    def sort(self, name):
        head = self.page.locator("#table-place thead th", has_text=name).first
        before = head.get_attribute("aria-sort")
        head.locator(".dt-column-order").click()
        self.page.wait_for_function(  # the rows are put in order behind the click
            "([head, before]) => head.getAttribute('aria-sort') !== before", arg=[head.element_handle(), before]
        )


@pytest.fixture
def open_board(browser, shown_board):
    """Opens the page, again and again; at the end none of them had an error, or asked for anything."""
    opened = []

    def begin(fragment="", **options):
        opened.append(Page(browser.new_page(**options), ("file:", "blob:", "data:")))
        return opened[-1].ready_at(shown_board[1] + fragment)

    yield begin
    for one in opened:
        one.page.close()
        assert one.trouble == []
