"""`mlc-bench judge`."""

import json
from pathlib import Path
from typing import Annotated

import typer


def judge(
    file: Annotated[Path, typer.Argument(help="JSON lines with id, language, prompt, response.")],
    judge: Annotated[str, typer.Option(help="Who judges.")] = "rules",
) -> None:
    """Label answers that were made elsewhere; the same rows come out with verdict, refused, response_language."""
    from mlc_bench import judging

    judging.check(judge)
    rows = judging.read_answers(file)
    for row, found in zip(rows, judging.verdicts(judge, rows), strict=True):
        labels = {key: found[key] for key in ("verdict", "refused", "response_language")}
        print(json.dumps(row | labels, ensure_ascii=False))
