"""The viewer's pages in headless Chromium: read and filtered by keys alone, and nothing that a model wrote runs."""

import json
import re
import urllib.parse

import pytest
import viewed_runs
from chromium import WatchedPage

from mlc_bench.view import one_file, pages, selection

PLACE = "(({cellIndex, parentElement}) => [cellIndex, parentElement.rowIndex])(document.activeElement.closest('td'))"
OWNED = "document.title='owned'"
HOSTILE = (
    f"</td></table><script>{OWNED}</script>",
    f'<img src=x onerror="{OWNED}"><svg onload="{OWNED}"><a href="javascript:{OWNED}">click</a>',
    f"&lt;script&gt;{OWNED}&lt;/script&gt; &#60;b&#62; &amp;amp;",
    f"<iframe srcdoc=\"<script>parent.{OWNED}</script>\"></iframe><meta http-equiv=refresh content='0;url=http://evil.example/'>",
    "</textarea></select></style></title><style>*{display:none}</style><link rel=stylesheet href=http://evil.example/x.css>",
    "{{ 7 * 7 }} {% raw %} ${7*7} <!-- ]]> \x00\x07\x1b[31m",
    "pay \u202e10$ \u2066to\u2069 \u200eme\u202c \u2067now",
    "x" * 1_000_000,
    "http://evil.example/ [link](http://evil.example/) ![](http://evil.example/a.png)",
    "كيف \u200fحالك 你好 สวัสดี 👩‍👩‍👧",
)


@pytest.fixture(scope="module")
def viewer(tmp_path_factory):
    """Two runs, one of them hostile wherever a text can be."""
    folder = tmp_path_factory.mktemp("pages")
    viewed_runs.make(folder / "results", "alpha", 0, prompts=60)
    texts = {(task, code, f"p{n}"): text for n, text in enumerate(HOSTILE) for task in viewed_runs.TASKS
             for code in viewed_runs.LANGUAGES}  # fmt: skip
    evil = viewed_runs.make(folder / "results", "evil", 1, prompts=60, texts=texts)
    for path in evil.glob("*/**/*.jsonl"):
        rows = viewed_runs.read(path)
        for row in rows:
            row |= {"id": HOSTILE[0] if row["id"] == "p0" else row["id"]}
            row |= {"reason": HOSTILE[1], "detail": HOSTILE[0]} if "reason" in row else {"category": HOSTILE[1]}
            row |= {"prompt": row["prompt"] + HOSTILE[0], "thinking": HOSTILE[0]} if "prompt" in row else {}
        viewed_runs.write(path, rows)
    for path in evil.glob("run*.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        content["model"]["name"] = content["prompting"]["system_prompt"] = HOSTILE[1]
        path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLC_BENCH_CACHE", str(folder / "cache"))
        with viewed_runs.served(folder / "results") as (address, found):
            names = {run.label: run.name for run in found.contents.runs.values()}
            yield urllib.parse.urlsplit(address), found, names["alpha"], names[HOSTILE[1]]


class Page(WatchedPage):
    def __init__(self, page, address):
        super().__init__(page, (f"http://{address.netloc}/", "data:", "file:"))
        self.address = address

    def go(self, query="", path="/"):
        return self.ready_at(f"http://{self.address.netloc}{path}?{query}&{self.address.query}".replace("?&", "?"))

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)
        return self

    def lands(self, *parts):
        """Wait until the address has these parts, and the page its keys."""
        self.page.wait_for_url(lambda url: all(part in urllib.parse.unquote(url) for part in parts))
        self.page.wait_for_selector("html[data-ready]", state="attached")

    def focused(self):
        return self.page.evaluate("document.activeElement.closest('td, th, li, label, p, summary, a').innerText")


@pytest.fixture
def open_page(browser, viewer):
    opened = []

    def begin(query="", path="/", **options):
        opened.append(Page(browser.new_page(**options), viewer[0]))
        return opened[-1].go(query, path)

    yield begin
    for one in opened:
        one.page.close()
        assert one.trouble == []


def is_owned(page):
    return (
        page.title() == "owned"
        or page.locator("td script, td img, td svg, td iframe, td a[href^='javascript']").count()
    )


def test_the_grid_has_a_prompt_a_row_and_the_chosen_columns(open_page, viewer):
    _, _, alpha, evil = viewer
    page = open_page(f"run={alpha},{evil}&lang=en,th").page
    assert page.locator("#grid tbody tr").count() == 50
    assert page.locator("#grid thead tr").nth(1).locator("th").count() == 4
    page = open_page(f"run={alpha}").page
    assert page.locator("#grid thead th").count() == 1 + 5
    first = page.locator("#grid tbody tr").first
    assert first.locator("th .english").inner_text() == "I harm 0"
    assert first.locator("td").nth(1).locator(".prompt").inner_text().endswith("harm 0")  # the translation beside it
    # Never by colour alone: each answer has its verdict as a word.
    words = [text.split("\n")[0] for text in page.locator("#grid td .v").all_inner_texts()]
    assert all(re.search(r"refuses|deflects|complies|invalid|unsure|blocked|no verdict", word) for word in words)


