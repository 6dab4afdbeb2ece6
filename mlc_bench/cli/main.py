"""`mlc-bench`: its commands put together. What takes long to import is imported inside the commands."""

import typer

from mlc_bench import console
from mlc_bench.cli import (
    calibrate,
    compare,
    doctor,
    export,
    gate,
    judge,
    label,
    leaderboard,
    probe,
    run,
    show,
    sweep,
    view,
)
from mlc_bench.cli.catalog import contribute, judges, languages, suites, tasks

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Multilingual safety evaluation for language models.",
)
app.callback()(console.options)
app.command()(run.run)
app.command()(sweep.sweep)
app.command()(show.show)
app.command()(compare.compare)
app.command()(calibrate.calibrate)
app.command()(judge.judge)
app.command()(export.export)
app.command()(label.label)
app.command()(view.view)
app.command()(probe.probe)
app.command()(doctor.doctor)
app.add_typer(judges.app, name="judges")
contribute.register(tasks.app, languages.app)
app.add_typer(tasks.app, name="tasks")
app.add_typer(languages.app, name="languages")
app.add_typer(suites.app, name="suites")
app.add_typer(gate.app, name="gate")
app.add_typer(leaderboard.app, name="leaderboard")


def main() -> None:
    console.main(app)
