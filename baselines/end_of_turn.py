"""Whether a model can learn from its chat template where an answer ends."""

from pathlib import Path
from typing import Any

from transformers import AutoConfig, GenerationConfig

from mlc_bench.baselines.data import tokenize_rows

_TURN = ("Hello.", "Hello, how are you?")


def fault(tokenizer: Any, folder: str | Path) -> str:
    """One line where no token that ends generation follows a response in the chat template; empty where one does.

    The end tokens are those of the tokenizer, of config.json and of generation_config.json in the model's `folder`.
    """
    prompt, response = _TURN
    start = tokenize_rows.prompt_ids(tokenizer, prompt)
    rendered = tokenize_rows.response_ids(tokenizer, prompt, response, start, cutoff=2**20)
    ends = end_tokens(tokenizer, folder)
    if ends & set(rendered):
        return ""
    names = ", ".join(sorted(str(tokenizer.convert_ids_to_tokens(token)) for token in ends)) or "none is declared"
    return (
        f"the chat template writes no end token after a response (end tokens: {names}), so the model does not learn to "
        "stop; add one to the template, or name the one it writes in generation_config.json"
    )


def end_tokens(tokenizer: Any, folder: str | Path) -> set[int]:
    """Ids of the tokens at which generation stops."""
    found: set[int] = set()
    for kind in (AutoConfig, GenerationConfig):
        try:
            declared = kind.from_pretrained(str(folder)).eos_token_id
        except OSError:  # not every model has a generation_config.json
            continue
        found |= set(declared) if isinstance(declared, list) else {declared}
    return (found | {tokenizer.eos_token_id}) - {None}
