"""`mlc-bench run`: generate, free the engine, judge, aggregate, record."""

import contextlib
import dataclasses
import gc
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlc_bench.catalog import accepted, data, listing, review
from mlc_bench.core import secrets, writable
from mlc_bench.core.errors import UsageError, UserError
from mlc_bench.core.progress import Report, bar, say
from mlc_bench.core.provenance import git, hardware
from mlc_bench.core.spec import RunSpec
from mlc_bench.engines import arguments, made_of
from mlc_bench.engines.identity import resolve
from mlc_bench.engines.servers.budget import Budget, estimate_tokens
from mlc_bench.engines.vllm_cpu import engine_version, version
from mlc_bench.judges import coverage, judging
from mlc_bench.one_run import Run as Run
from mlc_bench.records import aggregate, correction, record, selectivity


def prepare(
    specs: list[RunSpec],
    output: Path,
    judge_settings: dict[str, Any] | None = None,
    allow_self_judge: bool = False,
    quick: bool = False,
    further: Sequence[str] = (),
) -> list[Run]:
    """Resolve every model, the judge's too. All specs name the same judge. `quick`: nothing will be run.

    `further` judges, which judge the answers after it, are checked as it is.

    Raises StaleError where a run's folder holds a record that this version cannot read.
    """
    for name in (specs[0].judge, *further):
        judging.check(name, judge_settings)
        _check_tasks(specs[0].model_copy(update={"judge": name}), judge_settings)
    writable.check_folder(output, "--output")
    identities = [resolve(spec, quick=quick) for spec in specs]
    arguments.check(specs[0], identities[0])  # which they share
    judge, *others = (judging.open_judge(name, judge_settings) for name in (specs[0].judge, *further))
    runs = [Run(spec, identity, output, judge) for spec, identity in zip(specs, identities, strict=True)]
    for run in runs:
        _ = run.settings  # what does not go with the model is found out here
        for one in () if allow_self_judge else (judge, *others):
            judging.refuse_self_judging(one, run.identity.name, run.identity.weights_digest)
        if (run.folder / "run.json").is_file():
            record.read(run.folder / "run.json")
    return runs


def _check_tasks(spec: RunSpec, judge_settings: dict[str, Any] | None) -> None:
    """Raises UsageError for what would fail after the work: a judge or a task needs a language file that there is none
    of, as far as is known; a list beside the task cannot be read."""
    for entry in listing.select(list(spec.tasks)):
        try:
            covered = listing.languages(entry)
        except UserError:  # said when it is run, and the other tasks go on
            continue
        codes = [code for code in spec.languages or covered or () if covered is None or code in covered]
        coverage.check(spec.judge, judge_settings, [(entry.name, entry.measures, codes)])
        coverage.check_words(entry, codes)
        accepted.of_task(entry)
        review.read(entry.path.parent)


def execute(runs: list[Run], fresh: bool = False, bill: Budget | None = None) -> list[record.RunRecord]:
    """Carry out runs that share a base model, with one start of the engine; their records, also on disk.

    `bill`: what a server's answers may cost. SpentError where it is used up; what was answered is kept.

    A run whose answers are all there is only judged again. The engine is closed before the judge's model is loaded.
    """
    created = _now()
    if fresh:
        for run in runs:
            run.start_afresh()
    for together in by_engine([run for run in runs if is_wanted(run)]):
        generate(together, bill)
    return judge(runs, created)


def by_engine(runs: list[Run]) -> list[list[Run]]:
    """Runs of one base model, those together that one start of the engine answers: a merged adapter needs its own."""
    together = [run for run in runs if not run.is_merged]
    return ([together] if together else []) + [[run] for run in runs if run.is_merged]


def is_wanted(run: Run) -> bool:
    """Whether a run has to generate; says what has changed since it did."""
    is_known = run.spec.engine != "openai" or run.ask_server()
    if not run.has_samples:
        return True
    if not is_known:
        say(f"the server at {run.shown_address} does not say which model it has: its answers are taken as they are")
    if other := run.other_model():
        say(f"another model gave the answers of this run ({other}); they and their record are in {run.set_aside()} now")
        return True
    changes = run.changes()
    for line in changes:
        say(line)
    return bool(changes)


