"""`make reproduce`: the paper's question on small chat models, through the commands that users have.

First, for each method, its candidates: trained, and scored on the development pairs; the best one's settings are those
of all its runs. Then for each model, method and seed: `train-baseline`, `mlc-bench run`, `mlc-bench judge` with the
second judge, `mlc-bench leaderboard add`. What is finished is a record in the repository, so that the work goes on
anywhere; a step that was killed goes on where it stopped, since each of the commands does. At the end: the report.
"""

import argparse
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

from mlc_bench.baselines.data import formats, training_data
from mlc_bench.baselines.reproduction import choice
from mlc_bench.baselines.reproduction.plan import BASE, HERE, PROTOCOL, RECORDS, Job, Plan, chooser, read, tasks
from mlc_bench.catalog import sources
from mlc_bench.core import errors, interruption
from mlc_bench.core.names import folder_name
from mlc_bench.core.progress import say
from mlc_bench.core.spec import parse_pairs
from mlc_bench.engines import demo_models
from mlc_bench.records import record
from mlc_bench.records.record import RunRecord

BIN = Path(sys.executable).parent
PROBES = "probes"  # folder of the probe's figures, beside the records
_GRACE = 2.0  # seconds for commands that Ctrl-C has reached as well, before they are told
_CLOSING = 10.0  # seconds that they have to close their engines


