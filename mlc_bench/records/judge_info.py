"""What a record keeps of its judge: what decides its verdicts, and how far it agrees with labels."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mlc_bench.records.counts import Sees
from mlc_bench.stats import measures

FEW = 50
"""Labels of either kind below which a figure is marked."""
WEAK = 0.8
"""A sensitivity below which a judge is called weak in a language."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Agreement(_Model):
    """How far the judges of an ensemble agree in one task and language: on safe, unsafe, invalid; on refused or not."""

    n: int = Field(description="answers with a verdict of two judges or more")
    fleiss_kappa: float | None = Field(description="over all judges; None where it is undefined (all verdicts equal)")
    cohen_kappa: dict[str, float | None] = Field(description="of each pair, 'A, B'")


class LabelUse(_Model):
    """People's labels in one language, and whether they corrected a rate."""

    file: str = Field(description="name of the file of labelled answers")
    sha256: str = Field(description="of that file")
    task: str | None = Field(description="of a run's own answers; None for a calibration, which serves all tasks")
    language: str = Field(description="code of the language")
    n: int = Field(ge=0, description="labelled answers with a verdict")
    safe: int = Field(ge=0, description="those of them that people call safe")
    applied: bool = Field(description="whether they corrected a rate")
    reason: str | None = Field(description="why no rate was corrected by them")


class Checked(_Model):
    """What one version of a judge says of the labelled answers of one language in one set.

    Refusing and deflecting answers are refusals; an answer that the judge is unsure of counts as not seen.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    judge: str = Field(description="its id")
    version: str = Field(description="of the judge")
    language: str = Field(description="tag of the answers' language")
    labels: str = Field(description="the set of answers, and whose its labels are")
    source: str = Field(description="people, models, keywords, weak (many labels are wrong) or written")
    refusals: int = Field(ge=0, description="answers labelled as refusals")
    seen: int = Field(ge=0, description="of the refusals")
    others: int = Field(ge=0, description="answers labelled otherwise")
    alarms: int = Field(ge=0, description="other answers called refusals")
    unsure: int = Field(0, ge=0, description="answers of either kind that the judge is unsure of")

    @property
    def marks(self) -> tuple[str, ...]:
        """`few` where there are under FEW labels of either kind, `weak` where the judge is known to be weak."""
        few = min(self.refusals, self.others) < FEW
        weak = bool(self.refusals) and measures.wilson(self.seen, self.refusals)[1] < WEAK
        return ("few",) * few + ("weak",) * weak


class JudgeInfo(_Model):
    """The judge, with all that decides its verdicts and what it could not do."""

    id: str = Field(description="NAME or NAME@MODEL, or several with how they are combined")
    version: str = Field(description="goes up whenever a change may change a verdict")
    digest: str = Field(description="sha256 of all that decides verdicts: rubric, parser, mapping, model, rules used")
    parse_failures: int = Field(description="answers of the judge model that hold no verdict in its format")
    calibration: str | None = Field(default=None, description="where its agreement with human labels is measured")
    labels: list[LabelUse] = Field(default_factory=list, description="people's labels that were at hand")
    checked: list[Checked] = Field(
        default_factory=list, description="labelled answers that this version was counted on, in the run's languages"
    )
    kind: Literal["rules", "refusal", "hidden", "guard", "llm", "ensemble"] = Field(
        "rules", description="what makes the verdicts"
    )
    sees: list[Sees] = Field(
        default=["refusal"],
        description="what its verdicts are about; only one that sees harm has a safe rate (schema 4)",
    )
    rubric_digest: str | None = Field(default=None, description="sha256 of what in the judge's file decides verdicts")
    parser_version: str | None = Field(None, description="of the code that reads the judge model's replies")
    model: str | None = Field(default=None, description="hub id, folder, or the server's name for it")
    model_revision: str | None = Field(default=None, description="the hub's commit")
    model_digest: str | None = Field(
        default=None, description="of weights, tokenizer and template; of a server: address"
    )
    engine: str | None = Field(None, description="that ran the judge's model")
    engine_version: str | None = Field(None, description="of that engine")
    settings: dict[str, Any] = Field(default_factory=dict, description="engine arguments, address; secrets removed")
    mapping: dict[str, str] | None = Field(default=None, description="the judge's own labels to ours")
    languages: list[str] | None = Field(default=None, description="those that the judge's makers claim; None: no claim")
    out_of_language: int = Field(default=0, description="verdicts on prompts in a language that is not claimed")
    unscored: dict[str, int] = Field(default_factory=dict, description="answers without a verdict by reason")
    refused_from: str | None = Field(default=None, description="who says 'refused' where the judge does not")
    refused_fallbacks: int = Field(default=0, description="answers for which that was so")
    invalid_from: str | None = Field(default=None, description="who finds invalid answers, if not the judge itself")
    translated: int = Field(default=0, description="answers that were translated into English first")
    tokens_in: int | None = Field(None, description="read by the judge's model")
    tokens_out: int | None = Field(None, description="written by the judge's model")
    cost: float | None = Field(default=None, description="US dollars for these tokens, also of stored replies")
    combine: Literal["majority", "strictest"] | None = Field(None, description="how an ensemble makes one verdict")
    members: list["JudgeInfo"] = Field(default_factory=list, description="of an ensemble")
    agreement: dict[str, dict[str, Agreement]] = Field(
        default_factory=dict, description="of an ensemble, by task and language"
    )

    def marks(self, language: str) -> tuple[str, ...]:
        """`few` where no set of labelled answers is large enough, or there is none, `weak` where it is weak in one."""
        sets = [one.marks for one in self.checked if one.language == language]
        few = all("few" in marks for marks in sets)
        weak = any("weak" in marks for marks in sets)
        return ("few",) * few + ("weak",) * weak
