"""How alike a model sees a prompt and its translations, layer by layer: what MLC trains, measured on any model.

The representation is the one that MLC works on: the hidden state of the last token of the prompt in the chat template,
which predicts the first token of the answer, after each layer (after the last one, the final norm is applied). For each
prompt, its translations in n languages give n unit rows:

- share: the largest singular value's share in the sum of all (1: collinear; 1/n: orthogonal), mean over prompts;
- cosine: between a translation and the English prompt, mean over prompts;
- matched: share of the prompts of a language whose nearest English prompt by cosine is their own. Chat templates make
  all last-token states alike, so that share and cosine are high whatever the prompts say; this one asks about content.

The layer that is picked has the highest `matched`, averaged over the languages; of several, the one where own pairs
stand out most in cosine from all pairs. There the prompts' meaning shows most across languages, so that a loss which
draws translations together acts on meaning. It is a suggestion: which layer trains best only training tells.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mlc_bench.baselines.data import tokenize_rows
from mlc_bench.baselines.mlc import mlc_loss
from mlc_bench.baselines.mlc.hidden_states import can_stop, stopped_after
from mlc_bench.catalog import data
from mlc_bench.catalog.listing import TaskEntry
from mlc_bench.core.errors import UsageError
from mlc_bench.core.progress import bar
from mlc_bench.engines.identity import Identity

ANCHOR = "en"


@dataclass(frozen=True)
class Layer:
    """One layer's figures; `cosine` and `matched` by language, English left out."""

    layer: int
    share: float
    cosine: dict[str, float]
    matched: dict[str, float]
    margin: float
    """Mean cosine of translations with their own English prompt, minus that with all English prompts."""


@dataclass(frozen=True)
class Probe:
    """One model on one task."""

    model: str
    task: str
    prompts: int
    layers: list[Layer]

    @property
    def picked(self) -> int:
        """The layer that the rule in this module's heading picks."""

        def standing(found: Layer) -> tuple[float, float]:
            return sum(found.matched.values()) / len(found.matched), found.margin

        return max(self.layers, key=standing).layer

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"picked": self.picked}


def prompts(entry: TaskEntry, codes: list[str], limit: int | None) -> dict[str, list[str]]:
    """The prompts of a task by language, English first, in the same order in each.

    Raises UsageError for a task whose rows are not translations of each other, or that lacks English or any other
    language.
    """
    if not entry.parallel:
        raise UsageError(
            f"{entry.name}: its prompts are not translations of each other, so there is nothing to compare"
        )
    documents = data.read(entry.source)
    wanted = [code for code in documents if not codes or code in codes]
    if ANCHOR not in documents or not set(wanted) - {ANCHOR}:
        raise UsageError(
            f"{entry.name}: English and at least one other language are needed; it has {', '.join(documents)}"
        )
    ordered = [ANCHOR, *(code for code in wanted if code != ANCHOR)]
    found = {code: [doc["prompt"] for doc in documents[code]][:limit] for code in ordered}
    if len(found[ANCHOR]) < 2:
        raise UsageError(f"{entry.name}: two prompts or more are needed to tell one from another")
    return found


