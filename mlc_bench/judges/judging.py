"""The judge phase: verdicts for saved answers. Answers are read, never changed.

What a judge model said is kept in `<output>/judgements`, append-only and by the model that said it, so that a killed
run goes on where it stopped and no answer is paid for twice. `verdicts/<judge>/<task>.jsonl` in a run's folder follows
from that, one row for each answer.
"""

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlc_bench.catalog import languages, reading
from mlc_bench.catalog.data import cache_dir, read_json_lines
from mlc_bench.catalog.languages import world
from mlc_bench.catalog.reading import inspect_log, lm_eval_samples
from mlc_bench.core.errors import PrerequisiteError, StaleError, UsageError
from mlc_bench.core.inside import inside
from mlc_bench.core.progress import Report, bar
from mlc_bench.judges import agreement, coverage, ensemble, spec, unjudged
from mlc_bench.judges.ensemble import Ensemble, Judge, RulesJudge
from mlc_bench.records import aggregate, correction, counts, record, selectivity

Row = dict[str, Any]
JUDGEMENTS = "judgements"


def check(name: str, settings: dict[str, Any] | None = None) -> spec.Named:
    """The judge's file, checked. Raises UsageError for a judge that does not exist or whose file does not hold."""
    named = spec.get(name, settings)
    for member in named.spec.judges:
        check(member)
    if named.spec.kind not in ("rules", "refusal"):  # whose examples are judged by the tests: it takes half a second
        spec.check_examples(named.spec)
    return named


def open_judge(name: str, settings: dict[str, Any] | None = None) -> Judge:
    """A judge ready to be asked; no model is loaded yet, but one that is absent is found out here.

    Raises UsageError as `check`, PrerequisiteError where its model or its key is missing.
    """
    named = check(name, settings)
    if named.spec.kind == "rules":
        return RulesJudge()
    if named.spec.kind == "refusal":
        from mlc_bench.judges.refusal.judge import RefusalJudge

        return RefusalJudge()
    if named.spec.kind == "hidden":
        from mlc_bench.judges.hidden.judge import HiddenJudge

        return HiddenJudge(named)
    if named.spec.kind == "ensemble":
        members = [open_judge(member) for member in named.spec.judges]
        return Ensemble(named.id, named.slug, named.spec.combine, members)
    from mlc_bench.judges.models.model import ModelJudge

    if named.spec.engine == "openai" or (named.spec.engine is None and named.spec.base_url):
        from mlc_bench.judges.models.api import Api

        return ModelJudge(named, Api(named.spec, named.id))
    if named.spec.base_url:
        raise UsageError(f"judge {named.id}: base_url goes with engine openai")
    if not named.spec.model:
        raise UsageError(f"judge {named.id} names no model; write it behind the name: --judge {named.id}@MODEL")
    from mlc_bench.judges.models.local import Local

    return ModelJudge(named, Local(named.spec, named.id))


def verdicts(
    name: str,
    rows: Iterable[Row],
    progress: Report = lambda done, total: None,
    settings: dict[str, Any] | None = None,
) -> list[Row]:
    """A verdict row for each answer row (`id`, `language`, `prompt`, `response`, perhaps `truncated`).

    `verdict` is one of `records/counts.py`, or None with the `reason` why the judge gave none; `blocked` for a row
    whose `blocked` says how the provider refused. PrerequisiteError where the judge gave none for any row.
    """
    rows = list(rows)
    coverage.check(name, settings, [("the answers", "safety", {row["language"] for row in rows})])
    judge = open_judge(name, settings)
    try:
        found = _verdicts(judge, rows, cache_dir() / JUDGEMENTS, progress)
    finally:
        judge.close()
    _refuse_silence(judge, found)
    return found


def _verdicts(judge: Judge, rows: list[Row], folder: Path, report: Report) -> list[Row]:
    """A verdict for each row; the judge is asked only about answers that the model gave."""
    known = [unjudged.verdict(row) for row in rows]
    asked = [row for row, found in zip(rows, known, strict=True) if found is None]
    judged = iter(judge.verdicts(asked, folder, report) if asked else [])
    return [found or next(judged) for found in known]


def refuse_self_judging(judge: Judge, name: str, weights_digest: str | None) -> None:
    """Raises UsageError where a judge's model is the one that is judged: by its weights or, unseen, by its name."""
    for model, digest in judge.models():
        same = digest == weights_digest if digest and weights_digest else _last(model) == _last(name)
        if same:
            raise UsageError(
                f"the judge {judge.id} would judge its own answers: its model '{model}' is the evaluated one; "
                "choose another judge, or add --allow-self-judge"
            )


