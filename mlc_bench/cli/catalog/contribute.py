"""What contributors need: `mlc-bench tasks new|validate|translate|overlap` and `mlc-bench languages new`."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from mlc_bench.console import Include, Json, split, to_folder, use_data, use_packs
from mlc_bench.core.errors import UsageError, unknown


def register(tasks: typer.Typer, languages: typer.Typer) -> None:
    """Put the commands into the groups `mlc-bench tasks` and `mlc-bench languages`."""
    tasks.command("new")(new_task)
    tasks.command("validate")(validate)
    tasks.command("translate")(translate)
    tasks.command("overlap")(overlap)
    languages.command("new")(new_language)


def new_task(
    name: Annotated[str, typer.Argument(help="The folder's name, with which its tasks' names begin.")],
    measures: Annotated[
        str, typer.Option(help="safety (harmful requests and harmless partners) or utility (questions with choices).")
    ] = "safety",
    into: Annotated[
        Path | None, typer.Option(help="Folder to put it in. Default: mlc-bench's own tasks.", callback=to_folder)
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the files of a new task, to fill in."""
    from mlc_bench.catalog import data
    from mlc_bench.contribute import scaffold

    if measures not in (kinds := ("safety", "utility")):
        raise unknown("kind of task", measures, kinds)
    _print_written(
        scaffold.new_task(name, measures, into or data.TASKS), name if into is None else str(into / name), as_json
    )


def new_language(
    code: Annotated[str, typer.Argument(help="Its BCP 47 code: yo, pt-BR, zh-Hant.")], as_json: Json = False
) -> None:
    """Write the files of a new language, to fill in: its language file, and its rows of the starter tasks."""
    from mlc_bench.contribute import scaffold

    _print_written(scaffold.new_language(code), code, as_json)


def _print_written(paths: list[Path], name: str, as_json: bool) -> None:
    from mlc_bench.contribute.validate.source import shown

    if as_json:
        print(json.dumps([str(path) for path in paths], indent=1))
    else:
        for path in paths:
            print(shown(path))
        print(f"fill in every TODO; what is left to do: mlc-bench tasks validate {name}", file=sys.stderr)


def translate(
    to: Annotated[str, typer.Option(help="Code of the language to translate into.")],
    model: Annotated[str, typer.Option("--with", help="Chat model or NLLB: hub id, folder, or the server's name.")],
    revision: Annotated[str | None, typer.Option(help="Hub revision: branch, tag or commit.")] = None,
    tasks: Annotated[
        list[str] | None, typer.Option(help="Tasks or packs, commas or repeated. Default: starter.")
    ] = None,
    engine: Annotated[str | None, typer.Option(help="hf, vllm or openai. Default: vllm with a GPU, else hf.")] = None,
    base_url: Annotated[str | None, typer.Option(help="Server for --engine openai: http://host:port/v1.")] = None,
    engine_args: Annotated[list[str] | None, typer.Option(help="key=value for lm-eval's model class.")] = None,
    output: Annotated[
        Path, typer.Option(help="Folder of results: stored replies and the report.", callback=to_folder)
    ] = Path("results"),
    include: Include = None,
    as_json: Json = False,
) -> None:
    """Draft the rows that are still TODO with a model; show the worst first, by translating them back."""
    from mlc_bench.catalog import listing
    from mlc_bench.catalog.sources import root
    from mlc_bench.contribute import translate as translation
    from mlc_bench.core import spec
    from mlc_bench.records import record

    use_packs(include, False)
    entries = listing.select(split(tasks, "--tasks") or ["starter"])
    folders = list(dict.fromkeys(root(e.source) / e.source["folder"] for e in entries if "folder" in e.source))
    if not folders:
        raise UsageError(f"{', '.join(entry.name for entry in entries)}: no rows of these tasks are in the repository")
    translation.check(folders, to)
    if engine is None:
        from mlc_bench.engines.lifecycle import default_engine

        engine = default_engine()
    elif engine not in spec.ENGINES:
        raise unknown("engine", engine, spec.ENGINES)
    from mlc_bench.contribute import translators

    wanted = spec.RunSpec(
        model=model,
        revision=revision,
        engine=engine,
        base_url=base_url.rstrip("/") if base_url else None,
        engine_args=spec.check_engine_args(spec.parse_pairs(engine_args or [], "--engine-args")),
        tasks=(),
    )
    with translators.opened(wanted, output) as translator:
        drafts = translation.draft(folders, to, translator)
        path = output / "translations" / f"{to}.jsonl"
        record.write_text(path, translation.report(drafts))
    if as_json:
        print(translation.report(drafts), end="")
    else:
        _print_drafts(drafts)
    print(f"{len(drafts)} texts drafted, the worst first in {path}", file=sys.stderr)


