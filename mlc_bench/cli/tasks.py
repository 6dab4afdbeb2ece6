"""`mlc-bench tasks list|show`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from mlc_bench.cli.common import Json, use_data

app = typer.Typer(no_args_is_help=True, help="List the tasks, or show one.")


@app.command("list")
def tasks_list(as_json: Json = False) -> None:
    """List every task with its version, what it measures, and its languages."""
    from mlc_bench import catalog, data

    rows = []
    for entry in catalog.tasks().values():
        codes = data.languages(entry.source)
        rows.append(
            {
                "task": entry.name,
                "pack": entry.pack,
                "version": entry.version,
                "measures": entry.measures,
                "languages": codes,
                "summary": entry.config["metadata"].get("summary", ""),
            }
        )
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    for row in rows:
        covered = "data not here" if row["languages"] is None else " ".join(row["languages"])
        print(f"{row['task']:18}v{row['version']}  {row['measures']:14}{row['summary']}\n{'':22}{covered}")


@app.command("show")
def tasks_show(
    name: Annotated[str, typer.Argument()],
    data_dir: Annotated[Path | None, typer.Option(help="Folder with downloaded task data.")] = None,
) -> None:
    """Show a task: settings, languages, one prompt in each, and its card."""
    from mlc_bench import catalog, data

    if data_dir is not None:
        use_data(data_dir)
    for entry in catalog.select([name]):
        print(f"{entry.name}  version {entry.version}, measures {entry.measures}, {entry.path}")
        codes = data.languages(entry.source)
        if codes is None:
            print("data not here; it is downloaded on first use, or found in --data-dir")
        else:
            for code, docs in data.read(entry.source).items():
                print(f"  {code}  {len(docs):4} prompts; the first: {docs[0]['prompt']}")
    print("\n" + entry.card)