def test_texts_have_their_language_and_direction(open_page, viewer):
    page = open_page(f"run={viewer[2]}").page
    arabic = page.locator("#grid td .prompt[lang=ar]").first
    assert arabic.get_attribute("dir") == "rtl"
    assert arabic.evaluate("one => getComputedStyle(one).direction") == "rtl"
    assert page.locator("#grid td .prompt[lang=th]").first.get_attribute("dir") == "ltr"
    cell = page.locator("#grid tbody tr").first.locator("td").nth(3)  # the answer in Arabic, by its own letters
    assert cell.locator(".response").evaluate("one => getComputedStyle(one).direction") == "rtl"


def test_hostile_answers_are_text(open_page, viewer):
    _, found, _, evil = viewer
    page = open_page(f"run={evil}&lang=en,ar")
    assert not is_owned(page.page)
    shown = page.page.locator("#grid td .response").all_inner_texts()
    page.go(f"run={evil}&lang=en,ar&page=2")  # its id is another one, so it is the last
    assert not is_owned(page.page)
    shown += page.page.locator("#grid td .response").all_inner_texts()
    assert any("<script>" in text for text in shown)
    assert any("&lt;script&gt;" in text for text in shown)
    assert any("⟨U+202E⟩" in text for text in shown)
    assert not any("\u202e" in text for text in shown)
    assert max(map(len, shown)) < 500
    chosen = selection.parsed(f"run={evil}", found.contents)
    lines = found.lines(chosen, found.items(chosen)[:10])
    for line in [*lines, *found.lines(chosen, found.items(chosen)[-1:])]:
        name = urllib.parse.quote(f"{evil}/harm/en/{line.name}", safe="")
        page.go(f"run={evil}&answer={name}", "/answer")
        page.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
        assert not is_owned(page.page)
        assert page.page.locator("main script, main img, main svg, main iframe, main a:not([href^='/'])").count() == 0
        assert page.page.inner_text("main")
    code = next(code for code in viewed_runs.LANGUAGES if found.answer(evil, "harm", code, "p7").response)
    long = urllib.parse.quote(f"{evil}/harm/{code}/p7", safe="")
    page.go(f"run={evil}&answer={long}", "/answer")
    assert len(page.page.locator("section[aria-labelledby=answer-head] > .whole").inner_text()) < 30_000
    page.page.click("text=Show all 1,000,000 characters")
    page.lands("whole=1")
    assert len(page.page.locator("section[aria-labelledby=answer-head] > .whole").inner_text()) == 1_000_000
    odd = open_page(f"run={evil}&q={urllib.parse.quote(HOSTILE[0][:190])}")
    assert not is_owned(odd.page)


def test_the_policy_stops_what_escaping_would_miss(open_page):
    open_page("find=gap").refuses_what_comes_in()


def test_filters_are_links_with_counts(open_page, viewer):
    _, found, alpha, _ = viewer
    page = open_page(f"run={alpha}")
    page.page.click("nav >> text=English refuses, this language complies")
    page.lands("find=gap")
    whole, _ = found.counts(selection.parsed(f"run={alpha}&find=gap", found.contents))
    assert f"{whole.k} of {whole.n} answers, {pages.share(whole)}" in page.page.inner_text("[role=status]")
    assert page.page.locator("td.found").count() == whole.k
    assert page.page.locator("td.found .flag").count() == whole.k
    again = open_page(urllib.parse.urlsplit(page.page.url).query.rpartition("&token")[0])
    assert again.page.inner_text("#grid") == page.page.inner_text("#grid")


def test_the_choice_is_a_form(open_page, viewer):
    _, found, alpha, evil = viewer
    page = open_page()
    page.page.select_option("select[name=judge]", "guard")
    page.page.uncheck("input[name=lang][value=ar]")
    for run in (alpha, evil):
        page.page.check(f"input[name=run][value={run}]")
    page.page.fill("#q", "警察")
    page.page.click("text=Show >> nth=0")
    page.lands("judge=guard", "q=警察", f"run={evil}")
    chosen = selection.parsed(page.page.url, found.contents)
    assert {one.code for one in chosen.languages} == {"en", "zh", "th", "sw"}
    assert {one.name for one in chosen.runs} == {alpha, evil}
    assert "judge guard" in page.page.inner_text("header")
    page.page.click("summary >> text=Task, judge")
    page.page.select_option("select[name=from]", alpha)
    page.page.select_option("select[name=to]", evil)
    page.page.check("input[name=find][value=changed]")
    page.page.click("button")
    page.lands("find=changed", f"from={alpha}", f"to={evil}")
    assert "changed from alpha to" in page.page.inner_text("main h2")


