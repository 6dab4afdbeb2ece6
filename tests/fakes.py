"""Models that answer at once, for tests of what is around a model."""

import time
from collections import Counter

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM

from mlc_bench.engines.metered import Meter


class FakeLM(LM):
    """Answers from its name, the arguments, and how often it was asked the same: no two answers are alike by chance.

    `asked` counts every request that reached it, `calls` holds the size of each call. The call number `fail_at` (from
    0) raises `error` half-way through; `delay` is how long each call takes, in seconds.
    """

    def __init__(self, name="fake", fail_at=None, error=None, delay=0.0):
        super().__init__()
        self.name = name
        self.fail_at = fail_at
        self.error = error
        self.delay = delay
        self.asked = Counter()
        self.calls = []
        self.meter = Meter()

    def tok_encode(self, text):
        return list(text.encode())

    def generate_until(self, requests, disable_tqdm=False):
        answers = []
        for request in self._take("generate_until", requests):
            context = request.args[0]
            again = self.asked["generate_until", repr(request.args)]
            answers.append(f"{self.name} {again}: {request.args!r}")
            self.meter.usage[context] = {"tokens_in": len(context), "tokens_out": 7, "truncated": False}
        return answers

    def loglikelihood(self, requests, disable_tqdm=False):
        return [self._score(request) for request in self._take("loglikelihood", requests)]

    def loglikelihood_rolling(self, requests, disable_tqdm=False):
        return [self._score(request)[0] for request in self._take("loglikelihood_rolling", requests)]

    def _take(self, request_type, requests):
        time.sleep(self.delay)
        self.calls.append(len(requests))
        for index, request in enumerate(requests):
            if len(self.calls) - 1 == self.fail_at and index >= len(requests) / 2:
                raise self.error
            self.asked[request_type, repr(request.args)] += 1
            yield request

    def _score(self, request):
        text = self.name + repr(request.args)
        return -sum(text.encode()) / 7, len(text) % 2 == 0


def generations(texts, **settings):
    """Requests for a text each, as lm-eval makes them."""
    return [
        Instance("generate_until", {}, (text, {"until": [], **settings}), index) for index, text in enumerate(texts)
    ]


def choices(texts):
    """Requests for the log-likelihood of " yes" and " no" after each text."""
    return [
        Instance("loglikelihood", {}, (text, choice), index)
        for text in texts
        for index, choice in enumerate((" yes", " no"))
    ]
