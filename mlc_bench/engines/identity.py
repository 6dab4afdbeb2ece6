"""Which model this is, exactly: resolved revision, digests of weights, tokenizer and chat template, the adapter.

Everything here reads files; no weights are loaded. Weights are read as safetensors only (never pickle).
"""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlc_bench.catalog.data import cache_dir
from mlc_bench.core import secrets
from mlc_bench.core.errors import PrerequisiteError, UsageError
from mlc_bench.core.progress import say
from mlc_bench.core.spec import RunSpec, digest
from mlc_bench.engines import demo_models
from mlc_bench.engines.adapters import names as adapter_names
from mlc_bench.engines.settings import sampling
from mlc_bench.engines.settings import template as templates

TRAIN_MANIFEST = "train_manifest.json"  # what `train-baseline` leaves beside the weights
_TOKENIZER_FILES = ("tokenizer*", "vocab*", "merges.txt", "*_tokens*.json", "*.model", "chat_template*")


@dataclass(frozen=True)
class Adapter:
    """A peft adapter: where it is, its digest and its rank."""

    name: str
    path: str
    digest: str
    rank: int


@dataclass(frozen=True)
class Identity:
    """The model of a run. `path` is where its files are on this machine; it is not part of what is compared."""

    name: str
    path: str | None
    requested_revision: str | None
    resolved_revision: str | None
    weights_digest: str | None
    config_digest: str | None
    tokenizer_digest: str | None
    chat_template: str | None
    adapter: Adapter | None
    converted_from: str | None = None
    """sha256 of the GGUF file that a demo model was dequantised from."""
    training: dict[str, Any] | None = None
    """What `train-baseline` left beside the adapter, or else beside the model: method, base model, data, settings."""

    @property
    def fingerprint(self) -> str:
        """sha256 over what decides the model's answers; a folder that moves keeps it."""
        known = asdict(self)
        for key in ("path", "requested_revision", "adapter", "converted_from", "training"):
            del known[key]
        if self.weights_digest is not None:  # the digests say more than any name
            del known["name"], known["resolved_revision"]
        return digest(known, self.adapter.digest if self.adapter else None)

    @property
    def slug(self) -> str:
        """The name as a folder name."""
        own = Path(self.path).name if self.path and self.converted_from else self.name
        name = own + (f"+{self.adapter.name}" if self.adapter else "")
        return re.sub(r"[^A-Za-z0-9._+-]+", "__", name)[:120].strip("._") or "model"


def resolve(spec: RunSpec, needs_template: bool = True, quick: bool = False) -> Identity:
    """Find the model that a spec names; a judge that is asked in plain text needs no chat template.

    `quick` (a dry run) takes the template from the files where they hold it.

    Raises PrerequisiteError where it (or its weights, chat template, or adapter) is absent or does not fit.
    """
    if spec.engine != "openai" and spec.base_url:
        raise UsageError("--base-url goes with --engine openai")
    if spec.engine == "openai":
        if not re.match(r"https?://[^/\s]", spec.base_url or ""):
            raise UsageError("--engine openai needs --base-url, for example http://localhost:8000/v1")
        if spec.adapter:
            raise UsageError(
                "--adapter needs --engine hf or vllm; a server serves an adapter under a model name of its own"
            )
        return Identity(spec.model, None, None, None, None, None, None, None, None)
    name, folder, revision = _locate(spec.model, spec.revision)
    config = _read_json(folder / "config.json")
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        pickled = next((path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in folder.glob(pattern)), None)
        unsafe = f"; {pickled} is not read, since loading pickles can run code" if pickled else ""
        raise PrerequisiteError(
            f"{folder} has no weights (*.safetensors){unsafe}; save the model there with save_pretrained()"
        )
    _check_config(folder, config, spec.engine)
    adapter = resolve_adapter(spec.adapter, folder, spec.model) if spec.adapter else None
    template = (quick and _template_in_files(folder)) or None
    if template is None and needs_template:
        template = chat_template(folder, Path(adapter.path) if adapter else None)
    if template is not None:
        templates.check(template, str(folder))
        if not quick:
            templates.check_turn(template, str(folder))
        if adapter:
            _say_which_template(template, Path(adapter.path), spec)
    settings = folder / "generation_config.json"  # end tokens and penalties: they decide answers too
    return Identity(
        name=name,
        path=str(folder),
        requested_revision=spec.revision,
        resolved_revision=revision,
        weights_digest=_files_digest(weights),
        config_digest=digest(config, _read_json(settings) if settings.is_file() else None),
        tokenizer_digest=_files_digest(sorted({p for pattern in _TOKENIZER_FILES for p in folder.glob(pattern)})),
        chat_template=template,
        adapter=adapter,
        converted_from=demo_models.source(folder).get("sha256"),
        training=_training(Path(adapter.path) if adapter else folder),
    )


def _say_which_template(template: str, adapter: Path, spec: RunSpec) -> None:
    if templates.in_folder(adapter, _settings(adapter)) not in (None, template):
        say(
            f"the adapter {spec.adapter} has another chat template than '{spec.model}', whose own is used; if the "
            "adapter was trained with its own, run a copy of the model with that chat_template.jinja in its folder"
        )


