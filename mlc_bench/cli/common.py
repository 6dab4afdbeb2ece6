"""What several commands share: the --json option, lists given with commas, the folder of downloaded data."""

import os
from pathlib import Path
from typing import Annotated

import typer

from mlc_bench.errors import UsageError

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]


def use_data(folder: Path) -> None:
    if not folder.is_dir():
        raise UsageError(f"--data-dir '{folder}' is not a folder")
    os.environ["MLC_BENCH_DATA"] = str(folder.resolve())


def split(values: list[str] | None) -> list[str]:
    return [part.strip() for value in values or [] for part in value.split(",") if part.strip()]
