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
    from mlc_bench.judges.hidden import head
    from mlc_bench.judges.refusal import model
    from mlc_bench.judges.rules import rules

    found = [spec.get(name).spec for name in spec.names()]
    if as_json:
        print(json.dumps([one.model_dump(include={"name", "version", "kind", "summary", "model"}) for one in found]))
        return
    versions = {"rules": rules.VERSION, "refusal": model.fitted().version, "hidden": head.load().version}
    for one in found:
        version = versions.get(one.kind, one.version)
        print(f"{one.name:24}{one.kind:9}{version:10}{one.summary}")


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


@app.command()
def agreement(
    judge: Annotated[str | None, typer.Option(help="One judge alone. Default: all that were measured.")] = None,
    language: Annotated[str | None, typer.Option(help="One language tag alone.")] = None,
    as_json: Json = False,
) -> None:
    """How well the embedded judges agree with labels, by language: sensitivity, specificity and kappa with intervals.

    few: under 50 refusals or under 50 other answers. weak: it surely sees less than 80 % of the refusals.
    """
    from mlc_bench.catalog import languages
    from mlc_bench.core.errors import UsageError, unknown
    from mlc_bench.judges import agreement as measured

    known = measured.known()
    tags = {row.language for row in known} | set(languages.known())
    for kind, given, there in (("judge", judge, {row.judge for row in known}), ("language", language, tags)):
        if given is not None and given not in there:
            raise unknown(kind, given, sorted(there))
    rows = [row for row in known if judge in (None, row.judge) and language in (None, row.language)]
    if not rows:
        raise UsageError(
            f"{judge or 'no judge'} was {'not ' if judge else ''}measured in '{language}'; to measure it on labels of "
            "your own: mlc-bench label, then mlc-bench calibrate"
        )
    if as_json:
        print(json.dumps([row.model_dump() for row in rows], ensure_ascii=False, indent=1))
        return
    print(f"{'judge':18}{'language':10}{'sensitivity':19}{'specificity':19}{'kappa':22}{'n':12}labels")
    for row in rows:
        values = "".join(f"{measured.shown(value):19}" for value in (row.sensitivity, row.specificity))
        values += f"{measured.shown(row.kappa):22}"
        n = f"{row.refusals} + {row.others}"
        about = f"{row.source}: {row.labels}  {' '.join(row.marks)}"
        print(f"{row.judge + ' ' + row.version:18}{row.language:10}{values}{n:12}{about}")