def judge_samples(judge: Judge, wanted: list[tuple[Path, list[str]]], output: Path) -> list[dict[str, list[Row]]]:
    """Verdicts on the saved samples of runs, given as (folder, tasks); written to verdicts/<judge>/<task>.jsonl.

    All answers go to the judge together, so that its model is loaded once and its batch stays full. Raises
    PrerequisiteError where it gives no verdict at all.
    """
    samples = [{task: read_samples(folder, task) for task in tasks} for folder, tasks in wanted]
    rows = [row for by_task in samples for task_rows in by_task.values() for row in task_rows]
    try:
        with bar("judge") as report:
            labelled = iter(_verdicts(judge, rows, output / JUDGEMENTS, report))
    finally:
        judge.close()
    found = [{task: [next(labelled) for _ in own] for task, own in by_task.items()} for by_task in samples]
    for (folder, _), by_task in zip(wanted, found, strict=True):
        for task, own in by_task.items():
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in own)
            record.write_text(inside(folder, f"verdicts/{judge.slug}/{task}.jsonl", "the verdicts"), text)
    reasons = f"; {wanted[0][0] / 'verdicts' / judge.slug} has the reason for each"
    _refuse_silence(judge, [row for by_task in found for own in by_task.values() for row in own], reasons)
    return found


def info(judge: Judge, by_task: dict[str, list[Row]], over_refusal: set[str]) -> record.JudgeInfo:
    """What a run's record keeps of its judge; `over_refusal` names the tasks with harmless prompts."""
    judged = {task: [row for row in own if not unjudged.is_unjudged(row)] for task, own in by_task.items()}
    made = judge.info([row for own in judged.values() for row in own])
    unanswered = Counter(row["reason"] for own in by_task.values() for row in own if row.get("unanswered"))
    made.unscored |= dict(unanswered)
    made.checked = agreement.of(made.id, made.version, {row["language"] for own in by_task.values() for row in own})
    if isinstance(judge, Ensemble):
        members = [member.id for member in judge.members]
        for task, own in judged.items():
            by_refusal = task in over_refusal or "harm" not in judge.sees
            codes = dict.fromkeys(row["language"] for row in own)
            made.agreement[task] = {
                code: ensemble.agreement([row for row in own if row["language"] == code], members, by_refusal)
                for code in codes
            }
    return made


def score(
    task: record.TaskResult,
    samples: list[Row],
    verdicts: list[Row] | None,
    fingerprints: dict[str, dict[str, str]],
    run_spec: Any,
    judge: record.JudgeInfo,
) -> None:
    """Fill in a task's results from samples and verdicts (None: a utility task); `fingerprints` by language."""
    task.policy = {
        "system_prompt": run_spec.system_prompt,
        "chat_template": "the model's own",
        "limit": run_spec.limit,
        # The digest stands for the judge's model; where its files are does not matter.
        "judge": None if verdicts is None else [re.sub("@[^,)]+", "", judge.id), judge.version, judge.digest],
    }
    task.headline = counts.headline(task.measures, judge.sees) or task.headline
    shown = aggregate.kinds(samples, verdicts)
    by_language: dict[str, list[Row]] = {}
    for code, known in fingerprints.items():
        answers = [row for row in samples if row["language"] == code]
        labels = None if verdicts is None else [row for row in verdicts if row["language"] == code]
        by_language[code] = answers
        task.languages[code] = aggregate.language_result(task, answers, labels, known, shown)
    scores = aggregate.choice_scores(by_language) if task.parallel else None
    aggregate.summarise(task, run_spec.seed, scores)


def pair(tasks: list[record.TaskResult], samples: dict[str, list[Row]]) -> None:
    """Say of each harmful task whether its prompts and those of its over-refusal task are partners, row by row."""
    packs = {task.name: task.pack for task in tasks}
    for task in tasks:
        other = task.over_refusal_task or ""
        if packs.get(other) == task.pack and task.name in samples and other in samples:
            task.over_refusal_pairs = selectivity.are_pairs(samples[task.name], samples[other])


