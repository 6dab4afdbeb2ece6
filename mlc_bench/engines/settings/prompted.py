"""How an engine of lm-eval's writes a chat as a prompt: by our template arguments, the same on every engine."""

from typing import Any

from mlc_bench.engines.settings import template as templates


class Prompted:
    """Put before a model class of lm-eval's. Its own classes differ in what they pass to a template."""

    tokenizer: Any
    chat_template_args: dict[str, Any]
    template: str | None = None
    """None: the tokenizer's."""
    template_arguments: dict[str, Any] = templates.dated(None, None)

    kept_tokens: tuple[str, ...] = ()
    """Special tokens that answers keep: marks of thinking."""

    def tok_decode(self, tokens: Any, skip_special_tokens: bool = True) -> str:
        """Text of tokens; without special tokens, save those that are kept."""
        if not (self.kept_tokens and skip_special_tokens):
            return str(self.tokenizer.decode(tokens, skip_special_tokens=skip_special_tokens))
        added = self.tokenizer.added_tokens_decoder
        dropped = {token for token, entry in added.items() if entry.special and entry.content not in self.kept_tokens}
        return str(self.tokenizer.decode([one for one in tokens if one not in dropped], skip_special_tokens=False))

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """A chat as one text. A system turn that the template refuses is left out: who asks must look for it."""
        from jinja2 import TemplateError

        try:
            return self._written(chat_history, add_generation_prompt)
        except TemplateError:
            return self._written([turn for turn in chat_history if turn["role"] != "system"], add_generation_prompt)

    def _written(self, turns: list[dict[str, str]], prompt: bool) -> str:
        text: str = self.tokenizer.apply_chat_template(
            turns,
            tokenize=False,
            add_generation_prompt=prompt,
            continue_final_message=not prompt,
            **({"chat_template": self.template} if self.template else {}),
            **self.template_arguments | self.chat_template_args,
        )
        return text
