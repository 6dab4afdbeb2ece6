"""One run: which model, where its files are, and whether what is there may be believed."""

import contextlib
import dataclasses
import functools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlc_bench.catalog import listing
from mlc_bench.core import secrets
from mlc_bench.core.spec import RunSpec, digest
from mlc_bench.engines import made_of
from mlc_bench.engines.adapters import merging
from mlc_bench.engines.identity import Identity
from mlc_bench.engines.servers import served
from mlc_bench.engines.settings import resolved, sampling
from mlc_bench.engines.settings.resolved import Settings
from mlc_bench.engines.vllm_cpu import engine_version
from mlc_bench.judges import judging
from mlc_bench.records import record

# Engine arguments that set speed and memory only. Changing them resumes a run instead of starting another.
_NO_EFFECT = {
    "batch_size", "max_batch_size", "device", "gpu_memory_utilization", "max_num_seqs", "max_num_batched_tokens",
    "num_concurrent", "max_retries", "timeout", "max_model_len", "max_length", "data_parallel_size", "auth_token",
    "header", "verify_certificate", "ca_cert_path",
}  # fmt: skip


@dataclasses.dataclass
class Run:
    """One model (or adapter) in one run: where its files are, and what has been done for it."""

    spec: RunSpec
    identity: Identity
    output: Path
    judge: judging.Judge = dataclasses.field(default_factory=judging.RulesJudge)
    phases: dict[str, float] = dataclasses.field(default_factory=dict)
    card: served.Card = dataclasses.field(init=False)
    """Of a server, what it says of the model, or said the last time; `ask_server` asks it."""

    def __post_init__(self) -> None:
        self.card = served.last(self._memo) if self.spec.engine == "openai" else {}

    @property
    def _memo(self) -> Path:
        """Where it is kept what a server said of the model."""
        return self.output / self.identity.slug / "served" / f"{self.fingerprint[:16]}.json"

    def ask_server(self) -> bool:
        """See which model a server answers with now; False where it does not say.

        Raises PrerequisiteError where the server has ours no longer.
        """
        self.card, is_said = served.ask(self.spec, self._memo)
        return is_said

    @property
    def shown_address(self) -> str:
        """A server's address without credentials."""
        return record.without_secrets(self.spec).base_url or ""

    @property
    def answers_fingerprint(self) -> str:
        """The fingerprint, of a server with what it says of its model: answers of two models are never mixed."""
        return digest(self.fingerprint, self.card) if self.card else self.fingerprint

    @functools.cached_property
    def fingerprint(self) -> str:
        """sha256 of what decides the answers: the model, and the engine with its version and arguments."""
        arguments = {key: value for key, value in self.spec.engine_args.items() if key not in _NO_EFFECT}
        address = self.spec.base_url and secrets.without_user(self.spec.base_url)
        engine = [self.spec.engine, engine_version(self.spec.engine), address, arguments, self.spec.seed]
        engine += ["merged"] * self.is_merged + sampling.ignored(self.spec.engine, self.identity.path)
        engine += self.settings.reading if self.spec.engine == "hf" else []
        return digest(self.identity.fingerprint, engine)

    @functools.cached_property
    def is_merged(self) -> bool:
        """Whether the engine gets the adapter merged into the weights, which rounds them."""
        return merging.reason(self.spec, self.identity) is not None

    @functools.cached_property
    def settings(self) -> Settings:
        """What decides an answer besides the model and the prompt. Raises UsageError where the model cannot have it."""
        return resolved.resolve(self.spec, self.identity)

    @property
    def run_id(self) -> str:
        """Twelve hexadecimal digits: sha256 of the spec and of the model's identity."""
        spec = self.spec.digestible(exclude={"model", "revision", "adapter", "engine_args", "base_url"})
        spec["judge"] = self.judge.id  # of a judge's file the name, wherever it is
        versions = {entry.name: entry.identity for entry in listing.select(list(self.spec.tasks))}
        return digest(spec, versions, self.fingerprint)[:12]

    @property
    def folder(self) -> Path:
        return self.output / self.identity.slug / self.run_id

    @property
    def store_path(self) -> Path:
        """All runs of one model on one engine share their responses."""
        return self.output / self.identity.slug / "responses" / f"{self.answers_fingerprint[:16]}.jsonl"

    @property
    def stored_responses(self) -> int:
        """How many responses are stored, of whatever run of this model."""
        return sum(1 for _ in self.store_path.open("rb")) if self.store_path.is_file() else 0

    @property
    def generated(self) -> dict[str, Any]:
        """What the generate phase left for the record: settings and fingerprints by task, errors of other tasks."""
        found: dict[str, Any] = json.loads((self.folder / "generation.json").read_text(encoding="utf-8"))
        return found

    @property
    def is_generated(self) -> bool:
        """Whether every task has its samples, made of what is there today; a task that failed is tried again."""
        return self.has_samples and not self.changes() and self.other_model() is None

    @property
    def has_samples(self) -> bool:
        """Whether every task has its samples, whatever they were made of."""
        try:
            generated = self.generated
            samples = [self.folder / "samples" / f"{name}.jsonl" for name in generated["tasks"]]
            if (made := generated.get("made_of")) is not None:
                _ = made["server"], [made["tasks"][name]["rows"].items() for name in self.spec.tasks]
            return not generated["errors"] and all(path.is_file() for path in samples)
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return False  # absent, or damaged: it is made again from the store

    def changes(self) -> list[str]:
        """What has changed since the samples were made, one line each."""
        return made_of.changes(self.generated, self.folder, self.spec)

    def other_model(self) -> str | None:
        """How the server's model differs from the one that gave the samples; None: it does not."""
        return made_of.other_model(self.generated, self.card)

    def set_aside(self) -> Path:
        """Keep the folder, whose answers are another model's, under another name, which is returned."""
        kept = self.folder.with_name(f"{self.run_id}-{digest(self.generated['made_of']['server'])[:8]}")
        if kept.exists():
            kept = kept.with_name(f"{kept.name}-{time.time_ns()}")
        self.folder.rename(kept)
        return kept

    def start_afresh(self) -> None:
        """Set aside what was generated; nothing is deleted."""
        (self.folder / "generation.json").unlink(missing_ok=True)
        if self.store_path.exists():
            self.store_path.rename(self.store_path.with_suffix(f".{time.time_ns()}.old"))

    @contextlib.contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.phases[phase] = round(self.phases.get(phase, 0.0) + time.perf_counter() - start, 3)
