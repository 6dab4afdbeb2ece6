"""What command lines share: errors as exit codes, quiet libraries, and options that several commands have."""

import contextlib
import errno
import logging
import os
import re
import shlex
import signal
import sys
import traceback
import warnings
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from mlc_bench.core import interruption, secrets, writable
from mlc_bench.core.errors import UsageError, UserError, is_full
from mlc_bench.core.names import shown

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]


Include = Annotated[
    list[Path] | None, typer.Option(help="Folder with task packs of your own (or one pack); repeatable.")
]
AllowCode = Annotated[bool, typer.Option("--allow-code", help="Let the packs of --include run their own code.")]


def use_packs(folders: list[Path] | None, allow_code: bool) -> None:
    from mlc_bench.catalog import listing

    listing.include(folders or [], allow_code)


def use_data(folder: Path | None) -> None:
    from mlc_bench.catalog import sources

    sources.use_data(folder)


def split(values: list[str] | None, option: str) -> list[str]:
    """The names that an option gives. Raises UsageError where it is given and names none: that would mean all."""
    found = [part.strip() for value in values or [] for part in value.split(",") if part.strip()]
    if values and not found:
        raise UsageError(f"{option} names nothing; name one or more, or leave {option} out")
    return found


def to_folder(option: typer.CallbackParam, folder: Path | None) -> Path | None:
    """A folder that a command will write to, looked at before it does anything. Raises UsageError."""
    if folder is not None:
        writable.check_folder(folder, option.opts[0])
    return folder


def to_file(option: typer.CallbackParam, file: Path | None) -> Path | None:
    """As `to_folder`, of a file."""
    if file is not None:
        writable.check_file(file, option.opts[0])
    return file


def again() -> str:
    """This command as it is typed into a shell, without what may be a secret."""
    words = []
    for word in sys.argv[1:]:
        option, name = re.fullmatch(r"(--[a-z-]+=)?([^=]*).*", word, re.DOTALL).groups()  # type: ignore[union-attr]
        value = word[len(option or "") + len(name) + 1 :]
        if "=" in word and not name.startswith("--"):
            shown = "..." if secrets.is_secret(name, value) else secrets.text(value)
            words.append(f"{option or ''}{name}={shown}")
        else:
            words.append(secrets.text(word))
    return shlex.join([Path(sys.argv[0]).name, *words])


_state = {"debug": False}
_PLACES = (errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP)
"""Of a path: there is a file where a folder is needed, or the reverse, or it is none."""


def main(command: typer.Typer) -> None:
    """Run a command line and end with its exit code.

    0 ok, 1 some tasks failed or --max-cost is reached, 2 usage, 3 prerequisite missing, 4 results not comparable or
    stale, 5 a condition of `compare --fail-if` holds, 130 ended by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP.
    """
    with interruption.watching() as watch:
        try:
            _check_words(sys.argv[1:])
            code = command(standalone_mode=False)
            if code == 130:  # the parser has caught the signal's exception itself
                raise KeyboardInterrupt
        except BaseException as error:
            # Whatever came of it elsewhere (a library that cannot be imported, an engine that is gone): it was the
            # signal.
            if watch.number or isinstance(error, KeyboardInterrupt) or type(error).__name__ == "Abort":
                _interrupted(watch, error)
            _ended(error)
    sys.stdout.flush()
    _leave(code if isinstance(code, int) else 0)


def _check_words(words: list[str]) -> None:
    """Raises UsageError for what is no text: records, which hold it, are UTF-8."""
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise UsageError(f"{shown(word)} in the command is not UTF-8; write it in UTF-8") from None


def _interrupted(watch: interruption.Watch, error: BaseException) -> NoReturn:
    """Say how to go on, after what the command itself has said of what is kept."""
    if _state["debug"]:
        traceback.print_exception(error)
    interruption.stop_children(watch.begin)
    line = "interrupted; the same command goes on where this one stopped"
    with contextlib.suppress(Exception):  # a module that was being imported
        line += f": {again()}"
    try:
        print(line, file=sys.stderr, flush=True)
        sys.stdout.flush()
    except (OSError, ValueError):  # the terminal is gone, which is what SIGHUP says
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    _leave(128 + (watch.number or signal.SIGINT))


def _ended(error: BaseException) -> NoReturn:
    """End as the error says."""
    if isinstance(error, UserError):
        _fail(f"error: {error}", error.exit_code, error)
    if isinstance(error, BrokenPipeError):
        sys.stderr.close()
        sys.exit(0)
    if not isinstance(error, Exception):  # the end of the process
        raise error
    if is_full(error) or getattr(error, "errno", None) in (errno.EROFS, errno.EACCES):
        said = " ".join(str(error).split())[:300]
        _fail(f"error: {said}; make room or name another place to write to, and run it again", 3, error)
    if isinstance(error, OSError) and error.errno in _PLACES and error.filename:
        what = f"{(error.strerror or '').lower()}: '{error.filename}'"
        _fail(f"error: {what}; it cannot be the file or folder that is needed: move it, or name another", 2, error)
    if hasattr(error, "format_message"):  # the parser's own errors
        if not (message := error.format_message()):  # no command: the help has been printed
            _leave(getattr(error, "exit_code", 2))
        _fail(f"error: {' '.join(message.split())}", getattr(error, "exit_code", 2), error)
    _fail(
        f"error: {type(error).__name__}: {' '.join(str(error).split())[:300]} "
        "(a defect, or a problem that mlc-bench does not know; --debug shows where)",
        1,
        error,
    )


def _fail(message: str, code: int, error: BaseException) -> NoReturn:
    if _state["debug"]:
        raise error
    print(secrets.text(message), file=sys.stderr)
    _leave(code)


def _leave(code: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    sys.exit(code)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"mlc-bench {version('mlc-bench')}")
        raise typer.Exit


def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and all logs.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
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
