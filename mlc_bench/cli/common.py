"""What several commands share: the --json option, lists given with commas, the folder of downloaded data."""

import os
from pathlib import Path
from typing import Annotated

import typer

from mlc_bench.errors import UsageError

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


def split(values: list[str] | None) -> list[str]:
    return [part.strip() for value in values or [] for part in value.split(",") if part.strip()]
