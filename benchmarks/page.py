"""Weight of the leaderboard's page, and how long a reader waits for it: python benchmarks/page.py [--models 1000]

Made-up tables, opened from the disk in headless Chromium (the package chromium). Sorting is timed in the page, from
the click to the next frame that shows the result.
"""

import argparse
import dataclasses
import gzip
import shutil
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from mlc_bench.leaderboard.collect import Model
from mlc_bench.leaderboard.render import to_html
from mlc_bench.leaderboard.tabulate.cells import Cell, Column, Leaderboard, Row, Table

CODES = ["en", "zh", "ru", "ja", "ar", "bn", "sw", "ur", "ps", "ku", "ko", "it", "jv", "th", "vi"]
TIMED_SORT = """async place => {
  const button = document.querySelectorAll('#table-place thead th')[place].querySelector('.dt-column-order');
  const start = performance.now();
  button.click();
  await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
  return performance.now() - start;
}"""


def board(models: int) -> Leaderboard:
    """One main table and four task tables, 15 languages, every cell filled."""
    columns = tuple(Column(f"language.{code}", code, "percent", True, language=code, key=code) for code in CODES)
    columns += (Column("average", "average", "percent", True), Column("worst", "worst", "percent", True))
    rows = []
    for index in range(models):
        model = Model(f"{index:064d}", f"model-{index}", None, f"method-{index % 9}", f"base-{index % 20}")
        values = [((index * 7919 + place * 104729) % 1000) / 1000 for place in range(len(columns))]
        cells = {
            column.id: Cell(value, max(0, value - 0.05), min(1, value + 0.05), 180, runs=(f"{index:012d}",))
            for column, value in zip(columns, values, strict=True)
        }
        rows.append(Row(model, model.base_name or "", cells))
    table = Table("main-rules", "Safety", "rules", columns, tuple(rows), ())
    tasks = tuple(dataclasses.replace(table, id=f"task-{number}", title=f"task {number}") for number in range(4))
    return Leaderboard((table,), tasks, (), ())


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
            weight = f"{len(text) / 1e6:.2f} MB ({len(gzip.compress(text)) / 1e6:.2f} MB gzipped)"
            times = f"ready in {ready:.2f} s, a sort takes {middle:.0f} ms (longest {max(sorts):.0f})"
            print(f"{models} models, {len(CODES)} languages, 5 tables: {weight}, {times}", flush=True)
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
