"""Chat completions of an OpenAI-compatible server, through the `openai` client, for engines and judges alike.

The client honours HTTPS_PROXY and NO_PROXY. Retries are ours, since a server says how long it wants to be left alone,
and since what is no chat completion (a gateway's page, half an answer) is tried again too.
"""

import asyncio
import email.utils
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from mlc_bench.engines.servers import failures
from mlc_bench.engines.servers.failures import Again, Rejected, Stopped

LONGEST_PAUSE = 600.0  # seconds; a server that asks for more is not waited for
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:([\d.]+)s)?(?:([\d.]+)ms)?")
# Why an answer ended, where the provider ended it: OpenAI and Azure, Anthropic, Gemini, Zhipu.
_FILTERED = re.compile(r"content_?filter|safety|prohibited|blocklist|sensitive|moderat|refusal|guardrail")

Completion = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """One answer. `blocked`: the provider, not the model, refused (`provider-refusal` or `content-filter`)."""

    text: str
    message: dict[str, Any]
    truncated: bool = False
    blocked: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    thinking: str | None = None
    """What the server has parted from the answer."""
    tokens_thinking: int | None = None


@dataclass(frozen=True)
class Retry:
    """How often a request is sent before it counts as failed, and the bounds of the random waits, in seconds."""

    attempts: int = 6
    first_wait: float = 1.0
    longest_wait: float = 60.0


