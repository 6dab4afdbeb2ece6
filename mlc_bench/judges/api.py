"""Judge models behind an OpenAI-compatible server, through the `openai` client.

Every reply is on the disk before the next request of that worker goes out, so that a run that is killed asks again only
for what was under way. Failures are never stored: the same command tries them again.
"""

import asyncio
import email.utils
import os
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from mlc_bench.errors import PrerequisiteError, UsageError
from mlc_bench.judges.ask import Reply, Request
from mlc_bench.judges.spec import JudgeSpec, slug
from mlc_bench.record import without_secrets
from mlc_bench.spec import RunSpec, digest
from mlc_bench.store import Report, ResponseStore

LONGEST_PAUSE = 600.0  # seconds; a server that asks for more gets its request as failed
FATAL = {401: "it refuses the key", 403: "it refuses the key", 404: "it does not know the model or the address"}
RETRIED = {408, 409, 425, 429}  # and all from 500 on
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:([\d.]+)s)?(?:([\d.]+)ms)?")


class _Again(Exception):
    """A failure that another attempt may mend; `pause`: the seconds that the server wants to be left alone."""

    def __init__(self, tag: str, detail: str, pause: float = 0.0) -> None:
        super().__init__(f"{tag}: {detail}")
        self.tag, self.detail, self.pause = tag, detail, pause


class _Refused(Exception):
    """The server will not answer this one request, whatever we do."""


