"""`mlc-bench run`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from mlc_bench.cli.judge import AllowSelfJudge, Combine, JudgeArgs, JudgeName, judge_names, print_results
from mlc_bench.console import AllowCode, Include, Json, again, split
from mlc_bench.core.errors import SpentError


def run(
    model: Annotated[
        str, typer.Option(help="Hub id, folder, 'demo' (a demo model), or the server's name for its model.")
    ],
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
    judge: JudgeName = "refusal",
    combine: Combine = None,
    judge_args: JudgeArgs = None,
    allow_self_judge: AllowSelfJudge = False,
    limit: Annotated[int | None, typer.Option(help="First n prompts of each task and language.")] = None,
    system_prompt: Annotated[str | None, typer.Option(help="Put before every prompt.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Most tokens of an answer. Default: the task's.")] = None,
    seed: Annotated[int, typer.Option()] = 1234,
    template_date: Annotated[
        str | None, typer.Option(help="YYYY-MM-DD: the date that a chat template prints. Default: 2024-07-26.")
    ] = None,
    sampling: Annotated[
        str, typer.Option(help="model: choose tokens as the checkpoint's generation_config.json suggests.")
    ] = "neutral",
    thinking: Annotated[
        str, typer.Option(help="off or on: the chat template's switch for thinking. Default: as the template has it.")
    ] = "model",
    thinking_tokens: Annotated[
        int | None, typer.Option(help="Most tokens of thinking; --max-tokens is then for the answer alone.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder of results.")] = Path("results"),
    data_dir: Annotated[Path | None, typer.Option(help="Folder with downloaded task data (or MLC_BENCH_DATA).")] = None,
    dry_run: Annotated[bool, typer.Option(help="Show what would be run; load no model.")] = False,
    price: Annotated[
        str | None, typer.Option(help="IN,OUT: what a server's tokens cost, US dollars per million, e.g. 0.5,2.")
    ] = None,
    max_cost: Annotated[
        float | None, typer.Option(min=0, help="Stop before answers cost more than so many US dollars; needs --price.")
    ] = None,
    fresh: Annotated[bool, typer.Option(help="Ignore stored responses.")] = False,
    as_json: Json = False,
) -> int:
    """Score a model for safety, over-refusal and utility in every language; resumes where it stopped."""
    from mlc_bench import api
    from mlc_bench.catalog import suites
    from mlc_bench.core import spec

    chosen = split(suite, "--suite")
    for name in chosen:
        suites.get(name)
    request = api.Request(
        model=model,
        adapter=adapter,
        revision=revision,
        tasks=[*split(tasks, "--tasks"), *chosen] or ["starter"],
        languages=split(languages, "--languages") or None,
        engine=engine,
        base_url=base_url,
        engine_args=spec.parse_pairs(engine_args or [], "--engine-args"),
        include=include or [],
        allow_code=allow_code,
        judge=judge_names(judge),
        combine=combine,
        judge_args=spec.parse_pairs(judge_args or [], "--judge-args"),
        allow_self_judge=allow_self_judge,
        limit=limit,
        system_prompt=system_prompt,
        max_tokens=max_tokens,
        seed=seed,
        template_date=template_date,
        sampling=sampling,
        thinking=thinking,
        thinking_tokens=thinking_tokens,
        output=output,
        data_dir=data_dir,
        fresh=fresh,
        price=price,
        max_cost=max_cost,
    )
    if dry_run:
        plans = request.plan()
        _print_plan(plans, as_json)
        return 1 if any(task["error"] for plan in plans for task in plan["tasks"]) else 0  # as the run would end
    try:
        results = request.run()
    except SpentError as error:
        raise SpentError(f"{error}; to go on: {again()}") from None
    if as_json:
        print(json.dumps([found.record.model_dump(mode="json") for found in results], indent=1))
    else:
        print_results(results)
    return 0 if all(found.record.status == "complete" for found in results) else 1


def _template(settings: dict[str, Any]) -> str:
    """One line on the chat template of a plan, and on what was chosen apart from the tasks' settings."""
    digest = settings["template_sha256"]
    date = f", which prints the date {settings['template_date']}" if settings["template_date"] else ""
    chosen = "".join(f"; {name} {value}" for name, value in settings["chosen"].items() if name != "template_date")
    return (f"chat template {digest[:12]}{date}" if digest else "chat template: the server's own") + chosen


def _print_plan(plans: list[dict[str, Any]], as_json: bool) -> None:
    from mlc_bench.engines.settings import sampling

    if as_json:
        print(json.dumps(plans, indent=1, ensure_ascii=False))
        return
    for plan in plans:
        print(f"{plan['model']}  run {plan['run_id']}  {plan['folder']}")
        for row in plan["tasks"]:
            print(f"  {row['task']:18} {row['languages']:48} {row['state']}")
        for line in dict.fromkeys(sampling.described(row["decoding"]) for row in plan["tasks"] if row["decoding"]):
            print(f"  answers: {line}")
        print(f"  {_template(plan['settings'])}")
        known = "all answers are there" if plan["generated"] else f"{plan['stored_responses']} stored responses"
        about = f"about {plan['tokens_in']:,} tokens in, up to {plan['tokens_out']:,} out"
        cost = "" if plan["cost"] is None else f", up to ${plan['cost']:.4f}"
        print(f"  {known}; all prompts: {about}{cost}")
