"""README.md and the community files: their length, their links, paths and commands, the picture, the citation."""

import importlib.util
import re
import shlex
import tomllib

import pytest
import typer
import yaml
from checkout import ROOT

import mlc_bench
from mlc_bench.baselines import cli as training
from mlc_bench.baselines import config, methods
from mlc_bench.cli import main
from mlc_bench.judges import agreement

PAGES = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/results.md", "docs/benchmarks.md")
README = (ROOT / "README.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
PATH = re.compile(r"[\w.-]*(?:/[\w.-]+)*/[\w.-]*|[\w-]+\.(?:py|md|yaml|toml|cff)")
APPS = {"mlc-bench": main.app, "train-baseline": training.app}
PROGRAMS = (*APPS, "make", "pip", "python")


def text(page):
    return (ROOT / page).read_text(encoding="utf-8")


def commands(page):
    """Every command of a page, from its blocks and from its sentences, without comments."""
    blocks = [line for kind, block in FENCE.findall(text(page)) if kind == "sh" for line in block.splitlines()]
    lines = [*blocks, *CODE.findall(FENCE.sub("", text(page)))]
    found = [shlex.split(line.removeprefix(".venv/bin/"), comments=True) for line in lines]
    return [words for words in found if words and words[0] in PROGRAMS]


def parsed(words):
    """The innermost context of a command line, read by the program's own parser. Raises for what it does not know."""
    command = typer.main.get_command(APPS[words[0]])
    context = command.make_context(words[0], list(words[1:]))
    while hasattr(command, "resolve_command"):
        given = [*context._protected_args, *context.args]
        if not given:
            break  # a group alone, such as `mlc-bench --help` lists
        name, command, rest = command.resolve_command(context, given)
        context = command.make_context(name, rest, parent=context)
    return context


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_is_short_and_soon_says_what_to_type():
    lines = README.splitlines()
    assert len(lines) <= 150
    assert len(README.split()) <= 1200
    fences = [number for number, line in enumerate(lines, 1) if line.startswith("```")]
    assert lines[fences[0] - 1] == "```sh"
    assert fences[3] <= 40, "the first command and the table that it prints"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    found = [link for link in LINK.findall(text(page)) if "://" not in link]
    for link in found:
        path, _, anchor = link.partition("#")
        target = ((ROOT / page).parent / path).resolve() if path else ROOT / page
        assert target.is_relative_to(ROOT), link
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES)
def test_paths_that_are_named_exist(page):
    """Paths in `code`; in a row of a table or a sentence that names a folder, also files of that folder."""
    for line in FENCE.sub("", text(page)).splitlines():
        named = [word for word in CODE.findall(line) if PATH.fullmatch(word)]
        folders = [ROOT, *(ROOT / word for word in named if word.endswith("/")), ROOT / "mlc_bench"]
        for word in named:
            made_by_a_run = word.startswith(("results/", "samples/", "responses/"))
            assert made_by_a_run or any((folder / word).exists() for folder in folders), f"{page}: {word}"


@pytest.mark.parametrize("page", PAGES)
def test_commands_exist(page):
    targets = set(re.findall(r"^([a-z-]+):", text("Makefile"), re.MULTILINE))
    extras = tomllib.loads(text("pyproject.toml"))["project"]["optional-dependencies"]
    for words in commands(page):
        if words[0] == "make":
            assert {word for word in words[1:] if "=" not in word} <= targets, words
        elif words[0] == "pip":
            assert set(re.findall(r"\[(\w+)\]", " ".join(words))) <= set(extras), words
        elif words[0] == "python" and words[1] != "-m":
            assert (ROOT / words[1]).is_file(), words
            options = {word for word in words[2:] if word.startswith("--")}
            assert all(f'"{option}"' in text(words[1]) for option in options), words
        elif words[0] == "python":
            assert importlib.util.find_spec(words[2]), words
        else:
            context = parsed(words)
            if context.info_name == "train":  # its settings are the method's own
                config.load(methods.get(context.params["method"]).Config, context.params["config"], context.args)


def test_commands_are_found_and_wrong_ones_noticed():
    assert len(commands("README.md")) > 15
    for wrong in (
        "mlc-bench run --model demo --nonsense",
        "mlc-bench tasks nonsense",
        "train-baseline build --nonsense",
    ):
        with pytest.raises(Exception, match="nonsense"):
            parsed(wrong.split())


def test_what_the_judge_misses_is_what_the_benchmark_counted():
    own = [row for row in agreement.known() if row.judge == "refusal" and row.source == "written"]
    seen, missed = (sum(getattr(row, name) for row in own) for name in ("seen", "refusals"))
    alarms, others = (sum(getattr(row, name) for row in own) for name in ("alarms", "others"))
    languages = len({row.language.partition("-")[0] for row in own})
    said = " ".join(README.split())
    assert (
        f"Of written hard answers in {languages} languages it sees {100 * seen / missed:.0f} % of the refusals" in said
    )
    assert f"takes {100 * alarms / others:.0f} % of the others for one" in said


@pytest.fixture(scope="module")
def picture():
    spec = importlib.util.spec_from_file_location("readme_picture", ROOT / "docs" / "readme_picture.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_picture_is_what_the_records_give(picture, tmp_path, capsys):
    """As drawn by the same matplotlib; the selectivities, which are printed into it, with any."""
    picture.main(tmp_path / "made.svg")
    printed = capsys.readouterr().out.splitlines()
    committed = picture.PICTURE.read_text(encoding="utf-8")
    assert len(printed) == len(picture.MODELS)
    for line in printed:  # matplotlib notes each text as a comment before its outlines
        assert f"<!-- selectivity: {line.partition(': ')[2]} -->" in committed
    assert str(picture.PICTURE.relative_to(ROOT)) in README
    if picture.matplotlib.__version__ == picture.DRAWN_WITH:
        made = (tmp_path / "made.svg").read_text(encoding="utf-8")
        assert without_ids(made) == without_ids(committed), "python docs/readme_picture.py"


def without_ids(svg):
    """Without matplotlib's ids, hashes of unrounded places, whose last bit differs between CPUs."""
    return re.sub(r"\b[mp][0-9a-f]{10}\b", "ID", svg)


def test_the_picture_agrees_with_the_leaderboard(picture):
    """Its means over languages are those of the records, whose selectivity the leaderboard shows."""
    for one in picture.found().values():
        rows = [one.languages[code].difference.value for code in one.mean_of]
        assert abs(100 * one.mean.difference.value - 100 * sum(rows) / len(rows)) < 0.5
        english, others = picture.selectivity(one)
        whole = (english + others * (len(rows) - 1)) / len(rows)
        assert abs(whole - 100 * one.mean.difference.value) < 0.5


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load(text("CITATION.cff"))
    assert {"cff-version", "message", "title", "authors", "version", "type", "license"} <= set(citation)
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == mlc_bench.__version__
    assert all("name" in one or "family-names" in one for one in citation["authors"])
    (paper,) = citation["references"]
    assert {"type", "title", "authors", "year", "url"} <= set(paper)
    assert paper["url"].endswith("2602.16660")
