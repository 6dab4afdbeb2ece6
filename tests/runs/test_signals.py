"""SIGINT, SIGTERM and SIGHUP: what is done is on the disk, the last line says how to go on, 130, 143 or 129."""

import json
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import signals
from fake_server import answer, serve
from test_crash import BATCH, CHUNK, REQUESTS, arguments, assert_equal, finish, lines, record, reference, wait_for

from mlc_bench.core import interruption

__all__ = ["reference"]  # a fixture
SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
LAST = "interrupted; the same command goes on where this one stopped: "


def check_interrupted(ended, number, program="mlc-bench"):
    """Exit code, nothing on stdout, and a last line that begins with the command's name; its arguments."""
    assert ended.returncode == 128 + number, ended.stderr
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    *before, last = ended.stderr.splitlines()
    assert last.startswith(LAST)
    assert not any("interrupted" in line for line in before)
    name, *rest = shlex.split(last.removeprefix(LAST))
    assert name == program
    return rest


@SIGNALS
def test_a_run_while_it_generates(start, tiny_model, tmp_path, reference, number):
    output = tmp_path / "results"
    process = start(*arguments(tiny_model, output))
    wait_for(process, output, 1)
    process.signal(number)
    ended = process.wait()
    again = check_interrupted(ended, number)
    starting, *progress, _ = ended.stderr.splitlines()
    assert starting == "starting hf with tiny"
    assert all(line.startswith("generate: ") for line in progress)
    kept = len(lines(output))
    assert 0 < kept < REQUESTS
    done = start(*again).wait()  # the command as it was printed
    found = record(done.stdout)
    assert found["responses"] == {"generated": REQUESTS - kept, "from_store": kept}
    assert_equal(found, output, reference)


@SIGNALS
@pytest.mark.parametrize("after", [0.0, 0.05, 0.3])
def test_a_run_that_has_just_begun(start, tiny_model, tmp_path, reference, number, after):
    output = tmp_path / "results"
    process = start(*arguments(tiny_model, output))
    while not (process.err.read_text() or output.exists()):
        time.sleep(0.001)
    time.sleep(after)
    process.signal(number)
    check_interrupted(process.wait(), number)
    assert_equal(finish(start, tiny_model, output), output, reference)


@SIGNALS
def test_what_a_server_has_answered_is_kept(start, tmp_path, number):
    """One chunk holds all prompts: none of them is asked twice."""
    with serve() as server:
        seen = threading.Semaphore(0)

        def slow(body):
            seen.release()
            time.sleep(0.05)
            return answer(body)

        server.answer = slow
        command = [
            "run", "--model", "m", "--engine", "openai", "--base-url", server.url, "--tasks", "starter_harmful",
            "--languages", "en", "--limit", "20", "--output", tmp_path / "r", "--engine-args", "num_concurrent=2",
        ]  # fmt: skip
        process = start(*command)
        for _ in range(9):
            assert seen.acquire(timeout=60)
        process.signal(number)
        check_interrupted(process.wait(), number)
        server.wait_until_idle()
        kept = len(lines(tmp_path / "r"))
        assert kept >= 6
        found = record(start(*command).wait().stdout)
        assert found["responses"] == {"generated": 20 - kept, "from_store": kept}
        assert len(server.answered) <= 20 + 2  # but what was under way


@SIGNALS
def test_batches_of_an_unfinished_chunk_are_kept(tiny_model, tmp_path, number):
    """The signal comes within a chunk, after its first batches."""
    script = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from mlc_bench.engines import metered
add, seen = metered.Meter.add_partial, []
def counted(self, *given):
    add(self, *given)
    seen.append(1)
    if len(seen) == {CHUNK + 3 * BATCH}:
        os.kill(os.getpid(), {int(number)})
metered.Meter.add_partial = counted
sys.argv = ["mlc-bench", *{[str(one) for one in arguments(tiny_model, tmp_path / "r")]!r}]
from mlc_bench.cli import main
main.main()
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, preexec_fn=signals.reset)
    check_interrupted(ended, number)
    assert len(lines(tmp_path / "r")) == CHUNK + 3 * BATCH