def _training(folder: Path) -> dict[str, Any] | None:
    manifest = folder / TRAIN_MANIFEST
    return secrets.removed(_read_json(manifest)) if manifest.is_file() else None


def _check_config(folder: Path, config: dict[str, Any], engine: str) -> None:
    """Raises PrerequisiteError for a config.json that does not say what the engine must know."""
    if not isinstance(config.get("model_type"), str) or not config["model_type"]:
        raise PrerequisiteError(
            f"{folder}/config.json names no model_type, so the architecture is unknown; copy the one of the model that "
            "this was made from"
        )
    if engine == "vllm" and not config.get("architectures"):
        raise PrerequisiteError(
            f"{folder}/config.json names no architectures, which vLLM needs; copy them from the model that this was "
            "made from, or use --engine hf"
        )


def _template_in_files(folder: Path) -> str | None:
    """The chat template as its files hold it: what transformers, which takes seconds to import, would find there.

    None where it has to be asked: also where it might not be able to read the tokenizer.
    """
    from tokenizers import Tokenizer

    try:
        Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception:  # what a damaged file raises is a bare Exception
        return None
    if not _settings(folder).get("eos_token") and not sampling.end_tokens(folder):
        return None
    return templates.in_folder(folder, _settings(folder))


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / "tokenizer_config.json"
    return _read_json(path) if path.is_file() else {}


