"""`mlc-bench run`."""

import json
import shutil
import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from mlc_bench.cli.common import AllowCode, Include, Json, interrupt, split, use_data, use_packs
from mlc_bench.cli.judge import AllowSelfJudge, Combine, JudgeArgs, JudgeName, judge_settings, print_agreement
from mlc_bench.errors import unknown

ENGINES = ("hf", "vllm", "openai")


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
        list[str] | None, typer.Option(help="Tasks, packs or suites, commas or repeated. Default: starter.")
    ] = None,
    suite: Annotated[list[str] | None, typer.Option(help="The same as naming suites in --tasks.")] = None,
    include: Include = None,
    allow_code: AllowCode = False,
    languages: Annotated[list[str] | None, typer.Option(help="Codes, commas or repeated. Default: all.")] = None,
    judge: JudgeName = "rules",
    combine: Combine = None,
    judge_args: JudgeArgs = None,
    allow_self_judge: AllowSelfJudge = False,
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
    from mlc_bench import catalog, spec, suites

    use_data(data_dir)
    use_packs(include, allow_code)
    if engine is not None and engine not in ENGINES:
        raise unknown("engine", engine, ENGINES)
    for name in split(suite):
        suites.get(name)
    asked, preset = suites.expand([*split(tasks), *split(suite)] or ["starter"])
    entries = catalog.select(asked)
    codes = catalog.check_languages(split(languages) or preset.get("languages", []))
    limit = limit or preset.get("limit")
    max_tokens = max_tokens or preset.get("max_tokens")
    system_prompt = preset.get("system_prompt") if system_prompt is None else system_prompt
    arguments = spec.parse_engine_args(engine_args or [])
    judge_name, settings = judge_settings(judge, combine, judge_args)
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
            judge=judge_name,
            limit=limit,
            system_prompt=system_prompt,
            max_tokens=max_tokens,
            seed=seed,
        )
        for name in names
    ]
    from mlc_bench import runner

    signal.signal(signal.SIGTERM, interrupt)  # closes the engine, as Ctrl-C does
    runs = runner.prepare(specs, output, settings, allow_self_judge, quick=dry_run)
    if dry_run:
        _print_plan(runs, as_json)
        return 0
    records = runner.execute(runs, fresh)
    if as_json:
        print(json.dumps([found.model_dump(mode="json") for found in records], indent=1))
    else:
        _print_tables(runs, records)
    return 0 if all(found.status == "complete" for found in records) else 1


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
    from mlc_bench import table

    width = shutil.get_terminal_size((120, 24)).columns
    for run_, found in zip(runs, records, strict=True):
        print(table.text(found, width))
        print_agreement(found)
        print(f"record: {run_.folder / 'run.json'}")
