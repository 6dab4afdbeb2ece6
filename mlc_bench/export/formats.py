"""From a finished run to the files of a format, and these files into a folder."""

from pathlib import Path
from typing import Any

from mlc_bench.core.errors import StaleError, UsageError, unknown
from mlc_bench.core.inside import inside
from mlc_bench.export import numbers, to_every_eval_ever, to_hub, to_inspect
from mlc_bench.judges import judging
from mlc_bench.leaderboard import collect, redact
from mlc_bench.records.record import RunRecord, TaskResult

NAMES = ("inspect", "every-eval-ever", "hub")
Files = dict[str, bytes]


def files(
    to: str, folder: Path, record: RunRecord, organization: str | None = None, benchmark: str | None = None
) -> Files:
    """Path below the output folder -> content.

    Args:
        to: One of NAMES. `inspect` has prompts and answers; the others have what `leaderboard add` would publish.
        folder: The run's folder, with its samples and verdicts.
        record: The record of one judge.
        organization: Who ran it, for every-eval-ever.
        benchmark: The hub's data set of results that have none of their own, for hub.

    Raises:
        UsageError: A format or name that does not exist, or a record that no table would show.
        StaleError: Samples or verdicts are missing, or do not belong to the record.
    """
    if to not in NAMES:
        raise unknown("format", to, NAMES)
    if organization is not None and to != "every-eval-ever":
        raise UsageError("--organization goes with --to every-eval-ever")
    if benchmark is not None and to != "hub":
        raise UsageError("--benchmark goes with --to hub")
    collect.check(record)
    if not any(task.status == "complete" for task in record.tasks):
        raise UsageError(f"no task of run {record.run_id} was completed; the same run command again completes it")
    if to == "inspect":
        return _logs(folder, record)
    published = redact.published(record)
    if to == "every-eval-ever":
        texts = to_every_eval_ever.files(published, organization)
    else:
        texts = to_hub.files(published, benchmark)
    return {path: text.encode() for path, text in texts.items()}


def check_publishable(record: RunRecord) -> None:
    """Raises UsageError for what `leaderboard add` would not take."""
    collect.check(record)
    if reason := collect.unusable(record):
        raise UsageError(f"run {record.run_id} is not published: {reason}")


def without_dataset(record: RunRecord) -> list[str]:
    """The tasks whose data are no data set of the hub."""
    return [task.name for task in record.tasks if task.status == "complete" and numbers.hub_dataset(task) is None]


def write(content: Files, out: Path) -> list[Path]:
    """Write the files, whole or not at all; their paths.

    Raises UsageError for a model card that somebody else wrote, before anything is written.
    """
    paths = {path: inside(out, path, "the export's file") for path in content}
    card = paths.get(to_hub.CARD)
    if card is not None and card.exists() and to_hub.MADE_BY.encode() not in card.read_bytes():
        raise UsageError(f"{card} is not from an export; name another --out")
    for path, target in paths.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.partial")
        partial.write_bytes(content[path])
        partial.replace(target)
    return list(paths.values())


def _logs(folder: Path, record: RunRecord) -> Files:
    verdicts = judging.read_verdicts(folder, record)
    made = {}
    for task in record.tasks:
        if task.status == "complete":
            samples = judging.read_samples(folder, task.name)
            _check(folder, task, samples, verdicts.get(task.name))
            made[to_inspect.name(record, task)] = to_inspect.log(record, task, samples, verdicts.get(task.name))
    return made


def _check(folder: Path, task: TaskResult, samples: list[Any], verdicts: list[Any] | None) -> None:
    """That samples, verdicts and the record are of the same answers."""
    known = [(row.get("language"), row.get("id")) for row in samples]
    counted = {code: sum(language == code for language, _ in known) for code in task.languages}
    is_whole = all(isinstance(row.get("prompt"), str) and row.get("id") is not None for row in samples)
    is_whole = is_whole and counted == {code: result.n for code, result in task.languages.items()}
    is_whole = is_whole and len(set(known)) == len(known) == sum(counted.values())
    if verdicts is not None:
        is_whole = is_whole and [(row.get("language"), row.get("id")) for row in verdicts] == known
        is_whole = is_whole and all("verdict" in row and "refused" in row for row in verdicts)
    if not is_whole:
        raise StaleError(
            f"{folder}: samples, verdicts and record of {task.name} are not of the same answers; "
            f"judge the run again: mlc-bench judge {folder}"
        )
