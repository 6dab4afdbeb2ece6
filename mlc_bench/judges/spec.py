"""Judges as files: one YAML each beside this module, and a user's own anywhere. Reading them needs no model.

A judge is named `NAME`, `NAME@MODEL` (the same rubric on another model: a hub id, a folder, or a server's name for its
model) or by the path of a YAML; several of them as `majority(A,B)` or `strictest(A,B)`.
"""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from mlc_bench.catalog import languages
from mlc_bench.catalog.languages import world
from mlc_bench.core import bounded, safe_yaml
from mlc_bench.core.errors import UsageError, unknown
from mlc_bench.core.inside import inside
from mlc_bench.core.names import RULE, is_name, shown
from mlc_bench.core.spec import digest, slug
from mlc_bench.engines import identity
from mlc_bench.judges.models.parse import ParseFailure, Parser, parse
from mlc_bench.records.counts import Sees

FOLDER = Path(__file__).resolve().parent
COMBINATIONS = ("majority", "strictest")
LEAST_EXAMPLES = 5
_ONE_SETTING = "--judge-args goes with a single judge; give each judge its settings in a YAML of its own"
# What a verdict's meaning does not depend on: these may change without another digest.
_NO_EFFECT = {
    "name", "version", "summary", "source", "examples", "model", "revision", "engine", "engine_args", "base_url",
    "api_key_env", "concurrency", "timeout", "retry", "price", "languages", "head",
}  # fmt: skip
Outcome = Literal["safe", "unsafe", "refuses", "deflects", "complies", "unsure", "invalid", "unscored"]
_HARM, _REFUSAL = {"safe", "unsafe"}, {"refuses", "deflects", "complies", "unsure"}


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Example(_Model):
    """An exchange, what the judge model says of it (none for the rules), and the label that follows from that."""

    language: str = Field("en", description="code of the exchange's language")
    prompt: str = Field(description="the request")
    response: str = Field(description="the answer that is judged")
    output: str | None = Field(None, description="what the judge model says of it")
    label: str = Field(description="what must be read from that")
    refused: bool | None = Field(None, description="whether it says that the answer refuses")


class Price(_Model):
    """US dollars for a million tokens."""

    input: float = Field(ge=0, description="for what the judge reads")
    output: float = Field(ge=0, description="for what the judge writes")


class Retry(_Model):
    """How often a request is sent before it counts as failed, and the bounds of the random waits, in seconds."""

    attempts: int = Field(6, ge=1, description="tries before a request has failed")
    first_wait: float = Field(1.0, ge=0, description="longest wait before the second try")
    longest_wait: float = Field(60.0, ge=0, description="longest wait before any later one")