def rejudge(
    paths: Sequence[Path], name: str, settings: dict[str, Any] | None = None, allow_self_judge: bool = False
) -> list[tuple[record.RunRecord, Path]]:
    """Judge the saved samples of finished runs with another judge, whose model is loaded once.

    Of each run its record `run.<judge>.json`, and where it is. The judge that the run named writes `run.json` again.
    Samples stay as they are.
    """
    folders = [folder_of(path) for path in paths]
    records = [record.read(folder / "run.json") for folder in folders]
    for folder, found in zip(folders, records, strict=True):
        _check_whole(folder, found)
        coverage.check(name, settings, [(task.name, task.measures, task.languages) for task in found.tasks])
    judge = open_judge(name, settings)
    for found in () if allow_self_judge else records:
        refuse_self_judging(judge, found.model.name, found.model.weights_digest)
    start = time.perf_counter()
    wanted = [(folder, [task.name for task in judged(found)]) for folder, found in zip(folders, records, strict=True)]
    # A folder that was moved out of its results keeps its judgements to itself.
    moved = folders[0].resolve().name != records[0].run_id
    output = folders[0] if moved else folders[0].resolve().parent.parent
    verdicts = judge_samples(judge, wanted, output)
    took = round((time.perf_counter() - start) / len(folders), 3)
    return [
        judged_record(folder, found, judge, by_task, took)
        for folder, found, by_task in zip(folders, records, verdicts, strict=True)
    ]


def judged(found: record.RunRecord) -> list[record.TaskResult]:
    """The tasks of a run whose answers a judge reads."""
    return [task for task in found.tasks if task.status == "complete" and task.measures != "utility"]


def judged_record(
    folder: Path, found: record.RunRecord, judge: Judge, by_task: dict[str, list[Row]], took: float
) -> tuple[record.RunRecord, Path]:
    """A run's record with these verdicts, by task, on the samples in its folder; and where it is written.

    As `run.json` where the judge is the one that `found` names, else beside it. `took`: seconds of judging.
    """
    tasks = judged(found)
    judge_info = info(judge, by_task, {task.name for task in tasks if task.measures == "over_refusal"})
    samples = {task.name: read_samples(folder, task.name) for task in tasks}
    pair(tasks, samples)
    for task in tasks:
        fingerprints = {
            code: {"data_fingerprint": old.data_fingerprint, "prompt_fingerprint": old.prompt_fingerprint}
            for code, old in task.languages.items()
        }
        task.languages, task.summary = {}, {}
        score(task, samples[task.name], by_task[task.name], fingerprints, found.spec, judge_info)
    correction.apply(tasks, judge_info, by_task, folder)
    found.phases |= {"judge": took}
    target = folder / ("run.json" if found.judge.id == judge.id else f"run.{judge.slug}.json")
    changed = {"judge": judge_info, "spec": found.spec.model_copy(update={"judge": judge.id})}
    found = found.model_copy(update=changed | {"finished": datetime.now(UTC).isoformat(timespec="seconds")})
    found.selectivity = selectivity.of_record(found)
    record.write(found, target)
    return found, target


def is_of_a_run(path: Path) -> bool:
    """Whether a path is meant as a finished run: a folder, or the file of one of its records."""
    return path.is_dir() or re.fullmatch(r"run(\..+)?\.json", path.name) is not None


def folder_of(path: Path) -> Path:
    """The folder of a finished run that is named by itself or by the file of one of its records.

    Raises UsageError for anything else.
    """
    if path.exists() and not is_of_a_run(path):
        raise UsageError(f"'{path}' is no record of a run; name the run's folder, or its run.json")
    if not path.exists():
        raise UsageError(f"there is no '{path}'; name the folder of a finished run")
    folder = path if path.is_dir() else path.parent
    if not (folder / "run.json").is_file():
        raise UsageError(
            f"there is no run.json in '{folder}'; name the folder of a finished run, or a .jsonl of answers"
        )
    return folder


def read_samples(folder: Path, task: str) -> list[Row]:
    """The saved answers of a task. StaleError naming the line of what is none."""
    path = inside(folder, f"samples/{task}.jsonl", "the samples")
    if not path.is_file():
        raise StaleError(f"{path} is gone; run the same command again to have the samples from the store")
    return _saved(path, _sample_fault, "remove it, and run what made it again: the answers are in the store")


def read_verdicts(folder: Path, found: record.RunRecord) -> dict[str, list[Row]]:
    """The verdicts behind a record in a run's folder, by task. StaleError naming the line of what is none."""
    by_task = {}
    for task in found.tasks:
        again = f"judge the run again: mlc-bench judge {folder} --judge {found.judge.id}"
        path = inside(folder, f"verdicts/{spec.slug(found.judge.id)}/{task.name}.jsonl", "the verdicts")
        if task.status != "complete" or task.measures == "utility":
            continue
        if not path.is_file():
            raise StaleError(f"{path} is gone; {again}")
        by_task[task.name] = _saved(path, _verdict_fault, again)
    return by_task


