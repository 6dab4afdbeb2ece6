"""The first of two steps of the methods that need generated data: ask and translate, and write rows of our own schema.

`train-baseline build METHOD` writes a file that `train-baseline METHOD --data FILE` then reads, so that people can look
at it in between. Models answer through the harness's engines and its response store: a builder that was killed goes on
where it stopped. How the file came about is beside it, in `<file>.how.json`.
"""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlc_bench.baselines.data.formats import PIVOT, Pair, Row
from mlc_bench.baselines.data.training_data import TrainingData
from mlc_bench.catalog.languages import world
from mlc_bench.contribute import translators
from mlc_bench.contribute.translators import Text, Translator
from mlc_bench.core.errors import UsageError
from mlc_bench.core.progress import bar, say
from mlc_bench.core.spec import RunSpec
from mlc_bench.engines import identity
from mlc_bench.judges import langid
from mlc_bench.judges.rules import rules
from mlc_bench.records.record import write_text


@dataclass
class Work:
    """What a method's `make(work)` works with: rows to start from, models to ask, counts of what was left out."""

    rows: list[Row]
    languages: list[str]
    model: RunSpec | None
    translator: RunSpec | None
    folder: Path
    max_tokens: int = 256
    dropped: Counter[str] = field(default_factory=Counter)
    _stack: ExitStack = field(default_factory=ExitStack)
    _open: tuple[RunSpec, Translator] | None = None

    def ask(self, questions: list[str], label: str) -> list[str]:
        """The model's answers to questions, decoded greedily, without white space around them."""
        from lm_eval.api.instance import Instance

        if self.model is None:
            raise UsageError("this builder asks a model; name it with --model")
        settings = {"until": [], "do_sample": False, "temperature": 0.0, "max_gen_toks": self.max_tokens}
        stored = self._opened(self.model).stored
        requests = []
        for number, question in enumerate(questions):
            text = stored.apply_chat_template([{"role": "user", "content": question}])
            requests.append(Instance("generate_until", {}, (text, settings), number))
        with bar(label) as stored.progress:
            return [answer.strip() for answer in stored.generate_until(requests)]

    def translate(self, texts: list[Text], code: str, label: str) -> list[str | None]:
        """Translations from English; None where there is none: empty, the English again, or recognisably English."""
        if not texts:
            return []
        spec = self.translator or self.model
        if spec is None:
            raise UsageError(
                "the data lacks translations, and no model was named that could make them; give --translator (a chat "
                "model or NLLB)"
            )
        translator = self._opened(spec)
        with bar(f"{label} into {code}") as report:
            found = translator.translate(texts, world.describe(PIVOT), world.describe(code), report)
        made: list[str | None] = []
        for text, translation in zip(texts, map(str.strip, found), strict=True):
            failed = not translation or translation == text.text or langid.identify(translation) == PIVOT
            self.dropped["failed translation"] += failed
            made.append(None if failed else translation)
        return made

    def _opened(self, spec: RunSpec) -> Translator:
        """One model at a time: opening another closes the first."""
        if self._open is None or self._open[0] != spec:
            self.close()
            self._open = (spec, self._stack.enter_context(translators.opened(spec, self.folder)))
        return self._open[1]

    def close(self) -> None:
        self._stack.close()
        self._open = None


def fits(row: Row, answer: str) -> bool:
    """Whether an English answer declines a harmful prompt, or answers a harmless one, as the rule judge sees it."""
    found = rules.judge(row["prompts"][PIVOT], answer, PIVOT)
    return found.verdict != "invalid" and found.refused is (row["kind"] == "harmful")


def translated(work: Work, rows: list[Row], rejected: bool) -> list[Row]:
    """Rows with prompt and responses in every language asked for: what the data has, and translations of the rest.

    A language of which the prompt or a response could not be translated is left out of that row; a row without any is
    left out.
    """
    made = [row | {"prompts": dict(row["prompts"])} for row in rows]
    responses = [dict(row["responses"] or {}) for row in rows]
    for code in work.languages:
        without = [row for row in made if code not in row["prompts"]]
        asked = [Text(row["prompts"][PIVOT]) for row in without]
        for row, prompt in zip(without, work.translate(asked, code, "prompts"), strict=True):
            if prompt is not None:
                row["prompts"][code] = prompt
        ready = [
            (row, known)
            for row, known in zip(made, responses, strict=True)
            if code in row["prompts"] and code not in known
        ]
        parts: dict[str, list[str | None]] = {"chosen": [], "rejected": [None] * len(ready)}
        for part in ("chosen", "rejected") if rejected else ("chosen",):
            answers = [
                Text(answer, question=row["prompts"][PIVOT]) for row, _ in ready if (answer := row[part]) is not None
            ]
            parts[part] = work.translate(answers, code, f"{part} responses")
        for (_, known), chosen, other in zip(ready, *parts.values(), strict=True):
            if chosen is not None and (other is not None or not rejected):
                known[code] = Pair(chosen=chosen, rejected=other)
    kept = []
    for row, known in zip(made, responses, strict=True):
        row["responses"] = {code: known[code] for code in work.languages if code in known}
        if row["responses"]:
            kept.append(row)
    work.dropped["row without any translation"] += len(made) - len(kept)
    return kept


def build(method: str, module: Any, work: Work, data: TrainingData, output: Path) -> dict[str, Any]:
    """Run a method's builder and write its rows. Returns, and writes beside the rows, how they came about.

    Raises UsageError where nothing is left, or where the output holds what another builder made.
    """
    how: dict[str, Any] = {
        "method": method,
        "model": _described(work.model),
        "translator": _described(work.translator),
        "data": {"files": data.files, "fingerprint": data.fingerprint, "rows": len(work.rows)},
        "languages": work.languages,
        "max_tokens": work.max_tokens,
    }
    beside = output.with_name(f"{output.name}.how.json")
    if output.exists() and not (beside.is_file() and json.loads(beside.read_text()).items() >= how.items()):
        raise UsageError(f"{output} is there already and was not made by this command; choose another --output")
    with _closing(work):
        rows = module.make(work)
    work.dropped = Counter({reason: count for reason, count in work.dropped.items() if count})
    if not rows:
        raise UsageError(f"the builder has no rows left ({dict(work.dropped)}); take a stronger model or translator")
    how |= {"rows": len(rows), "dropped": dict(work.dropped)}
    write_text(beside, json.dumps(how, indent=1, ensure_ascii=False))
    write_text(output, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    say(f"{len(rows)} rows in {output}" + "".join(f"; {reason}: {count}" for reason, count in work.dropped.items()))
    return how


@contextmanager
def _closing(work: Work) -> Iterator[None]:
    try:
        yield
    finally:
        work.close()


def _described(spec: RunSpec | None) -> dict[str, Any] | None:
    if spec is None:
        return None
    found = identity.resolve(spec, needs_template=False)
    return {
        "name": found.name,
        "revision": found.resolved_revision,
        "weights_digest": found.weights_digest,
        "engine": spec.engine,
    }
