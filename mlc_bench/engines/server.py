"""The engine `openai`: a server that speaks OpenAI's chat completions.

lm-eval formats the chat; the requests are ours (`servers/endpoint.py`). An answer that the provider refuses to give, or
to let through, is an answer: it is kept, with `blocked` beside its text. So is a prompt that the server rejects.
"""

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.models.api_models import JsonChatStr

from mlc_bench.core import secrets
from mlc_bench.core.errors import PrerequisiteError, SpentError, UsageError, UserError
from mlc_bench.core.spec import RunSpec
from mlc_bench.engines import metered
from mlc_bench.engines.identity import Adapter, Identity
from mlc_bench.engines.servers import budget
from mlc_bench.engines.servers import options as server_options
from mlc_bench.engines.servers.endpoint import Answer, Endpoint
from mlc_bench.engines.servers.failures import Again, Rejected, Stopped

_DOUBTFUL = 8  # so many prompts rejected for no stated reason, and none answered: is it the prompts, or the request?
_HINTS = {
    "key": "set OPENAI_API_KEY, or --engine-args auth_token=...",
    "access": "ask the provider for access, or name another --model",
    "money": "add credit, or wait until the quota is filled again",
    "model": "fix --model or --base-url",
    "address": "fix --base-url",
}
_ADVICE = {
    "rate-limit": "lower --engine-args num_concurrent=... or raise max_retries=...",
    "timeout": "raise --engine-args timeout=... (seconds), or lower num_concurrent=...",
    "malformed": "check that --base-url is that of a chat API",
}


def build(spec: RunSpec, identity: Identity, adapters: list[Adapter]) -> LM:
    options = server_options.options(spec)
    address = chat_address(secrets.without_user(spec.base_url or ""))
    lm = Server(spec.model, address, options.on(check_server(address, options)))
    lm.meter = metered.Meter()
    lm.set_cache_hook(lm.meter)
    return lm


@dataclass
class _Call:
    """One call of `generate_until` while it goes on."""

    endpoint: Endpoint
    waiting: Iterator[tuple[int, Instance]]
    changed: asyncio.Condition
    halted: asyncio.Event
    settling: asyncio.Lock = field(default_factory=asyncio.Lock)
    error: UserError | None = None
    failed: list[Again] = field(default_factory=list)
    in_a_row: int = 0
    doubtful: deque[tuple[Instance, Rejected]] = field(default_factory=deque)

    def halt(self, error: UserError | None = None) -> None:
        """Let nothing more be sent; what is under way is waited for, as its answer may be paid for already."""
        self.error = self.error or error
        self.halted.set()


