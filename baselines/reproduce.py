"""`make reproduce-small`: the paper's question at small scale, through the commands that users have.

For each model, method and seed: `train-baseline`, `mlc-bench run`, `mlc-bench leaderboard add`. What is finished is a
record in the repository, so that the work goes on anywhere; a step that was killed goes on where it stopped, since each
of the commands does. At the end: the leaderboard of these records, and the report (mlc_bench.leaderboard.report).
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mlc_bench.baselines.data import formats, training_data
from mlc_bench.catalog import sources
from mlc_bench.core import errors, interruption
from mlc_bench.core.progress import say
from mlc_bench.engines import demo_models
from mlc_bench.records import record

HERE = Path(__file__).resolve().parent
PROTOCOL = HERE / "reproduce.yaml"
RECORDS = HERE.parent / "leaderboard" / "reproduction"  # of a checkout
BIN = Path(sys.executable).parent
PROBES = "probes"  # folder of the probe's figures, beside the records
PROBED = "starter_harmful"
JUDGE = "rules"  # of the records that are there: runs with another judge are not compared with them
_GRACE = 2.0  # seconds for commands that Ctrl-C has reached as well, before they are told
_CLOSING = 10.0  # seconds that they have to close their engines
FORMS = {  # without any of these: full
    "quick": "one model, four methods: half an hour on two cores",
    "core": "two models, all methods, seeds, ablations",
    "wide": "gemma with DPO and DPO+MLC as in core, scored on the tasks of the full form, in all their languages",
}


@dataclass(frozen=True)
class Job:
    """One run: a method on a model with a seed. `name` is that of the trained model; the untrained one has its own."""

    name: str
    model: str
    method: str
    seed: int
    start: str
    """What is trained: a model, or the name of the job that makes it."""
    train: str | None = None
    """The method of `train-baseline`; None: the model is scored as it is."""
    settings: dict[str, Any] = field(default_factory=dict)
    responses: bool = False
    """Whether it learns from responses in the trained languages too."""
    languages: float = 1.0
    """Share of the trained languages that the prompts are in, the first of them."""
    noise: float = 0.0


@dataclass(frozen=True)
class Plan:
    """What a form of the protocol asks for."""

    form: str
    protocol: dict[str, Any]
    jobs: list[Job]
    records: Path
    """Where finished records are: a folder of this form and version."""


def read(form: str, path: Path = PROTOCOL, records: Path = RECORDS) -> Plan:
    """The jobs of a form, those that everything else builds on first; UsageError where there is no such form."""
    protocol = yaml.safe_load(path.read_text(encoding="utf-8"))
    if form not in protocol["forms"]:
        raise errors.UsageError(f"{path} has no form '{form}'; it has: {', '.join(protocol['forms'])}")
    about = protocol["forms"][form]
    jobs = list(_jobs(protocol, about))
    return Plan(form, protocol, jobs, records / f"{about.get('records', form)}-{protocol['version']}")


def _jobs(protocol: dict[str, Any], form: dict[str, Any]) -> Iterator[Job]:
    methods = protocol["methods"]
    wanted = list(methods) if form["methods"] == "all" else form["methods"]
    ablations = list(protocol["ablations"]) if form["ablations"] == "all" else form["ablations"]
    for model in form["models"]:
        about = protocol["models"][model]
        common = protocol["train"] | form.get("train", {}) | about.get("train", {})
        tune = about.get("tune")
        for method in wanted:
            seeds = form["seeds"].get(method, form["seeds"]["others"])
            entry = methods[method]
            if method == "base" and not tune:
                yield Job(about["name"], model, "base", 0, about["start"])
                continue
            for seed in seeds:
                name = f"{model}-{method}-s{seed}"
                if method == "base":
                    yield Job(name, model, method, seed, about["start"], tune["method"], common | tune["settings"])
                    continue
                start = f"{model}-base-s{seed}" if tune else about["start"]
                responses = entry.get("responses", False)
                settings = common | (form["with_responses"] if responses else {}) | entry.get("settings", {})
                yield Job(name, model, method, seed, start, entry["train"], settings, responses)
        for ablation in ablations:
            entry, seed, base = protocol["ablations"][ablation], 1, methods["dpo+mlc"]
            start = f"{model}-base-s{seed}" if tune else about["start"]
            settings = common | entry["settings"]
            yield Job(
                f"{model}-dpo+mlc.{ablation}-s{seed}", model, f"dpo+mlc.{ablation}", seed, start, base["train"],
                settings, languages=entry.get("languages", 1.0), noise=entry.get("noise", 0.0),
            )  # fmt: skip


class Reproduction:
    """Carries out a plan in a work folder."""

    def __init__(self, plan: Plan, work: Path, data_dir: Path | None, engine: str, keep: bool) -> None:
        self.plan, self.data_dir, self.engine, self.keep = plan, data_dir, engine, keep
        self.work = work / plan.records.name  # two forms give runs of one name different settings
        self.form = plan.protocol["forms"][plan.form]
        self.failed: dict[str, str] = {}
        self._seconds: list[float] = []
        self._commands: set[subprocess.Popen[str]] = set()
        self._stop = threading.Event()

    def run(self, workers: int = 1) -> dict[str, str]:
        """Every job that has no record yet, `workers` at a time; the reason of each that could not be done, by name."""
        todo = [job for job in self.plan.jobs if not self.record_of(job)]
        say(f"{self.plan.form}: {len(self.plan.jobs)} runs, {len(self.plan.jobs) - len(todo)} of them are finished")
        starts = [other for other in self.plan.jobs if other.train and any(job.start == other.name for job in todo)]
        with ThreadPoolExecutor(workers) as pool:
            try:
                # First what jobs start from: made once, and again where only its record is here.
                list(pool.map(lambda job: self._attempt(job, self._train), starts))
                list(pool.map(lambda job: self._finish(job, len(todo), workers), todo))
            except KeyboardInterrupt:
                self._stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                time.sleep(_GRACE)
                self._end_commands()
                raise
        return self.failed

    def _end_commands(self) -> None:
        """As Ctrl-C does; by SIGTERM those that were started to ignore that, in the background of a shell."""
        for number in (signal.SIGINT, signal.SIGTERM):
            for command in list(self._commands):
                command.send_signal(number)
            deadline = time.monotonic() + _CLOSING
            while any(command.poll() is None for command in list(self._commands)) and time.monotonic() < deadline:
                time.sleep(0.05)

    def _finish(self, job: Job, jobs: int, workers: int) -> None:
        """Train and score one of so many jobs, and say how long the rest will take."""
        if job.name in self.failed:  # others start from it
            return
        begun = time.monotonic()
        say(f"{job.name}{self._left(jobs - len(self._seconds) - len(self.failed), workers)}")
        self._attempt(job, self._do)
        if job.name not in self.failed:
            self._seconds.append(time.monotonic() - begun)

    def _attempt(self, job: Job, step: Callable[[Job], object]) -> None:
        """A step of a job; what it lacks, or the command that failed, is noted, and the other jobs go on."""
        if reason := self.missing(job):
            self.failed[job.name] = reason
            say(f"{job.name}: left out: {reason}")
            return
        try:
            step(job)
        except subprocess.CalledProcessError as error:
            self.failed[job.name] = f"{Path(error.cmd[0]).name} ended with exit code {error.returncode}"
            if not self._stop.is_set():
                say(f"{job.name}: {self.failed[job.name]}; the others go on")

    def record_of(self, job: Job) -> Path | None:
        """The finished record of a job."""
        found = sorted(self.plan.records.glob(f"{_slug(job.name)}-????????/run-*.json"))
        return found[0] if found else None

    def missing(self, job: Job) -> str:
        """Why a job cannot be done here; empty where it can."""
        if job.start in demo_models.MODELS and not demo_models.is_installed(job.start):
            return f"the model '{job.start}' is not installed (make {job.start})"
        return f"{job.start} was not made" if job.start in self.failed else ""

    def _left(self, jobs: int, workers: int) -> str:
        """The jobs that are not finished, and after the first one the time that they will take."""
        if not self._seconds:
            return f" ({jobs} runs left)"
        minutes = jobs * sum(self._seconds) / len(self._seconds) / workers / 60
        return f" ({jobs} runs left, about {minutes:.0f} min)"

    def _do(self, job: Job) -> None:
        model = self._train(job) if job.train else self._start(job)
        command = ["mlc-bench", "run", "--model", model, "--tasks", ",".join(self._tasks()), "--engine", self.engine]
        command += ["--max-tokens", str(self.form["max_tokens"]), "--output", str(self.work / "results"), "--json"]
        command += ["--judge", JUDGE]
        if codes := self.form.get("languages"):
            command += ["--languages", ",".join(codes)]
        for argument in self.form["engine_args"].get(self.engine, []):
            command += ["--engine-args", argument]
        if self.data_dir:
            command += ["--data-dir", str(self.data_dir)]
        (made,) = json.loads(self._command(command, keep_output=True))
        results = next((self.work / "results").glob(f"*/{made['run_id']}"))
        self._probe(job, model)
        self._command(["mlc-bench", "leaderboard", "add", str(results), "--results", str(self.plan.records)])
        is_needed = any(other.start == job.name for other in self.plan.jobs)
        if job.train and not self.keep and not is_needed:
            shutil.rmtree(model)  # 0.3 to 1 GB; the same command makes it again

    def _probe(self, job: Job, model: str) -> None:
        """What the layers of a model make of translations, kept beside the records while the weights exist."""
        path = self.plan.records / PROBES / f"{job.name}.json"
        if job.method not in self.plan.protocol.get("probe", []) or job.seed > 1 or path.is_file():
            return
        command = ["mlc-bench", "probe", "--model", model, "--tasks", PROBED, "--json"]
        if codes := self.form.get("languages"):
            command += ["--languages", ",".join(codes)]
        record.write_text(path, self._command(command, keep_output=True))

    def _tasks(self) -> list[str]:
        """The tasks whose data is on this machine."""
        from mlc_bench.catalog import data, listing

        return [task for task in self.form["tasks"] if data.is_here(listing.tasks()[task].source)]

    def _start(self, job: Job) -> str:
        """What a job trains or scores: a model, or the folder of the one that another job makes."""
        made = any(other.name == job.start and other.train for other in self.plan.jobs)
        return str(self.work / "models" / job.start) if made else job.start

    def _train(self, job: Job) -> str:
        assert job.train is not None
        folder = self.work / "models" / job.name
        settings = job.settings | {
            "model": self._start(job), "data": [str(self._training_file(job))], "seed": job.seed,
            "output": str(folder), "keep_out": self._tasks(),
        }  # fmt: skip
        file = self.work / "configs" / f"{job.name}.yaml"
        record.write_text(file, yaml.safe_dump(settings, allow_unicode=True))
        self._command(["train-baseline", job.train, "--config", str(file)])
        return str(folder)

    def _training_file(self, job: Job) -> Path:
        """The embedded set in the trained languages only, changed as an ablation asks."""
        trained = self.form.get("trained_languages") or self.plan.protocol["trained_languages"]
        codes = trained[: round(job.languages * len(trained))]
        rows = training_data.load(["embedded"]).rows
        chosen: list[formats.Row] = []
        for row in rows:
            known = row["responses"] or {}
            responses = {code: known[code] for code in codes if code != formats.PIVOT} if job.responses else None
            chosen.append({**row, "prompts": {code: row["prompts"][code] for code in codes}, "responses": responses})
        generator = random.Random(job.seed)
        for index, row in enumerate(chosen):
            for code in codes:
                if code != formats.PIVOT and generator.random() < job.noise:
                    other = generator.choice([place for place in range(len(rows)) if place != index])
                    row["prompts"][code] = rows[other]["prompts"][code]
        name = f"{len(codes)}-languages-{job.noise}-{job.seed if job.noise else 0}"
        path = self.work / "data" / f"{name}{'-responses' if job.responses else ''}.jsonl"
        record.write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in chosen))
        return path

    def _command(self, command: list[str], keep_output: bool = False) -> str:
        """Run one of our commands; its progress goes to stderr, what it prints too unless it is kept."""
        output = subprocess.PIPE if keep_output else sys.stderr
        line = [str(BIN / command[0]), *command[1:]]
        with subprocess.Popen(line, text=True, stdout=output) as process:
            self._commands.add(process)
            if self._stop.is_set():  # while it was started
                process.terminate()
            printed, _ = process.communicate()
            self._commands.discard(process)
        if process.returncode or self._stop.is_set():
            raise subprocess.CalledProcessError(process.returncode, line)
        return printed or ""


def _slug(name: str) -> str:
    """The name as `leaderboard add` makes a folder of it, for a glob."""
    return name.replace("[", "[[]")


def main() -> int:
    """0: all is done; 1: some runs are not; 130, 143, 129: ended by a signal, and the same command goes on."""
    with interruption.watching() as watch:
        try:
            return _main()
        except KeyboardInterrupt:
            print("interrupted; the same command goes on where this one stopped", file=sys.stderr)
            return 128 + (watch.number or signal.SIGINT)


def _main() -> int:
    parser = argparse.ArgumentParser(prog="reproduce", description=__doc__)
    forms = parser.add_mutually_exclusive_group()
    for form, about in FORMS.items():
        forms.add_argument(f"--{form}", dest="form", action="store_const", const=form, default="full", help=about)
    parser.add_argument("--work", type=Path, default=Path("runs/reproduce"), help="folder of models and answers")
    parser.add_argument("--out", type=Path, default=Path("runs/reproduce/report"), help="folder of the report")
    parser.add_argument("--protocol", type=Path, default=PROTOCOL, help="another protocol than ours")
    parser.add_argument(
        "--records",
        type=Path,
        default=RECORDS if sources.IS_CHECKOUT else None,
        help="where finished records are; an empty folder: all is run anew. Default: those of the checkout",
    )
    parser.add_argument("--data-dir", type=Path, help="folder with the data of pku and multijail")
    parser.add_argument("--engine", choices=["hf", "vllm"], help="default: vLLM with a GPU, else transformers")
    parser.add_argument("--keep-weights", action="store_true")
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N", help="runs at a time, where one leaves most of a GPU idle"
    )
    parser.add_argument(
        "--report-only", action="store_true", help="train nothing; report on the records that are there"
    )
    options = parser.parse_args()
    if options.records is None:
        parser.error("--records is missing: mlc-bench is installed, not a checkout; name a folder for the records")
    if options.data_dir is None and "MLC_BENCH_DATA" in os.environ:
        options.data_dir = Path(os.environ["MLC_BENCH_DATA"])
    if options.data_dir is not None:
        if not options.data_dir.is_dir():
            parser.error(f"--data-dir '{options.data_dir}' is not a folder")
        options.data_dir = options.data_dir.resolve()
        os.environ["MLC_BENCH_DATA"] = str(options.data_dir)
    if options.workers < 1:
        parser.error(f"--workers {options.workers}: a number from 1 on is expected")
    failed: dict[str, str] = {}
    try:
        plan = read(options.form, options.protocol, options.records)
        if not options.report_only:
            engine = options.engine or _default_engine()
            if options.workers > 1 and engine == "vllm":
                parser.error("--workers: vLLM takes the whole GPU; add --engine hf, or leave --workers out")
            work = Reproduction(plan, options.work, options.data_dir, engine, options.keep_weights)
            failed = work.run(options.workers)
        from mlc_bench.leaderboard.report import document

        planned = [job.name for job in plan.jobs]
        made = document.of_records(plan.records, plan.protocol, plan.form, failed, planned)
        written = document.write(made, options.out)
    except errors.UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(written)
    return 1 if failed else 0


def _default_engine() -> str:
    from mlc_bench.engines.lifecycle import default_engine

    return default_engine()


if __name__ == "__main__":
    sys.exit(main())
