"""The engine on transformers: how many prompts it takes at a time."""

import pytest

from mlc_bench.core.spec import RunSpec
from mlc_bench.engines import hf, identity, lifecycle


def test_choices_take_a_smaller_batch_than_answers_where_their_logits_would_not_fit(tiny_model, monkeypatch):
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    requests = [Instance("loglikelihood", {}, ("Which? " * n, " this"), n) for n in range(1, 9)]
    sizes, call = [], HFLM._model_call
    monkeypatch.setattr(
        HFLM, "_model_call", lambda self, inputs, **more: sizes.append(len(inputs)) or call(self, inputs, **more)
    )
    spec = RunSpec(model=str(tiny_model), engine="hf", tasks=(), engine_args={"batch_size": 8})
    lm = lifecycle.build(spec, identity.resolve(spec), [])
    whole = lm.loglikelihood(requests)
    assert sizes == [8]
    longest = max(len(lm.tok_encode("Which? " * 8 + " this")), 1)
    monkeypatch.setattr(hf, "_LOGITS", 3 * 8 * longest * lm.model.config.vocab_size)
    sizes.clear()
    fewer = lm.loglikelihood(requests)
    assert sizes == [3, 3, 2]
    assert [value for value, _ in fewer] == pytest.approx([value for value, _ in whole], rel=1e-4)
    assert lm.batch_size == 8
    monkeypatch.setattr(hf, "_LOGITS", 1)  # not even one: one at a time all the same
    sizes.clear()
    lm.loglikelihood(requests)
    assert sizes == [1] * 8
