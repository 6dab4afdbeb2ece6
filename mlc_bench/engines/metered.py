"""What every engine has: a meter for tokens, the batch it is given, its start.

lm-eval returns bare text. Whether an answer was cut at the token limit, and how many tokens went in and out, is known
only inside its classes; each engine's subclass notes that at the one method through which all generation goes.
tests/engines/test_canaries.py checks the order of calls that this relies on.
"""

from collections import deque
from typing import Any

from mlc_bench.core.errors import UsageError
from mlc_bench.core.spec import RunSpec

Usage = dict[str, Any]  # tokens_in, tokens_out: int; truncated: bool (the answer stopped at the token limit)


class Meter:
    """Replaces lm-eval's cache hook, which is told of each response in the order of generation.

    It knows answers by their contexts (vLLM's class writes the settings anew): no call may have two of one context.
    """

    def __init__(self) -> None:
        self.pending: deque[Usage] = deque()
        self.usage: dict[Any, Usage] = {}
        self.answers: dict[Any, str] = {}  # of the call that goes on: what is there when it fails half-way

    def clear(self) -> None:
        """Forget an earlier call: what it left, also half-way, is of other requests."""
        self.pending.clear()
        self.usage.clear()
        self.answers.clear()

    def add_partial(self, request_type: str, arguments: Any, response: Any) -> None:
        if request_type == "generate_until" and self.pending:
            self.usage[arguments[0]] = self.pending.popleft()
            self.answers[arguments[0]] = response


def chunk_size(spec: RunSpec) -> int:
    """Requests between two flushes of the store: a small part of a run, yet enough to keep the engine's batch full."""
    if spec.engine == "hf":
        return 8 * batch_size(spec)
    return 256


def batch_size(spec: RunSpec) -> int:
    size = spec.engine_args.get("batch_size", 16)
    if type(size) is not int or size < 1:
        raise UsageError(f"--engine-args batch_size={size}: a whole number from 1 on is expected")
    return size


def brief(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:150]}"


def start(model_class: type[Any], arguments: dict[str, Any]) -> Any:
    lm = model_class.create_from_arg_obj(arguments)
    lm.meter = Meter()
    lm.set_cache_hook(lm.meter)
    return lm
