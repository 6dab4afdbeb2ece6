"""`mlc-bench run`: generate, free the engine, judge, aggregate, record."""

import contextlib
import dataclasses
import gc
import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlc_bench import aggregate, catalog, correction, data, judging, record, review
from mlc_bench.errors import UsageError, UserError
from mlc_bench.identity import Identity, resolve
from mlc_bench.progress import bar, say
from mlc_bench.provenance import git, hardware
from mlc_bench.spec import RunSpec, digest
from mlc_bench.vllm_cpu import engine_version, version

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
    judge: judging.Judge = dataclasses.field(default_factory=judging.RulesJudge)
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
        spec["judge"] = self.judge.id  # of a judge's file the name, wherever it lies
        versions = {entry.name: entry.identity for entry in catalog.select(list(self.spec.tasks))}
        return digest(spec, versions, self.fingerprint)[:12]

    @property
    def folder(self) -> Path:
        return self.output / self.identity.slug / self.run_id

    @property
    def store_path(self) -> Path:
        """All runs of one model on one engine share their responses."""
        return self.output / self.identity.slug / "responses" / f"{self.fingerprint[:16]}.jsonl"

    @property
    def generated(self) -> dict[str, Any]:
        """What the generate phase left for the record: settings and fingerprints by task, errors of other tasks."""
        found: dict[str, Any] = json.loads((self.folder / "generation.json").read_text(encoding="utf-8"))
        return found

    @property
    def is_generated(self) -> bool:
        """Whether every task has its samples; a task that failed is tried again."""
        try:
            generated = self.generated
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


def prepare(
    specs: list[RunSpec],
    output: Path,
    judge_settings: dict[str, Any] | None = None,
    allow_self_judge: bool = False,
    quick: bool = False,
) -> list[Run]:
    """Resolve every model, the judge's too. All specs name the same judge. `quick`: nothing will be run.

    Raises StaleError where a run's folder holds a record that this version cannot read.
    """
    plain = quick and specs[0].judge == "rules"  # its examples need a model of languages, which takes a second to load
    if not plain:
        judging.check(specs[0].judge, judge_settings)
    existing = next(path for path in (output.absolute(), *output.absolute().parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise UsageError(f"--output '{output}': '{existing}' is not a folder that can be written to")
    identities = [resolve(spec, quick=quick) for spec in specs]
    judge = judging.RulesJudge() if plain else judging.open_judge(specs[0].judge, judge_settings)
    runs = [Run(spec, identity, output, judge) for spec, identity in zip(specs, identities, strict=True)]
    for run in runs:
        if not allow_self_judge:
            judging.refuse_self_judging(judge, run.identity.name, run.identity.weights_digest)
        if (run.folder / "run.json").is_file():
            record.read(run.folder / "run.json")
    return runs


def execute(runs: list[Run], fresh: bool = False) -> list[record.RunRecord]:
    """Carry out runs that share a base model, with one start of the engine; their records, also on disk.

    A run whose answers are all there is only judged again. The engine is closed before the judge's model is loaded.
    """
    created = _now()
    if fresh:
        for run in runs:
            run.start_afresh()
    if todo := [run for run in runs if not run.is_generated]:
        _generate(todo)
    verdicts = _judge(runs)
    return [_finish(run, created, own) for run, own in zip(runs, verdicts, strict=True)]


def _judge(runs: list[Run]) -> list[dict[str, list[aggregate.Row]]]:
    """The verdicts of every run by task; the judge's model is loaded once for all of them."""
    wanted = []
    for run in runs:
        entries = catalog.select([name for name in run.spec.tasks if name in run.generated["tasks"]])
        wanted.append((run.folder, [entry.name for entry in entries if entry.measures != "utility"]))
    with contextlib.ExitStack() as clocks:
        for run in runs:
            clocks.enter_context(run.timed("judge"))
        return judging.judge_samples(runs[0].judge, wanted, runs[0].output)


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


def _finish(run: Run, created: str, verdicts: dict[str, list[aggregate.Row]]) -> record.RunRecord:
    """Aggregate and record a run whose samples and verdicts are there."""
    generated = run.generated
    entries = catalog.select(list(run.spec.tasks))
    over_refusal = {entry.name for entry in entries if entry.measures == "over_refusal"}
    judge_info = judging.info(run.judge, verdicts, over_refusal)
    tasks = []
    for entry in entries:
        task = record.TaskResult(
            name=entry.name,
            pack=entry.pack,
            version=entry.version,
            measures=entry.measures,
            status="complete",
            over_refusal_task=entry.config["metadata"].get("over_refusal"),
            parallel=entry.parallel,
            licence=entry.licence,
            caution=entry.caution,
        )
        if entry.name in generated["tasks"]:
            made = generated["tasks"][entry.name]
            task.unreviewed = [code for code in review.unreviewed(entry) if code in made["languages"]]
            task.headline = entry.headline
            task.generation = made["generation"]
            task.version = made.get("version", entry.version)  # lm-eval's tasks have versions of their own
            task.parallel = made.get("parallel", entry.parallel)
            samples = judging.read_samples(run.folder, task.name)
            with run.timed("aggregate"):
                judging.score(task, samples, verdicts.get(task.name), made["languages"], run.spec, judge_info)
        else:
            task.status, task.error = "failed", generated["errors"][entry.name]
        tasks.append(task)
    correction.apply([task for task in tasks if task.status == "complete"], judge_info, verdicts, run.folder)
    template = run.identity.chat_template
    result = record.RunRecord(
        run_id=run.run_id,
        status="complete" if all(task.status == "complete" for task in tasks) else "partial",
        limited=run.spec.limit is not None,
        created=created,
        finished=_now(),
        spec=record.without_secrets(run.spec.model_copy(update={"judge": run.judge.id})),
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
        git=git(),
    )
    record.write(result, run.folder / "run.json")
    return result


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


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def plan(run: Run) -> list[tuple[str, str, str]]:
    """(task, languages, state) for a dry run."""
    rows = []
    for entry in catalog.select(list(run.spec.tasks)):
        covered = catalog.languages(entry)
        codes = [code for code in run.spec.languages or covered or () if covered is None or code in covered]
        if entry.family:
            state = "lm-eval's own, its data from the hub"
        elif not data.is_here(entry.source):
            state = "data not here: downloaded when it is run, or found in --data-dir"
        else:
            documents = data.read(entry.source, codes or None)
            state = f"{sum(len(documents[code][: run.spec.limit]) for code in codes)} prompts"
        rows.append((entry.name, " ".join(codes) or "-", state))
    return rows