def _saved(path: Path, fault: Callable[[Row], str | None], fix: str) -> list[Row]:
    """The rows of a file that a run left. StaleError for one that is damaged, or that somebody has edited."""
    try:
        rows = read_json_lines(path)
    except UsageError as error:
        raise StaleError(f"{str(error).partition('; ')[0]}; {fix}") from None
    for number, row in rows:
        if not isinstance(row.get("id"), str | int) or not isinstance(row.get("language"), str):
            raise StaleError(f"{path}, line {number}: 'id' and 'language' must be there; {fix}")
        if said := fault(row):
            raise StaleError(f"{path}, line {number}: {said}; {fix}")
    return [row for _, row in rows]


def _sample_fault(row: Row) -> str | None:
    if not isinstance(row.get("prompt"), str):
        return "'prompt' must be text"
    # A question with choices has none, and neither has a prompt that the provider blocked.
    has_answer = isinstance(row.get("response"), str) or "metrics" in row or unjudged.verdict(row) is not None
    return None if has_answer else "'response' must be text"


def _verdict_fault(row: Row) -> str | None:
    if "verdict" not in row or row["verdict"] not in (None, *counts.VERDICTS):
        return f"'verdict' must be null or one of {', '.join(counts.VERDICTS)}"
    return None if row.get("refused", 0) in (None, True, False) else "'refused' must be true, false or null"


def _check_whole(folder: Path, found: record.RunRecord) -> None:
    """StaleError where the answers of a run are not those that its record is of: judging them costs, and is in vain."""
    for task in judged(found):
        own = Counter(row["language"] for row in read_samples(folder, task.name))
        if own != {code: result.n for code, result in task.languages.items()}:
            raise StaleError(
                f"{folder}/samples/{task.name}.jsonl has other answers than the record of the run; remove it, and run "
                "what made it again: the answers are in the store"
            )


def read_answers(path: Path, language: str | None = None) -> list[Row]:
    """Answers made elsewhere: rows with `id`, `language`, `prompt`, `response`, in a file of any known format.

    Also a log of Inspect (`.eval`), and the samples that lm-eval writes. `language`: of rows that do not say theirs.

    Raises UsageError naming the line and the field that is wrong.
    """
    rows = inspect_log.read(path) if path.suffix == inspect_log.SUFFIX else reading.read(path).rows
    if lm_eval_samples.are_samples(rows):
        rows = lm_eval_samples.convert(path, rows)
    if path.suffix == ".json" and len(rows) == 1 and "response" not in rows[0][1]:
        raise UsageError(f"'{path}' is neither a record in its run's folder (run.json) nor a file of answers")
    if language is not None:
        rows = [(place, {"language": language} | row) for place, row in rows]
    for place, row in rows:
        if "language" not in row:
            raise UsageError(f"{path}, {place}: the field 'language' is missing; add it, or --language CODE for all")
    return check_answers((f"{path}, {place}", row) for place, row in rows)


def check_answers(rows: Iterable[tuple[str, Row]]) -> list[Row]:
    """The rows of (where it is, row) pairs, languages by our codes. UsageError naming where and the wrong field."""
    checked = []
    for where, row in rows:
        for field in ("id", "language", "prompt", "response"):
            if field not in row:
                raise UsageError(f"{where}: the field '{field}' is missing")
            if field != "id" and not isinstance(row[field], str):
                raise UsageError(f"{where}: '{field}' must be text, not {json.dumps(row[field], default=str)[:40]}")
        try:
            code = world.code_of(row["language"]) or languages.get(row["language"]).code
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from None
        cut = {"truncated": _is_true(where, row["truncated"])} if "truncated" in row else {}
        checked.append(row | {"language": code} | cut)
    return checked


def _is_true(where: str, value: Any) -> bool:
    """What a file says of an answer that was cut; tables know texts only."""
    said = str(value).strip().casefold()
    if said not in {"true", "1", "yes", "false", "0", "no", "none", ""}:
        raise UsageError(f"{where}: 'truncated' must be true or false, not {said[:40]}")
    return said in {"true", "1", "yes"}


def _refuse_silence(judge: Judge, rows: list[Row], reasons_in: str = "") -> None:
    rows = [row for row in rows if not unjudged.is_unjudged(row)]
    if not rows or any(row["verdict"] is not None for row in rows):
        return
    reasons = ", ".join(f"{reason} {count}" for reason, count in Counter(row["reason"] for row in rows).most_common(3))
    detail = next((f"; first: {row['detail']}" for row in rows if row.get("detail")), "")
    raise PrerequisiteError(
        f"judge {judge.id} gave no verdict on any of {len(rows)} answers ({reasons}{detail}){reasons_in}"
    )


def _last(model: str) -> str:
    return model.rstrip("/").rpartition("/")[2].casefold()
