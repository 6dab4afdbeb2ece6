"""End one run again and again at random moments, and see that nothing is lost but the chunk in flight.

    python benchmarks/crash.py --kills 24 --model demo-tiny --languages en --limit 40 --max-tokens 16

An undisturbed run is timed first. The moments of the kills are drawn from its duration, from the start of the process
to its end, half of them while it generates. A moment means "so many responses stored, and so many seconds after that",
because a run that was killed before has less left to do. Every process is a real `mlc-bench run`, ended with SIGKILL,
SIGTERM, SIGHUP and SIGINT in turn; it also notes in a file, before it asks the engine, for which responses it does.
What can be caught must end with its own exit code and one line that says how to go on. Exit code 1 where a check fails.
Leave the sources alone meanwhile: another version of them may well make another run.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

POLL = 0.005  # seconds
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


@dataclass
class Moment:
    """Kill when `stored` responses are there and `delay` seconds have gone by, counted from the start for None."""

    stored: int | None
    delay: float


@dataclass
class Kill:
    number: signal.Signals
    phase: str
    after: float  # seconds since the process started
    stored: int  # responses in the store when it was over
    again: int  # responses generated although they were stored before the process started
    lost: int  # responses that the engine was asked for and that are not in the store
    intact: bool  # what was stored before is there as it was, and no key twice
    told: bool  # the exit code is the signal's, and the last line has the command to go on


@dataclass
class Folder:
    """One output folder, and the notes of the processes that write to it."""

    output: Path
    command: list[str]

    @property
    def notes(self) -> Path:
        return self.output.with_suffix(".notes")

    def start(self) -> "subprocess.Popen[bytes]":
        self.notes.write_text("")
        child = [sys.executable, __file__, "--child", str(self.notes), *self.command, "--output", str(self.output)]
        with self.output.with_suffix(".stderr").open("wb") as stderr:
            return subprocess.Popen(child, stdout=subprocess.DEVNULL, stderr=stderr, preexec_fn=_reset_signals)

    def is_told(self, number: signal.Signals, code: int, was_over: bool) -> bool:
        """Whether the last process ended as the signal asks. Python itself dies of one before it runs anything.

        `was_over`: its record was written before the signal came, so that it had nothing left to interrupt.
        """
        if was_over:
            return code in (0, -number, 128 + number)
        if code == -number:
            return number == signal.SIGKILL or not self.errors
        return code == 128 + number and self.errors.splitlines()[-1].startswith("interrupted; the same command goes on")

    @property
    def errors(self) -> str:
        """What the last process wrote on stderr."""
        return self.output.with_suffix(".stderr").read_text()

    def lines(self) -> list[bytes]:
        """The whole lines of the store."""
        paths = list(self.output.glob("*/responses/*.jsonl"))
        content = [line for path in paths for line in path.read_bytes().splitlines(keepends=True)]
        return [line for line in content if line.endswith(b"\n")]

    def chunks(self) -> list[list[str]]:
        """For which keys the last process asked the engine, one list for each time."""
        return [line.split() for line in self.notes.read_text().splitlines()]

    def is_over(self, since: float) -> bool:
        """Whether a record was written since then (seconds of the epoch)."""
        return any(path.stat().st_mtime >= since for path in self.output.glob("*/*/run.json"))

    @property
    def is_generated(self) -> bool:
        return any(self.output.glob("*/*/generation.json"))

    def samples(self) -> dict[str, str]:
        return {path.name: path.read_text(encoding="utf-8") for path in self.output.glob("*/*/samples/*.jsonl")}

    def record(self) -> dict[str, Any]:
        (path,) = self.output.glob("*/*/run.json")
        return json.loads(path.read_text(encoding="utf-8"))

    def finish(self) -> dict[str, Any]:
        process = self.start()
        if process.wait() != 0:
            sys.exit(f"the run failed:\n{self.errors}")
        return self.record()


def _reset_signals() -> None:
    """Whatever this process was started to ignore, as in the background of a shell."""
    for number in SIGNALS[1:]:
        signal.signal(number, signal.SIG_DFL)


def child(notes: str, arguments: list[str]) -> None:
    """`mlc-bench` that notes which responses it asks the engine for."""
    from mlc_bench import console

    def command(standalone_mode: bool) -> Any:
        from mlc_bench.cli import main
        from mlc_bench.engines import store

        generate = store.StoredLM._generate

        def noted(self: store.StoredLM, request_type: str, part: list[Any]) -> None:
            with open(notes, "a") as file:
                file.write(" ".join(key for key, _ in part) + "\n")
            generate(self, request_type, part)

        store.StoredLM._generate = noted  # type: ignore[method-assign]
        return main.app(standalone_mode=standalone_mode)

    sys.argv = ["mlc-bench", *arguments]
    console.main(command)  # type: ignore[arg-type]


def timeline(folder: Folder) -> tuple[float, float, list[tuple[float, int]]]:
    """Run undisturbed: duration, seconds until the engine is asked for the first time, (seconds, stored) per flush."""
    begin = time.monotonic()
    process = folder.start()
    flushes: list[tuple[float, int]] = []
    start_up = None
    while process.poll() is None:
        now = time.monotonic() - begin
        if start_up is None and folder.chunks():
            start_up = now
        stored = len(folder.lines())
        if stored > (flushes[-1][1] if flushes else 0):
            flushes.append((now, stored))
        time.sleep(POLL)
    if process.returncode != 0 or start_up is None:
        sys.exit(f"the run failed:\n{folder.errors}")
    return time.monotonic() - begin, start_up, flushes


def draw(kills: int, line: tuple[float, float, list[tuple[float, int]]], chance: random.Random) -> list[Moment]:
    """A quarter of the moments in start-up, half in generate, a quarter after it; even within each.

    Those in start-up come in between the others, so that they find a store, too.
    """
    duration, start_up, flushes = line
    counts = kills // 4, kills - 2 * (kills // 4), kills // 4
    ends = [0.0, start_up, flushes[-1][0], duration]
    # One draw in each of `count` equal stretches: even, and yet at random.
    early, *late = (
        [begin + (index + chance.random()) * (end - begin) / count for index in range(count)]
        for count, begin, end in zip(counts, ends[:-1], ends[1:], strict=True)
    )
    moments = [Moment(None, moment) for moment in early]
    later = []
    for moment in [*late[0], *late[1]]:
        when, stored = max([(start_up, 0), *(flush for flush in flushes if flush[0] <= moment)])
        later.append(Moment(stored, moment - when))
    order = [True] * len(moments) + [False] * len(later)
    chance.shuffle(order)
    return [moments.pop(0) if is_early else later.pop(0) for is_early in order]


def kill(folder: Folder, moment: Moment, number: signal.Signals, start_up: float, total: int) -> Kill:
    """Start the run, kill it at the moment, and look at what is left."""
    before = folder.lines()
    delay = moment.delay
    while True:
        was_generated = folder.is_generated
        begin, started = time.monotonic(), time.time()
        process = folder.start()
        if moment.stored is not None:
            if len(before) == total:  # nothing left to generate: the moment is one of those after it
                delay += start_up if not was_generated else 0.0
            while process.poll() is None and len(before) < total:
                if folder.chunks() and len(folder.lines()) >= moment.stored:
                    break
                time.sleep(POLL)
            time.sleep(delay)
        else:
            time.sleep(delay)
        if process.poll() is None:
            break
        delay /= 2  # it was over sooner than that
        before = folder.lines()
    was_over = folder.is_over(started)
    process.send_signal(number)
    code = process.wait()
    after = time.monotonic() - begin
    lines = folder.lines()
    stored_before, stored = ([json.loads(line)["key"] for line in found] for found in (before, lines))
    asked = [key for chunk in folder.chunks() for key in chunk]
    return Kill(
        number=number,
        phase="generate" if asked and len(stored) < total else "judge, end" if len(stored) == total else "start-up",
        after=after,
        stored=len(stored),
        again=len(set(asked) & set(stored_before)),
        lost=len(set(asked) - set(stored)),
        intact=lines[: len(before)] == before and len(set(stored)) == len(stored),
        told=folder.is_told(number, code, was_over),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=24)
    parser.add_argument("--model", default="demo-tiny", help="a demo model, or a model's folder")
    parser.add_argument("--languages", default="en")
    parser.add_argument("--limit", type=int, default=40)
    parser.add_argument("--max-tokens", type=int, default=16)
    parser.add_argument("--batch-size", type=int, default=4, help="a chunk has eight batches")
    parser.add_argument("--output", type=Path, help="an empty folder; default: a temporary one")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    # The libraries read these on import, which is before our command line sets them.
    os.environ |= {"TQDM_DISABLE": "1", "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_OFFLINE": "1"}
    root = options.output or Path(tempfile.mkdtemp(prefix="mlc-crash-"))
    root.mkdir(parents=True, exist_ok=True)
    if any(root.iterdir()):
        parser.error(f"{root} is not empty")
    command = ["run", "--model", options.model, "--engine", "hf", "--engine-args", f"batch_size={options.batch_size}"]
    command += ["--tasks", "starter", "--languages", options.languages, "--limit", str(options.limit)]
    command += ["--max-tokens", str(options.max_tokens)]
    print(f"seed {options.seed}, folder {root}", flush=True)
    # Once without a model: a demo model that must be converted first is none of the run's time.
    dry_run = [sys.executable, "-c", "from mlc_bench.cli.main import main; main()", *command, "--dry-run"]
    if code := subprocess.run(dry_run, stdout=subprocess.DEVNULL).returncode:
        return code

    reference, killed = Folder(root / "undisturbed", command), Folder(root / "killed", command)
    line = timeline(reference)
    duration, start_up, _ = line
    total = len(reference.lines())
    chunk = max(len(keys) for keys in reference.chunks())
    print(f"undisturbed: {duration:.1f} s, of which {start_up:.1f} s start-up; {total} responses, chunks of {chunk}")
    print(
        f"{'kill':>4}  {'signal':8} {'phase':10} {'after s':>8} {'stored':>7} {'again':>6} {'lost':>5}  intact  told",
        flush=True,
    )
    kills = []
    for number, moment in enumerate(draw(options.kills, line, random.Random(options.seed)), 1):
        one = kill(killed, moment, SIGNALS[number % len(SIGNALS)], start_up, total)
        kills.append(one)
        print(
            f"{number:4}  {one.number.name:8} {one.phase:10} {one.after:8.2f} {one.stored:7} {one.again:6} "
            f"{one.lost:5}  {'yes' if one.intact else 'NO':6}  {'yes' if one.told else 'NO'}",
            flush=True,
        )
    record = killed.finish()
    keys = [json.loads(text)["key"] for text in killed.lines()]
    expected = reference.record()
    checks = {
        f"every kill was one ({len(kills)})": len(kills) == options.kills,
        "no response was generated again once it was stored": sum(one.again for one in kills) == 0,
        f"no kill lost more than one chunk (most: {max(one.lost for one in kills)} of {chunk})": all(
            one.lost <= chunk for one in kills
        ),
        "each ended as its signal asks": all(one.told for one in kills),
        "what was stored stayed as it was, no key twice": all(one.intact for one in kills),
        "the store has the responses of the undisturbed run": sorted(keys)
        == sorted(json.loads(text)["key"] for text in reference.lines()),
        "samples are equal": killed.samples() == reference.samples(),
        "metrics are equal": record["tasks"] == expected["tasks"] and record["run_id"] == expected["run_id"],
    }
    for phase in ("start-up", "generate", "judge, end"):
        print(f"kills during {phase}: {sum(one.phase == phase for one in kills)}")
    for text, holds in checks.items():
        print(f"{'yes' if holds else 'NO':4}{text}")
    return 0 if all(checks.values()) else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], sys.argv[3:])
    else:
        sys.exit(main())
