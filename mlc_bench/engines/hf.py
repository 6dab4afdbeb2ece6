"""The engine `hf`: transformers, through lm-eval's own class."""

from pathlib import Path
from typing import Any

from lm_eval.api.model import LM
from lm_eval.api.registry import get_model

from mlc_bench.core import provenance
from mlc_bench.core.progress import say
from mlc_bench.core.spec import RunSpec
from mlc_bench.engines import metered
from mlc_bench.engines.identity import Adapter, Identity
from mlc_bench.engines.settings import sampling
from mlc_bench.engines.settings.prompted import Prompted

_LOGITS = 6 << 30  # bytes, float32 and their log-softmax: about 20 prompts of 150 tokens with a vocabulary of 262,144


def build(spec: RunSpec, identity: Identity, adapters: list[Adapter]) -> LM:
    import torch
    from transformers import GenerationConfig
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    declared = sampling.end_tokens(Path(identity.path)) if identity.path else []
    base = get_model("hf")

    class HF(Prompted, base):  # type: ignore[misc, valid-type]
        batch_size_per_gpu: int

        def _model_generate(self, context: Any, max_length: int, stop: list[str], **kwargs: Any) -> Any:
            mask = kwargs.pop("attention_mask")
            generation = sampling.of(kwargs)
            ends = _end_tokens(self, declared)
            # transformers mixes its own into what it is given, and defaults of the library into both.
            self.model.generation_config = GenerationConfig(
                **generation.for_hf(),
                bos_token_id=self.tokenizer.bos_token_id,
                eos_token_id=sorted(ends - {self.tokenizer.pad_token_id}) or sorted(ends),
                pad_token_id=self.tokenizer.pad_token_id,
            )
            drawn: dict[str, Any] = {"do_sample": generation.is_drawn}
            if generation.is_drawn:
                drawn["temperature"] = generation.temperature
            if generation.forced_first is not None:
                drawn["logits_processor"] = [_Forced(generation.forced_first, context.shape[1])]
            out = super()._model_generate(context, max_length, stop, attention_mask=mask, **drawn)
            inputs = mask.sum(dim=1).tolist()
            for tokens_in, row in zip(inputs, out[:, context.shape[1] :].tolist(), strict=True):
                end = next((i for i, token in enumerate(row) if token in ends), None)
                self.meter.pending.append(
                    {
                        "tokens_in": tokens_in,
                        "tokens_out": len(row) if end is None else end + 1,
                        "truncated": end is None and out.shape[1] >= max_length,
                    }
                )
            return out

        def _loglikelihood_tokens(self, requests: list[Any], *args: Any, **kwargs: Any) -> Any:
            """Choices need the logits of whole prompts, where answers need the last token's: a batch that fits."""
            whole = self.batch_size_per_gpu
            longest = max((len(context) + len(choice) for _, context, choice in requests), default=1)
            vocabulary = self.model.config.get_text_config().vocab_size
            self.batch_size_per_gpu = max(1, min(whole, _LOGITS // (8 * longest * vocabulary)))
            try:
                return super()._loglikelihood_tokens(requests, *args, **kwargs)
            finally:
                self.batch_size_per_gpu = whole

    arguments = {
        "pretrained": identity.path,
        "revision": None,
        "dtype": "auto",
        "batch_size": metered.batch_size(spec),
        "device": "cuda" if torch.cuda.is_available() else "cpu",
    }
    lm = metered.start(HF, arguments | spec.engine_args)
    sampling.let_end(lm.tokenizer, declared)
    if lm.model.dtype == torch.bfloat16 and provenance.emulates_bf16():
        say("the weights are bf16, which this CPU emulates: --engine-args dtype=float32 is faster")
    return lm


def _end_tokens(lm: Any, declared: list[int]) -> set[int]:
    """Token ids after which an answer has ended (the padding of a finished row counts as its end)."""
    return {*declared, lm.tokenizer.eos_token_id, lm.tokenizer.pad_token_id} - {None}


class _Forced:
    """Lets an answer begin with one token: transformers does so for prompts of a single token only."""

    def __init__(self, token: int, prompt: int) -> None:
        self.token, self.prompt = token, prompt

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """`scores`: (batch, vocabulary), of the token after `input_ids`, (batch, length)."""
        if input_ids.shape[1] != self.prompt:
            return scores
        forced = scores.new_full(scores.shape, float("-inf"))
        forced[:, self.token] = 0.0
        return forced
