"""The formats of the tables: hostile names, figures that cannot be, numbers as they are written."""

import csv
import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
import sample_records

from mlc_bench.leaderboard import build, collect
from mlc_bench.leaderboard.render import plots, to_csv, to_latex, to_markdown
from mlc_bench.leaderboard.tabulate import number_format
from mlc_bench.leaderboard.tabulate.cells import Cell, Column

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '=HYPERLINK("http://evil.example","x")',
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1:A9)",
    "  =1+1",
    "＝1+1",
    r"\input{/etc/passwd}",
    r"\write18{ls} $x^2$ 100% #1 {a}_b ~ & \\",
    "a | b | c",
    "**bold** [link](http://evil.example) `code` ![x](http://evil.example/x.png)",
    "www.evil.example https://evil.example",
    "# heading",
    "نموذج עברית 模型 mô hình",
    "$\\frac{1}{0}$",
    "]]> --> <!-- &amp; &lt;",
    "\"quotes\", 'single', comma;semicolon",
    "x" * 200,
]
REFUSED = {
    "x" * 10_240: "more than 200",
    "safe\u202egnp.exe": "U+202E",
    "two\nlines": "U+000A",
    "tab\there": "U+0009",
    "zero\u200bwidth": "U+200B",
    "bell\u0007": "U+0007",
    "   ": "empty",
}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A leaderboard in which every name is hostile, in models, adapters, methods and base models."""
    contents = []
    for index, name in enumerate(HOSTILE):
        manifest = {"method": name, "base_model": {"name": HOSTILE[index - 1], "weights_digest": None}}
        contents.append(sample_records.make(name, adapter=name, training=manifest, n=20, languages=("en", "sw")))
    found = build.leaderboard([sample_records.save(tmp_path_factory.mktemp("hostile"), *contents)])
    assert found.left_out == ()
    assert len(found.tasks[0].rows) == len(HOSTILE)
    return found


TABLE = ("table", "thead", "tbody", "tr", "th", "td")


class Page(HTMLParser):
    """The tags of a page and the text of each table cell."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.cells = set(), []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        if tag == "td":
            self.cells.append("")

    def handle_data(self, data):
        if self.cells:
            self.cells[-1] += data

    def handle_comment(self, data):
        self.tags.add("comment")


def test_markdown_shows_names_as_they_are(hostile):
    from markdown_it import MarkdownIt

    document = to_markdown.document(hostile)
    page = Page(MarkdownIt("commonmark").enable("table").render(document))
    assert page.tags <= {"h1", "h2", "h3", "p", "ul", "li", "strong", "code", *TABLE}
    shown = {cell.strip() for cell in page.cells}
    for name in HOSTILE:
        if 2 * len(name) + 3 <= to_markdown.LONGEST_NAME:
            assert name.strip() in shown
            assert any(cell.startswith(f"{name} + {name}".strip() + " (training") for cell in shown), name
    # Addresses become links on GitHub even without markup.
    assert not re.search(r"(?<!\\):(?=//)|www\.", document.replace("https\\://arxiv.org", ""))


def test_csv_opens_without_a_formula(hostile):
    files = [to_csv.long(hostile), *(to_csv.wide(table) for table in (*hostile.main, *hostile.tasks))]
    for content in files:
        rows = list(csv.reader(io.StringIO(content)))
        assert len({len(row) for row in rows}) == 1
        for row in rows[1:]:
            for entry in row:
                number = re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?|nan", entry)
                assert number or not entry.lstrip().startswith(tuple("=+-@＝＋－＠|%\t\r")), entry
    names = {row["model"].lstrip("'") for row in csv.DictReader(io.StringIO(files[0]))}
    assert {f"{name} + {name}"[:199] for name in HOSTILE[:3]} <= {name[:199] for name in names}


def test_json_is_json_and_holds_the_names_as_they_are(hostile):
    def refuse(constant):
        raise AssertionError(constant)

    content = json.loads(build.documents(hostile)["leaderboard.json"], parse_constant=refuse)
    assert {model["name"] for model in content["models"].values()} >= set(HOSTILE)


