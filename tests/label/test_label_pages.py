"""The pages for labelling in headless Chromium: by keys alone, and nothing that a model wrote runs."""

import json
import urllib.parse

import pytest
import viewed_runs
from chromium import WatchedPage
from helpers import command
from labelled_runs import read

from mlc_bench.judges.labels import session
from mlc_bench.judges.labels.take import take
from mlc_bench.view import one_file
from mlc_bench.view.label import speaker_page

OWNED = "document.title='owned'"
HOSTILE = (
    f"</bdi></article></form><script>{OWNED}</script>",
    f'<img src=x onerror="{OWNED}"><svg onload="{OWNED}"><a href="javascript:{OWNED}">click</a>',
    f"&lt;script&gt;{OWNED}&lt;/script&gt; &#60;b&#62; &amp;amp;",
    f"<iframe srcdoc=\"<script>parent.{OWNED}</script>\"></iframe><meta http-equiv=refresh content='0;url=http://evil.example/'>",
    "</textarea></select></style></title><style>*{display:none}</style><link rel=stylesheet href=http://evil.example/x.css>",
    "{{ 7 * 7 }} {% raw %} ${7*7} <!-- ]]> \x00\x07\x1b[31m",
    "pay \u202e10$ \u2066to\u2069 \u200eme\u202c \u2067now",
    "x" * 1_000_000,
    "http://evil.example/ [link](http://evil.example/) ![](http://evil.example/a.png)",
    f'"onfocus="{OWNED}" autofocus tabindex="1',
)
MARKUP = "script, img, svg, iframe, meta, link, a:not([href^='/']), [onfocus], [onerror], [autofocus]"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Two runs: plain, and one of hostile answers to hostile prompts."""
    folder = tmp_path_factory.mktemp("label-pages")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLC_BENCH_CACHE", str(folder / "cache"))
        plain = viewed_runs.make(folder / "results", "alpha", 0, prompts=60)
        texts = {(task, code, f"p{n}"): text for n, text in enumerate(HOSTILE) for task in viewed_runs.TASKS
                 for code in viewed_runs.LANGUAGES}  # fmt: skip
        evil = viewed_runs.make(folder / "results", "evil", 1, prompts=len(HOSTILE), texts=texts)
        for path in evil.glob("samples/*.jsonl"):
            rows = viewed_runs.read(path)
            viewed_runs.write(path, [row | {"prompt": row["prompt"] + HOSTILE[n % 6]} for n, row in enumerate(rows)])
        with viewed_runs.served(folder / "results") as (address, _):
            yield urllib.parse.urlsplit(address), plain, evil


class Page(WatchedPage):
    def __init__(self, page, address):
        super().__init__(page, (f"http://{address.netloc}/", "data:", "file:", "blob:"))
        self.address = address

    def go(self, path, query=""):
        return self.ready_at(f"http://{self.address.netloc}{path}?{query}&{self.address.query}".replace("?&", "?"))

    def key(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def head(self):
        return self.page.inner_text("h1")

    def label(self, *keys):
        """Press keys that label the answer that is shown, and wait for the next one."""
        before = self.head()
        for key in keys[:-1]:
            self.key(key)
            self.page.wait_for_selector("text=Is it harmful?")
            self.page.wait_for_selector("html[data-ready]", state="attached")
        self.key(keys[-1])
        self.page.wait_for_function("before => document.querySelector('h1')?.innerText !== before", arg=before)
        self.page.wait_for_selector("html[data-ready]", state="attached")


@pytest.fixture
def open_page(browser, results):
    opened = []

    def begin(**options):
        opened.append(Page(browser.new_page(**options), results[0]))
        return opened[-1]

    yield begin
    for one in opened:
        one.page.close()
        assert one.trouble == []


def begun(run, name, **settings):
    """A session, as another process would have begun it, and its address."""
    from mlc_bench.core.spec import digest

    settings = {"sample": 60, "languages": ["ar"], "tasks": ["harm", "mild"]} | settings
    one = session.start([run], annotator=name, **settings)
    return one, f"session={digest([run.name, name])[:16]}"


def test_sixty_labels_by_keys_alone(open_page, results):
    _, plain, _ = results
    page = open_page()
    page.go("/", f"run={plain.name}&lang=sw&find=gap")
    page.key("l")
    page.page.wait_for_url("**/label?**")
    page.page.wait_for_selector("html[data-ready]", state="attached")
    for _ in range(30):  # the name is the first field of the form that draws
        page.key("Tab")
        if page.page.evaluate("document.activeElement.name") == "annotator" and page.page.evaluate(
            "document.activeElement.value !== '' || document.activeElement.form.querySelector('[name=sample]') !== null"
        ):
            break
    page.key("Control+a")
    page.page.keyboard.type("keys")
    page.key("Enter")
    page.page.wait_for_selector("text=1 of 60, Swahili")
    page.page.wait_for_selector("html[data-ready]", state="attached")
    given = ("r", "d", "i", "s", "cy", "cn", "cs")
    for place in range(59):
        if place == 10:
            page.key("n")
            page.page.keyboard.type("rdu, a note")  # in a field these are letters
            page.key("Escape")
        page.label(*given[place % 7])
    assert page.head() == "60 of 60, Swahili"
    page.key("u")
    page.page.wait_for_selector("text=59 of 60, Swahili")
    page.page.wait_for_selector("html[data-ready]", state="attached")
    page.label("r")
    page.key("?")
    assert page.page.locator("#keys dl").is_visible()
    page.label("R")  # as with the lock for capitals on
    page.page.wait_for_selector("text=All 60 answers have a label")
    page.key("q")
    page.page.wait_for_url("**/label/rates?**")
    assert "mlc-bench calibrate" in page.page.inner_text("main")
    rows = read(plain / "labels/keys.jsonl")
    said = {"r": ("refuses", False), "d": ("deflects", False), "i": ("invalid", False), "s": (None, None),
            "cy": ("complies", True), "cn": ("complies", False), "cs": ("complies", None)}  # fmt: skip
    assert [(row["refusal"], row["harmful"]) for row in rows[:58]] == [said[given[n % 7]] for n in range(58)]
    assert rows[10]["note"] == "rdu, a note"
    assert len(rows) == 60


def test_a_key_that_is_held_down_labels_once(open_page, results):
    _, plain, _ = results
    one, query = begun(plain, "held")
    page = open_page()
    page.go("/label/answer", query)
    page.page.evaluate(
        """() => { for (const repeat of [true, true]) document.body.dispatchEvent(
        new KeyboardEvent('keydown', {key: 'r', repeat, bubbles: true})) }"""
    )
    page.page.wait_for_timeout(300)
    assert page.head().startswith("1 of ")
    page.label("r")
    assert len(read(one.file.path)) == 1


def test_hostile_answers_are_text(open_page, results):
    _, _, evil = results
    one, query = begun(evil, "mallory", languages=["en", "ar"])
    page = open_page()
    page.go("/label/answer", query)
    texts = []
    for _ in range(one.left):
        assert page.page.title() != "owned"
        assert page.page.locator("main").locator(MARKUP).count() == 0
        texts.append(page.page.locator("section[aria-labelledby=answer-head]").inner_text())
        if "Show all" in texts[-1]:
            assert len(texts[-1]) < 30_000
        page.label("r")
    assert any("<script>" in text for text in texts)
    assert any("&lt;script&gt;" in text for text in texts)
    assert any("⟨U+202E⟩" in text for text in texts)
    assert any("Show all 1,000,000 characters" in text for text in texts)
    page.go("/label/rates", query)
    page.go("/label", "")
    assert page.page.title() != "owned"


def test_a_right_to_left_prompt_is_beside_the_english_one(open_page, results):
    _, plain, _ = results
    _, query = begun(plain, "rtl")
    page = open_page()
    page.go("/label/answer", query)
    prompt = page.page.locator("section[aria-labelledby=prompt-head] bdi")
    assert prompt.get_attribute("lang") == "ar"
    assert prompt.evaluate("one => getComputedStyle(one).direction") == "rtl"
    assert page.page.locator("section[aria-labelledby=english-head]").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_axe_finds_no_fault(open_page, results, tmp_path, scheme, width):
    from axe_playwright_python.sync_playwright import Axe

    _, plain, _ = results
    name = f"axe-{scheme}-{width}"
    one, query = begun(plain, name, sample=20)
    other, second = begun(plain, f"{name}-b", sample=20)
    page = open_page(color_scheme=scheme, viewport={"width": width, "height": 740})
    target = tmp_path / "page.html"
    one_file.write(target, speaker_page.document(one))
    for session_, keys in ((one, "rdircdrr"), (other, "rrrrrrrr")):
        for key in keys:
            session_.say(key if session_.shown.question == "refusal" else "n")
    answer = urllib.parse.quote(f"{plain.name}/harm/ar/p1", safe="")
    both = f"{query}&with={second.partition('=')[2]}"
    paths = [("/label", ""), ("/label/answer", query), ("/label/rates", query), ("/label/answer", "session=no"),
             ("/label/compare", both), ("/answer", f"answer={answer}")]  # fmt: skip

    def look(where):
        found = Axe().run(page.page).response["violations"]
        assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found] == [], where
        assert page.page.evaluate("document.documentElement.scrollWidth") <= width, where

    for path, more in paths:
        page.go(path, more)
        if path == "/answer":
            page.key("w")
        page.key("?")
        look(path)
    page.go("/label/compare", both)
    page.page.click("main button")
    page.page.wait_for_selector("text=To settle:")
    look("settle")
    page.ready_at(target.as_uri())
    look("file")
    page.key("c", "?")
    look("file, harm")
    page.trouble = [said for said in page.trouble if "400 (Bad Request)" not in said]


def saved(page, target):
    """Press the key that saves; the rows of the file."""
    with page.page.expect_download() as coming:
        page.key("q")
    coming.value.save_as(target)
    return [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]


def test_a_speaker_labels_the_file_by_keys_and_the_labels_come_back(browser, results, tmp_path):
    address, plain, _ = results
    one, _ = begun(plain, "amina", languages=["sw", "ar"], sample=30)
    target = tmp_path / "page.html"
    one_file.write(target, speaker_page.document(one))
    context = browser.new_context()
    page = Page(context.new_page(), address)
    page.ready_at(target.as_uri())
    assert "may be harmful" in page.page.inner_text("header")
    heading = "document.getElementById('now').innerText"
    given = ("r", "d", "i", "s", "cy", "cn", "cs")
    for place in range(60):
        assert page.page.evaluate(heading).startswith(f"{place + 1} of 60,")
        assert page.page.locator("article:visible").count() == 1
        if place == 5:
            page.key("n")
            page.page.keyboard.type("rd, a note")
            page.key("Escape")
        page.key(*given[place % 7])
        if place == 20:  # closed and opened again: it goes on
            page.page.close()
            page = Page(context.new_page(), address)
            page.ready_at(target.as_uri())
            assert len(saved(page, tmp_path / "part.jsonl")) == 1 + 21
            page.key("u")
            assert page.page.evaluate(heading).startswith("21 of 60,")
            page.key(*given[place % 7])
    assert "All answers have a label" in page.page.inner_text("#asked")
    rows = saved(page, tmp_path / "labels.jsonl")
    assert page.trouble == []
    context.close()
    assert len(rows) == 61
    found = take(tmp_path / "labels.jsonl", [plain])
    assert (found.new, found.left) == (60, 0)
    kept = read(plain / "labels/amina.jsonl")
    said = {"r": ("refuses", False), "d": ("deflects", False), "i": ("invalid", False), "s": (None, None),
            "cy": ("complies", True), "cn": ("complies", False), "cs": ("complies", None)}  # fmt: skip
    assert [(row["refusal"], row["harmful"]) for row in kept] == [said[given[n % 7]] for n in range(60)]
    assert kept[5]["note"] == "rd, a note"
    assert [row["id"] for row in kept] == [drawn.key[3] for drawn in one.drawn]
    assert command("label", plain, "--take", tmp_path / "labels.jsonl").stdout.startswith("0 labels taken")


def test_the_file_is_labelled_by_touch(browser, results, tmp_path):
    address, plain, _ = results
    one, _ = begun(plain, "touch", sample=20)
    one_file.write(tmp_path / "page.html", speaker_page.document(one))
    context = browser.new_context(has_touch=True, viewport={"width": 360, "height": 740})
    page = Page(context.new_page(), address)
    page.ready_at((tmp_path / "page.html").as_uri())
    page.page.tap("text=complies >> visible=true")
    page.page.tap("text=yes, harmful")
    page.page.tap("text=deflects >> visible=true")
    with page.page.expect_download() as coming:
        page.page.tap("text=save my labels")
    coming.value.save_as(tmp_path / "labels.jsonl")
    assert "2 labels saved" in page.page.inner_text("#said")
    assert page.trouble == []
    context.close()
    assert take(tmp_path / "labels.jsonl", [plain]).new == 2


def test_hostile_answers_run_nothing_in_the_file(browser, results, tmp_path):
    address, _, evil = results
    one, _ = begun(evil, "file", languages=["en", "ar"])
    one_file.write(tmp_path / "page.html", speaker_page.document(one))
    page = Page(browser.new_page(), address)
    page.ready_at((tmp_path / "page.html").as_uri())
    assert page.page.locator("main").locator(MARKUP).count() == 0
    texts = []
    for _ in range(one.left):
        assert page.page.title() != "owned"
        texts.append(page.page.locator("article:visible").inner_text())
        page.key("r")
    assert any("<script>" in text for text in texts)
    assert any("⟨U+202E⟩" in text for text in texts)
    assert any("All 1,000,000 characters" in text and len(text) < 45_000 for text in texts)
    assert page.trouble == []
    page.refuses_what_comes_in()
    page.page.close()


def test_a_wrong_translation_is_marked_by_keys(open_page, results):
    _, plain, _ = results
    page = open_page()
    page.go("/answer", f"answer={plain.name}/harm/sw/p3")
    page.key("w", "Tab")
    page.key("Control+a")
    page.page.keyboard.type("Nifanyeje?")
    page.key("Tab", "Tab")
    page.page.keyboard.type("Amina")
    page.key("Enter")
    page.page.wait_for_selector("text=Marked as wrong by Amina")
    (row,) = read(plain / "reviews.jsonl")
    assert (row["correction"], row["who"], row["ids"], row["language"]) == ("Nifanyeje?", "Amina", ["p3"], "sw")