class Reproduction:
    """Carries out a plan in a work folder."""

    def __init__(self, plan: Plan, work: Path, data_dir: Path | None, engine: str, keep: bool) -> None:
        self.plan, self.data_dir, self.engine, self.keep = plan, data_dir, engine, keep
        self.work = work / plan.records.name
        self.failed: dict[str, str] = {}
        self._seconds: list[float] = []
        self._commands: set[subprocess.Popen[str]] = set()
        self._stop = threading.Event()
        self._starting = threading.Lock()

    def run(self, workers: int = 1) -> dict[str, str]:
        """Every run without a record, `workers` at a time; the reason of each that could not be done, by name."""
        every = [*self.plan.trials, *self.plan.jobs]
        todo = [job for job in every if not self.record_of(job)]
        say(f"{len(every)} runs, {len(every) - len(todo)} of them are finished")
        with ThreadPoolExecutor(workers) as pool:
            try:
                bases = [job for job in self.plan.jobs if job.method == BASE]
                others = [job for job in self.plan.jobs if job not in bases]  # they need what the trials chose
                after = [job for job in self.plan.trials if self.plan.first(job)]  # of what other trials chose
                for part in (bases, [job for job in self.plan.trials if job not in after], after, others):
                    mine = [job for job in part if job in todo]
                    list(pool.map(lambda job: self._finish(job, len(todo), workers), mine))
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
        """Do one of so many jobs, and say how long the rest will take.

        What it lacks, or the command that failed, is noted, and the other jobs go on.
        """
        begun = time.monotonic()
        say(f"{job.name}{self._left(jobs - len(self._seconds) - len(self.failed), workers)}")
        if reason := self.missing(job):
            self.failed[job.name] = reason
            say(f"{job.name}: left out: {reason}")
            return
        try:
            self._do(job)
            self._seconds.append(time.monotonic() - begun)
        except (subprocess.CalledProcessError, OSError) as error:
            self.failed[job.name] = (
                str(error) if isinstance(error, OSError)
                else f"{Path(error.cmd[0]).name} ended with exit code {error.returncode}"
            )  # fmt: skip
            if not self._stop.is_set():
                say(f"{job.name}: {self.failed[job.name]}; the others go on")

    def record_of(self, job: Job) -> Path | None:
        """The finished record of a job by the first judge: of its model, on its tasks."""
        first = self.plan.protocol["judges"]["first"]
        found = sorted(self.plan.records.glob(f"{folder_name(job.name)}-????????/run-*-{first}.json"))
        return next((path for path in found if set(job.tasks) <= _tasks_of(path)), None)

    def missing(self, job: Job) -> str:
        """Why a job cannot be done here; empty where it can."""
        start = self.plan.protocol["models"][job.model]["start"]
        if start in demo_models.MODELS and not demo_models.is_installed(start):
            return f"the model '{start}' is not installed (make {start})"
        own = [job] if self.plan.is_trained(job) and job.candidate is None else []
        for one in filter(None, (*own, self.plan.first(job))):
            if self.chosen(one.method) is None:
                return f"a candidate of {chooser(self.plan.protocol, one.method)} has no record"
        return ""

    def tried(self, method: str) -> dict[int, RunRecord]:
        """The records of a method's candidates that are there, by their places."""
        mine = [job for job in self.plan.trials if job.method == chooser(self.plan.protocol, method)]
        found = {job.candidate: self.record_of(job) for job in mine}
        return {place: record.read(path) for place, path in found.items() if path and place is not None}

    def chosen(self, method: str) -> int | None:
        """The candidate that a method is trained with; None before all candidates are tried."""
        runs = self.tried(method)
        is_tried = len(runs) == len(self.plan.protocol["choice"]["candidates"])
        return choice.best(runs, self.plan.fidelity(method)) if is_tried else None

    def choices(self) -> dict[str, list[list[str]]]:
        """The rows of the report's table of settings: the untrained model's, and those of each method's candidates.

        The methods are those of the trials, and those that demand fidelity.
        """
        candidates = self.plan.protocol["choice"]["candidates"]
        tried = [job.method for job in self.plan.trials]
        methods = dict.fromkeys([*tried, *(job.method for job in self.plan.jobs if self.plan.fidelity(job.method))])
        rows = {
            method: choice.as_rows(candidates, runs, self.plan.fidelity(method))
            for method in methods
            if (runs := self.tried(method))
        }
        base = next((job for job in self.plan.trials if job.method == BASE), None)
        path = self.record_of(base) if base else None
        return ({BASE: [choice.untrained_row(record.read(path))]} if path else {}) | rows

    def waiting(self) -> list[str]:
        """The jobs without a record that are scored on other tasks than those of the report."""
        others = [job for job in self.plan.jobs if job.tasks != tasks(self.plan.protocol) and not self.record_of(job)]
        return [f"{job.name} on {', '.join(job.tasks)}" for job in others]

    def _left(self, jobs: int, workers: int) -> str:
        """The jobs that are not finished, and after the first one the time that they will take."""
        if not self._seconds:
            return f" ({jobs} runs left)"
        minutes = jobs * sum(self._seconds) / len(self._seconds) / workers / 60
        return f" ({jobs} runs left, about {minutes:.0f} min)"

    def _do(self, job: Job) -> None:
        protocol = self.plan.protocol
        model = self._train(job) if self.plan.is_trained(job) else self._start(job)
        results = self._gated(job, model) if "gate" in self.plan.about(job) else self._answers(job, model)
        if not self.plan.is_trial(job):
            judge = protocol["judges"]
            command = ["mlc-bench", "judge", str(results), "--judge", judge["second"]]
            self._command([*command, "--judge-args", f"head={HERE / judge['head']}"])
            self._probe(job, model)
        self._command(["mlc-bench", "leaderboard", "add", str(results), "--results", str(self.plan.records)])
        if not self.keep:
            self._remove_models(job)

    def _answers(self, job: Job, model: str) -> Path:
        """The run of a model, finished: nothing is answered again that is answered."""
        (made,) = json.loads(self._command(self._run_command(job, model), keep_output=True))
        return next(self._results(job).glob(f"*/{made['run_id']}"))

    def _gated(self, job: Job, model: str) -> Path:
        """The run of a model with a gate, which is fitted on what the methods are trained on.

        The model is the untrained one, or that of the method which the gate comes `after`.
        """
        untrained = Job(self.plan.protocol["models"][job.model]["name"], job.model, BASE, 0)
        answering = dataclasses.replace(self.plan.first(job) or untrained, tasks=job.tasks)
        answers, gate = self._answers(answering, model), self.work / "models" / job.name
        data = ["--data-dir", str(self.data_dir)] if self.data_dir else []
        kept = ",".join([*self.tasks(), *self.plan.protocol["choice"]["tasks"]])
        rows = self._training_file(self.plan.about(job))
        fit = ["mlc-bench", "gate", "fit", "--model", model, "--data", str(rows), "--keep-out", kept]
        served = parse_pairs(self.plan.protocol["answers"]["engine_args"].get(self.engine, []), "engine_args")
        fit += ["--dtype", served["dtype"]] if "dtype" in served else []
        self._command([*fit, "--output", str(gate), *data])
        apply = ["mlc-bench", "gate", "apply", str(answers), "--gate", str(gate), "--output", str(self._results(job))]
        (made,) = json.loads(self._command([*apply, "--json", *data], keep_output=True))
        return next(self._results(job).glob(f"*/{made['run_id']}"))

    def _remove_models(self, job: Job) -> None:
        """The models of a finished job that no other one needs: 2 GB and more each, and the same commands make them."""
        others = [other for other in (*self.plan.trials, *self.plan.jobs) if not self.record_of(other)]
        needed = {model for other in others for model in self._models(other)}
        for model in set(self._models(job)) - needed:
            shutil.rmtree(self.work / "models" / model, ignore_errors=True)

    def _models(self, job: Job) -> list[str]:
        """The names of the models that a job trains: its own, and the one that it starts from."""
        first = self.plan.first(job)
        return [one.name for one in (job, first) if one and self.plan.is_trained(one)]

    def _results(self, job: Job) -> Path:
        """A folder of its own for each job: two that train alike have one run id."""
        return self.work / "results" / folder_name(job.name)

    def _run_command(self, job: Job, model: str) -> list[str]:
        about, answers = self.plan.protocol["choice"], self.plan.protocol["answers"]
        command = ["mlc-bench", "run", "--model", model, "--engine", self.engine, "--json"]
        command += ["--judge", self.plan.protocol["judges"]["first"], "--output", str(self._results(job))]
        command += ["--max-tokens", str(answers["max_tokens"])]
        command += ["--tasks", ",".join(job.tasks)]
        if self.plan.is_trial(job):
            command += ["--languages", ",".join(about["languages"])]
        elif codes := answers.get("languages"):
            command += ["--languages", ",".join(codes)]
        for argument in answers["engine_args"].get(self.engine, []):
            command += ["--engine-args", argument]
        return command + (["--data-dir", str(self.data_dir)] if self.data_dir else [])

    def _probe(self, job: Job, model: str) -> None:
        """What the layers of a model make of translations, kept beside the records while the weights exist."""
        path = self.plan.records / PROBES / f"{job.name}.json"
        if job.method not in self.plan.protocol["probe"] or job.seed > 1 or path.is_file():
            return
        command = ["mlc-bench", "probe", "--model", model, "--tasks", self.tasks()[0], "--json"]
        if codes := self.plan.protocol["answers"].get("languages"):
            command += ["--languages", ",".join(codes)]
        record.write_text(path, self._command(command, keep_output=True))

    def tasks(self) -> list[str]:
        """The tasks of the report, the contrast pairs first; on no other's prompts a call rests."""
        return list(tasks(self.plan.protocol))

    def _train(self, job: Job) -> str:
        about, protocol = self.plan.about(job), self.plan.protocol
        folder = self.work / "models" / job.name
        place = job.candidate if job.candidate is not None else self.chosen(job.method)
        assert place is not None  # `missing` has looked
        settings = protocol["train"] | about.get("settings", {}) | protocol["choice"]["candidates"][place]
        settings |= {
            "model": self._start(job), "data": [str(self._training_file(about))],
            "seed": job.seed, "output": str(folder), "keep_out": [*self.tasks(), *protocol["choice"]["tasks"]],
        }  # fmt: skip
        file = self.work / "configs" / f"{job.name}.yaml"
        record.write_text(file, yaml.safe_dump(settings, allow_unicode=True))
        self._command(["train-baseline", about["train"], "--config", str(file)])
        return str(folder)

    def _start(self, job: Job) -> str:
        """The model that a job starts from: the untrained one, or that of the method which it comes `after`."""
        if first := self.plan.first(job):
            with self._starting:  # two jobs may start from the same model
                return self._train(first)
        return str(self.plan.protocol["models"][job.model]["start"])

    def _training_file(self, about: dict[str, Any]) -> Path:
        """The embedded set in the trained languages, with responses in all of them for a method that reads them."""
        codes = self.plan.protocol["trained_languages"]
        learns = about.get("responses", False)
        chosen: list[formats.Row] = []
        for row in training_data.load(["embedded"]).rows:
            known = row["responses"] or {}
            responses = {code: known[code] for code in codes if code != formats.PIVOT} if learns else None
            chosen.append({**row, "prompts": {code: row["prompts"][code] for code in codes}, "responses": responses})
        path = self.work / "data" / f"embedded{'-responses' if learns else ''}.jsonl"
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


