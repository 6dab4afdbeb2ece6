"""`mlc-bench gate fit` and `mlc-bench gate apply`."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from mlc_bench.console import Json, split, to_folder, use_data

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="A refusal gate on hidden states, recalibrated per language, without training.",
)

DataDir = Annotated[Path | None, typer.Option(help="Folder with downloaded task data (or MLC_BENCH_DATA).")]
BatchSize = Annotated[int, typer.Option(min=1, help="Prompts in a forward pass.")]


@app.command()
def fit(
    model: Annotated[str, typer.Option(help="Hub id, local folder, or a demo model ('demo-tiny').")],
    output: Annotated[
        Path,
        typer.Option(help="Folder for gate.json; its name is that of the model with the gate.", callback=to_folder),
    ],
    revision: Annotated[str | None, typer.Option(help="Hub revision: branch, tag or commit.")] = None,
    adapter: Annotated[str | None, typer.Option(help="peft adapter on the model.")] = None,
    data: Annotated[
        list[str] | None, typer.Option(help="Training data, as for train-baseline. Default: embedded.")
    ] = None,
    keep_out: Annotated[
        list[str] | None, typer.Option(help="Test tasks whose prompts are left out of the data. Default: starter.")
    ] = None,
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"],
        typer.Option(help="In which the model's states are read; auto: the one it is stored in."),
    ] = "auto",
    batch_size: BatchSize = 16,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> int:
    """Find the layer, the direction and each language's threshold by which a gate tells harmful from harmless."""
    from mlc_bench.baselines.data import training_data
    from mlc_bench.core import secrets
    from mlc_bench.core.spec import RunSpec
    from mlc_bench.engines import identity
    from mlc_bench.engines.vllm_cpu import version

    use_data(data_dir)
    keep = split(keep_out, "--keep-out") or ["starter"]
    rows = training_data.without_test_prompts(training_data.load(split(data, "--data") or ["embedded"]), keep)
    found = identity.resolve(RunSpec(model=model, revision=revision, adapter=adapter, engine="hf", tasks=()))
    from mlc_bench.baselines.gate import gate as gates
    from mlc_bench.baselines.mlc import probe

    loaded = probe.load(found, dtype)
    decision = gates.fit(rows.rows, lambda texts: probe.read_states(*loaded, texts, batch_size, phase="gate"))
    about: dict[str, Any] = {
        "files": secrets.removed(rows.files), "fingerprint": rows.fingerprint, "rows": len(rows.rows),
        "dropped": rows.dropped, "overlap": rows.overlap, "languages": sorted(decision.thresholds),
    }  # fmt: skip
    versions = {name: version(name) for name in ("mlc-bench", "torch", "transformers")}
    gate = gates.of(decision, found, dtype=dtype, data=about, keep_out=keep, versions=versions)
    path = gates.write(gate, output)
    if as_json:
        print(json.dumps(gate.training() | {"selectivity": gate.selectivity}, indent=1, ensure_ascii=False))
        return 0
    print(f"{gate.base_model}: layer {gate.layer}; selectivity of the gate on its training prompts, %:")
    print("  ".join(f"{code} {100 * value:.0f}" for code, value in gate.selectivity.items()))
    print(path)
    return 0


@app.command()
def apply(
    run: Annotated[
        Path, typer.Argument(help="Folder of a finished run; or one of its records, whose judge then judges.")
    ],
    gate: Annotated[Path, typer.Option(help="Folder that `mlc-bench gate fit` wrote.")],
    output: Annotated[Path, typer.Option(help="Folder of results.", callback=to_folder)] = Path("results"),
    batch_size: BatchSize = 16,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> int:
    """Put a gate before a finished run's answers: a run of its own, with a refusal where the gate fires."""
    from mlc_bench.baselines.gate import gate as gates
    from mlc_bench.baselines.gate import gated_run
    from mlc_bench.cli.judge import print_results
    from mlc_bench.request import Result

    use_data(data_dir)
    chosen = gates.read(gate)
    folder, found = gated_run.read(run)
    here = gated_run.resolve(found, chosen)
    states = gated_run.reader(here, chosen, batch_size)
    made = gated_run.make(folder, found, chosen, gate.resolve().name, states, output)
    if as_json:
        print(json.dumps([made[0].model_dump(mode="json")], indent=1, ensure_ascii=False))
    else:
        print_results([Result(*made)])
    return 0 if made[0].status == "complete" else 1
