"""Where numbers come from: the run that asked, and the judge with the labelled answers that it was counted on."""

from collections.abc import Iterable
from dataclasses import dataclass

from mlc_bench.leaderboard.redact import printable
from mlc_bench.records.judge_info import Checked, JudgeInfo
from mlc_bench.records.record import RunRecord

SHORT = 40  # characters of a version or a date


@dataclass(frozen=True)
class Run:
    """One record: a run with one judge. `id` and `judge` (a digest) name it."""

    id: str
    judge: str
    finished: str
    engine: str
    dtype: str
    chat_template: str
    """sha256; empty where a server applies its own."""
    template_date: str
    """The date that the template prints; empty for none."""
    program: str
    """Version of mlc-bench."""


@dataclass(frozen=True)
class Judge:
    """One version of a judge, by its digest."""

    digest: str
    id: str
    version: str
    sees: tuple[str, ...]
    checked: tuple[Checked, ...]
    """How it did on labelled answers, in the languages of all its records."""


def runs(records: Iterable[RunRecord]) -> tuple[Run, ...]:
    """One for each record, in the order of run and judge."""
    return tuple(sorted(map(_run, records), key=lambda one: (one.id, one.judge)))


def judges(records: Iterable[RunRecord]) -> tuple[Judge, ...]:
    """One for each digest, with the checks of all records together."""
    found: dict[str, list[JudgeInfo]] = {}
    for content in records:
        found.setdefault(content.judge.digest, []).append(content.judge)
    return tuple(_judge(digest, infos) for digest, infos in sorted(found.items()))


def _run(content: RunRecord) -> Run:
    model, prompting = content.model, content.prompting
    return Run(
        id=content.run_id,
        judge=content.judge.digest,
        finished=content.finished,
        engine=printable(f"{model.engine} {model.engine_version or ''}".strip(), 2 * SHORT),
        dtype=printable(model.dtype or "", SHORT),
        chat_template=printable(prompting.chat_template_sha256 or "", 2 * SHORT),
        template_date=printable(prompting.template_date or "", SHORT),
        program=printable(content.packages.get("mlc-bench") or "", SHORT),
    )


def _judge(digest: str, infos: list[JudgeInfo]) -> Judge:
    checked = {(one.language, one.labels, one.source): one for info in infos for one in info.checked}
    return Judge(
        digest=digest,
        id=infos[0].id,
        version=infos[0].version,
        sees=tuple(infos[0].sees),
        checked=tuple(checked[key] for key in sorted(checked)),
    )
