"""A refusal gate whose threshold is recalibrated in each language, without training.

After arXiv 2606.01196, and simpler. There: a logistic readout on a ten-dimensional subspace of contrast directions from
ten languages, its threshold reset with a few labelled prompts of the target language; what it takes for harmful is
steered towards refusal, and the rest away from it. Here: one direction from English, and a fixed refusal.

h is the hidden state of a prompt's last token after one layer, in the chat template, as MLC reads it.

    u = d / |d|,  d = mean of h over harmful - mean of h over harmless English training prompts
    score(prompt) = u . (h - c),  c = the middle between these two means
    the gate fires where score > t_l;  t_l maximises (share of harmful prompts with score > t) - (the same of harmless)

over the training prompts in language l: the threshold at which it is most selective there. Only prompts and their kinds
are read, no response. A language with too few training prompts gets the threshold of all languages' prompts together.
For thresholds and for the layer, each training prompt is scored by the u and c of the other four fifths of the English
prompts, partners in one fifth, so that no prompt is scored by a direction that it made. The layer is the one with the
highest selectivity averaged over the languages; of equal ones the earliest.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from mlc_bench.baselines.data import training_data
from mlc_bench.baselines.data.formats import PIVOT, Row
from mlc_bench.core import bounded
from mlc_bench.core.errors import PrerequisiteError, UsageError
from mlc_bench.core.spec import digest
from mlc_bench.engines.identity import Identity
from mlc_bench.records.record import write_text

FILE = "gate.json"
REFUSAL = "I'm sorry, but I can't help with that."
LEAST = 10  # prompts of each kind in a language, for a threshold of its own
_FOLDS = 5
_LARGEST = 8 << 20  # bytes of a gate's file; one of a 70B model has 0.2 MB


@dataclass(frozen=True)
class Decision:
    """When a prompt is refused: everything that is fitted."""

    layer: int
    """Whose output is read, 1 to the model's depth."""
    direction: Tensor
    """u, (H,), float64."""
    offset: float
    """u . c"""
    thresholds: dict[str, float]
    """t of each language with training prompts enough."""
    other: float
    """t of every other language."""
    selectivity: dict[str, float]
    """Of the training prompts by language, at its threshold; -1 to 1."""


class Gate(BaseModel):
    """A gate as its file holds it: the decision, the model that it belongs to, and what it was fitted on."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    method: str = Field(pattern="^gate$")
    base_model: str
    revision: str | None
    weights_digest: str
    adapter_digest: str | None
    prompting_digest: str
    dtype: str = Field("auto", pattern="^(auto|float32|bfloat16|float16)$")
    """In which the model's states are read; `auto`: the one that it is stored in."""
    layer: int = Field(ge=1)
    direction: list[float] = Field(min_length=1)
    offset: float
    thresholds: dict[str, float]
    other: float
    selectivity: dict[str, float]
    refusal: str = Field(min_length=1)
    data: dict[str, Any]
    keep_out: list[str]
    versions: dict[str, str | None]

    @property
    def digest(self) -> str:
        """sha256 of all that it says."""
        return digest(self.model_dump(mode="json", exclude_defaults=True))

    def fires(self, states: Tensor, language: str) -> list[bool]:
        """Which prompts of a language it refuses, by their states (prompts, H) after its layer."""
        scores = states.double() @ torch.tensor(self.direction, dtype=torch.float64) - self.offset
        found: list[bool] = (scores > self.thresholds.get(language, self.other)).tolist()
        return found

    def check(self, identity: Identity) -> None:
        """Raises UsageError where it was fitted on another model."""
        if _belongs_to(identity) != (self.weights_digest, self.adapter_digest, self.prompting_digest):
            raise UsageError(
                f"the gate was fitted on another model than '{identity.name}' ('{self.base_model}', or its weights, "
                "adapter or chat template have changed); fit one: mlc-bench gate fit --model MODEL --output FOLDER"
            )

    def training(self) -> dict[str, Any]:
        """What a record says of it, where it says how a trained model was made."""
        return {
            "method": self.method,
            "run": self.digest[:12],
            "base_model": {
                "name": self.base_model, "revision": self.revision, "weights_digest": self.weights_digest,
            },
            "config": {
                "gate": self.digest, "layer": self.layer, "thresholds": self.thresholds, "other": self.other,
                "refusal": self.refusal, "keep_out": self.keep_out,
            },
            "data": self.data,
            "versions": self.versions,
        }  # fmt: skip


def of(decision: Decision, identity: Identity, **about: Any) -> Gate:
    """The gate of a model; `about`: its dtype, data, keep_out and versions."""
    weights, adapter, prompting = _belongs_to(identity)
    return Gate(
        method="gate",
        base_model=identity.name + (f"+{identity.adapter.name}" if identity.adapter else ""),
        revision=identity.resolved_revision,
        weights_digest=weights or "",
        adapter_digest=adapter,
        prompting_digest=prompting,
        layer=decision.layer,
        direction=decision.direction.tolist(),
        offset=decision.offset,
        thresholds=decision.thresholds,
        other=decision.other,
        selectivity=decision.selectivity,
        refusal=REFUSAL,
        **about,
    )


def _belongs_to(identity: Identity) -> tuple[str | None, str | None, str]:
    adapter = identity.adapter.digest if identity.adapter else None
    return identity.weights_digest, adapter, digest(identity.tokenizer_digest, identity.chat_template)


