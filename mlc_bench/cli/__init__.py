"""The command line: parses and prints. What takes long to import is imported inside the commands.

A module here holds a command or a group of commands; this one puts them together and turns errors into exit codes.
"""

import errno
import logging
import os
import sys
import warnings
from typing import Annotated, NoReturn

import typer

from mlc_bench.cli import (
    calibrate,
    compare,
    contribute,
    doctor,
    judge,
    judges,
    languages,
    leaderboard,
    probe,
    results,
    run,
    suites,
    tasks,
)
from mlc_bench.errors import UserError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Multilingual safety evaluation for language models.",
)
app.command()(run.run)
app.command()(results.show)
app.command()(compare.compare)
app.command()(calibrate.calibrate)
app.command()(judge.judge)
app.command()(probe.probe)
app.command()(doctor.doctor)
app.add_typer(judges.app, name="judges")
contribute.register(tasks.app, languages.app)
app.add_typer(tasks.app, name="tasks")
app.add_typer(languages.app, name="languages")
app.add_typer(suites.app, name="suites")
app.add_typer(leaderboard.app, name="leaderboard")

_state = {"debug": False}


def main(command: typer.Typer = app) -> None:
    """Run a command line and end with its exit code.

    0 ok, 1 some tasks failed, 2 usage, 3 prerequisite missing, 4 results not comparable or stale, 130 interrupted.
    """
    try:
        code = command(standalone_mode=False)
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
def options(debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and all logs.")] = False) -> None:
    _state["debug"] = debug
    if not debug:
        quiet()


def quiet() -> None:
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
