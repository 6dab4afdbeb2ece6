"""From folders of records to files, and whether the files are still what the records give."""

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mlc_bench.errors import StaleError, UsageError
from mlc_bench.record import write_text

from . import collect, published, render_csv, render_html, render_json, render_latex, render_markdown, tables
from .table import Leaderboard

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
TABLES = HERE / "tables"
PAGE = "index.html"  # not committed: it holds its libraries
_OURS = (".md", ".csv", ".json", ".tex")  # plots are left alone: their bytes also depend on matplotlib's version


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Without the garbage collector, which goes through a million cells again and again and finds no cycle.

    With 1,000 records it takes half of the time of the renderers.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@_no_garbage()
def leaderboard(paths: Iterable[Path]) -> Leaderboard:
    """All tables of the records under some folders."""
    return tables.build(collect.collect(paths), published.load())


@_no_garbage()
def documents(board: Leaderboard) -> dict[str, str]:
    """Every text file of the leaderboard, by its name."""
    found = {
        "README.md": render_markdown.document(board),
        "leaderboard.csv": render_csv.long(board),
        "leaderboard.json": render_json.document(board),
    }
    for table in (*board.main, *board.tasks, *board.published):
        found[f"{table.id}.csv"] = render_csv.wide(table)
        found[f"{table.id}.tex"] = render_latex.table(table)
    return found


def write(board: Leaderboard, folder: Path, plots: bool = True, page: bool = True) -> list[Path]:
    """Write all files and remove tables that an earlier build left and the records no longer give; the paths written.

    Raises UsageError for a folder that holds other files than a leaderboard's.
    """
    made = documents(board)
    html = render_html.document(board) if page else None  # before anything is written: its libraries may be missing
    stale = _stray(folder, made)
    if stale and not (folder / "leaderboard.json").is_file():
        raise UsageError(f"--out '{folder}' has other files ({stale[0].name}); name an empty folder")
    for name, content in made.items():
        write_text(folder / name, content)
    for path in stale:
        path.unlink()
    written = [folder / name for name in made]
    if html is not None:
        write_text(folder / PAGE, html)
        written.append(folder / PAGE)
    if plots:
        from .plots import write as draw  # matplotlib takes half a second to import

        written += draw(board, folder / "plots")
    return written


def check(paths: Iterable[Path], folder: Path) -> int:
    """How many files were compared. Raises StaleError if one is not what the records give, naming the first."""
    made = documents(leaderboard(paths))
    for name, content in sorted(made.items()):
        path = folder / name
        if not path.is_file():
            raise StaleError(f"{path} is missing; run: mlc-bench leaderboard build")
        if path.read_bytes() != content.encode("utf-8"):
            raise StaleError(f"{path} is not what the records give; run: mlc-bench leaderboard build")
    if stray := _stray(folder, made):
        raise StaleError(f"{stray[0]} belongs to no record; run: mlc-bench leaderboard build")
    return len(made)


def _stray(folder: Path, made: dict[str, str]) -> list[Path]:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"'{folder}' is not a folder")
    return [path for path in sorted(folder.glob("*")) if path.suffix in _OURS and path.name not in made]
