"""`mlc-bench tasks list|show`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlc_bench.console import AllowCode, Include, Json, use_data, use_packs
from mlc_bench.core.errors import UserError
from mlc_bench.core.progress import say

if TYPE_CHECKING:
    from mlc_bench.catalog.listing import TaskEntry

app = typer.Typer(no_args_is_help=True, help="List the tasks, or show one.")


@app.command("list")
def tasks_list(
    data_dir: Annotated[Path | None, typer.Option(help="Folder with downloaded task data.")] = None,
    include: Include = None,
    allow_code: AllowCode = False,
    as_json: Json = False,
) -> None:
    """List every task with its version, what it measures, and its languages."""
    from mlc_bench.catalog import listing

    use_data(data_dir)
    use_packs(include, allow_code)
    rows = [_row(entry) for entry in listing.tasks().values()]
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    for row in rows:
        codes = row["languages"]
        covered = "languages: the data say" if codes is None else f"{len(codes)}: {' '.join(codes)}"
        print(f"{row['task']:24}v{row['version']}  {row['measures']:14}{row['summary']}")
        print(f"{'':28}{covered}\n{'':28}{row['licence']}; data: {row['data']}")


def _row(entry: "TaskEntry") -> dict[str, Any]:
    """What a list says of a task. One whose data cannot be read is listed without them, and that is said."""
    from mlc_bench.catalog import data, listing

    covered, state = None, "lm-eval"
    try:
        covered = listing.languages(entry)
        if not entry.family:
            state = "here" if data.is_here(entry.source) else "downloaded on first use"
    except UserError as error:
        say(f"{entry.name}: {error}")
        state = "cannot be read"
    return {
        "task": entry.name,
        "pack": entry.pack,
        "version": entry.version,
        "measures": entry.measures,
        "parallel": entry.parallel,
        "languages": covered,
        "data": state,
        "licence": entry.licence,
        "summary": entry.summary,
    }


@app.command("show")
def tasks_show(
    name: Annotated[str, typer.Argument(help="A task, or a pack for all tasks in it.")],
    data_dir: Annotated[Path | None, typer.Option(help="Folder with downloaded task data.")] = None,
    include: Include = None,
    allow_code: AllowCode = False,
) -> None:
    """Show a task: settings, licence, known faults, translations marked as wrong, one prompt a language, its card."""
    from mlc_bench.catalog import accepted, data, listing, review

    use_data(data_dir)
    use_packs(include, allow_code)
    entries = listing.select([name])
    for entry in entries:
        print(f"{entry.name}  version {entry.version}, measures {entry.measures}, {entry.path}")
        print(f"  licence: {entry.licence or 'not stated'}")
        if entry.caution:
            print(f"  caution: {entry.caution}")
        if not entry.parallel:
            print("  rows are not parallel: PAG, kappa and agreement with English are undefined")
        for one in accepted.of_task(entry):
            print(f"  accepted: {one['check']}, {one['n']} rows in {' '.join(one['languages'])}: {one['reason']}")
        for code, ids in review.wrong(entry).items():
            rows = f"{len(ids)} {'prompt' if len(ids) == 1 else 'prompts'}"
            print(f"  translations marked as wrong, {code}: {rows} ({', '.join(sorted(ids))})")
        codes = listing.languages(entry)
        if entry.family:
            print(f"  lm-eval's own tasks {entry.family['task']}, in {' '.join(codes or [])}")
        elif not data.is_here(entry.source):
            known = f"in {' '.join(codes)}; " if codes else ""
            print(f"  {known}data not here: downloaded on first use, or found in --data-dir")
        else:
            for code, docs in data.read(entry.source).items():
                print(f"  {code}  {len(docs):4} prompts; the first: {docs[0]['prompt']}")
    for entry in {entry.pack if not entry.family else entry.name: entry for entry in entries}.values():
        try:
            print("\n" + entry.card)
        except UserError as error:
            say(f"{entry.name} has no card to show: {error}")
