"""What several commands share: the --json option, lists given with commas, the folder of data, signals."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from mlc_bench.errors import UsageError

if TYPE_CHECKING:
    from mlc_bench.record import RunRecord

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]


Include = Annotated[
    list[Path] | None, typer.Option(help="Folder with task packs of your own (or one pack); repeatable.")
]
AllowCode = Annotated[bool, typer.Option("--allow-code", help="Let the packs of --include run their own code.")]


def use_packs(folders: list[Path] | None, allow_code: bool) -> None:
    from mlc_bench import catalog

    catalog.include(folders or [], allow_code)


def use_data(folder: Path | None) -> None:
    if folder is None:
        return
    if not folder.is_dir():
        raise UsageError(f"--data-dir '{folder}' is not a folder")
    os.environ["MLC_BENCH_DATA"] = str(folder.resolve())


def interrupt(*_: Any) -> NoReturn:
    """A signal handler: ends the command as Ctrl-C does, so that engines are closed."""
    raise KeyboardInterrupt


def read_record(path: Path) -> "RunRecord":
    """The record of a run, from its folder or its file."""
    from mlc_bench import record

    file = path / "run.json" if path.is_dir() else path
    if not file.is_file():
        raise UsageError(f"there is no run record at '{path}'")
    return record.read(file)


def split(values: list[str] | None) -> list[str]:
    return [part.strip() for value in values or [] for part in value.split(",") if part.strip()]
