"""What a notebook shows of a record, a comparison and a leaderboard: tables, and nothing of others as markup."""

from html.parser import HTMLParser

import sample_records
from runs_to_compare import make_run, make_task, random_outcomes

from mlc_bench import show
from mlc_bench.leaderboard import build
from mlc_bench.records import aggregate, record, run_table, selectivity
from mlc_bench.records.comparing import compare, table

HOSTILE = "<script>alert('1')</script>&amp;"
ALLOWED = {"table", "caption", "thead", "tbody", "tr", "th", "td", "p", "br", "h2", "h3", "strong", "ul", "li", "em"}


class Page(HTMLParser):
    """Texts of the cells, row by row, and every element; raises for an attribute."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.elements, self.texts, self.in_cell = [], set(), [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        assert not attrs, attrs
        self.elements.add(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self.in_cell = True
        elif tag == "br" and self.in_cell:
            self.tables[-1][-1][-1] += "\n"

    def handle_data(self, text):
        self.texts.append(text)
        if self.in_cell:
            self.tables[-1][-1][-1] += text

    def handle_endtag(self, tag):
        self.in_cell = self.in_cell and tag not in ("td", "th")


def made(name="model-a", rate=0.6, seed=1):
    harmful = make_task(random_outcomes({"en": rate, "sw": rate}, 40, seed))
    benign = make_task(random_outcomes({"en": 0.1, "sw": 0.2}, 40, 2), name="benign", measures="over_refusal")
    tasks = [harmful, benign]
    tasks[0].over_refusal_task = "benign"
    for task in tasks:
        aggregate.summarise(task, 0)
    run = make_run(*tasks, name=name)
    run.selectivity = selectivity.of_record(run)
    return run


def test_a_record_is_the_tables_of_the_terminal():
    run = made()
    page = Page(run._repr_html_())
    first, second = page.tables
    columns = run_table.columns(run)
    assert first[0] == [column.heading for column in columns]
    assert first[1:] == [list(row) for row in zip(*(column.cells for column in columns), strict=True)]
    printed = selectivity.text(run)
    assert [row[0].rstrip("†‡") for row in second] == ["", "en", "sw", "mean"]
    assert all(cell in printed for row in second for cell in row)
    assert any("Var: variance of the rates" in text for text in page.texts)
    assert page.elements <= ALLOWED


def test_a_result_shows_its_record(tmp_path):
    run = made()
    record.write(run, tmp_path / "run.json")
    assert show(tmp_path)._repr_html_() == run._repr_html_()


def test_a_comparison_is_the_tables_of_the_terminal():
    runs = [made(), made("model-b", 0.9, 3)]
    (found,) = compare.compare(runs)
    page = Page(found._repr_html_())
    assert len(page.tables) == 3  # of selectivity, and of each task
    printed = table.text(found, 300)
    for drawn in page.tables:
        for row in drawn:
            assert all(cell in printed for cell in row)
    assert found.tasks[0].reading in page.texts
    assert page.elements <= ALLOWED


def test_a_leaderboard_is_its_markdown_tables(tmp_path):
    board = build.leaderboard([sample_records.save(tmp_path, *sample_records.family())])
    page = Page(board._repr_html_().replace(' style="text-align:right"', ""))
    assert len(page.tables) == len(board.tables)
    assert page.tables[0][0][2].startswith("selectivity outside English")
    assert {row.model.label for row in board.tasks[0].rows} <= {
        cell for table in page.tables for line in table for cell in line
    }
    assert page.elements <= ALLOWED


def test_names_of_others_are_text(tmp_path):
    run = made(HOSTILE)
    run.tasks[0].caution = HOSTILE
    (found,) = compare.compare([run, made("b <b>")])
    hostile = sample_records.make(HOSTILE)
    (tmp_path / "run-<i>.json").write_text("{")
    board = build.leaderboard([sample_records.save(tmp_path, hostile)])
    for shown in (run, found, board):
        text = shown._repr_html_()
        page = Page(text.replace(' style="text-align:right"', ""))
        assert page.elements <= ALLOWED
        assert HOSTILE in "".join(page.texts)
        assert "<script" not in text
