"""SDRRL-style self-distillation from English (arXiv 2402.12204): the model's own English answers, in all languages.

Two steps. `train-baseline build sdrrl --model M --data FILE --languages sw,zh --output BUILT.jsonl` asks the model that
will be trained each English prompt, and translates its answers (and prompts, where the data has no translation).
Training is supervised, on each of the four combinations of the languages of prompt and answer, English and another.

The paper's rates and hyper-parameters are not known to us, hence "style". Chosen here: each combination once for each
row and language; code-switching by sentences, in a quarter of the answers where both versions have the same number of
sentences, two or more; settings of `sft`. The paper distils general instructions; on our safety data, an answer that
complies with a harmful prompt, or declines a harmless one, is left out by the builder and counted.
"""

import random
import re
from typing import Any

from pydantic import Field

from mlc_bench.baselines.data.formats import PIVOT, Row
from mlc_bench.baselines.data.generate_data import Work, fits, translated
from mlc_bench.baselines.data.tokenize_rows import Example
from mlc_bench.baselines.methods import sft
from mlc_bench.baselines.run import TrainRun

_SENTENCE_ENDS = re.compile(r"(?<=[.!?؟۔।])\s+|(?<=[。！？])\s*|\n+")

NEEDS: dict[str, bool] = {"responses": True}


class Config(sft.Config):
    switch: float = Field(0.25, ge=0, le=1, description="share of the answers whose sentences change languages")


def make(work: Work) -> list[Row]:
    prompts = [row["prompts"][PIVOT] for row in work.rows]
    own = work.ask(prompts, "own answers")
    kept = [row | {"chosen": answer, "rejected": None, "responses": None}
            for row, answer in zip(work.rows, own, strict=True) if fits(row, answer)]  # fmt: skip
    work.dropped["own answer complies with a harmful prompt, or declines a harmless one"] += len(own) - len(kept)
    return translated(work, kept, rejected=False)


def build(run: TrainRun) -> Any:
    run.require(**NEEDS)
    return sft.train_on(run, examples(run.rows, run.config.switch, run.config.seed))


def examples(rows: list[Row], switch: float, seed: int) -> list[Example]:
    """Four for each row and language: prompt in English or not, answer in English or not, some answers in both."""
    choose = random.Random(seed)
    found = []
    for row in rows:
        for code, pair in (row["responses"] or {}).items():
            if code == PIVOT:
                continue
            answers = {PIVOT: row["chosen"] or "", code: pair["chosen"]}
            for asked in answers:
                for answered, answer in answers.items():
                    other = answers[code if answered == PIVOT else PIVOT]
                    mixed = code_switched(answer, other, choose) if choose.random() < switch else None
                    found.append(Example(prompt=row["prompts"][asked], chosen=mixed or answer, row=row))
    return found


def code_switched(answer: str, other: str, choose: random.Random) -> str | None:
    """The answer with some of its sentences, not all, taken from its version in the other language.

    None where the two do not have the same number of sentences, two or more.
    """
    mine, theirs = ([part for part in _SENTENCE_ENDS.split(text) if part] for text in (answer, other))
    if len(mine) != len(theirs) or len(mine) < 2:
        return None
    taken = set(choose.sample(range(len(mine)), choose.randint(1, len(mine) - 1)))
    return " ".join(theirs[i] if i in taken else mine[i] for i in range(len(mine)))
