"""The figures of docs/results.md are those of the committed reports."""

import re

from checkout import ROOT


def test_the_results_page_shows_the_reports():
    """Its tables and pictures are those of the report and the leaderboard; each number of its sentences is there."""
    folder = ROOT / "docs"
    page = (folder / "results.md").read_text(encoding="utf-8")
    sources = [*sorted((folder / "reproduction").glob("report.md")), ROOT / "leaderboard" / "tables" / "README.md"]
    source_lines = [line for path in sources for line in path.read_text(encoding="utf-8").splitlines()]
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert len(rows) >= 12
    assert set(rows) <= set(source_lines)
    sentences = "\n".join(line for line in page.splitlines() if not line.startswith("|"))
    numbers = set(re.findall(r"\d+\.\d+", sentences))
    assert numbers
    assert numbers <= set(re.findall(r"\d+\.\d+", "\n".join(source_lines)))
    pictures = [part.split(")")[0] for part in page.split("](") if part.split(")")[0].endswith((".svg", ".png"))]
    assert pictures
    assert all((folder / picture).is_file() for picture in pictures)