def _print_drafts(drafts: list[Any], shown: int = 10) -> None:
    for one in drafts[:shown]:
        score = "  –  " if one.chrf is None else f"{one.chrf:5.1f}"
        print(f"{score}  {one.id} {one.field}{f': {one.problem}' if one.problem else ''}")
        print(f"       {one.english}\n       {one.translation}\n       {one.back}")
    left = sum(not one.is_written for one in drafts)
    if len(drafts) > shown:
        print(f"... {len(drafts) - shown} more")
    if left:
        print(f"{left} texts without a translation stay TODO")


def validate(
    path: Annotated[
        str | None, typer.Argument(help="A task folder, a language or a suite, by path or name. Default: everything.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder with downloaded task data, whose digests and rows are checked, too.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Check all of the files of tasks, languages and suites; print every fault as file:line: what; how to fix it."""
    import dataclasses

    from mlc_bench.contribute import validate as validation

    use_data(data_dir)
    faults = validation.check(path)
    if as_json:
        print(json.dumps([dataclasses.asdict(fault) for fault in faults], indent=1))
    else:
        for fault in faults:
            print(fault)
    print(f"{len(faults)} to fix" if faults else "no faults", file=sys.stderr)
    return 2 if faults else 0


def overlap(
    train: Annotated[Path, typer.Argument(help="Training data: CSV, TSV, JSON, JSON lines, Parquet or Excel.")],
    data_dir: Annotated[Path | None, typer.Option(help="Folder with downloaded task data (or MLC_BENCH_DATA).")] = None,
    include: Include = None,
    as_json: Json = False,
) -> None:
    """Show which test prompts, of every language, are also in training data: exact, but for spelling, or nearly so."""
    from mlc_bench.contribute import overlap as overlaps

    use_data(data_dir)
    use_packs(include, False)
    texts = overlaps.read(train)
    found = overlaps.report(texts)
    if as_json:
        print(json.dumps(found, indent=1, ensure_ascii=False))
    else:
        _print_overlap(found)
    counts = ", ".join(f"{code or 'language not said'} {len(one)}" for code, one in sorted(texts.items()))
    print(f"training texts: {counts}", file=sys.stderr)
    if missing := overlaps.unchecked():
        print(f"not compared, since their data are not here: {', '.join(missing)}", file=sys.stderr)


def _print_overlap(found: dict[str, dict[str, dict[str, Any]]]) -> None:
    """The tasks and languages with overlap, then the sums of every language that was compared."""
    from mlc_bench.contribute import overlap as overlaps

    rows = [(task, code, counts) for task, by_code in found.items() for code, counts in by_code.items()]
    rows = [row for row in rows if row[2]["overlapping"]]
    if rows:
        _print_counts("task", rows)
        print()
    else:
        print("no test prompt overlaps; compared were:")
    _print_counts("", [("all tasks", code, counts) for code, counts in overlaps.by_language(found).items()])


def _print_counts(heading: str, rows: list[tuple[str, str, dict[str, Any]]]) -> None:
    width = max((len(name) for name, _, _ in rows), default=0)
    print(f"{heading:{width}}  language  prompts  exact  normalised  near")
    for name, code, counts in rows:
        print(
            f"{name:{width}}  {code:8}  {counts['prompts']:7}  {counts['exact']:5}  "
            f"{counts['normalised']:10}  {counts['near']:4}"
        )