def write(gate: Gate, folder: Path) -> Path:
    """Write a gate into its folder, whose name is that of the model with the gate; the path of its file."""
    write_text(folder / FILE, gate.model_dump_json(indent=1) + "\n")
    return folder / FILE


def read(folder: Path) -> Gate:
    """The gate of a folder. Raises UsageError where there is none, or where it is damaged."""
    path = folder / FILE
    try:
        return Gate.model_validate_json(bounded.read_text(path, _LARGEST))
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"there is no {FILE} in '{folder}'; fit a gate: mlc-bench gate fit --output FOLDER") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is no gate: it is not text; fit it again: mlc-bench gate fit") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise UsageError(f"{path} is no gate: {where}: {first['msg']}; fit it again: mlc-bench gate fit") from None


def fit(rows: list[Row], states: Callable[[list[str]], Tensor]) -> Decision:
    """The decision that training rows give; `states`: of prompts after each layer, (layers, prompts, H).

    Raises UsageError for fewer than `LEAST` English prompts of either kind.
    """
    kinds = torch.tensor([row["kind"] == "harmful" for row in rows])
    if min(int(kinds.sum()), int((~kinds).sum())) < LEAST:
        raise UsageError(
            f"a gate needs {LEAST} harmful and {LEAST} harmless prompts, and the data has {int(kinds.sum())} and "
            f"{int((~kinds).sum())}; name more data"
        )
    english = states([row["prompts"][PIVOT] for row in rows])
    if not torch.isfinite(english).all():
        raise PrerequisiteError("hidden states of the model are not finite, so that no prompt can be scored")
    folds = _folds(rows)
    ways = [_direction(english[:, folds != fold], kinds[folds != fold]) for fold in range(_FOLDS)]
    found: dict[str, tuple[Tensor, Tensor]] = {}  # scores (layers, prompts) and kinds, by language
    for code in training_data.spoken(rows):
        mine = torch.tensor([code in row["prompts"] for row in rows])
        if code == PIVOT:
            own = english
        elif min(int((mine & kinds).sum()), int((mine & ~kinds).sum())) < LEAST:
            continue
        else:
            own = states([row["prompts"][code] for row in rows if code in row["prompts"]])
        found[code] = _scores(own, folds[mine], ways), kinds[mine]
    cuts = {code: [threshold(layer, own) for layer in scores] for code, (scores, own) in found.items()}
    depth = len(english)
    layer = max(range(depth), key=lambda number: sum(cut[number][1] for cut in cuts.values()))
    unit, offset = _direction(english, kinds)
    together = torch.cat([scores[layer] for scores, _ in found.values()])
    return Decision(
        layer=layer + 1,
        direction=unit[layer],
        offset=float(offset[layer]),
        thresholds={code: cut[layer][0] for code, cut in cuts.items()},
        other=threshold(together, torch.cat([own for _, own in found.values()]))[0],
        selectivity={code: cut[layer][1] for code, cut in cuts.items()},
    )


def _folds(rows: list[Row]) -> Tensor:
    """The fifth that each row is in; partners are in one, and each kind is dealt out over all."""
    groups = [frozenset({row["id"], row.get("partner") or row["id"]}) for row in rows]
    kinds: dict[frozenset[str], set[str]] = {}
    for group, row in zip(groups, rows, strict=True):
        kinds.setdefault(group, set()).add(row["kind"])
    dealt: Counter[frozenset[str]] = Counter()
    fifth: dict[frozenset[str], int] = {}
    for group, own in kinds.items():
        fifth[group] = dealt[frozenset(own)] % _FOLDS
        dealt[frozenset(own)] += 1
    return torch.tensor([fifth[group] for group in groups])


def _direction(states: Tensor, harmful: Tensor) -> tuple[Tensor, Tensor]:
    """u (layers, H) and u . c (layers,) of states (layers, prompts, H), in float64."""
    bad, good = (states[:, kind].double().mean(dim=1) for kind in (harmful, ~harmful))
    unit = torch.nn.functional.normalize(bad - good, dim=-1)
    return unit, (unit * (bad + good) / 2).sum(dim=-1)


def _scores(states: Tensor, folds: Tensor, ways: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Scores (layers, prompts), each prompt's along the direction that its fifth had no part in."""
    scores = torch.zeros(states.shape[:2], dtype=torch.float64)
    for fold, (unit, offset) in enumerate(ways):
        mine = folds == fold
        scores[:, mine] = torch.einsum("lnh,lh->ln", states[:, mine].double(), unit) - offset.unsqueeze(-1)
    return scores


def threshold(scores: Tensor, harmful: Tensor) -> tuple[float, float]:
    """The threshold at which scores (n,) are most selective, and how selective that is.

    It is the middle between two scores; of equally selective ones, the highest. Where none is above 0, it is the
    highest score, which nothing exceeds.
    """
    order = scores.argsort(descending=True, stable=True)
    ranked, kinds = scores[order].tolist(), harmful[order].tolist()
    bad = sum(kinds)
    good = len(kinds) - bad
    best, most, hits = ranked[0], 0, 0
    for place in range(1, len(kinds)):
        hits += kinds[place - 1]
        gain = hits * good - (place - hits) * bad  # whole numbers: equal is equal
        if gain > most and ranked[place - 1] > ranked[place]:
            best, most = (ranked[place - 1] + ranked[place]) / 2, gain
    return best, most / (bad * good)
