"""The judge `refusal-hidden` as the harness knows it: a verdict row for each answer, in the words of `refusal`."""

from pathlib import Path
from typing import Any, ClassVar

from mlc_bench.core.errors import UsageError, UserError, unknown
from mlc_bench.core.progress import Report, say
from mlc_bench.core.spec import RunSpec, digest
from mlc_bench.engines.identity import Identity, resolve
from mlc_bench.judges.hidden import head as heads
from mlc_bench.judges.hidden.states import Encoder
from mlc_bench.judges.models.local import NamedErrors
from mlc_bench.judges.refusal import judge as refusal
from mlc_bench.judges.rules import rules
from mlc_bench.judges.spec import JudgeSpec, Named
from mlc_bench.records import record
from mlc_bench.records.counts import Sees

Row = dict[str, Any]
ARGUMENTS = ("dtype", "batch_size")


class HiddenJudge:
    """Reads answers by the hidden states of a model. `verdicts` loads the model; `close` frees it.

    Raises PrerequisiteError where the model is missing, UsageError where the head belongs to another one.
    """

    sees: ClassVar[list[Sees]] = ["refusal"]

    def __init__(self, named: Named) -> None:
        self.id, self.slug, self.spec = named.id, named.slug, named.spec
        with NamedErrors(self.id):
            self.identity = locate(self.spec)
            self.head_file = Path(self.spec.head) if self.spec.head else heads.FILE
            self.head = heads.load(self.head_file)
            self.model_digest = model_digest(self.identity)
            self.head.check(self.spec.model or "", self.model_digest, self.head_file)
            self.encoder = Encoder(self.identity.path or "", self.head.layer, **self.spec.engine_args)

    @property
    def digest(self) -> str:
        """sha256 of what decides a verdict, save the machine that runs the model."""
        return digest(rules.fingerprint(), heads.fingerprint(self.head_file), self.model_digest, self.encoder.dtype)

    def verdicts(self, rows: list[Row], folder: Path, report: Report) -> list[Row]:
        """A verdict row each; `probability` is that of refusing or deflecting. The model sees no invalid answer.

        Nothing is kept in `folder`: the same rows get the same verdicts.
        """
        read = [refusal.read(row) for row in rows]
        asked = [(row, found) for row, found in zip(rows, read, strict=True) if isinstance(found, rules.Reading)]
        states = iter(self._states([(row["prompt"], found.answer) for row, found in asked], report))
        made = []
        for row, found in zip(rows, read, strict=True):
            if isinstance(found, rules.Reading):
                probability, deflects = self.head.probability(next(states), refusal.answer_of(found))
                is_cut = bool(row.get("truncated"))
                found = refusal.verdict_row(found, is_cut, probability, deflects, self.head.unsure)
            made.append({"id": row["id"], "language": row["language"]} | found)
        return made

    def info(self, verdicts: list[Row]) -> record.JudgeInfo:
        from mlc_bench.engines.vllm_cpu import engine_version

        return record.JudgeInfo(
            id=self.id,
            version=self.head.version,
            digest=self.digest,
            parse_failures=0,
            kind="hidden",
            model=self.identity.name,
            model_revision=self.identity.resolved_revision,
            model_digest=self.model_digest,
            engine="hf",
            engine_version=engine_version("hf"),
            settings={"dtype": self.encoder.dtype, "layer": self.head.layer},
        )

    def models(self) -> list[tuple[str, str | None]]:
        return [(self.identity.name, self.identity.weights_digest)]

    def close(self) -> None:
        self.encoder.close()

    def _states(self, exchanges: list[tuple[str, str]], report: Report) -> Any:
        if not exchanges:
            return []
        from mlc_bench.engines import lifecycle

        with NamedErrors(self.id):
            try:
                say(f"judge {self.id}: reading {len(exchanges)} answers with {self.identity.name}")
                return self.encoder.states(exchanges, report)
            except UserError:
                raise
            except Exception as error:
                run = RunSpec(model=self.spec.model or "", engine="hf", engine_args=self.spec.engine_args, tasks=())
                raise (lifecycle.explain(error, run) or error) from error


def locate(spec: JudgeSpec) -> Identity:
    """The model that a judge's file names. Raises PrerequisiteError where it is missing, UsageError for a server's."""
    if spec.engine not in (None, "hf") or spec.base_url:
        raise UsageError("hidden states are read on this machine, with --judge-args engine=hf or none")
    if wrong := next((key for key in spec.engine_args if key not in ARGUMENTS), None):
        raise unknown("argument", wrong, (*ARGUMENTS, *JudgeSpec.model_fields))
    run = RunSpec(model=spec.model or "", revision=spec.revision, engine="hf", tasks=())
    return resolve(run, needs_template=False)


def model_digest(identity: Identity) -> str:
    """sha256 of what decides a model's hidden states. A converted demo model's file differs between libraries."""
    return identity.converted_from or identity.fingerprint
