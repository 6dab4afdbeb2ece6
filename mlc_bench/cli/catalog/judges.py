"""`mlc-bench judges`: which there are, and whether their files hold."""

import json
from typing import Annotated

import typer

from mlc_bench.console import Json
from mlc_bench.core import secrets

app = typer.Typer(no_args_is_help=True, help="Judges: who says whether an answer is safe.")


@app.command("list")
def list_(as_json: Json = False) -> None:
    """The embedded judges."""
    from mlc_bench.judges import spec
    from mlc_bench.judges.rules import rules

    found = [spec.get(name).spec for name in spec.names()]
    if as_json:
        print(json.dumps([one.model_dump(include={"name", "version", "kind", "summary", "model"}) for one in found]))
        return
    for one in found:
        version = rules.VERSION if one.kind == "rules" else one.version
        print(f"{one.name:24}{one.kind:7}{version:10}{one.summary}")


@app.command()
def show(judge: Annotated[str, typer.Argument(help="NAME, or a judge's YAML.")], as_json: Json = False) -> None:
    """All that a judge's file says: model, languages, prompt, labels, examples."""
    import yaml

    from mlc_bench.judges import spec

    found = spec.get(judge).spec.model_dump(mode="json", exclude_defaults=True)
    ways = ("engine_args", "request", "base_url")  # how its model is reached, which may need a key
    found |= {key: secrets.removed(found[key]) for key in ways if key in found}
    text = json.dumps(found, indent=1, ensure_ascii=False) if as_json else None
    print(text or yaml.safe_dump(found, sort_keys=False, allow_unicode=True, width=120).rstrip())


@app.command()
def check(
    judges: Annotated[list[str] | None, typer.Argument(help="Names or YAMLs. Default: all embedded ones.")] = None,
) -> int:
    """Read each judge's file and judge its examples with its parser; no model is asked."""
    from mlc_bench.core.errors import UserError
    from mlc_bench.judges import judging, spec

    failed = 0
    for name in judges or spec.names():
        try:
            found = judging.check(name)
            spec.check_examples(found.spec)
            print(f"ok       {found.id}: {len(found.spec.examples)} examples")
        except UserError as error:
            failed += 1
            print(f"problem  {error}")
    return 2 if failed else 0