def judge(runs: list[Run], created: str | None = None) -> list[record.RunRecord]:
    """Judge runs whose answers are there with the judge that they share; their records, also on disk.

    Raises PrerequisiteError where the judge gives no verdict at all.
    """
    created = created or _now()
    verdicts = _judge(runs)
    return [_finish(run, created, own) for run, own in zip(runs, verdicts, strict=True)]


def _judge(runs: list[Run]) -> list[dict[str, list[aggregate.Row]]]:
    """The verdicts of every run by task; the judge's model is loaded once for all of them."""
    wanted = []
    for run in runs:
        entries = listing.select([name for name in run.spec.tasks if name in run.generated["tasks"]])
        wanted.append((run.folder, [entry.name for entry in entries if entry.measures != "utility"]))
    with contextlib.ExitStack() as clocks:
        for run in runs:
            clocks.enter_context(run.timed("judge"))
        return judging.judge_samples(runs[0].judge, wanted, runs[0].output)


class Observer:
    """Is told how `generate` goes on; this one shows a bar for each run."""

    def engine_started(self, run: Run) -> None:
        """The engine is there; `run.phases` has the seconds that it took."""

    @contextlib.contextmanager
    def answering(self, run: Run) -> Iterator[Report]:
        """Around the answers of one run, which are all on the disk where the block ends without an exception."""
        with bar("generate") as report:
            yield report


def generate(runs: list[Run], bill: Budget | None = None, observer: Observer | None = None) -> None:
    """Answer the prompts of runs with one start of the engine, and leave samples and generation.json in their folders.

    The first run that fails ends it. Errors as those of `mlc_bench.run`.
    """
    from mlc_bench.catalog import packs

    with packs.rendering():
        _answer(runs, bill, observer or Observer())


def _answer(runs: list[Run], bill: Budget | None, observer: Observer) -> None:
    from mlc_bench.engines import generation, lifecycle, metered
    from mlc_bench.engines.store import ResponseStore, StoredLM

    spec = runs[0].spec
    tasks = [[generation.load(entry, spec, run.settings) for entry in listing.select(list(spec.tasks))] for run in runs]
    content = [made_of.now(run.spec, run.card) for run in runs]  # before the work, during which files may change
    _check_tasks(spec, None)  # again: where data were downloaded, they have said their languages now
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
            lm = lifecycle.build(spec, runs[0].identity, adapters)
        observer.engine_started(runs[0])
        if bill:
            lm.budget = bill
        for index, (run, loaded) in enumerate(zip(runs, tasks, strict=True), 1):
            if run.identity.adapter:
                lifecycle.attach(lm, run.identity.adapter, index)
            run.settings.apply(lm)
            store = ResponseStore(run.store_path, run.answers_fingerprint)
            if len(store):
                say(f"{len(store)} responses of this model are already in {run.store_path}")
            with observer.answering(run) as report:
                with run.timed("generate"):
                    stored = StoredLM(lm, store, metered.chunk_size(run.spec), report)
                    stored.reader = run.settings.reader(lm)
                    generation.check_lengths(stored, loaded, run.spec)
                    summary = generation.run(stored, loaded, run.spec, run.folder, run.settings)
                summary["phases"] = run.phases
                summary["responses"] = {"generated": stored.generated, "from_store": stored.hits}
                summary["made_of"] = content[index - 1]
                record.write_text(run.folder / "generation.json", json.dumps(summary, indent=1, ensure_ascii=False))
    except UserError:
        raise
    except Exception as error:
        raise (lifecycle.explain(error, spec) or error) from error
    finally:
        if lm is not None:
            lifecycle.close(lm)
            del lm
            gc.collect()


