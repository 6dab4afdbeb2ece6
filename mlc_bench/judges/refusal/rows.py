"""The labelled answers that the judge `refusal` is fitted on, each from a source whose licence allows it.

The written corpus' training side and the first embedded training rows are the project's own. Korean (MIT), Indonesian
and Javanese answers (Apache-2.0) and the development half of XSTest (CC BY 4.0) are read from a folder and not shipped.
"""

import csv
import hashlib
import json
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from mlc_bench.catalog.data import read_json_lines
from mlc_bench.core.errors import PrerequisiteError
from mlc_bench.core.progress import say
from mlc_bench.judges import corpus

LICENCES = {
    "written": "the project's own",
    "training": "the project's own",
    "xstest": "CC BY 4.0, Röttger et al., arXiv 2308.01263",
    "ko": "MIT, Marker-Inc-Korea/K-OverRefusal at f39bed8",
    "id": "Apache-2.0, falensiazmi/IndoSafety at d7b4375; labels: benchmarks/judges/labels",
    "jv": "Apache-2.0, falensiazmi/IndoSafety at d7b4375; labels: benchmarks/judges/labels",
}
HIDDEN = ("part", "elsewhere", "breaks-off")
"""Kinds in which one sentence of a helpful answer refuses. The judge weighs an answer as a whole: with more of them it
takes help for refusals."""
MOST_HIDDEN = 13
CUT = (
    "plain", "stock", "polite", "order", "deed", "stock-deed", "other-language", "points-away", "asks-back",
    "claims-not-to-know",
)  # fmt: skip
"""Kinds whose answers refuse or deflect from the beginning, so that the beginning alone does."""
ONE_IN = 3
_KEPT = (50, 220)  # characters of an answer that is cut, about what 48 tokens are in most scripts
FIRST_OF_TRAINING = 40
"""Of each kind of the embedded training rows, in their order. The later ones are for the second judge of the
reproduction, which shares no row with this one."""
FILES = ("xstest_labelled.csv", "refusals/ko.jsonl", "refusals/id_unlabelled.jsonl", "refusals/jv_unlabelled.jsonl")


@dataclass(frozen=True)
class Labelled:
    """One labelled answer. Rows of one group are held out together: those of one prompt, in real models' sets."""

    source: str
    language: str
    prompt: str
    response: str
    action: str
    """`refuses`, `deflects` or `complies`."""
    group: int
    kind: str | None = None
    """Of the written corpus."""
    model: str | None = None
    cut: bool = False
    """Whether only the beginning of the answer is left."""


def is_held_out(prompt: str) -> bool:
    """Whether an XSTest prompt is in the half that nothing is fitted on."""
    return hashlib.sha256(prompt.encode()).digest()[0] % 2 == 1


def xstest(path: Path) -> Iterator[dict[str, str]]:
    """XSTest's completions with `action` from their human labels; partial refusals are left out."""
    actions = {"2_full_refusal": "refuses", "1_full_compliance": "complies"}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["final_label"] in actions:
                yield row | {"action": actions[row["final_label"]]}


def sets(labels: Path) -> dict[str, str]:
    """The sets of labelled answers of real models, and whose labels they have."""
    found: dict[str, str] = json.loads((labels / "sets.json").read_text(encoding="utf-8"))
    return found


def labelled(folder: Path, labels: Path) -> Iterator[dict[str, Any]]:
    """Labelled answers of real models to check a judge by: language, prompt, response, model, label, set, source.

    Of the sets that come with labels every second line, beginning with the second: the others are there to find kinds
    of miss in. Of XSTest its held-out half. `labels`: a folder with `sets.json` (the sets, and whose labels they have;
    of people's, those that a model agrees with) and our own labels of other sets. A set that is absent is said, and
    left out.
    """
    for name, source in sets(labels).items():
        path = folder / "refusals" / f"{name}.jsonl"
        if not path.is_file():
            say(f"{path} is absent: its labelled answers are left out")
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
            if number % 2:
                yield json.loads(line) | {"set": name, "source": source}
    for own in sorted(labels.glob("*.jsonl")):
        name, path = own.stem, folder / "refusals" / f"{own.stem}_unlabelled.jsonl"
        known = [json.loads(line) for line in own.read_text(encoding="utf-8").splitlines()]
        actions = {label["id"]: label["action"] for label in known}
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
            row = json.loads(line)
            if row["id"] in actions:
                yield row | {"label": actions[row["id"]], "set": name, "source": "models"}
    if (path := folder / "xstest_labelled.csv").is_file():
        for number, row in enumerate(xstest(path)):
            if is_held_out(row["prompt"]):
                yield {"id": number, "language": "en", "prompt": row["prompt"], "response": row["completion"],
                       "model": row["model"], "label": row["action"], "set": "xstest", "source": "people"}  # fmt: skip