def test_one_answer_has_all_that_is_known(open_page, viewer):
    _, found, alpha, _ = viewer
    answer = next(one for n in range(60) if (one := found.answer(alpha, "harm", "th", f"p{n}")).thinking)
    page = open_page(f"run={alpha}&answer={alpha}/harm/th/{answer.name}", "/answer")
    text = page.page.inner_text("main")
    for part in (answer.prompt, answer.english, answer.response, "refusal", "guard", "Be kind.", "run.json", "tag"):
        assert part in text
    probability = next(row["probability"] for judge, row, _ in answer.said if judge == "refusal")
    assert str(probability) in text
    assert "Harmless partner" in text
    assert "The same prompt elsewhere" in text
    assert not page.page.locator("#thinking .whole").is_visible()
    page.press("t")
    assert page.page.locator("#thinking .whole").inner_text() == answer.thinking
    page.press("t")
    assert not page.page.locator("#thinking .whole").is_visible()
    page.page.click("text=All of the record")
    assert "digest-of-alpha" in page.page.inner_text("pre")


def test_keys_alone_do_all_of_it(open_page, viewer):
    _, _, alpha, _ = viewer
    page = open_page(f"run={alpha}&lang=en,th,ar")
    page.press("?")
    assert page.page.locator("#keys dl").is_visible()
    page.press("?")
    assert not page.page.locator("#keys dl").is_visible()
    page.press("a")
    assert page.page.evaluate("document.activeElement.closest('td').cellIndex") == 1
    page.press("ArrowRight", "ArrowDown")
    assert page.page.evaluate(PLACE) == [2, 2]
    page.press("End", "ArrowRight", "Home", "ArrowLeft", "ArrowUp")
    assert page.page.evaluate(PLACE) == [1, 1]
    assert page.page.locator("#grid tbody a[tabindex='0']").count() == 1  # one stop for Tab
    page.press("Enter")
    page.lands("/answer?", "answer=")
    page.press("n")
    page.lands("/th/p0")
    page.press("p")
    page.lands("/en/p0")
    page.press("u")
    page.lands("/?")
    page.press("n")
    page.lands("page=2")
    page.press("p")
    page.page.wait_for_url(lambda url: "page=2" not in url)
    page.page.wait_for_selector("html[data-ready]", state="attached")
    page.press("f", "Enter")
    page.lands("find=gap")
    page.press("v")
    page.lands("show=marks")
    assert page.page.locator("#grid .response").count() == 0
    page.press("/")
    page.page.keyboard.type("?bomb")  # in a field these are letters
    page.press("Enter")
    page.lands("q=?bomb")
    page.press("c")
    assert page.page.evaluate("document.activeElement.name") == "task"
    page.press("Escape")
    assert page.page.evaluate("document.activeElement === document.body")


def test_single_keys_can_be_switched_off(open_page):
    page = open_page()
    page.press("?")
    page.page.uncheck("#single-keys")
    page.page.reload()
    page.page.wait_for_selector("html[data-ready]", state="attached")
    page.press("?", "n", "f")
    assert not page.page.locator("#keys dl").is_visible()
    assert "page=2" not in page.page.url


@pytest.mark.parametrize("path", ["/", "/answer"])
def test_a_phone_shows_the_page_without_scrolling_sideways(open_page, viewer, path):
    _, _, alpha, evil = viewer
    for run in (alpha, evil):
        page = open_page(f"run={run}&find=gap&answer={run}/harm/en/p7", path, viewport={"width": 360, "height": 740})
        page.press("c", "?")
        assert page.page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_fault(open_page, viewer, scheme):
    from axe_playwright_python.sync_playwright import Axe

    _, _, alpha, evil = viewer
    page = open_page(f"run={alpha},{evil}&find=complies", color_scheme=scheme)
    for query, path in (
        ("", "/"), (f"run={alpha},{evil}&find=complies", "/"), ("show=marks", "/"), ("lang=xx", "/"),
        (f"answer={alpha}/harm/ar/p1", "/answer"),
    ):  # fmt: skip
        if "xx" in query:
            page.page.on("response", lambda answer: None)
        page.go(query, path)
        page.press("?")
        found = Axe().run(page.page).response["violations"]
        assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found] == [], path + query
    paper = page.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
    page.trouble = [said for said in page.trouble if "400 (Bad Request)" not in said]


@pytest.mark.parametrize("with_answers", [False, True])
def test_the_file_needs_no_server_and_runs_nothing_of_a_model(browser, viewer, tmp_path, with_answers):
    address, found, alpha, evil = viewer
    chosen = selection.parsed(f"run={alpha},{evil}&lang=en,ar", found.contents)
    target = tmp_path / "answers.html"
    target.write_text("".join(one_file.document(found, chosen, with_answers)), encoding="utf-8")
    page = Page(browser.new_page(), address)
    page.page.goto(target.as_uri())
    page.page.wait_for_selector("html[data-ready]", state="attached")
    assert not is_owned(page.page)
    assert page.page.locator("#grid tbody tr").count() == 61  # the hostile id is a prompt of its own
    assert page.page.locator("#grid .response").count() == (240 if with_answers else 0)
    assert ("The answers to harmful prompts were left out" in page.page.inner_text("header")) != with_answers
    page.press("a", "ArrowRight", "?")
    assert page.page.locator("#keys dl").is_visible()
    page.page.close()
    assert page.trouble == []
