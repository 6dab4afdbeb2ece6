"""`mlc-bench doctor`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from mlc_bench.console import Json


def doctor(
    output: Annotated[Path, typer.Option(help="Folder of results.")] = Path("results"), as_json: Json = False
) -> int:
    """Check versions, engines, GPU, hub access, tasks, languages and disk."""
    import dataclasses

    from mlc_bench import doctor as checks

    found = checks.findings(output)
    if as_json:
        print(json.dumps([dataclasses.asdict(finding) for finding in found], indent=1))
    else:
        print(checks.as_text(found))
    return 3 if any(finding.level == "problem" for finding in found) else 0
