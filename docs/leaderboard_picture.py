"""The picture of the leaderboard's page: python docs/leaderboard_picture.py [FILE]

The page of the committed records (leaderboard/results), opened in headless Chromium (the package chromium): the table
of selectivity, and the chart of refusal against over-refusal. Fonts and browser decide its bytes.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from mlc_bench.leaderboard import build
from mlc_bench.leaderboard.render import to_html

ROOT = Path(__file__).parents[1]
RECORDS = ROOT / "leaderboard" / "results"
PICTURE = ROOT / "docs" / "leaderboard.png"
WIDTH, HEIGHT = 1280, 2010  # down to the end of the chart


def main(picture: Path = PICTURE) -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("there is no Chromium on this machine; install the package chromium")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "index.html"
        path.write_text(to_html.document(build.leaderboard([RECORDS])), encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready]", state="attached")
        page.wait_for_selector("#bars svg")
        page.locator("#table-place .number").first.hover()  # its line below the table
        page.screenshot(path=picture)
        browser.close()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