class Api:
    """A judge model behind a server. `sleep` and `now` (seconds) stand for the clock."""

    engine = "openai"
    engine_version: str | None = None  # a server does not say
    model_revision: str | None = None
    weights_digest: str | None = None

    def __init__(
        self,
        spec: JudgeSpec,
        judge_id: str,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        if not spec.model:
            raise UsageError(f"judge {judge_id} names no model; write it behind the name: --judge {judge_id}@MODEL")
        if spec.engine_args:
            raise UsageError(f"--judge-args {next(iter(spec.engine_args))}: engine openai has no such setting")
        self.spec, self.id, self.name = spec, judge_id, spec.model
        self.key = os.environ.get(spec.api_key_env, "")
        if not self.key and not spec.base_url:
            raise PrerequisiteError(
                f"judge {judge_id}: no key in the environment variable {spec.api_key_env}; set it, or name a server of "
                "your own with --judge-args base_url=http://host:port/v1"
            )
        if spec.base_url and not urlsplit(spec.base_url).scheme.startswith("http"):
            raise UsageError(
                f"judge {judge_id}: base_url '{spec.base_url}' is not an address such as http://host:8000/v1"
            )
        self.sleep, self.now = sleep, now
        self._ready_at = 0.0  # nobody sends before this moment
        self._failed_in_a_row = 0

    @property
    def address(self) -> str:
        """The server's address without credentials."""
        made = RunSpec(model="", engine="openai", base_url=self.spec.base_url or "https://api.openai.com/v1", tasks=())
        return (without_secrets(made).base_url or "").rstrip("/")

    @property
    def model_digest(self) -> str:
        """sha256 of the server's address and its name for the model: its weights cannot be seen."""
        return digest(self.address, self.spec.model, self.spec.request)

    def store(self, folder: Path) -> ResponseStore:
        name = slug(self.spec.model or "")
        return ResponseStore(folder / f"{name}.{self.model_digest[:16]}.jsonl", self.model_digest)

    def ask(self, requests: list[Request], folder: Path, report: Report) -> list[Reply]:
        """Replies in the order of the requests; equal requests are sent once.

        Raises PrerequisiteError where the server refuses us altogether or has stopped answering.
        """
        store = self.store(folder)
        keys = [store.key("chat", [request.messages, request.max_tokens], 0) for request in requests]
        todo = {key: request for key, request in zip(keys, requests, strict=True) if store.get(key) is None}
        failures: dict[str, Reply] = {}
        if todo:
            asyncio.run(self._answer(todo, store, failures, report))
        return [failures.get(key) or self._stored(store, key) for key in keys]

    def close(self) -> None:
        """Nothing to free here."""

    @staticmethod
    def _stored(store: ResponseStore, key: str) -> Reply:
        row = store.get(key) or {}
        return Reply(row["response"], None, "", row.get("tokens_in"), row.get("tokens_out"), row["truncated"], key)

    async def _answer(
        self, todo: dict[str, Request], store: ResponseStore, failures: dict[str, Reply], report: Report
    ) -> None:
        import openai

        self._failed_in_a_row = 0
        client = openai.AsyncOpenAI(
            api_key=self.key or "none", base_url=self.spec.base_url, max_retries=0, timeout=self.spec.timeout
        )
        waiting = iter(todo.items())
        done = 0
        report(done, len(todo))

        async def work() -> None:
            nonlocal done
            for key, request in waiting:  # one iterator for all workers: nobody takes what another took
                reply = await self._ask_one(client, request)
                if reply.text is None:
                    failures[key] = reply
                else:
                    store.append([_row(key, reply)])
                done += 1
                report(done, len(todo))

        async with client:
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(self.spec.concurrency, len(todo))):
                        group.create_task(work())
            except ExceptionGroup as errors:
                raise next(_leaves(errors)) from None

    async def _ask_one(self, client: Any, request: Request) -> Reply:
        """A reply, or why there is none after the last attempt."""
        from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

        retry = self.spec.retry
        attempts = AsyncRetrying(
            stop=stop_after_attempt(retry.attempts),
            wait=wait_random_exponential(multiplier=retry.first_wait, max=retry.longest_wait),
            retry=retry_if_exception_type(_Again),
            sleep=self.sleep,
            reraise=True,
        )
        try:
            reply: Reply = await attempts(self._send, client, request)
        except _Again as error:
            self._failed_in_a_row += 1
            if self._failed_in_a_row >= max(2 * self.spec.concurrency, 8):
                self._stop(f"it failed {self._failed_in_a_row} times in a row, the last time: {error}")
            return Reply(None, error.tag, error.detail)
        except _Refused as error:
            return Reply(None, "refused-by-server", str(error))
        self._failed_in_a_row = 0
        return reply

    async def _send(self, client: Any, request: Request) -> Reply:
        import openai

        while (pause := self._ready_at - self.now()) > 0:
            await self.sleep(pause)
        try:
            raw = await client.chat.completions.with_raw_response.create(**self._body(request))
            self._heed(raw.headers)
            return _reply(raw.parse())
        except openai.APIStatusError as error:
            self._raise_status(error)
        except openai.APITimeoutError:
            raise _Again("timeout", f"no answer within {self.spec.timeout:g} s") from None
        except openai.APIConnectionError as error:
            cause = error.__cause__ or error
            raise _Again("connection", self._scrubbed(f"{type(cause).__name__} {cause}")) from None
        except (ValueError, TypeError, AttributeError, LookupError, openai.APIError) as error:
            raise _Again("malformed", self._scrubbed(f"not a chat completion ({error})")) from None

    def _body(self, request: Request) -> dict[str, Any]:
        """Greedy unless the judge's `request` says otherwise; null there takes a setting out."""
        settings = {"temperature": 0.0, "seed": 1234, "max_tokens": request.max_tokens} | self.spec.request
        given = {key: value for key, value in settings.items() if value is not None}
        return {"model": self.spec.model, "messages": request.messages, "extra_body": given}

    def _raise_status(self, error: Any) -> NoReturn:
        """Sort an HTTP error into: stop, try again, or give this one up."""
        status, detail = error.status_code, self._scrubbed(f"HTTP {error.status_code}: {error.message}")
        if status in FATAL:
            self._stop(f"{FATAL[status]} ({detail})")
        if getattr(error, "code", None) == "insufficient_quota":
            self._stop(f"the account's quota is used up ({detail})")
        if status not in RETRIED and status < 500:
            raise _Refused(detail) from None
        pause = retry_after(error.response.headers)
        if pause > LONGEST_PAUSE:
            raise _Refused(f"{detail}; it asks to wait {pause:.0f} s") from None
        self._pause(pause)
        self._heed(error.response.headers)
        raise _Again("rate-limit" if status == 429 else f"http-{status}", detail, pause) from None

    def _heed(self, headers: Any) -> None:
        """Stop sending where the server says that nothing is left of a limit, until it is filled again."""
        for kind in ("requests", "tokens"):
            if headers.get(f"x-ratelimit-remaining-{kind}") == "0":
                self._pause(min(duration(headers.get(f"x-ratelimit-reset-{kind}") or ""), LONGEST_PAUSE))

    def _pause(self, seconds: float) -> None:
        self._ready_at = max(self._ready_at, self.now() + seconds)

    def _stop(self, why: str) -> NoReturn:
        raise PrerequisiteError(
            f"judge {self.id}: the server at {self.address} gives no verdicts: {why}; when that is mended, run the "
            "same command again, verdicts that are there are kept"
        ) from None

    def _scrubbed(self, text: str) -> str:
        """One short line without the key."""
        line = " ".join(text.split())[:200]
        return line.replace(self.key, "(key)") if self.key else line


def _leaves(errors: BaseExceptionGroup[Any]) -> Iterator[BaseException]:
    for error in errors.exceptions:
        yield from _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]


def _row(key: str, reply: Reply) -> dict[str, Any]:
    text = (reply.text or "").encode("utf-8", "replace").decode()  # half a character pair is no text
    usage = {"tokens_in": reply.tokens_in, "tokens_out": reply.tokens_out, "truncated": reply.truncated}
    return {"key": key, "response": text, **usage}


def _reply(completion: Any) -> Reply:
    """A reply from a chat completion; anything else raises one of the errors that mean 'malformed'."""
    choice = completion.choices[0]
    text = choice.message.content
    if text is not None and not isinstance(text, str):
        raise TypeError(f"the content is {type(text).__name__}")
    usage = completion.usage
    return Reply(
        text or "",
        tokens_in=getattr(usage, "prompt_tokens", None),
        tokens_out=getattr(usage, "completion_tokens", None),
        truncated=choice.finish_reason == "length",
    )


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