class Server(LM):
    """A server as a model of lm-eval's. `budget` may be set before the first call."""

    meter: metered.Meter
    tokenizer_name = ""

    def __init__(self, model: str, address: str, options: server_options.ServerOptions) -> None:
        super().__init__()
        self.model, self.address, self.options = model, address, options
        self.shown = secrets.address(address)  # in messages
        self.budget: budget.Budget | None = None
        self.is_proven = False
        """Whether the server has answered some prompt, so that it takes requests as we write them."""

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> Any:
        return JsonChatStr(json.dumps(chat_history, ensure_ascii=False))

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Answers in the order of the requests. What was answered before a failure is in `meter.answers`.

        Raises UsageError where the server does not take a setting, SpentError at the budget's limit, and
        PrerequisiteError where it answers nothing, or not everything.
        """
        found = asyncio.run(self._answer_all(requests))
        return [found[index] for index in range(len(requests))]

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        raise UsageError("chat servers give no log-likelihoods; use --engine hf or vllm")

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        raise UsageError("chat servers give no log-likelihoods; use --engine hf or vllm")

    async def _answer_all(self, requests: list[Instance]) -> dict[int, str]:
        found: dict[int, str] = {}
        halted = asyncio.Event()

        async def pause(seconds: float) -> None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(halted.wait(), seconds)

        endpoint = Endpoint(
            self.address.removesuffix("/chat/completions"),
            self.options.key,
            timeout=self.options.arguments.timeout,
            retry=self.options.retry,
            headers=self.options.headers,
            verify=self.options.verify,
            secrets=self.options.secrets,
            sleep=pause,
        )
        call = _Call(endpoint, iter(enumerate(requests)), asyncio.Condition(), halted)
        async with endpoint:
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(self.options.arguments.num_concurrent, len(requests))):
                        group.create_task(self._work(call, found))
            except BaseExceptionGroup as errors:
                raise next(_leaves(errors)) from None
            if call.error is None:
                await self._settle(call)
        if call.error:
            raise call.error
        if call.failed:
            raise self._unanswered(call.failed, len(requests))
        return found

    async def _work(self, call: _Call, found: dict[int, str]) -> None:
        """One of several workers; one iterator for all of them: nobody takes what another took."""
        for index, request in call.waiting:
            if not await self._afford(call, index, request):
                return
            try:
                answer = await self._ask(call, request)
                call.in_a_row = 0
                self.is_proven = True
                self._keep(request, answer)
                found[index] = answer.text
            except Again as error:
                self._note(call, error)
            except Rejected as error:
                await self._reject(call, request, error)
            except Stopped as error:
                call.halt(self._stopped(error))
            finally:
                await self._release(call, index)
            found.setdefault(index, "")
            if call.halted.is_set():
                return

    async def _ask(self, call: _Call, request: Instance, last: str | None = None) -> Answer:
        """The answer to a request; `last` replaces what the user says last."""
        messages = json.loads(request.args[0].prompt)
        if last is not None:
            messages = [*messages[:-1], messages[-1] | {"content": last}]
        return await call.endpoint.ask(self.model, messages, self.options.settings(request.args[1]), call.halted.is_set)

    def _keep(self, request: Instance, answer: Answer, **more: str) -> None:
        usage: metered.Usage = {
            "tokens_in": answer.tokens_in,
            "tokens_out": answer.tokens_out,
            "truncated": answer.truncated,
        }
        known = {"blocked": answer.blocked, "thinking": answer.thinking, "tokens_thinking": answer.tokens_thinking}
        usage |= {name: value for name, value in known.items() if value}
        self.meter.pending.append(usage | more)
        self.cache_hook.add_partial("generate_until", request.args, answer.text)
        if self.budget and not more:
            self.budget.add(answer.tokens_in, answer.tokens_out, (self._size(request), len(answer.text) // 4))

    def _note(self, call: _Call, error: Again) -> None:
        """One prompt without an answer after the last attempt: the others go on, unless all fail now."""
        call.failed.append(error)
        call.in_a_row += 1
        if call.in_a_row >= max(_DOUBTFUL, 2 * self.options.arguments.num_concurrent):
            call.halt()

    async def _reject(self, call: _Call, request: Instance, error: Rejected) -> None:
        if error.kind == "content":
            self._keep(request, Answer("", {}, blocked="rejected-prompt"), detail=error.detail)
        elif error.kind == "wait":
            call.halt(self._stopped(Stopped("money", "it wants to be left alone", error.detail)))
        else:
            call.doubtful.append((request, error))
            if len(call.doubtful) >= _DOUBTFUL or self.is_proven:
                await self._settle(call)

    async def _settle(self, call: _Call) -> None:
        """Keep as rejected what the server rejects, once it is known to take other prompts; else stop."""
        async with call.settling:
            await self._prove(call)
        while call.doubtful and self.is_proven:
            request, error = call.doubtful.popleft()
            if error.kind == "length":
                self._keep(request, Answer("", {}), unanswered="prompt-too-long", detail=error.detail)
            else:
                self._keep(request, Answer("", {}, blocked="rejected-prompt"), detail=error.detail)

    async def _prove(self, call: _Call) -> None:
        """Find out by a harmless prompt whether it is the prompts that the server rejects."""
        if call.doubtful and not self.is_proven and not call.halted.is_set():
            request, error = call.doubtful[0]
            try:
                await self._ask(call, request, last="Hello.")
                self.is_proven = True
            except (Rejected, Stopped):
                option = "--max-tokens" if error.kind == "length" else "--engine-args"
                call.halt(UsageError(f"the server at {self.shown} rejects every prompt ({error.detail}); see {option}"))
            except Again as failure:
                call.failed.append(failure)

    async def _afford(self, call: _Call, index: int, request: Instance) -> bool:
        """Wait until the budget lets a request through; False where it never will, or where nothing more is sent."""
        if self.budget is None:
            return not call.halted.is_set()
        bill = self.budget
        most = self._size(request), self.options.most_tokens(self.options.settings(request.args[1]))
        is_through = False

        def may_go_on() -> bool:
            nonlocal is_through
            is_through = not call.halted.is_set() and bill.reserve(index, *most)
            return is_through or bill.is_idle or call.halted.is_set()

        async with call.changed:
            await call.changed.wait_for(may_go_on)
        if not is_through and not call.halted.is_set():
            call.halt(
                SpentError(
                    f"--max-cost {bill.limit:g}: {bill.bill()}, and the next answer might cost more than what is left "
                    f"(up to ${bill.price.of(*most):.4f}); answers are kept"
                )
            )
        return is_through

    async def _release(self, call: _Call, index: int) -> None:
        if self.budget:
            self.budget.release(index)
            async with call.changed:
                call.changed.notify_all()

    def _size(self, request: Instance) -> int:
        return budget.estimate_tokens(*(str(turn["content"]) for turn in json.loads(request.args[0].prompt)))

    def _stopped(self, error: Stopped) -> UserError:
        if error.field:
            return UsageError(f"the server at {self.shown}: {error}; use {server_options.instead(error.field)}")
        return PrerequisiteError(
            f"the server at {self.shown} gives no answers: {error}; {_HINTS[error.kind]}, then run the same command "
            "again, finished responses are kept"
        )

    def _unanswered(self, failed: list[Again], asked: int) -> PrerequisiteError:
        last = failed[-1]
        advice = _ADVICE.get(last.tag, "wait until it is back")
        return PrerequisiteError(
            f"the server at {self.shown} failed: {len(failed)} of {asked} prompts got no answer in "
            f"{self.options.arguments.max_retries} attempts, the last: {last}; {advice}, then run the same command "
            "again, finished responses are kept"
        )


def _leaves(errors: BaseExceptionGroup[Any]) -> Iterator[BaseException]:
    for error in errors.exceptions:
        yield from _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]


def chat_address(base_url: str) -> str:
    """The address of chat completions under a base URL such as http://localhost:8000/v1."""
    base = base_url.rstrip("/")
    return base if base.endswith("/chat/completions") else f"{base}/chat/completions"


def check_server(address: str, options: server_options.ServerOptions) -> set[str]:
    """Who owns the models at an address, which tells the kind of server; empty where it does not say.

    Raises PrerequisiteError where nothing answers there (any HTTP answer will do).
    """
    import requests

    headers = ({"Authorization": f"Bearer {options.key}"} if options.key else {}) | options.headers
    try:
        reply = requests.get(
            address.removesuffix("/chat/completions") + "/models", timeout=10, verify=options.verify, headers=headers
        )
    except requests.RequestException as error:
        raise PrerequisiteError(
            f"no server answers at {secrets.address(address)} ({type(error).__name__}); start it, or fix --base-url"
        ) from None
    try:
        return {str(model.get("owned_by")) for model in reply.json()["data"]}
    except (ValueError, LookupError, TypeError, AttributeError):  # no list of models
        return set()