def test_latex_has_no_command_of_a_name(hostile):
    ours = {
        "textbackslash", "textasciicircum", "textasciitilde", "textless", "textgreater", "textbar", "textquotedbl",
        "textquotesingle", "textasciigrave", "textdagger", "ldots", "uparrow", "downarrow",
        "resizebox", "textwidth", "begin", "end",
        "toprule", "midrule", "bottomrule", "textbf", "scriptsize", "medskip", "noindent",
        "ifdim", "width", "else", "fi",
    }  # fmt: skip
    for table in (*hostile.main, *hostile.tasks, *hostile.published):
        content = to_latex.table(table)
        assert set(re.findall(r"\\([a-zA-Z]+)", content)) <= ours
        content.encode("latin-1")
        tabulars = content.split("\\midrule")[1:]
        assert all(part[: part.index("\\bottomrule")].count("\\\\\n") == len(table.rows) for part in tabulars)


LATEX = shutil.which("pdflatex")


@pytest.mark.skipif(LATEX is None, reason="there is no pdflatex here (texlive-latex-recommended has what is needed)")
def test_latex_compiles(hostile, tmp_path):
    tables = (*hostile.main, *hostile.tasks, *hostile.published)
    for table in tables:
        (tmp_path / f"{table.id}.tex").write_text(to_latex.table(table), encoding="utf-8")
    inputs = "\n\n".join(rf"\input{{{table.id}.tex}}" for table in tables)
    (tmp_path / "paper.tex").write_text(
        "\\documentclass{article}\n\\usepackage[T1]{fontenc}\n\\usepackage{booktabs,graphicx}\n"
        f"\\begin{{document}}\n{inputs}\n\\end{{document}}\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [LATEX, "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper.tex"],
        cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "paper.pdf").stat().st_size > 10_000


def test_plots_show_names_as_they_are(hostile):
    drawn = plots.render(plots.heat_map(hostile.tasks[0]))
    tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(drawn["svg"]).iter()}
    assert not tags & {"script", "foreignObject", "a"}
    assert drawn["png"].startswith(b"\x89PNG")


def test_plots_are_drawn_alike(tmp_path):
    found = build.leaderboard([sample_records.save(tmp_path, sample_records.make("a"), sample_records.make("b"))])
    first, again = ({name: plots.render(one) for name, one in plots.figures(found).items()} for _ in range(2))
    assert first == again
    assert {name.split("-")[0] for name in first} == {"heatmap", "bars", "scatter"}
    assert not any(re.search(rb"<dc:(date|creator)", drawn["svg"]) for drawn in first.values())


@pytest.mark.parametrize(("name", "reason"), REFUSED.items(), ids=lambda value: repr(value[:12]))
def test_names_that_cannot_be_shown_are_refused_in_one_line(tmp_path, name, reason):
    manifest = {"method": name, "base_model": {"name": "base", "weights_digest": None}}
    found = collect.collect(
        [sample_records.save(tmp_path, sample_records.make(name), sample_records.make("m", training=manifest))]
    )
    assert len(found.left_out) == 2
    assert len(found.frame) == 0
    for one in found.left_out:
        assert reason in one.reason
        assert len(one.reason) <= 300
        assert one.reason.isprintable()


def broken(change):
    content = json.loads(sample_records.make("m").model_dump_json())
    change(content, content["tasks"][0], content["tasks"][0]["languages"]["sw"])
    return content


