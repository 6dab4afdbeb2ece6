"""An append-only store of model responses, and an lm-eval model that answers from it first.

A response is kept under sha256(model fingerprint, request type, arguments, repeat index), one JSON object a line,
flushed to the disk after every chunk. A killed run loses at most the chunk that was being generated. Several
processes may use one file: each appends under a lock, and what is in the file first is what all of them report.
"""

import fcntl
import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM

from mlc_bench.core.errors import PrerequisiteError
from mlc_bench.core.progress import Report as Report
from mlc_bench.core.spec import digest
from mlc_bench.engines.settings.thinking import Reader

Row = dict[str, Any]


class ResponseStore:
    """The responses of one model: a dictionary in memory that mirrors a file of JSON lines.

    A torn last line (the process was killed while writing) is passed over, removed, and its response made anew.
    """

    def __init__(self, path: Path, fingerprint: str) -> None:
        self.path = path
        self.fingerprint = fingerprint
        self._rows: dict[str, Row] = {}
        self._read_to = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._locked() as file:
            self._read_new(file)

    def __len__(self) -> int:
        return len(self._rows)

    def key(self, request_type: str, arguments: Any, repeat: int) -> str:
        """The key of one response; it names the model, so that two models never share one."""
        return digest(self.fingerprint, request_type, arguments, repeat)

    def get(self, key: str) -> Row | None:
        return self._rows.get(key)

    def refresh(self) -> None:
        """Take in what other processes have added."""
        with self._locked() as file:
            self._read_new(file)

    def append(self, rows: list[Row]) -> None:
        """Write rows and flush them; a key that is already in the file keeps its first row.

        Raises PrerequisiteError where the disk is full; the file then ends where it did before.
        """
        with self._locked() as file:
            self._read_new(file)
            # What follows the last whole line is torn. It goes: closed by a newline, a line torn just before its end
            # would become a row again, the first of its key, which this process has not seen.
            os.ftruncate(file, self._read_to)
            fresh = [row for row in rows if row["key"] not in self._rows]
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in fresh).encode()
            try:
                _write_all(file, text)
                os.fsync(file)
            except OSError as error:
                os.ftruncate(file, self._read_to)
                raise PrerequisiteError(
                    f"cannot write {self.path} ({error.strerror}); free some space and run the same command again, "
                    f"it goes on after the {len(self._rows)} responses already stored"
                ) from error
            self._rows |= {row["key"]: row for row in fresh}
            self._read_to += len(text)

    @contextmanager
    def _locked(self) -> Iterator[int]:
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
        finally:
            os.close(file)

    def _read_new(self, file: int) -> None:
        """Read complete lines from where the last reading ended."""
        if os.fstat(file).st_size < self._read_to:  # another process has set the file aside (--fresh)
            self._read_to = 0
        with open(file, "rb", closefd=False) as reader:
            reader.seek(self._read_to)
            for line in reader:
                if not line.endswith(b"\n"):
                    break
                self._read_to += len(line)
                try:
                    row = json.loads(line)
                except ValueError:  # damaged by something else than us: as if it were not there
                    continue
                self._rows.setdefault(row["key"], row)


def _turns(request_type: str, requests: dict[str, Instance]) -> dict[str, int]:
    """By key, how many requests for an answer with the same context come before (0 for scores).

    Those of one turn may be asked in one call: the meter knows answers by their contexts.
    """
    seen: Counter[str] = Counter()
    turns = {}
    for key, request in requests.items():
        context = str(request.args[0])
        turns[key] = seen[context] if request_type == "generate_until" else 0
        seen[context] += 1
    return turns


def _write_all(file: int, text: bytes) -> None:
    while text:
        text = text[os.write(file, text) :]


