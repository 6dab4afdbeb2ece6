"""What a training manifest says of a model: method, base model, run and step, the languages it was trained in."""

from typing import Any

from mlc_bench.records.record import ModelInfo

RELEASED = "as released"  # no manifest: nothing is known of how it was trained


def method(model: ModelInfo) -> str:
    """The training method as the manifest names it; for an adapter without a manifest that it is an adapter."""
    named = _get(model.training, "method")
    if isinstance(named, str) and named:
        return named
    return "adapter, method unknown" if model.adapter else RELEASED


def base_name(model: ModelInfo) -> str | None:
    """The name of the model that this one was trained from; None where it is not known, or is itself."""
    named = _get(model.training, "base_model", "name")
    if isinstance(named, str) and named:
        return named
    return model.name if model.adapter else None


def base_digest(model: ModelInfo) -> str | None:
    """The digest of the base model's weights; an adapter's record has it in its own `weights_digest`."""
    if model.adapter:
        return model.weights_digest
    named = _get(model.training, "base_model", "weights_digest")
    return named if isinstance(named, str) else None


def run(model: ModelInfo) -> str | None:
    """What all checkpoints of one training run and its result have in common; None where the manifest does not say."""
    named = _get(model.training, "run")
    return named if isinstance(named, str) and named else None


def step(model: ModelInfo) -> int | None:
    """Optimizer steps from the base model to these weights."""
    of_checkpoint = _count(model, "step")
    return _count(model, "steps") if of_checkpoint is None else of_checkpoint


def is_checkpoint(model: ModelInfo) -> bool:
    """Whether these are weights from within a training run, and not its result."""
    return _count(model, "step") is not None


def _count(model: ModelInfo, name: str) -> int | None:
    found = _get(model.training, name)
    return found if isinstance(found, int) and not isinstance(found, bool) and found >= 0 else None


def seen_languages(model: ModelInfo) -> tuple[str, ...] | None:
    """Codes of the languages in the training data or settings, sorted; None where the manifest does not say."""
    for path in (("data", "languages"), ("config", "languages"), ("config", "data", "languages")):
        found = _get(model.training, *path)
        if isinstance(found, str):
            found = found.replace(",", " ").split()
        if isinstance(found, list | dict) and found and all(isinstance(code, str) for code in found):
            return tuple(sorted(set(found)))
    return None


def kept_out(model: ModelInfo) -> tuple[str, ...]:
    """Tasks and packs whose prompts were left out of the training data, sorted; empty where the manifest names none."""
    named, found = (_get(model.training, *path) for path in (("config", "keep_out"), ("data", "overlap")))
    names = [*(named if isinstance(named, list) else ()), *(found if isinstance(found, dict) else ())]
    return tuple(sorted({name for name in names if isinstance(name, str)}))


def _get(content: Any, *path: str) -> Any:
    for key in path:
        content = content.get(key) if isinstance(content, dict) else None
    return content
