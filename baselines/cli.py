"""`train-baseline METHOD`: train a baseline, or go on with a run that was killed."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from mlc_bench import console
from mlc_bench.console import Json, split, to_file
from mlc_bench.core.errors import UsageError
from mlc_bench.core.progress import say


class _Methods(TyperGroup):
    """`train-baseline dpo ...` is `train-baseline train dpo ...`: what is no command of its own is a method."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        return super().resolve_command(ctx, args if args[0] in self.commands else ["train", *args])


app = typer.Typer(
    cls=_Methods,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train MLC and its baselines: train-baseline METHOD --config FILE [--key value ...]",
)
app.callback()(console.options)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def train(
    context: typer.Context,
    method: Annotated[str, typer.Argument(help="The training method; a wrong name lists them.")],
    config: Annotated[Path | None, typer.Option(help="YAML file with settings.")] = None,
    settings: Annotated[
        bool, typer.Option("--settings", help="Print the settings with their defaults and end.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Train nothing: look at settings, data, memory and disk.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Train METHOD; any setting can be given as --key value, e.g. --learning-rate 1e-5 --mlc --mlc.tau 0.1 --lora."""
    from mlc_bench.baselines import config as configuration
    from mlc_bench.baselines import methods

    module = methods.get(method)
    if settings:
        print("\n".join(configuration.described(module.Config)))
        return 0
    chosen = configuration.load(module.Config, config, context.args)
    if check:
        return _check(method, chosen, as_json)
    from mlc_bench.baselines import checkpoints, run

    with run.ending_group():
        try:
            manifest = run.execute(run.prepare(method, chosen))
        except KeyboardInterrupt:
            if run.is_main():
                checkpoint = checkpoints.last_checkpoint(chosen.output / "checkpoints")
                none = f"there is no checkpoint yet, there is one every {chosen.save_steps} steps (--save-steps)"
                say(f"{checkpoint} is kept" if checkpoint else none)
            raise
        if run.is_main():
            print(json.dumps(manifest, indent=1, ensure_ascii=False) if as_json else str(chosen.output))
    return 0


def _check(method: str, chosen: Any, as_json: bool) -> int:
    import dataclasses
    import os

    from mlc_bench import doctor
    from mlc_bench.baselines.check import preflight

    found = preflight.findings(method, chosen)
    if os.environ.get("RANK", "0") == "0":  # one process speaks for all that accelerate launched
        if as_json:
            print(json.dumps([dataclasses.asdict(finding) for finding in found], indent=1, ensure_ascii=False))
        else:
            print(doctor.as_text(found))
    return 3 if any(finding.level == "problem" for finding in found) else 0


@app.command()
def build(
    method: Annotated[str, typer.Argument(help="translate-sft, translate-dpo, sdrrl or self-defence.")],
    output: Annotated[
        Path, typer.Option(help="JSON lines to write; what the models said is kept beside it.", callback=to_file)
    ],
    languages: Annotated[list[str], typer.Option(help="Codes, commas or repeated.")],
    model: Annotated[str | None, typer.Option(help="The model that is asked: hub id, folder, or a demo model.")] = None,
    translator: Annotated[
        str | None, typer.Option(help="A chat model or NLLB that translates. Default: the model itself.")
    ] = None,
    data: Annotated[list[str] | None, typer.Option(help="Files to start from. Default: embedded.")] = None,
    engine: Annotated[str | None, typer.Option(help="hf or vllm. Default: vllm with a GPU, else hf.")] = None,
    translator_engine: Annotated[str | None, typer.Option(help="Default: as --engine; NLLB runs on hf.")] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of an answer.")] = 256,
    limit: Annotated[int | None, typer.Option(min=1, help="First n rows of the data.")] = None,
    as_json: Json = False,
) -> int:
    """Make the data of a METHOD that trains on generated text; the file can then be read, and trained on."""
    from mlc_bench.baselines import methods
    from mlc_bench.baselines.data import formats, training_data
    from mlc_bench.baselines.data import generate_data as building
    from mlc_bench.catalog import listing
    from mlc_bench.core.errors import unknown
    from mlc_bench.core.spec import RunSpec
    from mlc_bench.engines.lifecycle import default_engine

    module = methods.get(method)
    if not hasattr(module, "make"):
        makers = [name for name in methods.names() if hasattr(methods.get(name), "make")]
        raise unknown("method with a builder", method, makers)
    codes = [code for code in listing.check_languages(split(languages, "--languages")) if code != formats.PIVOT]
    if not codes:
        raise UsageError("--languages: name at least one language other than en")
    for name in (engine, translator_engine):
        if name not in (None, "hf", "vllm"):
            raise unknown("engine", str(name), ["hf", "vllm"])
    engine = engine or default_engine()
    loaded = training_data.load(split(data, "--data") or ["embedded"])
    folder = output.with_name(f"{output.name}.store")
    work = building.Work(
        loaded.rows[:limit],
        codes,
        model=RunSpec(model=model, engine=engine, tasks=()) if model else None,
        translator=RunSpec(model=translator, engine=translator_engine or engine, tasks=()) if translator else None,
        folder=folder,
        max_tokens=max_tokens,
    )
    how = building.build(method, module, work, loaded, output)
    print(json.dumps(how, indent=1, ensure_ascii=False) if as_json else str(output))
    return 0


def main() -> None:
    """Run the command line and end with its exit code, as `mlc-bench` does."""
    console.main(app)


if __name__ == "__main__":
    main()
