"""Headless Chromium for the tests of pages, and a page that keeps what it says and asks for."""

import shutil

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine; install the package chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


class WatchedPage:
    """An open page; `trouble`: errors and warnings, dialogs, and requests that do not begin with one of `ours`."""

    def __init__(self, page, ours):
        self.page = page
        self.trouble = []
        page.on("console", lambda said: self.trouble.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.trouble.append(str(error)))
        page.on("dialog", lambda dialog: self.trouble.append(dialog.message))
        page.on("request", lambda asked: None if asked.url.startswith(ours) else self.trouble.append(asked.url))

    def ready_at(self, address):
        self.page.goto(address)
        self.page.wait_for_selector("html[data-ready]", state="attached")
        return self

    def refuses_what_comes_in(self):
        """What escaping would miss, the policy stops: a script, a handler and a picture, put into the page by hand."""
        self.page.evaluate(
            """() => {
              const script = document.createElement('script'); script.textContent = "document.title='owned'";
              document.body.append(script);
              const box = document.createElement('div'); document.body.append(box);
              box.innerHTML = `<img src="http://127.0.0.1:9/x" onerror="document.title='owned'">`;
            }"""
        )
        self.page.wait_for_timeout(200)
        assert self.page.title() != "owned"
        assert any("Content Security Policy" in said for said in self.trouble)
        self.trouble.clear()
