"""docs/metrics.md: its figures are those of the script, and the numbers it quotes are those that the script prints."""

import importlib.util
import re

import pytest
from checkout import ROOT

DOCS = ROOT / "docs"
PAGE = (DOCS / "metrics.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def figures():
    spec = importlib.util.spec_from_file_location("figures", DOCS / "figures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_shows_every_figure_and_no_other(figures):
    names = {draw.__name__ for draw in figures.FIGURES}
    assert set(re.findall(r"\]\(figures/(\w+)\.svg\)", PAGE)) == names
    assert {path.stem for path in (DOCS / "figures").iterdir()} == names


def drawn(path):
    """A figure without its ids: matplotlib hashes them from unrounded places, whose last bit differs between CPUs."""
    return re.sub(r"\b[mp][0-9a-f]{10}\b", "ID", path.read_text(encoding="utf-8"))


def test_figures_are_drawn_the_same_each_time(figures, tmp_path, monkeypatch, capsys):
    """Those that take no time; the others are as deterministic."""
    if figures.matplotlib.__version__ != figures.DRAWN_WITH:
        pytest.skip(f"drawn with matplotlib {figures.DRAWN_WITH}, here is {figures.matplotlib.__version__}")
    quick = (figures.average, figures.refusing, figures.invalid, figures.fidelity, figures.judge, figures.detectable)
    monkeypatch.setattr(figures, "FIGURES", quick)
    figures.main(tmp_path)
    for path in tmp_path.iterdir():
        assert drawn(path) == drawn(DOCS / "figures" / path.name), f"{path.name}: python docs/figures.py"
    printed = capsys.readouterr().out
    for said, on_page in {
        "DPO average 66.44 Var 12.44; MPO average 65.49 Var 5.53": "12.44 and 5.53",
        "safe rate 95 at over-refusal 56": "over-refusal of 56",
        "as safe 88, as not safe (our headline) 8, left out 40": "88 if\ninvalid answers count as safe, 8 if",
        "99 of 180 by the last judge, known from 200 labels: 50 [31, 69]": "50 [31, 69]",
        "20%: 20 prompts 34.8, 40 prompts 19.2, 80 prompts 13.8, 180 prompts 9.3": "19.2\npoints",
    }.items():
        assert said in printed
        assert on_page in PAGE
