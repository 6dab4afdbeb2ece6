"""`mlc-bench probe`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from mlc_bench.console import Json, split, to_folder, use_data


def probe(
    model: Annotated[str, typer.Option(help="Hub id, local folder, or a demo model ('demo-tiny').")],
    revision: Annotated[str | None, typer.Option(help="Hub revision: branch, tag or commit.")] = None,
    adapter: Annotated[str | None, typer.Option(help="peft adapter on the model.")] = None,
    against: Annotated[
        str | None,
        typer.Option(help="Compare with: another model, an adapter on --model, or 'base', --model without --adapter."),
    ] = None,
    tasks: Annotated[list[str] | None, typer.Option(help="Parallel tasks. Default: starter_harmful.")] = None,
    languages: Annotated[list[str] | None, typer.Option(help="Codes, commas or repeated. Default: all.")] = None,
    limit: Annotated[int | None, typer.Option(min=2, help="First n prompts of each task.")] = None,
    batch_size: Annotated[int, typer.Option(min=1)] = 16,
    output: Annotated[
        Path | None, typer.Option(help="Folder for probe.json and heat maps (PNG and SVG).", callback=to_folder)
    ] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder with downloaded task data (or MLC_BENCH_DATA).")] = None,
    as_json: Json = False,
) -> int:
    """Show how alike each layer of a model sees a prompt and its translations, and what training changed of it."""
    from mlc_bench.catalog import listing
    from mlc_bench.core.errors import UsageError
    from mlc_bench.core.spec import RunSpec
    from mlc_bench.engines import identity

    use_data(data_dir)
    entries = listing.select(split(tasks, "--tasks") or ["starter_harmful"])
    codes = listing.check_languages(split(languages, "--languages"))
    if against == "base" and adapter is None:
        raise UsageError("--against base compares an --adapter with the model that it is on; there is no --adapter")
    chosen: list[tuple[str, str | None]] = [(model, adapter)]
    if against == "base":
        chosen.append((model, None))
    elif against is not None and (Path(against) / "adapter_config.json").is_file():
        chosen.append((model, against))
    elif against is not None:
        chosen.append((against, None))
    found = [
        identity.resolve(
            RunSpec(model=name, revision=revision if name == model else None, adapter=on, engine="hf", tasks=())
        )
        for name, on in chosen
    ]
    from mlc_bench.baselines.mlc import probe as probing

    texts = {entry.name: probing.prompts(entry, codes, limit) for entry in entries}
    columns: list[list[probing.Probe]] = []
    for one, name in zip(found, _names(found), strict=True):
        loaded = probing.load(one)
        columns.append([probing.measure(*loaded, texts[task], batch_size, name, task) for task in texts])
        del loaded
    if len({len(column[0].layers) for column in columns}) > 1:
        raise UsageError(
            f"'{found[0].name}' and '{found[1].name}' have different numbers of layers, so that no layer of the one "
            "is beside one of the other; compare models of one shape"
        )
    rows = list(zip(*columns, strict=True))  # one for each task, the first model first
    if output is not None:
        _save(rows, output)
    if as_json:
        print(json.dumps(_as_json(rows), indent=1, ensure_ascii=False))
    else:
        print("\n\n".join(probing.text(*row) for row in rows))
    return 0


def _names(found: list[Any]) -> list[str]:
    """The models' names, with a digest behind each where they are the same."""
    names = [one.name + (f"+{one.adapter.name}" if one.adapter else "") for one in found]
    if len(set(names)) == len(names):
        return names
    return [f"{name} [{one.fingerprint[:8]}]" for name, one in zip(names, found, strict=True)]


def _as_json(rows: list[Any]) -> list[dict[str, Any]]:
    return [one.as_dict() for row in rows for one in row]


def _save(rows: list[Any], output: Path) -> None:
    from mlc_bench.baselines.mlc import probe as probing
    from mlc_bench.records.record import write_text

    output.mkdir(parents=True, exist_ok=True)
    write_text(output / "probe.json", json.dumps(_as_json(rows), indent=1, ensure_ascii=False))
    for row in rows:
        for suffix in ("png", "svg"):
            probing.draw(list(row), output / f"{row[0].task}.{suffix}")