def _finish(run: Run, created: str, verdicts: dict[str, list[aggregate.Row]]) -> record.RunRecord:
    """Aggregate and record a run whose samples and verdicts are there."""
    generated = run.generated
    entries = listing.select(list(run.spec.tasks))
    over_refusal = {entry.name for entry in entries if entry.measures == "over_refusal"}
    judge_info = judging.info(run.judge, verdicts, over_refusal)
    tasks = []
    answers: dict[str, list[aggregate.Row]] = {}
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
            task.unreviewed = review.unreviewed_in_run(entry, made["languages"])
            task.accepted = [record.AcceptedFaults(**one) for one in accepted.of_task(entry, list(made["languages"]))]
            task.headline = entry.headline or None
            task.generation, task.decoding = made["generation"], made.get("decoding", {})
            task.lower_is_better = entry.measures == "utility" and made.get("lower_is_better", False)
            task.version = made.get("version", entry.version)  # lm-eval's tasks have versions of their own
            task.parallel = made.get("parallel", entry.parallel)
            answers[task.name] = judging.read_samples(run.folder, task.name)
            with run.timed("aggregate"):
                judging.score(
                    task, answers[task.name], verdicts.get(task.name), made["languages"], run.spec, judge_info
                )
        else:
            task.status, task.error = "failed", secrets.text(generated["errors"][entry.name])
        tasks.append(task)
    judging.pair(tasks, answers)
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
            template_date=run.settings.template_date,
            thinking_marks=run.settings.marks.shown if run.settings.marks.thinks else [],
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
    result.selectivity = selectivity.of_record(result)
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
        adapter=record.AdapterInfo(name=adapter.name, digest=adapter.digest, merged=run.is_merged) if adapter else None,
        converted_from=identity.converted_from,
        training=identity.training,
        fingerprint=run.answers_fingerprint,
        dtype=arguments.get("dtype") or config.get("dtype") or config.get("torch_dtype"),
        quantization=arguments.get("quantization") or (config.get("quantization_config") or {}).get("quant_method"),
        engine=run.spec.engine,
        engine_version=engine_version(run.spec.engine),
        engine_args=record.without_secrets(run.spec).engine_args,
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclasses.dataclass
class Planned:
    """One task of a dry run. Tokens: what its prompts are estimated at, and what its answers have at most."""

    task: str
    languages: str
    state: str
    tokens_in: int | None = None
    tokens_out: int | None = None
    decoding: dict[str, Any] | None = None
    """What chooses the tokens of an answer; None where the task is lm-eval's own or has choices."""
    error: str | None = None
    """Why it would not be run; the others would."""


def plan(run: Run) -> list[Planned]:
    """What a run would do, task by task; tokens are None where the data is not on this machine.

    Raises UserError where every task has one: the run itself would end with the first.
    """
    rows, errors = [], []
    for entry in listing.select(list(run.spec.tasks)):
        try:
            rows.append(_planned(entry, run))
        except UserError as error:
            errors.append(error)
            rows.append(Planned(entry.name, "-", f"would fail: {error}", error=str(error)))
    if errors and len(errors) == len(rows):
        raise errors[0]
    return rows


def _planned(entry: listing.TaskEntry, run: Run) -> Planned:
    spec = run.spec
    covered = listing.languages(entry)
    codes = [code for code in spec.languages or covered or () if covered is None or code in covered]
    if spec.languages and not codes:
        raise UsageError(f"{entry.name} has none of the languages asked for; it has {', '.join(covered or [])}")
    run.settings.check_output(entry.name, entry.config["output_type"], spec)
    if entry.family:
        return Planned(entry.name, " ".join(codes) or "-", "lm-eval's own, its data from the hub")
    if not data.is_here(entry.source, codes or None):
        state = "data not here: downloaded when it is run, or found in --data-dir"
        return Planned(entry.name, " ".join(codes) or "-", state)
    documents = data.read(entry.source, codes or None)
    chosen = {code: documents[code][: spec.limit] for code in codes}
    if entry.included and not listing.code_is_allowed():
        from mlc_bench.catalog import templates

        templates.check_rendering(entry.config, chosen, entry.path)
    prompts = [doc["prompt"] for docs in chosen.values() for doc in docs]
    tokens: tuple[int | None, int | None] = None, None
    decoding: dict[str, Any] | None = None
    if entry.config["output_type"] == "generate_until":
        decoding = run.settings.decoding(entry.config.get("generation_kwargs"), spec, entry.name)
        system = [spec.system_prompt] if spec.system_prompt else []
        tokens = sum(estimate_tokens(*system, prompt) for prompt in prompts), decoding["max_tokens"] * len(prompts)
    return Planned(entry.name, " ".join(codes) or "-", f"{len(prompts)} prompts", *tokens, decoding)
