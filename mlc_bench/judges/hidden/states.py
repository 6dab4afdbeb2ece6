"""A prompt and an answer as one vector, from the mean hidden states that a causal LM has of them after one layer.

The model reads the prompt, an empty line and the answer, each from its beginning on, and nothing around them. Only the
backbone runs, without the LM head, and only up to the layer asked for. The first token is in no mean: its states are
a thousand times as large as others (attention sinks; Xiao et al. 2023, arXiv 2309.17453).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlc_bench.core import processor
from mlc_bench.core.errors import PrerequisiteError, UsageError
from mlc_bench.core.progress import Report

VERSION = "1"
"""Goes up whenever the same model gives other states: a head of another version is refused."""
PROMPT_TOKENS, ANSWER_TOKENS = 48, 144
PROMPT_CHARACTERS, ANSWER_CHARACTERS = 400, 2000  # what of a text is split into tokens
DTYPES = ("bfloat16", "float16", "float32")
_CPU_BATCH, _GPU_BATCH = 16, 128

Floats = NDArray[np.float32]


class Encoder:
    """A model up to one of its layers. It is loaded for the first exchange and freed by `close`."""

    def __init__(self, folder: str | Path, layer: int, dtype: str = "bfloat16", batch_size: int | None = None) -> None:
        if dtype not in DTYPES:
            raise UsageError(f"dtype={dtype}: {', '.join(DTYPES)} are known")
        if batch_size is not None and (type(batch_size) is not int or batch_size < 1):
            raise UsageError(f"batch_size={batch_size}: a whole number from 1 on is expected")
        self.folder, self.layer, self.dtype, self.batch_size = str(folder), layer, dtype, batch_size
        self._model: Any = None
        self._tokenizer: Any = None

    def states(self, exchanges: Sequence[tuple[str, str]], report: Report) -> Floats:
        """Of (prompt, answer) pairs: [n, 2 H], the mean over the answer's tokens, then that less the prompt's mean.

        Exchanges of like length share a batch, the longest first, so that `report` promises no less time than it takes.
        Raises PrerequisiteError for a model whose layers are not where most have them.
        """
        import torch

        if self._model is None:
            self._load()
        encoded = [self._encode(*exchange) for exchange in exchanges]
        order = sorted(range(len(encoded)), key=lambda index: -len(encoded[index][0]))
        size = self.batch_size or (_GPU_BATCH if self._model.device.type == "cuda" else _CPU_BATCH)
        found = np.zeros((len(encoded), 2 * self._model.config.get_text_config().hidden_size), dtype=np.float32)
        for start in range(0, len(order), size):
            chosen = order[start : start + size]
            with torch.inference_mode():
                found[chosen] = self._means([encoded[index] for index in chosen])
            report(start + len(chosen), len(order))
        return found

    def close(self) -> None:
        """Free the model."""
        if self._model is not None:
            from mlc_bench.engines import lifecycle

            lifecycle.close(self)
            self._model = None

    def _load(self) -> None:
        import torch
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()
        processor.keep_memory()
        self._tokenizer = AutoTokenizer.from_pretrained(self.folder, trust_remote_code=False)
        model = AutoModel.from_pretrained(self.folder, dtype=getattr(torch, self.dtype), trust_remote_code=False)
        model = getattr(model, "language_model", model)  # of one that also sees
        if not isinstance(getattr(model, "layers", None), torch.nn.ModuleList):
            raise PrerequisiteError(f"it is not known where '{self.folder}' keeps its layers; name another model")
        if not 1 <= self.layer <= len(model.layers):
            raise UsageError(f"'{self.folder}' has layers 1 to {len(model.layers)}, and no layer {self.layer}")
        model.layers = model.layers[: self.layer]
        self._model = model.to("cuda" if torch.cuda.is_available() else "cpu").eval()

    def _encode(self, prompt: str, answer: str) -> tuple[list[int], int]:
        """The tokens of an exchange, and at which of them the answer begins."""
        tokenizer = self._tokenizer
        first = next((one for one in (tokenizer.bos_token_id, tokenizer.eos_token_id) if one is not None), 0)
        asked, between, said = (
            tokenizer(text.encode("utf-8", "replace").decode(), add_special_tokens=False).input_ids
            for text in (prompt[:PROMPT_CHARACTERS], "\n\n", answer[:ANSWER_CHARACTERS])
        )
        before = [first, *asked[:PROMPT_TOKENS], *between]
        return before + said[:ANSWER_TOKENS], len(before)

    def _means(self, encoded: Sequence[tuple[list[int], int]]) -> Floats:
        """[len(encoded), 2 H]; what pads a row is behind its tokens and hidden from them."""
        import torch

        model = self._model
        lengths = torch.tensor([len(tokens) for tokens, _ in encoded])
        begins = torch.tensor([begin for _, begin in encoded]).unsqueeze(1)
        places = torch.arange(int(lengths.max()))
        present = places < lengths.unsqueeze(1)
        tokens = torch.nn.utils.rnn.pad_sequence([torch.tensor(own) for own, _ in encoded], batch_first=True)
        caught: list[Any] = []
        hook = model.layers[-1].register_forward_hook(lambda module, given, output: caught.append(output))
        try:
            model(
                input_ids=tokens.to(model.device), attention_mask=present.long().to(model.device), use_cache=False
            )  # before the final norm, which belongs to the last layer only
        finally:
            hook.remove()
        states = (caught[0][0] if isinstance(caught[0], tuple) else caught[0]).float()
        masks = torch.stack([(places >= 1) & (places < begins), (places >= begins) & present], dim=1)  # [n, 2, T]
        weights = (masks / masks.sum(dim=2, keepdim=True).clamp(min=1)).to(states)
        asked, said = torch.bmm(weights, states).unbind(dim=1)
        found: Floats = torch.cat([said, said - asked], dim=1).cpu().numpy()
        return found
