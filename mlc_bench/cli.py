"""The command line: parses and prints. What takes long to import is imported inside the commands."""

import errno
import json
import logging
import os
import signal
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from mlc_bench.errors import UsageError, UserError, unknown

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Multilingual safety evaluation for language models.",
)
tasks_app = typer.Typer(no_args_is_help=True, help="List the tasks, or show one.")
app.add_typer(tasks_app, name="tasks")

ENGINES = ("hf", "vllm", "openai")
_state = {"debug": False}

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]


def main() -> None:
    """Run the command line and end with its exit code.

    0 ok, 1 some tasks failed, 2 usage, 3 prerequisite missing, 4 results not comparable or stale, 130 interrupted.
    """
    try:
        code = app(standalone_mode=False)
        if code == 130:  # the parser has caught Ctrl-C itself
            raise KeyboardInterrupt
    except UserError as error:
        _fail(f"error: {error}", error.exit_code, error)
    except KeyboardInterrupt as error:
        _fail("interrupted; the same command goes on where this one stopped", 130, error)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            _fail(f"error: {error}; make room or choose another --output, then run the same command again", 3, error)
        if hasattr(error, "format_message"):  # the parser's own errors
            if not (message := error.format_message()):  # no command: the help has been printed
                _leave(getattr(error, "exit_code", 2))
            _fail(f"error: {' '.join(message.split())}", getattr(error, "exit_code", 2), error)
        if type(error).__name__ == "Abort":
            _fail("interrupted; the same command goes on where this one stopped", 130, error)
        _fail(
            f"error: {type(error).__name__}: {' '.join(str(error).split())[:300]} "
            "(a defect, or a problem that mlc-bench does not know; --debug shows where)",
            1,
            error,
        )
    sys.stdout.flush()
    _leave(code if isinstance(code, int) else 0)


def _fail(message: str, code: int, error: BaseException) -> NoReturn:
    if _state["debug"]:
        raise error
    print(message, file=sys.stderr)
    _leave(code)


