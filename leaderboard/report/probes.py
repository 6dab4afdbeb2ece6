"""What `mlc-bench probe --json` printed for trained models, kept beside their records: heat maps and a table."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from pydantic import BaseModel, ConfigDict, ValidationError

from mlc_bench.core.errors import StaleError
from mlc_bench.leaderboard.report import effects
from mlc_bench.leaderboard.tabulate import number_format

FOLDER = "probes"
HEAD = ["model", "method", "layer", "share of sigma_1", "cosine to English", "matched with English, %"]


class Layer(BaseModel):
    """One layer's figures as baselines.mlc.probe defines them; `cosine` and `matched` by language but English."""

    model_config = ConfigDict(allow_inf_nan=False)

    layer: int
    share: float
    cosine: dict[str, float]
    matched: dict[str, float]
    margin: float


class Probe(BaseModel):
    """One model on one task. `picked`: the layer where translations are best matched."""

    task: str
    prompts: int
    layers: list[Layer]
    picked: int


Probes = dict[tuple[str, str], Probe]
"""By model and method."""


def read(records: Path, aliases: Mapping[str, tuple[str, str]], names: Collection[str]) -> Probes:
    """The probes of the models named, beside their records, the untrained one first.

    Raises StaleError for a file of another form.
    """
    found: Probes = {}
    for path in sorted((records / FOLDER).glob("*.json")):
        place = effects.identify(path.stem, aliases)
        if place is None or path.stem not in names:
            continue
        try:
            (content,) = json.loads(path.read_text(encoding="utf-8"))
            found[place[:2]] = Probe.model_validate(content)
        except (ValueError, ValidationError):
            raise StaleError(f"{path} is not what `mlc-bench probe --json` prints for one task; remove it") from None
    return dict(sorted(found.items(), key=lambda item: (item[0][0], item[0][1] != "base", item[0][1])))


def rows(probes: Probes) -> list[list[str]]:
    """The last layer, on which MLC acts, and the one that the probe picks; means over languages. Columns: HEAD."""
    found = []
    for (model, method), probe in probes.items():
        for name, layer in (("last", probe.layers[-1]), ("picked", probe.layers[probe.picked - 1])):
            found.append(
                [
                    model, method, f"{layer.layer} ({name})", number_format.rounded(layer.share, 3),
                    number_format.rounded(_mean(layer.cosine), 3), number_format.rounded(100 * _mean(layer.matched), 1),
                ]
            )  # fmt: skip
    return found


def figures(probes: Probes) -> dict[str, Figure]:
    """For each model, by name: its methods side by side."""
    models = dict.fromkeys(model for model, _ in probes)
    return {
        f"probe-{model}": _heat_maps(model, {method: probe for (own, method), probe in probes.items() if own == model})
        for model in models
    }


def _heat_maps(model: str, probes: dict[str, Probe]) -> Figure:
    """Layers x languages: the cosine to English above, how often a prompt finds its own English one below."""
    figure = Figure(figsize=(1.5 + 2.6 * len(probes), 6), layout="constrained")
    grid = figure.subplots(2, len(probes), squeeze=False, sharey="row")
    low = min(min(layer.cosine.values()) for probe in probes.values() for layer in probe.layers)
    for row, (label, bottom) in enumerate((("cosine to English", low), ("matched with English", 0.0))):
        for axes, (method, probe) in zip(grid[row], probes.items(), strict=True):
            codes = list(probe.layers[0].cosine)
            values = [layer.matched if row else layer.cosine for layer in probe.layers]
            image = axes.imshow(
                [[value[code] for code in codes] for value in values], aspect="auto", origin="lower", vmin=bottom,
                vmax=1, cmap=matplotlib.colormaps["viridis"],
                extent=(-0.5, len(codes) - 0.5, 0.5, len(probe.layers) + 0.5),
            )  # fmt: skip
            axes.set_xticks(range(len(codes)), codes)
            axes.set_title(method)
        grid[row][0].set_ylabel("layer")
        figure.colorbar(image, ax=list(grid[row]), label=label)
    first = next(iter(probes.values()))
    figure.suptitle(f"{model}: {first.prompts} prompts of {first.task}")
    return figure


def _mean(values: dict[str, float]) -> float:
    return sum(values.values()) / len(values)
