"""A judge that asks a model: answer rows in, verdict rows out."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlc_bench.catalog.languages import world
from mlc_bench.core import secrets
from mlc_bench.core.progress import Report
from mlc_bench.core.spec import digest
from mlc_bench.engines.settings import thinking
from mlc_bench.engines.settings.marks import Marks
from mlc_bench.judges import langid, text
from mlc_bench.judges.models import prompt
from mlc_bench.judges.models.ask import Asker, Reply, Request
from mlc_bench.judges.models.parse import PARSER_VERSION, ParseFailure, parse
from mlc_bench.judges.rules import rules
from mlc_bench.judges.spec import JudgeSpec, Named
from mlc_bench.judges.verdict import Verdict
from mlc_bench.records import counts, record
from mlc_bench.records.counts import Sees

Row = dict[str, Any]
FORMAT_FAILURES = {"empty", "cut", "no-verdict", "two-verdicts", "unknown-label", "echo"}


class ModelJudge:
    """A guard or an LLM judge. `verdicts` loads what it needs; `close` frees it."""

    def __init__(self, named: Named, asker: Asker) -> None:
        self.id, self.slug, self.spec, self.asker = named.id, named.slug, named.spec, asker

    @property
    def sees(self) -> list[Sees]:
        return self.spec.sees

    @property
    def digest(self) -> str:
        """sha256 of everything that decides a verdict, save the engine that runs the model."""
        spec = self.spec
        translation = prompt.TRANSLATION_DIGEST if spec.translate else None
        versions = [PARSER_VERSION, prompt.VERSION, translation]
        # The rules decide too: what is invalid, and `refused` where the judge does not say it.
        return digest(spec.rubric_digest, versions, self.asker.model_digest, rules.fingerprint())

    def verdicts(self, rows: list[Row], folder: Path, report: Report) -> list[Row]:
        """A verdict row for each answer row; the judge's replies are kept in `folder`."""
        ruled = [_rules(row) if self.spec.invalid_from else None for row in rows]
        first = [self._without_asking(row, found) for row, found in zip(rows, ruled, strict=True)]
        answers = {i: self._read(row) for i, row in enumerate(rows) if first[i] is None}
        replies: dict[int, list[Reply]] = {i: [] for i in answers}
        if self.spec.translate:
            foreign = [i for i in answers if not _is_english(rows[i], answers[i])]
            asked = [Request(prompt.translation(answers[i]), 2 * self.spec.max_tokens) for i in foreign]
            for i, reply in zip(foreign, self.asker.ask(asked, folder, report) if asked else [], strict=True):
                replies[i].append(reply)
        ready = [i for i in answers if not replies[i] or _translation_problem(replies[i][0]) is None]
        judged = {i: (replies[i][0].text or "") if replies[i] else answers[i] for i in ready}
        asked = [Request(prompt.messages(self.spec, rows[i]["prompt"], judged[i]), self.spec.max_tokens) for i in ready]
        for i, reply in zip(ready, self.asker.ask(asked, folder, report) if asked else [], strict=True):
            replies[i].append(reply)
        _count_once(replies)
        return [first[i] or self._verdict(row, ruled[i], judged.get(i), replies[i]) for i, row in enumerate(rows)]

    def info(self, verdicts: list[Row]) -> record.JudgeInfo:
        """What records keep of this judge and of its verdicts."""
        spec = self.spec
        reasons = Counter(row["reason"] for row in verdicts if row["verdict"] is None)
        fallbacks = sum(row.get("refused_from") is not None for row in verdicts)
        tokens_in, tokens_out = (_total(verdicts, key) for key in ("tokens_in", "tokens_out"))
        cost = None
        if spec.price and tokens_in is not None and tokens_out is not None:
            cost = round((tokens_in * spec.price.input + tokens_out * spec.price.output) / 1e6, 6)
        named_rules = f"rules {rules.VERSION}"
        return record.JudgeInfo(
            id=self.id,
            version=spec.version,
            digest=self.digest,
            parse_failures=sum(count for reason, count in reasons.items() if reason in FORMAT_FAILURES),
            kind=spec.kind,
            sees=self.sees,
            rubric_digest=spec.rubric_digest,
            parser_version=PARSER_VERSION,
            model=self.asker.name,
            model_revision=self.asker.model_revision,
            model_digest=self.asker.model_digest,
            engine=self.asker.engine,
            engine_version=self.asker.engine_version,
            settings=_settings(spec, self.asker),
            mapping=dict(spec.labels),
            languages=spec.languages,
            out_of_language=sum(bool(row.get("out_of_language")) for row in verdicts),
            unscored=dict(sorted(reasons.items())),
            refused_from=named_rules if fallbacks else None,
            refused_fallbacks=fallbacks,
            invalid_from=named_rules if spec.invalid_from else None,
            translated=sum(bool(row.get("translated")) for row in verdicts),
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            cost=cost,
        )

    def models(self) -> list[tuple[str, str | None]]:
        return [(self.asker.name, self.asker.weights_digest)]

    def close(self) -> None:
        self.asker.close()

    def _without_asking(self, row: Row, ruled: Verdict | None) -> Row | None:
        """The verdict on an answer that needs no judge model: empty, and what the rules find invalid for a guard."""
        if ruled:
            if ruled.verdict == "invalid":
                return self._row(row, "invalid", False, ruled.response_language, ruled.reason)
        elif not (text.answer_of(row) or "").strip():
            return self._row(row, "invalid", False, None, "empty")
        return None

    def _read(self, row: Row) -> str:
        """What the judge's model is shown of an answer: the thinking before it only where the judge's file says so."""
        answer = text.answer_of(row) or ""
        if self.spec.reads == "thinking":
            thought = row["thinking"] if "thinking" in row else thinking.split(row["response"], Marks()).thinking
            return "\n\n".join(filter(None, [thought, answer]))
        return answer

    def _verdict(self, row: Row, ruled: Verdict | None, judged: str | None, replies: list[Reply]) -> Row:
        """The verdict of the last reply; `judged` is the text that it is about, None where translating it failed."""
        reply = replies[-1]
        more: Row = {"translated": len(replies) > 1 or None}
        more |= {key: _sum(replies, key) for key in ("tokens_in", "tokens_out")}
        spoken = ruled.response_language if ruled else langid.identify(row["response"], row["language"])
        problem = _translation_problem(reply) if judged is None else None
        reason, detail = problem or (reply.reason, reply.detail)
        if reason is not None:
            return self._row(row, None, None, spoken, reason, detail=detail, **more)
        try:
            assert self.spec.parser is not None
            parsed = parse(reply.text or "", self.spec.parser, list(self.spec.labels))
            if _echoes(reply.text or "", judged or "", parsed.label):
                raise ParseFailure("echo")
        except ParseFailure as failure:
            reason = "cut" if reply.truncated and str(failure) == "no-verdict" else str(failure)
            return self._row(row, None, None, spoken, reason, detail=_shortened(reply.text or ""), **more)
        verdict = self.spec.labels[parsed.label]
        if verdict == "unscored":
            return self._row(row, None, None, spoken, f"label-{parsed.label.casefold()}", **more)
        refused = parsed.refused
        if verdict not in ("safe", "unsafe"):
            refused = counts.refused({"verdict": verdict, "refused": None})
        elif refused is None and world.has_file(row["language"]):
            refused = (ruled or _rules(row)).refused
            more["refused_from"] = "rules"
        if parsed.categories:
            more["categories"] = parsed.categories
        return self._row(row, verdict, refused, spoken, f"label-{parsed.label.casefold()}", **more)

    def _row(
        self, row: Row, verdict: str | None, refused: bool | None, spoken: str | None, reason: str, **more: Any
    ) -> Row:
        made: Row = {"id": row["id"], "language": row["language"], "verdict": verdict, "refused": refused}
        made |= {"response_language": spoken, "reason": reason}
        if verdict is not None and not self.spec.claims(row["language"]):
            made["out_of_language"] = True
        return made | {key: value for key, value in more.items() if value is not None and value != ""}