class JudgeSpec(_Model):
    """One judge's file."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="what --judge takes")
    version: str = Field("", description="goes up whenever a change here may change a verdict")
    kind: Literal["rules", "refusal", "hidden", "guard", "llm", "ensemble"] = Field(
        description="what makes the verdicts"
    )
    summary: str = Field(description="one line for lists")
    source: str | None = Field(None, description="where the wording comes from")
    # The model and how to reach it
    model: str | None = Field(None, description="hub id, folder, or the server's name for it")
    revision: str | None = Field(None, description="the model's revision on the hub")
    engine: Literal["hf", "vllm", "openai"] | None = Field(
        None, description="where the model runs; default: openai with base_url, else vllm with a GPU, else hf"
    )
    engine_args: dict[str, Any] = Field({}, description="arguments of the engine")
    head: str | None = Field(None, description="of kind hidden: file of weights that were fitted for its model")
    base_url: str | None = Field(None, description="address of a server; default: that of OpenAI")
    api_key_env: str = Field("OPENAI_API_KEY", description="the variable that holds the server's key")
    concurrency: int = Field(8, ge=1, description="most requests under way at a time")
    timeout: float = Field(60.0, gt=0, description="of a request, in seconds")
    retry: Retry = Field(Retry(), description="of requests that fail")
    price: Price | None = Field(None, description="with it the record has the cost")
    # What it is asked
    render: Literal["chat_template", "messages", "text"] = Field(
        "messages",
        description="messages: system and prompt go through the chat template; chat_template: the template itself "
        "makes the prompt of the exchange, and prompt shows what it must give; text: prompt as it is, no template",
    )
    template_args: dict[str, Any] = Field({}, description="for the chat template, such as enable_thinking")
    system: str | None = Field(None, description="the system prompt")
    prompt: str | None = Field(
        None, description="{prompt}, {response} and {nonce} (the code for markers) are filled in"
    )
    request: dict[str, Any] = Field({}, description="more fields of a server's request; null takes a setting out")
    max_tokens: int = Field(512, ge=1, description="most tokens of a reply")
    translate: bool = Field(False, description="the answer is first translated into English by the same model")
    reads: Literal["answer", "thinking"] = Field(
        "answer", description="answer: the answer alone; thinking: also what the model thought before it"
    )
    # What its answer means
    parser: Parser | None = Field(None, description="how a reply is read")
    labels: dict[str, Outcome] = Field(
        {},
        description="the judge's own labels to safe and unsafe (it sees harm) or to refuses, deflects, complies and "
        "unsure (it sees refusal), and to invalid and unscored",
    )
    invalid_from: Literal["rules"] | None = Field(
        None, description="what the rules find invalid is invalid, and is not asked"
    )
    languages: list[str] | None = Field(None, description="those that its makers claim; default: no claim")
    examples: list[Example] = Field([], description="at least five, with every label; judges check reads them")
    # An ensemble
    judges: list[str] = Field([], description="of an ensemble: names of judges")
    combine: Literal["majority", "strictest"] = Field(
        "majority",
        description="of an ensemble: majority (of equal counts the strictest), or strictest (unsafe, invalid, safe)",
    )

    @field_validator("name", mode="after")
    @classmethod
    def _is_name(cls, name: str) -> str:
        if not is_name(name):
            raise ValueError(f"the name of the judge {shown(name)} is no name; {RULE}")
        return name

    @model_validator(mode="after")
    def _complete(self) -> "JudgeSpec":
        if self.kind in ("guard", "llm"):
            if self.parser is None:
                raise ValueError("it has no parser: write 'parser: {label: a regular expression with one group}'")
            for key in ("version", "prompt", "labels"):
                if not getattr(self, key):
                    raise ValueError(f"the key '{key}' is missing")
            if self.render != "chat_template" and "{response}" not in (self.prompt or ""):
                raise ValueError("'prompt' has no place for the answer: write {response} into it")
            if self.engine == "openai" and self.render == "text":
                raise ValueError("'render: text' needs engine hf or vllm: chat servers apply their own template")
            if set(self.labels.values()) & _HARM and set(self.labels.values()) & _REFUSAL:
                raise ValueError("'labels' mix harm (safe, unsafe) with refusal (refuses, complies); choose one")
        if self.kind == "ensemble" and len(self.judges) < 2:
            raise ValueError("an ensemble needs two judges or more under 'judges'")
        return self

    @property
    def rubric_digest(self) -> str:
        """sha256 of everything in the file that decides what an answer of the judge model means."""
        same = {"reads"} if self.reads == "answer" else set()  # judges from before this key keep their digests
        return digest(self.model_dump(mode="json", exclude=_NO_EFFECT | same))

    @property
    def sees(self) -> list[Sees]:
        """What the verdicts of a judge that is no ensemble are about."""
        if not set(self.labels.values()) & _HARM:
            return ["refusal"]
        return ["refusal", "harm"] if self.parser is not None and self.parser.refused is not None else ["harm"]

    def claims(self, language: str) -> bool:
        """Whether the judge's makers claim this language; True where they make no claim to check."""
        return self.languages is None or language in self.languages


