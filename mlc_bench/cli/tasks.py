"""`mlc-bench tasks list|show`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from mlc_bench.cli.common import AllowCode, Include, Json, use_data, use_packs

app = typer.Typer(no_args_is_help=True, help="List the tasks, or show one.")


@app.command("list")
def tasks_list(
    data_dir: Annotated[Path | None, typer.Option(help="Folder with downloaded task data.")] = None,
    include: Include = None,
    allow_code: AllowCode = False,
    as_json: Json = False,
) -> None:
    """List every task with its version, what it measures, and its languages."""
    from mlc_bench import catalog, data

    use_data(data_dir)
    use_packs(include, allow_code)
    rows: list[dict[str, Any]] = [
        {
            "task": entry.name,
            "pack": entry.pack,
            "version": entry.version,
            "measures": entry.measures,
            "parallel": entry.parallel,
            "languages": catalog.languages(entry),
            "data": "lm-eval" if entry.family else "here" if data.is_here(entry.source) else "downloaded on first use",
            "licence": entry.licence,
            "summary": entry.summary,
        }
        for entry in catalog.tasks().values()
    ]
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    for row in rows:
        codes = row["languages"]
        covered = "languages: the data say" if codes is None else f"{len(codes)}: {' '.join(codes)}"
        print(f"{row['task']:18}v{row['version']}  {row['measures']:14}{row['summary']}")
        print(f"{'':22}{covered}\n{'':22}{row['licence']}; data: {row['data']}")


@app.command("show")
def tasks_show(
    name: Annotated[str, typer.Argument(help="A task, or a pack for all tasks in it.")],
    data_dir: Annotated[Path | None, typer.Option(help="Folder with downloaded task data.")] = None,
    include: Include = None,
    allow_code: AllowCode = False,
) -> None:
    """Show a task: settings, licence, languages, one prompt in each, and its card."""
    from mlc_bench import catalog, data

    use_data(data_dir)
    use_packs(include, allow_code)
    entries = catalog.select([name])
    for entry in entries:
        print(f"{entry.name}  version {entry.version}, measures {entry.measures}, {entry.path}")
        print(f"  licence: {entry.licence or 'not stated'}")
        if entry.caution:
            print(f"  caution: {entry.caution}")
        if not entry.parallel:
            print("  rows are not parallel: PAG, kappa and agreement with English are undefined")
        codes = catalog.languages(entry)
        if entry.family:
            print(f"  lm-eval's own tasks {entry.family['task']}, in {' '.join(codes or [])}")
        elif not data.is_here(entry.source):
            known = f"in {' '.join(codes)}; " if codes else ""
            print(f"  {known}data not here: downloaded on first use, or found in --data-dir")
        else:
            for code, docs in data.read(entry.source).items():
                print(f"  {code}  {len(docs):4} prompts; the first: {docs[0]['prompt']}")
    for card in dict.fromkeys(entry.card for entry in entries):
        print("\n" + card)