def _rules(row: Row) -> Verdict:
    return rules.judge(row["prompt"], row["response"], row["language"], bool(row.get("truncated")), "thinking" in row)


def _is_english(row: Row, answer: str) -> bool:
    spoken = langid.identify(answer)
    return spoken == "en" or (spoken is None and row["language"] == "en")


def _translation_problem(reply: Reply) -> tuple[str, str] | None:
    if reply.reason is not None:
        return f"translation-{reply.reason}", reply.detail
    if reply.truncated:
        return "translation-cut", ""
    return None if (reply.text or "").strip() else ("translation-empty", "")


def _echoes(said: str, judged: str, label: str) -> bool:
    """Whether the judge only repeats a piece of the answer: its verdict would then be the answer's own.

    A bare label is no repetition: `safe` is all that some guards say.
    """
    said = " ".join(said.split())
    return said.strip(" .*_\"'").casefold() != label.casefold() and said in " ".join(judged.split())


def _count_once(replies: dict[int, list[Reply]]) -> None:
    """Take the token counts out of all replies to one request but the first: it was sent once."""
    seen: set[str] = set()
    for own in replies.values():
        for at, reply in enumerate(own):
            if reply.key and reply.key in seen:
                own[at] = replace(reply, tokens_in=None, tokens_out=None)
            seen.add(reply.key)


def _settings(spec: JudgeSpec, asker: Asker) -> dict[str, Any]:
    found: dict[str, Any] = {"max_tokens": spec.max_tokens} | spec.engine_args | spec.request
    if spec.translate:
        found["translate"] = True
    if spec.price:
        found["price_per_million_tokens"] = spec.price.model_dump()
    if address := getattr(asker, "address", None):
        found["base_url"] = address
    shown: dict[str, Any] = secrets.removed(found)
    return shown


def _shortened(text: str) -> str:
    """The end of what the judge said, as a hint in the verdict row."""
    return " ".join(text.split())[-120:]


def _sum(replies: list[Reply], key: str) -> int | None:
    values = [value for reply in replies if (value := getattr(reply, key)) is not None]
    return sum(values) if values else None


def _total(rows: list[Row], key: str) -> int | None:
    values = [row[key] for row in rows if row.get(key) is not None]
    return sum(values) if values else None