def metric(name, value):
    return lambda content, task, result: result["metrics"]["refusal_rate"].update({name: value})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (metric("value", float("nan")), "NaN"),
        (metric("value", float("inf")), "Infinity"),
        (metric("value", 1e999), "Infinity"),
        (metric("value", 1.5), "not a fraction"),
        (metric("value", 0.999), "not what its outcomes give"),
        (metric("high", 7), "not a fraction"),
        (metric("n", -1), "greater than or equal to 0"),
        (lambda c, t, r: r.update(n=-40), "greater than or equal to 0"),
        (lambda c, t, r: r.update(n=10**400), "less than or equal to"),
        (lambda c, t, r: r.update(outcomes=r["outcomes"][:-1]), "39 outcomes of 40 prompts"),
        (lambda c, t, r: r.update(outcomes="x" * 40), "should match pattern"),
        (lambda c, t, r: r.update(n_unscored=7), "not what its outcomes give"),
        (lambda c, t, r: r["metrics"].pop("refusal_rate"), "no refusal_rate in sw"),
        (lambda c, t, r: t["languages"].update({"<b>": r}), "the code of a language"),
        (lambda c, t, r: t.update(name="=cmd"), "the name of a task"),
        (lambda c, t, r: r["metrics"].update({"a b": r["metrics"]["refusal_rate"]}), "the name of a metric"),
        (lambda c, t, r: c.update(run_id="../../etc"), "run_id"),
        (lambda c, t, r: c["judge"].update(id="a/b"), "judge.id"),
        (lambda c, t, r: c["model"].update(fingerprint="short"), "not a sha256"),
        (lambda c, t, r: c["model"].update(adapter="text"), "model.adapter"),
        (lambda c, t, r: c["model"].update(name="\ud800"), "model.name"),
        (lambda c, t, r: c.update(extra=1), "extra"),
        (lambda c, t, r: c.update(schema_version=1, model=[]), "model"),
    ],
)
def test_numbers_and_names_that_cannot_be_are_refused_in_one_line(tmp_path, change, reason):
    good = sample_records.make("good")
    sample_records.save(tmp_path, good)
    (tmp_path / "run-bad.json").write_text(json.dumps(broken(change)))
    found = collect.collect([tmp_path])
    assert [one.source for one in found.left_out] == ["run-bad.json"]
    assert reason in found.left_out[0].reason
    assert found.left_out[0].reason.isprintable()
    assert set(found.frame["model"]) == {"good"}


def test_deep_and_large_files_are_left_out(tmp_path):
    (tmp_path / "run-deep.json").write_text("[" * 100_000)
    with (tmp_path / "run-large.json").open("wb") as file:
        file.truncate(collect.LARGEST + 1)
    (tmp_path / "run-\u202ename.json").write_text("{}")
    found = collect.collect([tmp_path])
    reasons = {one.source: one.reason for one in found.left_out}
    assert "not a run record" in reasons["run-deep.json"]
    assert reasons["run-large.json"] == "larger than 32 MiB"
    assert "run-<U+202E>name.json" in reasons


def test_free_texts_of_a_manifest_cannot_hurt(tmp_path):
    for training in (
        {"method": {"a": 1}},
        {"data": {"languages": 3, "overlap": 1}},
        {"base_model": "x"},
        {},
        {"config": {"keep_out": [[1], {}]}, "data": [1]},
    ):
        found = collect.collect([sample_records.save(tmp_path, sample_records.make("m", training=training))])
        assert found.left_out == ()
        assert next(iter(found.models.values())).method == "as released"


# Numbers as they are written.


@pytest.mark.parametrize(
    ("value", "digits", "shown"),
    [(0.125, 2, "0.13"), (0.1249999999999, 2, "0.13"), (-0.00001, 2, "0.00"), (93.75, 1, "93.8"), (-1.25, 1, "-1.3")],
)
def test_halves_are_rounded_away_from_zero_whatever_the_last_bits(value, digits, shown):
    assert number_format.rounded(value, digits) == shown


def test_units():
    points = Column("gain", "gain", "points", True)
    assert number_format.shown(0.125, points) == "+12.5"
    assert number_format.shown(-0.125, points) == "-12.5"
    assert number_format.shown(0.0, points) == "0.0"
    assert number_format.rank(Cell(1.0, rank=(2, 4))) == "2–4"
    assert number_format.rank(Cell(1.0, rank=(1, 1))) == "1"
