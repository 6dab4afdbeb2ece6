"""Tiny models with a guard's chat template, and canned engines for judges."""

import shutil
from pathlib import Path

from lm_eval.api.model import LM

from mlc_bench.engines import Meter

GUARDS = Path(__file__).parent / "golden" / "guards"


def make_guard(tiny, folder, template):
    """A copy of the tiny model with the chat template of tests/golden/guards/<template>.jinja; random weights."""
    shutil.copytree(tiny, folder)
    (folder / "chat_template.jinja").write_text((GUARDS / f"{template}.jinja").read_text())
    return folder


class CannedLM(LM):
    """Stands for the judge's engine: `say(prompt)` answers. `log` gets 'generate' and what `engines.close` does."""

    max_length = 100_000

    def __init__(self, say):
        super().__init__()
        self.say, self.asked, self.meter = say, [], Meter()

    def tok_encode(self, text):
        return list(text.encode())

    def generate_until(self, requests, disable_tqdm=False):
        answers = []
        for request in requests:
            text = request.args[0]
            self.asked.append(text)
            self.meter.usage[text] = {"tokens_in": len(text), "tokens_out": 7, "truncated": False}
            answers.append(self.say(text))
        return answers

    def loglikelihood(self, requests, disable_tqdm=False):
        raise NotImplementedError

    def loglikelihood_rolling(self, requests, disable_tqdm=False):
        raise NotImplementedError
