"""The leaderboard's page in headless Chromium: what a reader can do with it, and that it asks for nothing."""

import pytest
import sample_records

from mlc_bench.leaderboard.render import to_html


def numbers(texts):
    return [float(text.rstrip("*")) for text in texts if text != "–"]


def test_headings_sort_both_ways_and_blanks_come_last(open_board):
    page = open_board()
    page.table("harm-rules")
    page.sort("Arabic")
    falling = page.column("Arabic")
    page.sort("Arabic")
    rising = page.column("Arabic")
    assert numbers(falling) == sorted(numbers(falling), reverse=True)
    assert numbers(rising) == sorted(numbers(rising))
    assert numbers(falling) != numbers(rising)
    assert falling[-1] == rising[-1] == "–"  # the model that was not run in Arabic


def test_filters_by_method_base_name_judge_and_language(open_board):
    page = open_board()
    page.table("harm-rules")
    assert len(page.column("model")) == 6
    page.page.select_option("#c-method", "dpo+mlc")
    assert page.column("model") == ["base-mlc"]
    page.page.select_option("#c-method", "")
    page.page.select_option("#c-base", "base")
    assert set(page.column("model")) == {"base", "base + dpo", "base-mlc"}
    page.page.fill("#c-search", "DPO")
    assert page.column("model") == ["base + dpo"]
    page.page.fill("#c-search", "nothing has this name")
    assert "No model matches" in page.page.inner_text("#table-place")
    page.page.click("#c-reset")
    page.page.uncheck("#c-language-list input[value=ps]")
    heads = page.page.inner_text("#table-place thead")
    assert "Pashto" not in heads
    assert "Swahili" in heads
    assert "ps" not in page.page.locator("#heat svg").text_content()
    page.page.select_option("#c-judge", "guard")
    assert "judge guard" in page.page.inner_text("#table-heading")
    assert page.column("model") == ["base"]


def test_a_link_restores_the_view(open_board):
    page = open_board()
    page.table("harm-rules")
    page.page.select_option("#c-base", "base")
    page.page.uncheck("#c-language-list input[value=ps]")
    page.sort("Swahili")
    seen = page.page.inner_text("#table-place")
    fragment = page.page.evaluate("location.hash")
    again = open_board(fragment)
    assert again.page.inner_text("#table-place") == seen
    assert again.page.input_value("#c-base") == "base"
    # A link made by hand is no danger and no dead end.
    odd = open_board("#table=<b>&judge=x&lang=xx,sw&sort=nothing:up&q=%3Cimg%20src=x%3E")
    assert odd.page.input_value("#c-search") == "<img src=x>"


def test_the_keyboard_alone_reaches_every_number_and_sorts(open_board):
    page = open_board()
    page.table("harm-rules")
    for _ in range(80):
        page.page.keyboard.press("Tab")
        if page.page.evaluate("document.activeElement.closest('#table-place tbody td') !== null"):
            break
    assert page.page.evaluate("document.activeElement.className").split()[0] == "model"
    for _ in range(3):
        page.page.keyboard.press("ArrowRight")
    said = page.page.inner_text("#detail")
    for part in ("English", "95 % interval [", "n 40", "judge rules 1", "run "):
        assert part in said
    page.page.keyboard.press("ArrowDown")
    assert page.page.inner_text("#detail") != said
    head = page.page.locator("#table-place thead th", has_text="Swahili").first
    head.locator("[tabindex='0']").focus()
    page.page.keyboard.press("Enter")
    page.page.wait_for_selector("#table-place thead th[aria-sort=descending]:has-text('Swahili')")
    assert numbers(page.column("Swahili")) == sorted(numbers(page.column("Swahili")), reverse=True)


def test_hovering_tells_why_there_is_no_number(open_board):
    page = open_board()
    page.table("harm-rules")
    place = page.column("Arabic").index("–")
    page.page.locator("#table-place tbody tr").nth(place).locator("td", has_text="–").first.hover()
    assert "no number, " in page.page.inner_text("#detail")


def test_names_are_text(open_board):
    page = open_board()
    page.table("harm-rules")
    assert any(name.startswith("</script>") for name in page.column("model"))
    assert page.page.title() == "mlc-bench leaderboard"
    assert page.page.locator("#table-place img").count() == 0


def test_languages_have_names_and_right_to_left_ones_their_direction(open_board):
    page = open_board()
    page.table("harm-rules")
    native = page.page.locator("#table-place thead bdi[lang=ps]")
    assert native.get_attribute("dir") == "rtl"
    assert page.page.locator("#table-place thead bdi[lang=sw]").get_attribute("dir") == "ltr"


def test_a_phone_shows_the_page_without_scrolling_sideways(open_board):
    page = open_board(viewport={"width": 360, "height": 740})
    page.table("harm-rules")
    page.page.wait_for_selector("#refusal svg")
    assert page.page.evaluate("document.documentElement.scrollWidth") <= 360


def test_figures_of_papers_stand_apart(open_board):
    page = open_board()
    page.table("published")
    assert page.page.inner_text("#table-heading").startswith("Reported, not run here")
    assert all("rank" not in text for text in page.page.locator("#table-place tbody td").all_inner_texts())
    assert page.page.locator("#refusal svg").is_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("where", ["selectivity-harm-rules", "harm-rules", "dialog"])
def test_axe_finds_no_fault(open_board, scheme, where):
    from axe_playwright_python.sync_playwright import Axe

    page = open_board(color_scheme=scheme)
    page.table("selectivity-harm-rules" if where == "dialog" else where)
    page.page.wait_for_selector("#bars svg")
    paper = page.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
    if where == "dialog":
        page.open_number("base", 0)
    found = Axe().run(page.page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found] == []


def test_the_command_writes_the_page_beside_the_tables(cli, tmp_path):
    folder = sample_records.save(tmp_path / "records", *sample_records.family())
    done = cli("leaderboard", "build", folder, "--out", tmp_path / "out", "--no-plots")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "base-mlc" in page
    again = cli("leaderboard", "build", folder, "--out", tmp_path / "out", "--no-plots")
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "out" / "index.html").read_text(encoding="utf-8") == page
    assert cli("leaderboard", "check", folder, "--tables", tmp_path / "out").returncode == 0


def test_a_missing_library_is_said_before_anything_is_written(tmp_path, monkeypatch):
    from mlc_bench.core.errors import PrerequisiteError

    monkeypatch.setattr(to_html, "files", lambda name: (_ for _ in ()).throw(ModuleNotFoundError(name=name)))
    to_html._datatables.cache_clear()
    with pytest.raises(PrerequisiteError, match="--no-page"):
        to_html._datatables("css")
