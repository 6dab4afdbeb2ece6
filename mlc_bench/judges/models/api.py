"""Judge models behind an OpenAI-compatible server, through the `openai` client.

Every reply is on the disk before the next request of that worker goes out, so that a run that is killed asks again only
for what was under way. Failures are never stored: the same command tries them again.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from mlc_bench.core import secrets
from mlc_bench.core.errors import PrerequisiteError, UsageError
from mlc_bench.core.progress import Report
from mlc_bench.core.spec import digest, short_name
from mlc_bench.engines.servers import served
from mlc_bench.engines.servers.endpoint import Endpoint, Retry
from mlc_bench.engines.servers.failures import Again, Rejected, Stopped
from mlc_bench.engines.store import ResponseStore
from mlc_bench.judges.models.ask import Reply, Request
from mlc_bench.judges.spec import JudgeSpec


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
                f"judge {judge_id}: base_url '{secrets.address(spec.base_url)}' is not an address such as http://host:8000/v1"
            )
        self.sleep, self.now = sleep, now
        self._failed_in_a_row = 0
        self._card: served.Card | None = None  # what the server says of its model, once it was asked

    @property
    def address(self) -> str:
        """The server's address without credentials."""
        return secrets.address(self._address).rstrip("/")

    @property
    def _address(self) -> str:
        return self.spec.base_url or "https://api.openai.com/v1"

    @property
    def model_digest(self) -> str:
        """sha256 of the server's address and its name for the model: its weights cannot be seen."""
        return digest(secrets.without_user(self._address).rstrip("/"), self.spec.model, self.spec.request)

    def store(self, folder: Path) -> ResponseStore:
        """The replies of the model that the server has now: those of another one are kept apart.

        Raises PrerequisiteError where the server has ours no longer.
        """
        name = short_name(self.spec.model or "")
        if self._card is None and self.spec.base_url:
            headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
            found = served.look(self.address, self.name, headers)
            memo = folder / f"{name}.{self.model_digest[:16]}.served.json"
            self._card = served.settle(memo, self.address, self.name, found, "--judge or its base_url")
        fingerprint = digest(self.model_digest, self._card) if self._card else self.model_digest
        return ResponseStore(folder / f"{name}.{fingerprint[:16]}.jsonl", fingerprint)

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
        self._failed_in_a_row = 0
        retry = self.spec.retry
        endpoint = Endpoint(
            self.spec.base_url,
            self.key,
            timeout=self.spec.timeout,
            retry=Retry(retry.attempts, retry.first_wait, retry.longest_wait),
            sleep=self.sleep,
            now=self.now,
        )
        waiting = iter(todo.items())
        done = 0
        report(done, len(todo))

        async def work() -> None:
            nonlocal done
            for key, request in waiting:  # one iterator for all workers: nobody takes what another took
                reply = await self._ask_one(endpoint, request)
                if reply.text is None:
                    failures[key] = reply
                else:
                    store.append([_row(key, reply)])
                done += 1
                report(done, len(todo))

        async with endpoint:
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(self.spec.concurrency, len(todo))):
                        group.create_task(work())
            except ExceptionGroup as errors:
                raise next(_leaves(errors)) from None

    async def _ask_one(self, endpoint: Endpoint, request: Request) -> Reply:
        """A reply, or why there is none after the last attempt."""
        try:
            answer = await endpoint.ask(self.name, request.messages, self._settings(request))
        except Again as error:
            self._failed_in_a_row += 1
            if self._failed_in_a_row >= max(2 * self.spec.concurrency, 8):
                self._stop(f"it failed {self._failed_in_a_row} times in a row, the last time: {error}")
            return Reply(None, error.tag, error.detail)
        except Rejected as error:
            return Reply(None, "refused-by-server", error.detail)
        except Stopped as error:
            option = f"; see --judge-args request.{error.field}=... (null leaves it out)" if error.field else ""
            self._stop(f"{error}{option}")
        self._failed_in_a_row = 0
        if answer.blocked:
            return Reply(None, "refused-by-server", answer.blocked)
        return Reply(answer.text, None, "", answer.tokens_in, answer.tokens_out, answer.truncated)

    def _settings(self, request: Request) -> dict[str, Any]:
        """Greedy unless the judge's `request` says otherwise; null there takes a setting out."""
        settings = {"temperature": 0.0, "seed": 1234, "max_tokens": request.max_tokens} | self.spec.request
        return {key: value for key, value in settings.items() if value is not None}

    def _stop(self, why: str) -> NoReturn:
        raise PrerequisiteError(
            f"judge {self.id}: the server at {self.address} gives no verdicts: {why}; when that is fixed, run the "
            "same command again, verdicts that are there are kept"
        ) from None


def _leaves(errors: BaseExceptionGroup[Any]) -> Iterator[BaseException]:
    for error in errors.exceptions:
        yield from _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]


def _row(key: str, reply: Reply) -> dict[str, Any]:
    text = (reply.text or "").encode("utf-8", "replace").decode()  # half a character pair is no text
    usage = {"tokens_in": reply.tokens_in, "tokens_out": reply.tokens_out, "truncated": reply.truncated}
    return {"key": key, "response": text, **usage}