def chat_template(folder: Path, adapter: Path | None = None) -> str:
    """The default chat template of a model folder, or of its adapter's where the model has none.

    Raises PrerequisiteError where there is none.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # what a damaged tokenizer.json raises is a bare Exception
        raise PrerequisiteError(
            f"{folder} has no tokenizer that transformers can read ({_first_line(error)})"
        ) from None
    if tokenizer.eos_token_id is None and not sampling.end_tokens(folder):
        raise PrerequisiteError(
            f"{folder} names no end token, so no answer would end: neither the tokenizer nor config.json nor "
            "generation_config.json has one; write the model's eos_token_id into generation_config.json"
        )
    template = templates.default(tokenizer.chat_template, folder) or templates.in_folder(folder, _settings(folder))
    if not template and adapter:
        template = templates.in_folder(adapter, _settings(adapter))
    if not template:
        raise PrerequisiteError(
            f"{folder} has no chat template, and answers of a chat model without its template mean nothing; "
            "put the model's chat_template.jinja into the folder, or name an instruction-tuned model"
        )
    return template


def resolve_adapter(name: str, base: Path, base_name: str) -> Adapter:
    """A peft adapter, checked against the base model's weights without loading either.

    Raises UsageError for an adapter of another base model and for one that changes nothing.
    """
    from safetensors import SafetensorError

    folder = Path(name)
    if not folder.is_dir():
        if _is_path(name):
            raise PrerequisiteError(f"there is no adapter folder '{name}'")
        folder = _from_hub(name, None, "adapter")[0]
    if not (folder / "adapter_config.json").is_file() or not (folder / "adapter_model.safetensors").is_file():
        raise PrerequisiteError(
            f"{folder} is not a peft adapter: adapter_config.json and adapter_model.safetensors are expected there"
        )
    config = _read_json(folder / "adapter_config.json")
    try:
        _check_adapter(folder, config, base, base_name)
    except SafetensorError as error:
        raise PrerequisiteError(f"the weights of {folder} or of its base model are damaged ({error})") from None
    return Adapter(
        name=folder.resolve().name if Path(name).is_dir() else name,
        path=str(folder),
        digest=_files_digest([folder / "adapter_config.json", folder / "adapter_model.safetensors"]),
        rank=max([int(config.get("r") or 0), *(config.get("rank_pattern") or {}).values()]),
    )


def _check_adapter(folder: Path, config: dict[str, Any], base: Path, base_name: str) -> None:
    from safetensors import safe_open

    recorded = str(config.get("base_model_name_or_path") or "")
    names_hub_model = re.fullmatch(r"[\w.-]+/[\w.-]+", recorded) and not Path(recorded).exists()
    if (
        names_hub_model
        and not Path(base_name).exists()
        and base_name not in demo_models.MODELS
        and recorded != base_name
    ):
        raise UsageError(
            f"the adapter {folder} was trained on '{recorded}', not on '{base_name}'; run it with that model"
        )
    shapes = {adapter_names.canonical(name.removesuffix(".weight")): shape for name, shape in _shapes(base).items()}
    built: dict[str, list[int]] | None = None  # asked only where the files do not say
    changes = False
    with safe_open(folder / "adapter_model.safetensors", framework="np") as tensors:
        for key in tensors.keys():  # noqa: SIM118 (not a dictionary)
            module, _, part = key.removeprefix("base_model.model.").partition(".lora_")
            if not part:
                changes = True  # not a LoRA tensor (a saved head, another method): nothing simple to check
                continue
            name = adapter_names.canonical(module)
            shape = shapes.get(name)
            if shape is None and name.endswith("lm_head"):  # tied: stored once, as the embeddings
                shape = next((value for name, value in shapes.items() if name.endswith("embed_tokens")), None)
            mine = tensors.get_slice(key).get_shape()
            if not _fits(part, mine, shape):  # files may hold several modules as one, or packed weights
                built = adapter_names.modules_of(base) if built is None else built
                shape = built.get(name, shape)
            if not _fits(part, mine, shape):
                raise UsageError(
                    f"the adapter {folder} does not fit the base model '{base_name}': '{module}' is "
                    f"{'absent there' if shape is None else f'{shape}, the adapter has {mine}'}; it was trained on "
                    f"'{recorded or 'another model'}'"
                )
            if part.startswith(("B", "embedding_B")) and not changes:
                changes = _nonzero(folder / "adapter_model.safetensors", key)
    if not changes:
        raise UsageError(
            f"the adapter {folder} changes nothing: all its lora_B weights are zero (an untrained adapter?); "
            "leave --adapter out to score the base model"
        )


def _fits(part: str, mine: list[int], shape: list[int] | None) -> bool:
    """Whether a LoRA tensor goes with weights of this shape, (out_features, in_features).

    lora_A is (rank, in_features), lora_B is (out_features, rank); embeddings carry the transposed names.
    """
    if part.startswith("embedding"):
        return True
    if shape is None or len(shape) < 2:
        return False
    return mine[1] == shape[1] if part.startswith("A") else mine[0] == shape[0]


def _nonzero(path: Path, key: str) -> bool:
    from safetensors import safe_open  # torch reads bfloat16, numpy does not

    with safe_open(path, framework="pt") as tensors:
        return bool(tensors.get_tensor(key).any())


def _shapes(folder: Path) -> dict[str, list[int]]:
    from safetensors import safe_open

    shapes: dict[str, list[int]] = {}
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="np") as tensors:
            shapes |= {key: tensors.get_slice(key).get_shape() for key in tensors.keys()}  # noqa: SIM118
    return shapes


def _locate(model: str, revision: str | None) -> tuple[str, Path, str | None]:
    """Display name, folder and resolved revision of a model."""
    if model in demo_models.MODELS:
        model = str(demo_models.folder(model))
    folder = Path(model)
    if folder.is_dir():
        if revision:
            raise UsageError(f"--revision is for hub models; '{model}' is a folder")
        folder = folder.resolve()
        return demo_models.source(folder).get("name", folder.name), folder, None
    if _is_path(model):
        raise PrerequisiteError(f"there is no model folder '{model}'")
    return (model, *_from_hub(model, revision, "model"))


def _is_path(name: str) -> bool:
    return name.startswith(("/", ".", "~")) or name.count("/") > 1


def _from_hub(name: str, revision: str | None, what: str) -> tuple[Path, str]:
    from huggingface_hub import snapshot_download

    try:
        folder = Path(
            snapshot_download(
                name,
                revision=revision,
                allow_patterns=["*.json", "*.safetensors", "*.jinja", "*.txt", "*.model"],
                ignore_patterns=["*/*"],
            )
        )
    except Exception as error:  # offline, gated, misspelt: the library's own first line says which
        raise PrerequisiteError(
            f"cannot get the {what} '{name}' from the hub ({_first_line(error)}); check the name and your access, "
            "or give a local folder"
        ) from None
    return folder, folder.name  # a snapshot's folder is named by its commit


def folder_digest(folder: Path) -> str:
    """sha256 over the files of a model folder that decide its answers; of one without weights, over its place."""
    patterns = ("*.safetensors", "config.json", "generation_config.json", *_TOKENIZER_FILES)
    files = sorted({path for pattern in patterns for path in folder.glob(pattern)})
    return _files_digest(files) if any(folder.glob("*.safetensors")) else digest(str(folder.resolve()))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PrerequisiteError(f"{path.parent} is not a model folder: it has no {path.name}") from None
    except ValueError as error:
        raise PrerequisiteError(f"{path} is not readable as JSON ({error})") from None
    if not isinstance(content, dict):
        raise PrerequisiteError(f"{path} does not hold a JSON object")
    return content


def _files_digest(paths: list[Path]) -> str:
    return digest({path.name: _file_digest(path) for path in paths})


def _file_digest(path: Path) -> str:
    """sha256 of a file. Files of many gigabytes are hashed once; the hub's cache names its files by their sha256."""
    blob = path.resolve()
    if blob.parent.name == "blobs" and re.fullmatch(r"[0-9a-f]{64}", blob.name):
        return blob.name
    stat = blob.stat()
    if stat.st_size < 1 << 24:
        return hashlib.sha256(blob.read_bytes()).hexdigest()
    memo = cache_dir() / "digests" / digest(str(blob), stat.st_size, stat.st_mtime_ns, stat.st_ino)
    if memo.is_file() and len(known := memo.read_text()) == 64:
        return known
    with blob.open("rb") as file:
        value = hashlib.file_digest(file, "sha256").hexdigest()
    memo.parent.mkdir(parents=True, exist_ok=True)
    memo.write_text(value)
    return value


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
