"""Tables of keys: the record, training settings, and the files of judges, languages and suites."""

import ast
import inspect
import textwrap
import typing
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from tables import code, prose, table

from mlc_bench.baselines import config
from mlc_bench.baselines import methods as known_methods
from mlc_bench.catalog import languages, suites
from mlc_bench.judges.spec import JudgeSpec
from mlc_bench.records.record import RunRecord

Model = type[BaseModel]


def record() -> str:
    """Every part of a run's record, the whole first."""
    return "\n".join(_section(part, with_default=False) for part in _parts(RunRecord))


def judge_file() -> str:
    return "\n".join(_table(part, name) for part, name in ((JudgeSpec, ""), *_inner(JudgeSpec)))


def language_file() -> str:
    meanings = _attribute_docstrings(languages.Language)
    rows = [
        [code(key), "" if key in languages.OPTIONAL else "yes", prose(meanings[key]), prose(expected)]
        for key, (_, expected) in languages.EXPECTED.items()
    ]
    return table(["key", "required", "meaning", "value"], rows)


def suite_file() -> str:
    meanings = _attribute_docstrings(suites.Suite)
    rows = [[code(key), prose(meaning)] for key, meaning in meanings.items() if key != "name"]
    rows += [[code(f"settings.{key}"), f"as the option of `mlc-bench run`; {kind.__name__}"] for key, kind in
             suites.SETTINGS.items()]  # fmt: skip
    return table(["key", "meaning"], rows)


def methods() -> str:
    """One line a method: what its rows must have, and how its heading begins."""
    rows = []
    for name in known_methods.names():
        module = known_methods.get(name)
        needs = ["`chosen`", *(f"`{need}`" for need, needed in module.NEEDS.items() if needed)]
        heading = (module.__doc__ or "").split("\n\n")[0]
        built = "yes" if hasattr(module, "make") else ""
        rows.append([f"[{code(name)}](#{name})", " ".join(needs), built, prose(heading)])
    return table(["method", "rows need", "builder", "what it computes"], rows)


def training() -> str:
    """The settings that all methods share, then those that each adds or starts with."""
    shared = config.TrainConfig
    parts = ["### All methods {#all-methods}\n", _table(shared, "")]
    parts += [_table(inner, name) for inner, name in _inner(shared)]
    for name in known_methods.names():
        own = known_methods.get(name).Config
        changed = [
            key
            for key, field in own.model_fields.items()
            if key not in shared.model_fields or field.default != shared.model_fields[key].default
        ]
        parts.append(f"### {name} {{#{name}}}\n")
        parts.append(_table(own, "", changed) if changed else "The settings of all methods, nothing else.\n")
    return "\n".join(parts)


def _section(model: Model, with_default: bool) -> str:
    return "\n".join(
        [f"## {model.__name__}\n", prose(model.__doc__ or "") + "\n", _table(model, "", None, with_default)]
    )


def _table(model: Model, prefix: str, only: list[str] | None = None, with_default: bool = True) -> str:
    rows = []
    for key, field in model.model_fields.items():
        if only is not None and key not in only:
            continue
        name = code(f"{prefix}.{key}" if prefix else key)
        default = "required" if field.is_required() else code(_shown(field))
        described = prose(field.description or "")
        rows.append([name, _type(field.annotation), *([default] if with_default else []), described])
    return table(["key", "type", *(["default"] if with_default else []), "meaning"], rows)


def _shown(field: Any) -> str:
    if field.default is PydanticUndefined:
        return str(field.default_factory())
    if isinstance(field.default, BaseModel):
        return ", ".join(f"{key}: {value}" for key, value in field.default.model_dump(exclude_defaults=True).items())
    return "" if field.default is None else str(field.default)


def _type(annotation: Any) -> str:
    """A type as people read it: names of models are links where the page has their section."""
    if annotation is type(None):
        return ""
    if typing.get_origin(annotation) is typing.Literal:
        return " or ".join(code(value) for value in typing.get_args(annotation))
    arguments = [_type(one) for one in typing.get_args(annotation)]
    origin = typing.get_origin(annotation)
    if origin is None:
        return annotation.__name__ if isinstance(annotation, type) else "any"
    if origin in (list, tuple):
        return f"list of {arguments[0]}"
    if origin is dict:
        return f"{arguments[0]} → {arguments[1]}"
    return " or ".join(one for one in arguments if one)


def _models(annotation: Any) -> list[Model]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for one in typing.get_args(annotation) for found in _models(one)]


def _parts(model: Model) -> list[Model]:
    """A model and all that occur in it, each once."""
    found = [model]
    for part in found:
        for field in part.model_fields.values():
            found += [one for one in _models(field.annotation) if one not in found]
    return found


def _inner(model: Model) -> list[tuple[Model, str]]:
    """The groups of settings in a model, with the key that each stands under."""
    return [(one, key) for key, field in model.model_fields.items() for one in _models(field.annotation)]


def _attribute_docstrings(kind: type) -> dict[str, str]:
    """The texts under the fields of a dataclass."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for field, text in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            found[ast.unparse(field.target)] = str(text.value.value)
    return found