def load(identity: Identity, dtype: str = "auto") -> tuple[Any, Any]:
    """Model and tokenizer of an identity, on the GPU if there is one; its adapter is on it.

    `dtype`: that of torch in which it is loaded, by its name; default: the one it is stored in.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(identity.path)
    if identity.adapter is None:
        model = AutoModelForCausalLM.from_pretrained(identity.path, dtype=dtype)
    else:
        from mlc_bench.engines.adapters.merging import merged_model

        model = merged_model(Path(identity.path or ""), Path(identity.adapter.path))
        if dtype != "auto":
            model = model.to(getattr(torch, dtype))
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval(), tokenizer


def measure(model: Any, tokenizer: Any, texts: dict[str, list[str]], batch_size: int, name: str, task: str) -> Probe:
    """The figures of a model on parallel prompts (see `prompts`)."""
    states = read_states(model, tokenizer, [text for column in texts.values() for text in column], batch_size)
    count = len(texts[ANCHOR])
    grid = states.unflatten(1, (len(texts), count))  # (layers, languages, prompts, H)
    return Probe(name, task, count, [_layer(number, one, list(texts)) for number, one in enumerate(grid, 1)])


def _layer(number: int, states: Tensor, codes: list[str]) -> Layer:
    """Figures of states (languages, prompts, H) of one layer; English comes first."""
    spoken, count, width = states.shape
    slots = torch.cartesian_prod(torch.arange(count), torch.arange(spoken))  # (group, place) of each row
    group = mlc_loss.unit(states.transpose(0, 1).reshape(-1, width), slots)
    cosines = mlc_loss.anchor_cosine(group)[:, 1:]  # (prompts, languages but English)
    rows = group.rows.transpose(0, 1)  # (languages, prompts, H), unit length
    pairs = rows[1:] @ rows[0].T  # (languages but English, prompts, English prompts)
    right = pairs.argmax(dim=-1) == torch.arange(count)
    others = codes[1:]
    return Layer(
        layer=number,
        share=mlc_loss.share(group).mean().item(),
        cosine=dict(zip(others, cosines.mean(dim=0).tolist(), strict=True)),
        matched=dict(zip(others, right.float().mean(dim=1).tolist(), strict=True)),
        margin=(cosines.mean() - pairs.mean()).item(),
    )


@torch.inference_mode()
def read_states(
    model: Any, tokenizer: Any, texts: list[str], batch_size: int, layer: int | None = None, phase: str = "probe"
) -> Tensor:
    """Last-token states (layers, texts, H) in float32 on the CPU; prompts of like length share a batch.

    `layer`: only what this one, from 1, puts out; default: all. `phase`: the name of the progress bar.
    """
    encoded = [tokenize_rows.prompt_ids(tokenizer, text) for text in texts]
    order = sorted(range(len(texts)), key=lambda index: -len(encoded[index]))
    found: Tensor | None = None
    pad = tokenizer.pad_token_id or 0
    with bar(phase) as report:
        for start in range(0, len(order), batch_size):
            report(start, len(order))
            places = order[start : start + batch_size]
            width = len(encoded[places[0]])
            ids = torch.tensor([encoded[i] + [pad] * (width - len(encoded[i])) for i in places], device=model.device)
            ends = torch.tensor([len(encoded[i]) - 1 for i in places], device=model.device)
            mask = torch.arange(width, device=model.device) <= ends.unsqueeze(-1)
            rows = torch.arange(len(places), device=model.device)
            read = _outputs(model.base_model, {"input_ids": ids, "attention_mask": mask.long()}, layer)
            last = torch.stack([states[rows, ends].float().cpu() for states in read])
            if found is None:
                found = last.new_zeros(len(last), len(texts), last.shape[-1])
            found[:, places] = last
        report(len(order), len(order))
    assert found is not None
    return found


def _outputs(backbone: Any, batch: dict[str, Tensor], layer: int | None) -> Sequence[Tensor]:
    """What every layer puts out, (prompts, tokens, H) each; or one layer alone, and those above it are not computed."""
    if layer is not None and can_stop(backbone):
        with stopped_after(backbone, layer) as before_norm:
            output = backbone(**batch, use_cache=False)
        return [before_norm[-1] if before_norm else output.last_hidden_state]
    found: Sequence[Tensor] = backbone(**batch, use_cache=False, output_hidden_states=True).hidden_states[1:]
    return found if layer is None else [found[layer - 1]]


def text(probe: Probe, against: Probe | None = None) -> str:
    """The figures as a plain table, a row for each layer; with another model, `now (change)` where it differs."""
    from rich.console import Console
    from rich.table import Table

    codes = list(probe.layers[0].cosine)
    table = Table(box=None, padding=(0, 1))
    for heading in ("layer", "share", "matched", *codes):
        table.add_column(heading, justify="right", no_wrap=True)
    before = against.layers if against else [None] * len(probe.layers)
    for now, then in zip(probe.layers, before, strict=True):
        mark = "*" if now.layer == probe.picked else ""
        table.add_row(
            f"{mark}{now.layer}",
            _cell(now.share, then.share if then else None),
            _cell(_mean(now.matched), _mean(then.matched) if then else None),
            *(_cell(now.cosine[code], then.cosine[code] if then else None) for code in codes),
        )
    console = Console(width=40 + 16 * len(codes), force_terminal=False, no_color=True, highlight=False)
    with console.capture() as capture:
        console.print(table)
    best = probe.layers[probe.picked - 1]
    return (
        f"{probe.model} on {probe.task}, {probe.prompts} prompts"
        + (f"; in brackets the change against {against.model}" if against else "")
        + f"\n{capture.get().rstrip()}\n"
        "share of sigma_1, English and all these languages; by language the mean cosine to English.\n"
        f"* layer {probe.picked} of {len(probe.layers)}: most prompts are matched with their English ones there "
        f"({100 * _mean(best.matched):.0f} %; by chance {100 / probe.prompts:.0f} %)."
    )


def _mean(values: dict[str, float]) -> float:
    return sum(values.values()) / len(values)


def _cell(now: float, then: float | None) -> str:
    return f"{now:.3f}" if then is None else f"{now:.3f} ({now - then:+.3f})"


def draw(probes: list[Probe], path: Path) -> None:
    """Heat maps of the cosine to English, layers by languages, one for each model, the shares beside; PNG or SVG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        1, len(probes) + 1, figsize=(2 + 4.2 * (len(probes) + 1), 4.6), layout="constrained", squeeze=False
    )
    low = min(min(layer.cosine.values()) for probe in probes for layer in probe.layers)
    for axis, probe in zip(axes[0], probes, strict=False):
        codes = list(probe.layers[0].cosine)
        image = axis.imshow(
            [[layer.cosine[code] for code in codes] for layer in probe.layers],
            aspect="auto", origin="lower", vmin=low, vmax=1, cmap="viridis",
            extent=(-0.5, len(codes) - 0.5, 0.5, len(probe.layers) + 0.5),
        )  # fmt: skip
        axis.set_xticks(range(len(codes)), codes)
        axis.set_title(f"{probe.model}\n{probe.task}", fontsize=9)
        axis.set_ylabel("layer")
        axis.axhline(probe.picked, color="white", linewidth=0.8, linestyle=":")
    figure.colorbar(image, ax=list(axes[0][: len(probes)]), label="mean cosine to English")
    for probe in probes:
        numbers = [layer.layer for layer in probe.layers]
        axes[0][-1].plot(numbers, [layer.share for layer in probe.layers], label=f"share, {probe.model}")
        axes[0][-1].plot(
            numbers, [_mean(layer.matched) for layer in probe.layers], ":", label=f"matched, {probe.model}"
        )
    axes[0][-1].set_xlabel("layer")
    axes[0][-1].set_ylim(0, 1.02)
    axes[0][-1].legend(fontsize=7)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