class StoredLM(LM):
    """Delegates to an lm-eval model only what the store does not hold, one chunk at a time.

    `progress(done, total)` is called after each chunk with the requests of this call. `hits` and `generated` count
    responses taken from the store and made anew.
    """

    def __init__(self, lm: LM, store: ResponseStore, chunk: int, progress: Report = lambda done, total: None) -> None:
        super().__init__()
        self.lm = lm
        self.store = store
        self.chunk = chunk
        self.progress = progress
        self.hits = 0
        self.generated = 0
        self.reader: Reader | None = None
        """What parts the thinking from the answers; None: responses are given as they are."""

    def generate_until(self, requests: list[Instance]) -> list[str]:
        rows = self._answer("generate_until", requests)
        if self.reader is None:
            return [row["response"] for row in rows]
        self.reader = self.reader.informed(rows)
        return [str(self.reader.read(row, one.args[1])["response"]) for row, one in zip(rows, requests, strict=True)]

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        return [(row["response"][0], row["response"][1]) for row in self._answer("loglikelihood", requests)]

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        return [row["response"] for row in self._answer("loglikelihood_rolling", requests)]

    def row(self, request_type: str, arguments: Any) -> Row:
        """The stored row (response, token counts) of a request that was answered; empty for one that was not."""
        return self.store.get(self.store.key(request_type, arguments, 0)) or {}

    def _answer(self, request_type: str, requests: list[Instance]) -> list[Row]:
        keys = self._keys(request_type, requests)
        missing = {key: request for key, request in zip(keys, requests, strict=True) if self.store.get(key) is None}
        self.hits += len(keys) - len(missing)
        turns = _turns(request_type, dict(zip(keys, requests, strict=True)))
        # Longest first, as lm-eval itself does: little padding, and too large a batch fails at once, not at the end.
        # Counted in tokens: a Bengali prompt has many more of them than an English one of as many characters.
        todo = sorted(missing.items(), key=lambda item: (turns[item[0]], -self._length(item[1]), str(item[1].args[0])))
        done = len(keys) - len(todo)
        self.progress(done, len(keys))
        for start in range(0, len(todo), self.chunk):
            self.store.refresh()
            part = [(key, request) for key, request in todo[start : start + self.chunk] if self.store.get(key) is None]
            self.hits += len(todo[start : start + self.chunk]) - len(part)  # another process was quicker
            if part:
                self._generate(request_type, part)
            done += len(todo[start : start + self.chunk])
            self.progress(done, len(keys))
        return [row for key in keys if (row := self.store.get(key)) is not None]

    def _length(self, request: Instance) -> int:
        """Tokens of a request's context; characters where the engine is a server, which encodes for itself."""
        context = request.args[0]
        return len(self.lm.tok_encode(context)) if isinstance(context, str) else len(str(context))

    def _generate(self, request_type: str, part: list[tuple[str, Instance]]) -> None:
        calls: dict[int, list[tuple[str, Instance]]] = {}
        turns = _turns(request_type, dict(part))
        for key, request in part:
            calls.setdefault(turns[key], []).append((key, request))
        for call in calls.values():
            self._call(request_type, call)

    def _call(self, request_type: str, part: list[tuple[str, Instance]]) -> None:
        self.lm.meter.clear()
        try:
            responses = getattr(self.lm, request_type)([request for _, request in part], disable_tqdm=True)
        except BaseException:
            if request_type == "generate_until":  # scores differ in their last digits in a batch of others
                self._rescue(part)
            raise
        try:
            self._keep(request_type, part, responses)
        except KeyboardInterrupt:  # in the midst of writing
            self._keep(request_type, part, responses)
            raise

    def _rescue(self, part: list[tuple[str, Instance]]) -> None:
        """Keep what was answered before a call failed: a signal, a server that stops, a batch that was too large."""
        answers = self.lm.meter.answers
        done = [(key, request) for key, request in part if request.args[0] in answers]
        if done:
            self._keep("generate_until", done, [answers[request.args[0]] for _, request in done])

    def _keep(self, request_type: str, part: list[tuple[str, Instance]], responses: list[Any]) -> None:
        rows = []
        for (key, request), response in zip(part, responses, strict=True):
            row: Row = {"key": key, "response": response}
            if request_type == "generate_until":
                row["response"] = response.encode("utf-8", "replace").decode()  # half a character pair is no text
                row |= self.lm.meter.usage.get(request.args[0], {})
            rows.append(row)
        self.store.append(rows)
        self.generated += len(rows)

    def _keys(self, request_type: str, requests: list[Instance]) -> list[str]:
        """One key for each request; lm-eval repeats a request object to ask for several samples of it."""
        seen: dict[int, int] = {}
        keys = []
        for request in requests:
            repeat = seen.get(id(request), 0)
            seen[id(request)] = repeat + 1
            keys.append(self.store.key(request_type, request.args, repeat))
        return keys

    # What lm-eval asks of a model besides answers comes from the wrapped one.
    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> Any:
        return self.lm.apply_chat_template(chat_history, add_generation_prompt)

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        return self.lm.chat_template(chat_template)

    @property
    def tokenizer_name(self) -> str:
        return self.lm.tokenizer_name