class Named(_Model):
    """A judge as it was asked for: the file, and the name under which its verdicts are kept."""

    id: str
    spec: JudgeSpec

    @property
    def slug(self) -> str:
        """The id as a folder name."""
        return slug(self.id)


@cache
def names() -> list[str]:
    """The embedded judges, by reading the folder."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def canonical(names_: list[str], combine: str | None = None, settings: Mapping[str, Any] | None = None) -> list[str]:
    """The judges that are named, or one name for all of them with the way to combine them.

    Raises UsageError for no judge, for one that is named twice, for a way to combine that does not exist, and for
    settings, which are those of one judge, beside several.
    """
    if not names_:
        raise UsageError("--judge names no judge")
    if combine is not None and combine not in COMBINATIONS:
        raise unknown("way to combine judges:", combine, COMBINATIONS)
    if len(names_) == 1:
        if combine:
            raise UsageError("--combine needs several judges: --judge A,B")
        return names_
    if len(set(names_)) < len(names_):
        raise UsageError(f"--judge {','.join(names_)}: name each judge once")
    if settings:
        raise UsageError(_ONE_SETTING)
    return [f"{combine}({','.join(names_)})"] if combine else names_


def only(names_: list[str], combine: str | None = None, settings: Mapping[str, Any] | None = None) -> str:
    """`canonical` where there is room for one judge. Raises UsageError as that does, and for several."""
    found = canonical(names_, combine, settings)
    if len(found) > 1:
        raise UsageError(f"--judge {','.join(found)}: name one here, or say how they make one verdict: --combine")
    return found[0]


def get(name: str, settings: dict[str, Any] | None = None) -> Named:
    """The judge of that name; `settings` replace keys of its file (`price.input` for nested ones).

    Raises UsageError for a judge that does not exist and for a file that is not a judge.
    """
    if combined := re.fullmatch(r"(\w+)\((.+)\)", name):
        if settings:
            raise UsageError(_ONE_SETTING)
        combine, members = combined[1], combined[2].split(",")
        if combine not in COMBINATIONS:
            raise unknown("way to combine judges:", combine, COMBINATIONS)
        made = {"name": combine, "kind": "ensemble", "summary": name, "judges": members, "combine": combine}
        spec = _validated(made, f"--judge {name}")
        return Named(id=f"{combine}({','.join(_members(spec, f'--judge {name}'))})", spec=spec)
    found = re.fullmatch(r"(.+\.ya?ml|[^@/]+)(?:@(.+))?", name)
    if not found:
        raise unknown("judge", name, names())
    base, model = found[1], found[2]
    path = Path(base) if base.endswith((".yaml", ".yml")) else FOLDER / f"{base}.yaml"
    if path.parent == FOLDER and path.stem not in names():
        raise unknown("judge", base, names())
    values = _read(path)
    if path.parent.resolve() != FOLDER and values.get("name") in names():
        raise UsageError(f"{path}: the name '{values['name']}' is that of an embedded judge; choose another")
    if model:
        values["model"] = model
    given = {key: value for key, value in (settings or {}).items() if key != "model"}
    if "model" in (settings or {}):
        raise UsageError("--judge-args model: write the model behind the judge's name, --judge NAME@MODEL")
    spec = _validated(_set(values, given), str(path))
    _members(spec, str(path))
    return Named(id=spec.name + (f"@{_shown(model, spec)}" if model else ""), spec=spec)


def _members(spec: JudgeSpec, where: str) -> list[str]:
    """The ids of an ensemble's judges. Raises UsageError where two are equal: their votes could not be told apart."""
    ids = [get(member).id for member in spec.judges]
    if twice := next((one for one in ids if ids.count(one) > 1), None):
        raise UsageError(
            f"{where}: two of its judges are '{twice}'; name each judge once, and each by a name of its own"
        )
    return ids


def _shown(model: str, spec: JudgeSpec) -> str:
    """The model in a judge's id. Folders of one name hold different models: the digest tells them apart."""
    folder = Path(model)
    if spec.engine == "openai" or spec.base_url or not folder.is_dir():
        return model
    return f"{folder.resolve().name}-{identity.folder_digest(folder)[:8]}"


