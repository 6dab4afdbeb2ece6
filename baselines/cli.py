"""`train-baseline METHOD`: train a baseline, or go on with a run that was killed."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from mlc_bench import cli
from mlc_bench.cli.common import Json


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
app.callback()(cli.options)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def train(
    context: typer.Context,
    method: Annotated[str, typer.Argument(help="The training method; a wrong name lists them.")],
    config: Annotated[Path | None, typer.Option(help="YAML file with settings.")] = None,
    settings: Annotated[
        bool, typer.Option("--settings", help="Print the settings with their defaults and end.")
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
    from mlc_bench.baselines import run

    manifest = run.execute(run.prepare(method, chosen))
    if run.is_main():
        print(json.dumps(manifest, indent=1, ensure_ascii=False) if as_json else str(chosen.output))
    return 0


def main() -> None:
    """Run the command line and end with its exit code, as `mlc-bench` does."""
    cli.main(app)


if __name__ == "__main__":
    main()
