"""A run of a pack whose metric is a score, from the command line to the record, the table and a comparison."""

import json

import pytest
from helpers import command
from own_task import task

from mlc_bench.catalog import listing

TASK = task(
    "graded",
    """process_results: !function utils.grade
metric_list:
  - {metric: errors, aggregation: mean, higher_is_better: false}
  - {metric: share, aggregation: mean, higher_is_better: true}
metadata: {version: 1, measures: utility, headline: HEADLINE, licence: CC0, summary: graded}
""",
)
CODE = """
def grade(doc, results):
    number = int(doc["prompt"].split()[1])
    return {"errors": 10.0 * number, "share": number / 4}
"""


@pytest.fixture(params=["errors", "share"])
def headline(request):
    yield request.param
    listing.include([])


@pytest.mark.integration
def test_a_run_keeps_every_score(headline, tiny_model, tmp_path):
    folder = tmp_path / "packs" / "pack"
    (folder / "rows").mkdir(parents=True)
    (folder / "graded.yaml").write_text(TASK.replace("HEADLINE", headline))
    (folder / "card.md").write_text("# pack\n")
    (folder / "utils.py").write_text(CODE)
    for code, numbers in (("en", "123"), ("sw", "012")):
        rows = "".join(json.dumps({"id": str(k), "text": f"Say {number}"}) + "\n" for k, number in enumerate(numbers))
        (folder / "rows" / f"{code}.jsonl").write_text(rows)
    output = tmp_path / "results"
    done = command(
        "run", "--model", tiny_model, "--engine", "hf", "--tasks", "graded", "--include", folder.parent,
        "--allow-code", "--output", output, "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (record,) = json.loads(done.stdout)
    (task,) = record["tasks"]
    english = task["languages"]["en"]
    scale = 10 if headline == "errors" else 0.25
    assert english["scores"] == [scale, 2 * scale, 3 * scale]
    assert english["outcomes"] is None
    assert english["metrics"]["errors"]["value"] == 20
    assert english["metrics"]["share"]["value"] == 0.5
    assert task["summary"]["average"]["value"] == pytest.approx(1.5 * scale)
    assert task["lower_is_better"] is (headline == "errors")
    assert task["worst_language"] == ("en" if headline == "errors" else "sw")
    (run,) = [path.parent for path in output.glob("*/*/run.json")]
    shown = command("show", run)
    assert shown.returncode == 0, shown.stderr
    assert ("20.0" if headline == "errors" else "50") in shown.stdout
    assert command("compare", run, run, "--fail-if", f"{headline} > 1").returncode == 0