def _leave(code: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    sys.exit(code)


@app.callback()
def _options(debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and all logs.")] = False) -> None:
    _state["debug"] = debug
    if not debug:
        _quiet()


def _quiet() -> None:
    """Keep the logs and bars of the libraries off stderr: ours say what goes on."""
    os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    logging.basicConfig(level=logging.ERROR)
    # Their errors reach us as exceptions; lm-eval would log each failed request, with its Authorization header.
    for name in ("lm_eval", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore")


@app.command()
def run(
    model: Annotated[str, typer.Option(help="Hub id, local folder, 'demo', or the server's name for its model.")],
    revision: Annotated[str | None, typer.Option(help="Hub revision: branch, tag or commit.")] = None,
    adapter: Annotated[
        list[str] | None,
        typer.Option(help="peft adapter; several share one start of the engine, each has its own run."),
    ] = None,
    engine: Annotated[str | None, typer.Option(help="hf, vllm or openai. Default: vllm with a GPU, else hf.")] = None,
    base_url: Annotated[str | None, typer.Option(help="Server for --engine openai: http://host:port/v1.")] = None,
    engine_args: Annotated[
        list[str] | None, typer.Option(help="key=value for lm-eval's model class, e.g. batch_size=8; repeatable.")
    ] = None,
    tasks: Annotated[
        list[str] | None, typer.Option(help="Tasks or packs, commas or repeated. Default: starter.")
    ] = None,
    languages: Annotated[list[str] | None, typer.Option(help="Codes, commas or repeated. Default: all.")] = None,
    judge: Annotated[str, typer.Option(help="Who judges the answers.")] = "rules",
    limit: Annotated[int | None, typer.Option(min=1, help="First n prompts of each task and language.")] = None,
    system_prompt: Annotated[str | None, typer.Option(help="Put before every prompt.")] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Most tokens of an answer. Default: the task's.")
    ] = None,
    seed: Annotated[int, typer.Option()] = 1234,
    output: Annotated[Path, typer.Option(help="Folder of results.")] = Path("results"),
    data_dir: Annotated[Path | None, typer.Option(help="Folder with downloaded task data (or MLC_BENCH_DATA).")] = None,
    dry_run: Annotated[bool, typer.Option(help="Show what would be run; load no model.")] = False,
    fresh: Annotated[bool, typer.Option(help="Ignore stored responses.")] = False,
    as_json: Json = False,
) -> int:
    """Score a model for safety, over-refusal and utility in every language; resumes where it stopped."""
    from mlc_bench import catalog, spec

    if data_dir is not None:
        _use_data(data_dir)
    if engine is not None and engine not in ENGINES:
        raise unknown("engine", engine, ENGINES)
    entries = catalog.select(_split(tasks) or ["starter"])
    codes = catalog.check_languages(_split(languages))
    arguments = spec.parse_engine_args(engine_args or [])
    if engine is None:
        from mlc_bench.engines import default_engine

        engine = default_engine()
    names: list[str | None] = list(adapter or []) or [None]
    specs = [
        spec.RunSpec(
            model=model,
            revision=revision,
            adapter=name,
            engine=engine,
            base_url=base_url.rstrip("/") if base_url else None,
            engine_args=arguments,
            tasks=tuple(entry.name for entry in entries),
            languages=tuple(codes) or None,
            judge=judge,
            limit=limit,
            system_prompt=system_prompt,
            max_tokens=max_tokens,
            seed=seed,
        )
        for name in names
    ]
    from mlc_bench import runner

    signal.signal(signal.SIGTERM, _interrupt)  # closes the engine, as Ctrl-C does
    runs = runner.prepare(specs, output)
    if dry_run:
        _print_plan(runs, as_json)
        return 0
    records = runner.execute(runs, fresh)
    if as_json:
        print(json.dumps([found.model_dump(mode="json") for found in records], indent=1))
    else:
        _print_tables(runs, records)
    return 0 if all(found.status == "complete" for found in records) else 1


def _use_data(folder: Path) -> None:
    if not folder.is_dir():
        raise UsageError(f"--data-dir '{folder}' is not a folder")
    os.environ["MLC_BENCH_DATA"] = str(folder.resolve())


def _interrupt(*_: Any) -> NoReturn:
    raise KeyboardInterrupt


def _split(values: list[str] | None) -> list[str]:
    return [part.strip() for value in values or [] for part in value.split(",") if part.strip()]


def _print_plan(runs: list[Any], as_json: bool) -> None:
    from mlc_bench import runner

    plans = [
        {
            "run_id": run.run_id,
            "model": run.identity.slug,
            "folder": str(run.folder),
            "generated": run.is_generated,
            "stored_responses": _lines(run.store_path),
            "tasks": [dict(zip(("task", "languages", "state"), row, strict=True)) for row in runner.plan(run)],
        }
        for run in runs
    ]
    if as_json:
        print(json.dumps(plans, indent=1, ensure_ascii=False))
        return
    for plan in plans:
        print(f"{plan['model']}  run {plan['run_id']}  {plan['folder']}")
        for row in plan["tasks"]:
            print(f"  {row['task']:18} {row['languages']:48} {row['state']}")
        state = "all answers are there" if plan["generated"] else f"{plan['stored_responses']} stored responses"
        print(f"  {state}")


def _lines(path: Path) -> int:
    return sum(1 for _ in path.open("rb")) if path.is_file() else 0


def _print_tables(runs: list[Any], records: list[Any]) -> None:
    import shutil

    from mlc_bench import table

    width = shutil.get_terminal_size((120, 24)).columns
    for run_, found in zip(runs, records, strict=True):
        print(table.text(found, width))
        print(f"record: {run_.folder / 'run.json'}")


@app.command()
def show(path: Annotated[Path, typer.Argument(help="A run's folder, or its run.json.")], as_json: Json = False) -> None:
    """Print the table of a finished run again."""
    import shutil

    from mlc_bench import record, table

    file = path / "run.json" if path.is_dir() else path
    if not file.is_file():
        raise UsageError(f"there is no run record at '{path}'")
    found = record.read(file)
    print(
        found.model_dump_json(indent=1) if as_json else table.text(found, shutil.get_terminal_size((120, 24)).columns)
    )


@app.command()
def judge(
    file: Annotated[Path, typer.Argument(help="JSON lines with id, language, prompt, response.")],
    judge: Annotated[str, typer.Option(help="Who judges.")] = "rules",
) -> None:
    """Label answers that were made elsewhere; the same rows come out with verdict, refused, response_language."""
    from mlc_bench import judging

    judging.check(judge)
    rows = judging.read_answers(file)
    for row, found in zip(rows, judging.verdicts(judge, rows), strict=True):
        labels = {key: found[key] for key in ("verdict", "refused", "response_language")}
        print(json.dumps(row | labels, ensure_ascii=False))


@app.command()
def doctor(
    output: Annotated[Path, typer.Option(help="Folder of results.")] = Path("results"), as_json: Json = False
) -> int:
    """Check versions, engines, GPU, hub access, tasks, languages and disk."""
    import dataclasses

    from mlc_bench import doctor as checks

    found = checks.findings(output)
    if as_json:
        print(json.dumps([dataclasses.asdict(finding) for finding in found], indent=1))
    else:
        for finding in found:
            print(f"{finding.level:8}{finding.subject:22}{finding.text}")
    return 3 if any(finding.level == "problem" for finding in found) else 0


@tasks_app.command("list")
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


@tasks_app.command("show")
def tasks_show(
    name: Annotated[str, typer.Argument()],
    data_dir: Annotated[Path | None, typer.Option(help="Folder with downloaded task data.")] = None,
) -> None:
    """Show a task: settings, languages, one prompt in each, and its card."""
    from mlc_bench import catalog, data

    if data_dir is not None:
        _use_data(data_dir)
    for entry in catalog.select([name]):
        print(f"{entry.name}  version {entry.version}, measures {entry.measures}, {entry.path}")
        codes = data.languages(entry.source)
        if codes is None:
            print("data not here; it is downloaded on first use, or found in --data-dir")
        else:
            for code, docs in data.read(entry.source).items():
                print(f"  {code}  {len(docs):4} prompts; the first: {docs[0]['prompt']}")
    print("\n" + entry.card)