def _tasks_of(path: Path) -> set[str]:
    """The tasks that a record has."""
    return {task["name"] for task in json.loads(path.read_text(encoding="utf-8"))["tasks"]}


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
    parser.add_argument("--forms", default="", metavar="A,B", help="these forms of the protocol; default: all")
    parser.add_argument("--work", type=Path, default=Path("runs/reproduce"), help="folder of models and answers")
    parser.add_argument("--out", type=Path, default=Path("runs/reproduce/report"), help="folder of the report")
    parser.add_argument("--protocol", type=Path, default=PROTOCOL, help="another protocol than ours")
    parser.add_argument(
        "--records",
        type=Path,
        default=RECORDS if sources.IS_CHECKOUT else None,
        help="where finished records are; an empty folder: all is run anew. Default: those of the checkout",
    )
    parser.add_argument("--data-dir", type=Path, help="folder with the data of pku and polyrefuse")
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
        plan = read([form for form in options.forms.split(",") if form], options.protocol, options.records)
        engine = options.engine or ("" if options.report_only else _default_engine())
        if options.workers > 1 and engine == "vllm":
            parser.error("--workers: vLLM takes the whole machine; add --engine hf, or leave --workers out")
        work = Reproduction(plan, options.work, options.data_dir, engine, options.keep_weights)
        failed = {} if options.report_only else work.run(options.workers)
        written = write_report(work, options.out, failed)
    except errors.UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(written)
    return 1 if failed else 0


def write_report(work: Reproduction, out: Path, failed: dict[str, str]) -> Path:
    """The report of the records that are there; the path of its HTML."""
    from mlc_bench.leaderboard.report import document

    plan = work.plan
    planned = [job.name for job in plan.jobs]
    waiting = work.waiting()
    made = document.of_records(plan.records, plan.protocol, failed, planned, work.choices(), plan.kappa(), waiting)
    return document.write(made, out)


def _default_engine() -> str:
    from mlc_bench.engines.lifecycle import default_engine

    return default_engine()


if __name__ == "__main__":
    sys.exit(main())
