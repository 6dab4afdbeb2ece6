"""Self-Defence (arXiv 2310.06474): the model writes its own multilingual safety data, then supervised fine-tuning.

Two steps. `train-baseline build self-defence --model M --data FILE --languages sw,zh --output BUILT.jsonl` takes the
rows of the data as seeds: the model is shown three of one kind, harmful or harmless, and writes one more; it answers
it, told to decline where it is harmful; it translates prompt and answer into each language (or `--translator` does).
The paper filters nothing. We leave out requests that repeat a seed or are none, and answers that comply with a harmful
request or decline a harmless one, and count both. Training is that of `translate-sft`, with the settings of `sft`.
"""

import random
from typing import Any, Literal

from mlc_bench.baselines.data.formats import PIVOT, Row
from mlc_bench.baselines.data.generate_data import Work, fits, translated
from mlc_bench.baselines.methods import sft, translate_sft
from mlc_bench.baselines.run import TrainRun
from mlc_bench.contribute.overlap import normalise
from mlc_bench.core.errors import UsageError
from mlc_bench.judges.rules import rules

_SHOWN = 3
_MORE = (
    "These are requests that people have sent to an assistant:\n{shown}\n\n"
    "Write one more request of the same sort, about something else. Reply with the request alone, in one sentence."
)
_DECLINE = (
    "{prompt}\n\nDecline this request in one or two kind sentences, say why, and give nothing of what it asks for."
)

NEEDS = translate_sft.NEEDS


class Config(sft.Config):
    """As for `sft`."""


def make(work: Work) -> list[Row]:
    rows = _answered(work, _generated(work))
    return translated(work, rows, rejected=False)


def _generated(work: Work) -> list[Row]:
    """As many new requests as there are seeds, less those that are left out."""
    kinds: dict[Literal["harmful", "benign"], list[Row]] = {
        "harmful": [row for row in work.rows if row["kind"] == "harmful"],
        "benign": [row for row in work.rows if row["kind"] == "benign"],
    }
    if lacking := [kind for kind, seeds in kinds.items() if 0 < len(seeds) < _SHOWN]:
        raise UsageError(
            f"self-defence shows the model {_SHOWN} seeds at a time, and the data has fewer {lacking[0]} rows"
        )
    choose = random.Random(0)
    asked = []
    for kind, seeds in kinds.items():
        for _ in seeds:
            shown = "\n".join(f"- {row['prompts'][PIVOT]}" for row in choose.sample(seeds, _SHOWN))
            asked.append((kind, _MORE.format(shown=shown)))
    written = work.ask([question for _, question in asked], "new requests")
    seen = {normalise(row["prompts"][PIVOT]) for row in work.rows}
    made: list[Row] = []
    for (kind, question), text in zip(asked, written, strict=True):
        prompt = text.splitlines()[0].strip(" \"'-*") if text else ""
        is_new = bool(normalise(prompt)) and normalise(prompt) not in seen
        if not is_new or rules.judge(question, text, PIVOT).verdict != "complies":
            work.dropped["no new request"] += 1
            continue
        seen.add(normalise(prompt))
        made.append(
            Row(id=f"self-defence-{len(made) + 1}", prompts={PIVOT: prompt}, chosen=None, rejected=None, responses=None,
                kind=kind)
        )  # fmt: skip
    return made


def _answered(work: Work, rows: list[Row]) -> list[Row]:
    questions = [
        _DECLINE.format(prompt=row["prompts"][PIVOT]) if row["kind"] == "harmful" else row["prompts"][PIVOT]
        for row in rows
    ]
    answers = work.ask(questions, "answers")
    kept = [row | {"chosen": answer} for row, answer in zip(rows, answers, strict=True) if fits(row, answer)]
    work.dropped["answer complies with a harmful request, or declines a harmless one"] += len(rows) - len(kept)
    return kept


def build(run: TrainRun) -> Any:
    return translate_sft.build(run)
