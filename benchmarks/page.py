"""Weight of the leaderboard's page, and how long a reader waits for it: python benchmarks/page.py [--models 1000]

Made-up tables, opened from the disk in headless Chromium (the package chromium). Sorting is timed in the page, from
the click to the next frame that shows the result.
"""

import argparse
import gzip
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from playwright.sync_api import sync_playwright

from mlc_bench.leaderboard.collect import Model, Setting
from mlc_bench.leaderboard.provenance import Judge, Run
from mlc_bench.leaderboard.render import to_html
from mlc_bench.leaderboard.tabulate.cells import Cell, Column, Leaderboard, Row, Table
from mlc_bench.records.judge_info import Checked

CODES = ["en", "zh", "ru", "ja", "ar", "bn", "sw", "ur", "ps", "ku", "ko", "it", "jv", "th", "vi"]
PAIR, PARTS = "selectivity-task-0", ("harmful", "harmless")
TIMED_SORT = """async place => {
  const button = document.querySelectorAll('#table-place thead th')[place].querySelector('.dt-column-order');
  const start = performance.now();
  button.click();
  await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
  return performance.now() - start;
}"""
TIMED_DIALOG = """async () => {
  const start = performance.now();
  document.querySelector('#table-place td.cell .number').click();
  await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
  return performance.now() - start;
}"""


def board(models: int) -> Leaderboard:
    """A table of selectivity, a main table and four task tables, 15 languages, every cell filled, a run a model."""
    by_language = tuple(Column(f"language.{code}", code, "percent", True, language=code, key=code) for code in CODES)
    columns = (*by_language, Column("average", "average", "percent", True), Column("worst", "worst", "percent", True))
    judge = Judge("j" * 64, "rules", "1", ("refusal",), tuple(checked(code) for code in CODES))
    setting = Setting(
        "setting", "harm", "made-up", 1, "safety", True, "rules", "1", judge.digest, '{"max_gen_toks": 512}', "",
        "refusal_rate", "benign",
    )  # fmt: skip
    main = table("main-rules", columns, models)
    tasks = [replace(table(f"task-{number}", columns, models), setting=setting) for number in range(4)]
    headline = []
    for name, code in (("outside", ""), ("english", "en")):
        parts = tuple((PAIR, f"{name}.{part}") for part in PARTS)
        headline.append(Column(name, name, "points", True, language=code, source="task-0", parts=parts))
        headline += [Column(f"{name}.{part}", part, "percent", True, language=code, source="task-0") for part in PARTS]
    for column in by_language[1:]:
        parts = tuple((f"task-{place}", column.id) for place in range(2))
        headline.append(replace(column, unit="points", source="task-0", parts=parts))
    first = replace(table(PAIR, tuple(headline), models), setting=setting)
    runs = tuple(
        Run(
            f"{index:012d}", judge.digest, "2026-11-29T21:48:39+00:00", "vllm 0.32.0", "bfloat16", "c" * 64, "", "0.1.0"
        )
        for index in range(models)
    )
    return Leaderboard((main,), tuple(tasks), (), (), (first,), runs, (judge,))


def checked(code: str) -> Checked:
    return Checked(
        judge="rules", version="1", language=code, labels="made up", source="written", refusals=90, seen=80, others=90,
        alarms=2, unsure=0,
    )  # fmt: skip


def table(name: str, columns: tuple[Column, ...], models: int) -> Table:
    rows = []
    for index in range(models):
        model = Model(f"{index:064d}", f"model-{index}", None, f"method-{index % 9}", f"base-{index % 20}")
        values = [((index * 7919 + place * 104729) % 1000) / 1000 for place in range(len(columns))]
        cells = {
            column.id: Cell(value, max(0, value - 0.05), min(1, value + 0.05), 180, runs=(f"{index:012d}",))
            for column, value in zip(columns, values, strict=True)
        }
        rows.append(Row(model, model.base_name or "", cells))
    return Table(name, name, "rules", columns, tuple(rows), ())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, nargs="+", default=[10, 100, 1000])
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("there is no Chromium on this machine; install the package chromium")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for models in options.models:
            text = to_html.document(board(models)).encode()
            path = Path(folder) / "index.html"
            path.write_bytes(text)
            page = browser.new_page()
            start = time.perf_counter()
            page.goto(path.as_uri())
            page.wait_for_selector("html[data-ready]", state="attached")
            ready = time.perf_counter() - start
            page.wait_for_selector("#bars svg")
            sorts = [page.evaluate(TIMED_SORT, place) for place in (3, 4, 5, 18, 3)]
            middle = sorted(sorts)[len(sorts) // 2]
            opened = page.evaluate(TIMED_DIALOG)
            weight = f"{len(text) / 1e6:.2f} MB ({len(gzip.compress(text)) / 1e6:.2f} MB gzipped)"
            times = f"ready in {ready:.2f} s, a sort takes {middle:.0f} ms (longest {max(sorts):.0f})"
            print(
                f"{models} models, {len(CODES)} languages, 6 tables: {weight}, {times}, a dialog {opened:.0f} ms",
                flush=True,
            )
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
