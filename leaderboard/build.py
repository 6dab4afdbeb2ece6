"""From folders of records to files, and whether the files are still what the records give."""

import contextlib
import dataclasses
import gc
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from mlc_bench.core.errors import StaleError, UsageError
from mlc_bench.leaderboard import collect, curves, owned, paper_numbers
from mlc_bench.leaderboard.collect import Collection
from mlc_bench.leaderboard.curves import Curves
from mlc_bench.leaderboard.render import to_csv, to_html, to_json, to_latex, to_markdown
from mlc_bench.leaderboard.tabulate import all_tables
from mlc_bench.leaderboard.tabulate.cells import Leaderboard

PLOTS = "plots"
PAGE = "index.html"  # not committed: it holds its libraries
_OURS = (".md", ".csv", ".json", ".tex")  # plots are left alone: their bytes also depend on matplotlib's version


@contextlib.contextmanager
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
    """All tables of the records under some folders, and the curves of training runs whose checkpoints were scored."""
    collection, lines = _collected(paths)
    return dataclasses.replace(all_tables.build(collection, paper_numbers.load()), curves=lines)


def _collected(paths: Iterable[Path]) -> tuple[Collection, tuple[Curves, ...]]:
    """What tables and curves are made of; the records themselves, which are large, are let go."""
    records, left_out = collect.read(paths)
    usable = [one for one in records if not collect.unusable(one)]
    return collect.tidy(records, left_out), tuple(curves.of_records(usable, only_lines=True))


@_no_garbage()
def documents(board: Leaderboard) -> dict[str, str]:
    """Every text file of the leaderboard, by its name."""
    found = {
        "README.md": to_markdown.document(board),
        "leaderboard.csv": to_csv.long(board),
        "leaderboard.json": to_json.document(board),
    }
    for table in board.tables:
        found[f"{table.id}.csv"] = to_csv.wide(table)
        found[f"{table.id}.tex"] = to_latex.table(table)
    return found


def write(board: Leaderboard, folder: Path, plots: bool = True, page: bool = True) -> list[Path]:
    """Write all files and remove what an earlier build left and the records no longer give; the paths written.

    Files that no build wrote stay as they are. Raises UsageError for a folder without a build that holds files like a
    leaderboard's, and for a file of somebody else that has one of its names.
    """
    made: dict[str, str | bytes] = dict(documents(board))
    if page:  # before anything is written: its libraries may be missing
        made[PAGE] = to_html.document(board)
    if plots:
        from mlc_bench.leaderboard.render.plots import files  # matplotlib takes half a second to import

        made |= {f"{PLOTS}/{name}": content for name, content in files(board).items()}
    earlier = _earlier(folder)
    if not earlier and (others := _like_ours(folder)):
        raise UsageError(f"--out '{folder}' has other files ({others[0].name}); name an empty folder")
    keep = [name for name in earlier if (not plots and name.startswith(f"{PLOTS}/")) or (not page and name == PAGE)]
    return owned.write(folder, made, earlier, keep)


def check(paths: Iterable[Path], folder: Path) -> int:
    """How many files were compared. Raises StaleError if one is not what the records give, naming the first."""
    paths = list(paths)
    made = documents(leaderboard(paths))
    again = f"run: mlc-bench leaderboard build {' '.join(map(str, paths))} --out {folder}"
    for name, content in sorted(made.items()):
        path = folder / name
        if not path.is_file():
            raise StaleError(f"{path} is missing; {again}")
        if path.read_bytes() != content.encode("utf-8"):
            raise StaleError(f"{path} is not what the records give; {again}")
    known = owned.listed(folder)
    strays = _like_ours(folder) if known is None else [folder / name for name in sorted(known)]
    for path in strays:
        if path.suffix in _OURS and path.parent == folder and path.name not in made and path.is_file():
            raise StaleError(f"{path} belongs to no record; {again}; or move the file")
    return len(made)


def _like_ours(folder: Path) -> list[Path]:
    """Files of the kinds that a leaderboard has."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"'{folder}' is not a folder")
    return [path for path in sorted(folder.glob("*")) if path.suffix in _OURS]


def _earlier(folder: Path) -> owned.Owned:
    """What earlier builds wrote; of versions that left no list, what their leaderboard.json and README.md show."""
    known = owned.listed(folder)
    if known is not None:
        return known
    found: list[str] = []
    with contextlib.suppress(OSError, ValueError):
        if (folder / "README.md").read_text(encoding="utf-8").startswith(to_markdown.OPENING):
            found.append("README.md")
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        board = json.loads((folder / "leaderboard.json").read_text(encoding="utf-8"))
        tables = [
            str(table["id"]) for part in ("headline", "main", "tasks", "published") for table in board.get(part, ())
        ]
        found += ["leaderboard.json", "leaderboard.csv", PAGE]
        found += [f"{table}{kind}" for table in tables for kind in (".csv", ".tex")]
        names = [path for path in (folder / PLOTS).glob("*") if path.suffix in (".svg", ".png")]
        kinds = [f"{kind}-{table}" for table in tables for kind in ("heatmap", "bars", "scatter")]
        found += [f"{PLOTS}/{path.name}" for path in names if path.name.startswith(tuple(kinds))]
    return owned.plain(found)