class Endpoint:
    """A server that is asked within `async with`. `sleep` and `now` (seconds) stand for the clock.

    `ask` raises Again after the last attempt, Rejected for a prompt that the server will not answer, and Stopped where
    it will answer none.
    """

    def __init__(
        self,
        address: str | None,
        key: str,
        *,
        timeout: float,
        retry: Retry,
        headers: dict[str, str] | None = None,
        verify: bool | str = True,
        secrets: tuple[str, ...] = (),
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.address, self.key, self.timeout, self.retry = address, key, timeout, retry
        self.headers, self.verify = headers or {}, verify
        self.secrets = tuple(secret for secret in (key, *secrets) if secret)
        self.sleep, self.now = sleep, now
        self._ready_at = 0.0  # nobody sends before this moment
        self._client: Any = None

    async def __aenter__(self) -> Self:
        import openai

        self._client = openai.AsyncOpenAI(
            api_key=self.key or "none",
            base_url=self.address,
            max_retries=0,
            timeout=self.timeout,
            default_headers=self.headers,
            http_client=openai.DefaultAsyncHttpxClient(verify=self.verify),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    async def ask(
        self, model: str, messages: Any, settings: dict[str, Any], given_up: Callable[[], bool] = lambda: False
    ) -> Answer:
        """The answer; `given_up()` ends the attempts, which is asked before each of them."""
        from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

        last = stop_after_attempt(self.retry.attempts)
        attempts = AsyncRetrying(
            stop=lambda state: last(state) or given_up(),
            wait=wait_random_exponential(multiplier=self.retry.first_wait, max=self.retry.longest_wait),
            retry=retry_if_exception_type(Again),
            sleep=self.sleep,
            reraise=True,
        )
        answer: Answer = await attempts(self._send, model, messages, settings, given_up)
        return answer

    async def _send(self, model: str, messages: Any, settings: dict[str, Any], given_up: Callable[[], bool]) -> Answer:
        import openai

        while (pause := self._ready_at - self.now()) > 0:
            await self.sleep(pause)
            if given_up():
                raise Again("rate-limit", "given up while the server wanted to be left alone")
        try:
            async with asyncio.timeout(self.timeout):  # the client's own limit is for each piece of a reply
                raw = await self._client.chat.completions.with_raw_response.create(
                    model=model, messages=messages, extra_body=settings
                )
            self._heed(raw.headers)
            return self._read(raw.http_response.json(), settings)
        except openai.APIStatusError as error:
            raise self._failure(
                error.status_code, error.body, error.message, error.response.headers, settings
            ) from None
        except (openai.APITimeoutError, TimeoutError):
            raise Again("timeout", f"no answer within {self.timeout:g} s") from None
        except openai.APIConnectionError as error:
            cause = error.__cause__ or error
            raise Again("connection", self.scrubbed(f"{type(cause).__name__} {cause}")) from None
        except (ValueError, TypeError, AttributeError, LookupError, openai.APIError) as error:
            raise Again("malformed", self.scrubbed(f"not a chat completion ({error})")) from None

    def _failure(
        self, status: int, body: Any, message: str, headers: Any, settings: dict[str, Any]
    ) -> Again | Rejected | Stopped:
        said = failures.said(body)
        detail = self.scrubbed(f"HTTP {status}: {said.message or message}")
        pause = retry_after(headers) or (reset_after(headers) if status == 429 else 0.0)
        found = failures.failure(status, said, detail, list(settings), pause)
        if not isinstance(found, Again):
            return found
        if pause > LONGEST_PAUSE:
            return Rejected("wait", f"{detail}; it asks to wait {pause:.0f} s")
        self._pause(pause)
        self._heed(headers)
        return found

    def _read(self, content: Any, settings: dict[str, Any]) -> Answer:
        """An answer from a chat completion; anything else raises one of the errors that mean 'malformed'."""
        usage = content.get("usage") or {}
        tokens: Any = {"tokens_in": usage.get("prompt_tokens"), "tokens_out": usage.get("completion_tokens")}
        if not (choices := content.get("choices")):
            filtered = content.get("prompt_filter_results") or content.get("promptFeedback")
            if filtered and _FILTERED.search(str(filtered).casefold()):
                return Answer("", {}, blocked="content-filter", **tokens)
            raise self._without_choices(content, settings)
        choice = choices[0]
        message = choice["message"]
        text = content_text(message.get("content"))
        ended = str(choice.get("finish_reason") or "").casefold()
        blocked = None
        if refusal := message.get("refusal"):
            text, blocked = text or str(refusal), "provider-refusal"
        elif _FILTERED.search(ended):
            blocked = "provider-refusal" if "refusal" in ended else "content-filter"
        thinking = content_text(message.get("reasoning_content") or message.get("reasoning"))
        details = usage.get("completion_tokens_details") or {}
        tokens["tokens_thinking"] = details.get("reasoning_tokens") or usage.get("reasoning_tokens")
        return Answer(text, message, ended == "length", blocked, **tokens, thinking=thinking or None)

    def _without_choices(self, content: dict[str, Any], settings: dict[str, Any]) -> Exception:
        """Some gateways send an error with the status 200, and its own status as its code."""
        error = content.get("error")
        code = error.get("code") if isinstance(error, dict) else None
        said = failures.said(content)
        status = code if isinstance(code, int) and 400 <= code < 600 else 400
        found = failures.failure(status, said, self.scrubbed(f"error {code}: {said.message}"), list(settings))
        if status == code or (isinstance(found, Rejected) and found.kind == "content"):
            return found
        return ValueError(f"no choices in what it sent: {str(content)[:80]}")

    def _heed(self, headers: Any) -> None:
        """Stop sending where the server says that nothing is left of a limit, until it is filled again."""
        for kind in ("requests", "tokens"):
            if headers.get(f"x-ratelimit-remaining-{kind}") == "0":
                self._pause(min(duration(headers.get(f"x-ratelimit-reset-{kind}") or ""), LONGEST_PAUSE))

    def _pause(self, seconds: float) -> None:
        self._ready_at = max(self._ready_at, self.now() + seconds)

    def scrubbed(self, text: str) -> str:
        """One short line without the key and other secrets."""
        line = " ".join(text.split())
        for secret in self.secrets:
            line = line.replace(secret, "(key)")
        return line[:200]


def content_text(content: Any) -> str:
    """The text of a message: a string, null, or a list of parts of which those of type `text` count.

    Raises TypeError for anything else.
    """
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise TypeError(f"the content is {type(content).__name__}")
    parts = [part if isinstance(part, str) else part.get("text") or "" for part in content if _is_text(part)]
    return "".join(parts)


def _is_text(part: Any) -> bool:
    return isinstance(part, str) or part.get("type", "text") in ("text", "output_text")


def retry_after(headers: Any) -> float:
    """Seconds that a Retry-After header asks for: a number, or a date; 0 where there is none that can be read."""
    if (milliseconds := headers.get("retry-after-ms") or "").replace(".", "", 1).isdigit():
        return float(milliseconds) / 1000
    value = (headers.get("retry-after") or "").strip()
    if value.replace(".", "", 1).isdigit():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return 0.0


def reset_after(headers: Any) -> float:
    """Seconds until what `x-ratelimit-reset` names: seconds or milliseconds since 1970, or a time to wait."""
    value = (headers.get("x-ratelimit-reset") or "").strip()
    if not value.replace(".", "", 1).isdigit():
        return duration(value)
    number = float(value)
    if number < 1e9:  # no clock is that far back: a time to wait
        return number
    return max(0.0, (number / 1000 if number > 1e11 else number) - time.time())


def duration(text: str) -> float:
    """Seconds of a duration as x-ratelimit headers write it: `6m0s`, `1.5s`, `20ms`, or plain seconds."""
    text = text.strip()
    if text.replace(".", "", 1).isdigit():
        return float(text)
    found = _DURATION.fullmatch(text)
    if not text or not found:
        return 0.0
    try:
        hours, minutes, seconds, milliseconds = (float(part or 0) for part in found.groups())
    except ValueError:
        return 0.0
    return 3600 * hours + 60 * minutes + seconds + milliseconds / 1000