@SIGNALS
def test_a_second_signal_ends_at_once(start, tmp_path, number):
    """While what is under way at a server that hangs is waited for, or anything else is closed."""
    done = subprocess.run(
        [sys.executable, "-c", f"""
import os, time
from mlc_bench import console
def command(standalone_mode):
    try:
        os.kill(os.getpid(), {int(number)})
        time.sleep(60)
    finally:
        print("closing", flush=True)
        os.kill(os.getpid(), {int(number)})
        time.sleep(60)
console.main(command)
"""],
        capture_output=True, text=True, timeout=60, preexec_fn=signals.reset,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (-number, "closing\n")


@pytest.mark.parametrize(
    "what",
    {
        "raises another error": "raise ImportError('numpy is half imported') from None",
        "raises an error of ours": "from mlc_bench.core.errors import StaleError; raise StaleError('gone') from None",
        "leaves": "raise SystemExit(1) from None",
    }.items(),
    ids=lambda case: case[0],
)
@SIGNALS
def test_whatever_a_library_makes_of_the_signal(number, what):
    script = f"""
import os, time, sys
from mlc_bench import console
sys.argv = ["mlc-bench", "show", "x"]
def command(standalone_mode):
    try:
        os.kill(os.getpid(), {int(number)})
        time.sleep(60)
    except KeyboardInterrupt:
        {what[1]}
console.main(command)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, preexec_fn=signals.reset)
    assert check_interrupted(done, number) == ["show", "x"]


@SIGNALS
def test_what_the_shell_has_ignored_stays_ignored(number):
    """`nohup`, and `command &` in a script."""
    script = f"""
import os, sys
from mlc_bench import console
def command(standalone_mode):
    os.kill(os.getpid(), {int(number)})
    print("goes on")
console.main(command)
"""
    ignore = signal.Signals(number).name.removeprefix("SIG")
    line = f"trap '' {ignore}; exec {shlex.quote(sys.executable)} -c {shlex.quote(script)}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "goes on\n"), done.stderr


@SIGNALS
def test_processes_that_were_started_are_stopped(tmp_path, number):
    script = f"""
import os, subprocess, sys, time
from pathlib import Path
from mlc_bench import console
def command(standalone_mode):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    Path({str(tmp_path / "child")!r}).write_text(str(child.pid))
    os.kill(os.getpid(), {int(number)})
    time.sleep(60)
console.main(command)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, preexec_fn=signals.reset)
    assert done.returncode == 128 + number
    child = int((tmp_path / "child").read_text())
    assert not Path(f"/proc/{child}").exists()


@SIGNALS
def test_a_terminal_that_is_gone(number):
    """Nothing can be said any more; the exit code is the same."""
    script = f"""
import os, time
from mlc_bench import console
def command(standalone_mode):
    os.close(1); os.close(2)
    reading, writing = os.pipe()
    os.close(reading)
    os.dup2(writing, 1); os.dup2(writing, 2)
    os.kill(os.getpid(), {int(number)})
    time.sleep(60)
console.main(command)
"""
    done = subprocess.run([sys.executable, "-c", script], preexec_fn=signals.reset)
    assert done.returncode == 128 + number


def test_handlers_are_given_back():
    before = [signal.getsignal(number) for number in interruption.SIGNALS]
    with interruption.watching():
        assert [signal.getsignal(number) for number in interruption.SIGNALS] != before
    assert [signal.getsignal(number) for number in interruption.SIGNALS] == before
    with pytest.raises(interruption.Interrupted), interruption.watching():
        signal.raise_signal(signal.SIGTERM)
    assert [signal.getsignal(number) for number in interruption.SIGNALS] == before


def test_a_thread_sets_no_handlers():
    found = []

    def work():
        with interruption.watching() as watch:
            found.append(watch.number)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [None]


@SIGNALS
def test_a_secret_is_not_printed(start, tmp_path, number):
    with serve() as server:
        server.answer = lambda body: (time.sleep(0.2), answer(body))[1]
        process = start(
            "run", "--model", "m", "--engine", "openai", "--base-url", server.url, "--tasks", "starter_harmful",
            "--languages", "en", "--output", tmp_path, "--engine-args", "auth_token=hush",
        )  # fmt: skip
        while not server.asked:
            time.sleep(0.01)
        process.signal(number)
        ended = process.wait()
    check_interrupted(ended, number)
    assert "hush" not in ended.stderr


def test_the_printed_command_is_json_safe(start, tiny_model, tmp_path):
    """--json prints nothing half."""
    process = start(*arguments(tiny_model, tmp_path / "r"), "--json")
    wait_for(process, tmp_path / "r", 1)
    process.signal(signal.SIGTERM)
    assert check_interrupted(process.wait(), signal.SIGTERM)[-1] == "--json"
    done = start(*arguments(tiny_model, tmp_path / "r"), "--json").wait()
    assert json.loads(done.stdout)[0]["status"] == "complete"