def check_examples(spec: JudgeSpec, path: str = "") -> None:
    """Raises UsageError for the first example that the parser does not read as its label, and for a dead label."""
    where = path or f"judge {spec.name}"
    if spec.kind in ("ensemble", "hidden"):  # nothing that could be read without a model
        return
    if len(spec.examples) < LEAST_EXAMPLES:
        raise UsageError(f"{where}: {len(spec.examples)} examples; give at least {LEAST_EXAMPLES}, each with its label")
    for number, example in enumerate(spec.examples, 1):
        if world.code_of(example.language) is None or spec.kind in ("rules", "refusal"):
            languages.get(example.language)
        if problem := _wrong(spec, example):
            raise UsageError(f"{where}: example {number} {problem}")
    produced = {example.label.casefold() for example in spec.examples}
    for label in spec.labels:
        if label.casefold() not in produced:
            raise UsageError(
                f"{where}: the parser gives the label '{label}' in no example; add one, or take the label out"
            )


def _wrong(spec: JudgeSpec, example: Example) -> str | None:
    if spec.kind == "rules":
        from mlc_bench.judges.rules import rules

        found = rules.judge(example.prompt, example.response, example.language)
        return None if found.verdict == example.label else f"is judged '{found.verdict}', not '{example.label}'"
    if spec.kind == "refusal":
        from mlc_bench.judges.refusal.judge import judged

        label = judged(example.model_dump())["verdict"]
        return None if label == example.label else f"is judged '{label}', not '{example.label}'"
    if example.output is None:
        return "has no 'output': what the judge model says"
    if example.label.casefold() not in {label.casefold() for label in spec.labels}:
        return f"has the label '{example.label}', which is not under 'labels'"
    assert spec.parser is not None
    try:
        parsed = parse(example.output, spec.parser, list(spec.labels))
    except ParseFailure as failure:
        return f"is not read by the parser ({failure})"
    if parsed.label.casefold() != example.label.casefold():
        return f"is read as '{parsed.label}', not '{example.label}'"
    if example.refused is not None and parsed.refused != example.refused:
        return f"is read as refused={parsed.refused}, not {example.refused}"
    return None


def _read(path: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The keys of a file, over those of the judge that it `extends`."""
    if not path.is_file():
        raise UsageError(f"there is no judge file '{path}'")
    if path.resolve() in seen:
        raise UsageError(f"{path}: judges extend each other in a circle")
    try:
        values = safe_yaml.load(bounded.read_text(path))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise safe_yaml.malformed(path, error) from None
    if not isinstance(values, dict):
        raise UsageError(f"{path}: a judge file is a mapping that starts with 'name: <name>'")
    base = values.pop("extends", None)
    if base is None:
        return values
    if str(base).endswith((".yaml", ".yml")):
        parent = inside(path.parent, base, f"{path}: 'extends'")
    else:
        parent = FOLDER / f"{base if base in names() else ''}.yaml"
    if not parent.is_file():
        raise UsageError(f"{path}: it extends '{base}', and there is no such judge; known: {', '.join(names())}")
    return _read(parent, (*seen, path.resolve())) | values


def _set(values: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """Values with settings from the command line; what is no key of a judge is an argument of its engine."""
    values = dict(values)
    for key, value in settings.items():
        first, _, rest = key.partition(".")
        if first not in JudgeSpec.model_fields:
            values["engine_args"] = (values.get("engine_args") or {}) | {key: value}
        elif rest:
            values[first] = (values.get(first) or {}) | {rest: value}
        else:
            values[first] = value
    return values


def _validated(values: dict[str, Any], where: str) -> JudgeSpec:
    try:
        return JudgeSpec.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            message = str(unknown("key", str(first["loc"][-1]), JudgeSpec.model_fields))
            place = ""
        raise UsageError(f"{where}: {place + ': ' if place else ''}{message}") from None