def written(side: str) -> list[Labelled]:
    """The rows of one side of the written corpus."""
    return [
        Labelled(
            "written", row["language"], row["prompt"], row["response"], row["action"], _number(row["id"]), row["kind"]
        )
        for row in corpus.rows(side)
    ]  # fmt: skip


def own() -> list[Labelled]:
    """The rows that are the project's own, of HIDDEN kinds the first MOST_HIDDEN of each language tag."""
    found: list[Labelled] = []
    taken: Counter[tuple[str, str]] = Counter()
    for stored, row in zip(corpus.rows("train"), written("train"), strict=True):
        taken[stored["tag"], stored["kind"]] += 1
        if stored["kind"] not in HIDDEN or taken[stored["tag"], stored["kind"]] <= MOST_HIDDEN:
            found.append(row)
    return [*found, *training(slice(FIRST_OF_TRAINING))]


def later_training() -> list[Labelled]:
    """The responses of the embedded training rows that neither judge was fitted on."""
    return list(training(slice(FIRST_OF_TRAINING, None)))


def training(part: slice) -> Iterator[Labelled]:
    """Both responses of a part of the embedded training rows of each kind, in every language that has them."""
    for kind in ("harmful", "benign"):
        path = files("mlc_bench.baselines").joinpath("data", "embedded", f"{kind}.jsonl")
        for line in path.read_text(encoding="utf-8").splitlines()[part]:
            yield from _of_training(json.loads(line))


def _of_training(row: dict[str, Any]) -> Iterator[Labelled]:
    for part in ("chosen", "rejected"):
        action = "refuses" if (row["kind"] == "harmful") == (part == "chosen") else "complies"
        responses = {code: pair[part] for code, pair in (row.get("responses") or {}).items()}
        for code, response in {"en": row[part], **responses}.items():
            if response:
                yield Labelled("training", code, row["prompts"][code], response, action, _number(row["id"] + code))


def cut(labelled: Iterable[Labelled], one_in: int = ONE_IN) -> list[Labelled]:
    """The beginnings of answers, as a limit of tokens leaves them, each in the group of the whole answer.

    Of answers that refuse, those of CUT kinds and real models'. Of the others one in so many (with all of them, they
    outweigh the short refusals of the judge `refusal`), and no disclaimers, whose beginning may look like a refusal and
    not yet be an answer. Which, and where each is cut, follows from a checksum of its text.
    """
    made = []
    for row in labelled:
        least, most = _KEPT
        length = least + _number(row.response) % (most - least)
        if row.action == "complies":
            is_fit = row.kind not in ("disclaimer-answer", "quoted") and _number(row.response) % one_in == 0
        else:
            is_fit = row.kind in (None, *CUT)
        if is_fit and len(row.response) > length + least:
            made.append(replace(row, response=row.response[:length], cut=True))
    return made


def of_others(folder: Path, labels: Path) -> list[Labelled]:
    """The rows of others, from a folder with their files; `labels`: the folder of labels for id and jv.

    Raises PrerequisiteError where a file is absent.
    """
    for name in FILES:
        if not (folder / name).is_file():
            raise PrerequisiteError(f"there is no '{folder / name}'; name the folder that has it: --data-dir FOLDER")
    found = [
        Labelled(
            "xstest", "en", row["prompt"], row["completion"], row["action"], _number(row["prompt"]), None, row["model"]
        )
        for row in xstest(folder / "xstest_labelled.csv")
        if not is_held_out(row["prompt"])
    ]  # fmt: skip
    for _, row in read_json_lines(folder / "refusals" / "ko.jsonl"):
        found.append(_of_model("ko", row, row["label"]))
    for name in ("id", "jv"):
        actions = {row["id"]: row["action"] for _, row in read_json_lines(labels / f"{name}.jsonl")}
        rows = [row for _, row in read_json_lines(folder / "refusals" / f"{name}_unlabelled.jsonl")]
        found += [_of_model(name, row, actions[row["id"]]) for row in rows if row["id"] in actions]
    return found


def _of_model(source: str, row: dict[str, Any], action: str) -> Labelled:
    group = _number(row["prompt"])
    return Labelled(source, row["language"], row["prompt"], row["response"], action, group, None, row["model"])


def _number(text: str) -> int:
    return zlib.crc32(text.encode())
