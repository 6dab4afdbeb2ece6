"""The documentation site: it builds strictly, needs no network, and its reference pages hold all that the code has."""

import html
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import fields
from html.parser import HTMLParser
from pathlib import Path

import helpers
import pytest
import typer.main
import yaml
from checkout import ROOT, TESTS
from follow import GUIDES

from mlc_bench.baselines import cli as training
from mlc_bench.baselines import config, methods
from mlc_bench.catalog import languages, listing, suites
from mlc_bench.cli import main
from mlc_bench.judges import spec
from mlc_bench.records import record

pytest.importorskip("material", reason="the site needs mkdocs-material: pip install -e '.[docs]'")

PAGES = sorted(path for path in (ROOT / "docs").rglob("*.md"))
BY_HAND = [path for path in PAGES if "reproduction" not in path.relative_to(ROOT / "docs").parts[:-1]]
LOADED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "object": "data"}
PROGRAMS = {"mlc-bench": main.app, "train-baseline": training.app}


def build(folder, target):
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", target]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, env=environment)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT, folder)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


def text(site, page):
    """What a reader sees of a built page."""
    content = (site / page).read_text(encoding="utf-8").partition("<article")[2].partition("</article>")[0]
    return html.unescape(re.sub(r"<[^>]+>", "", content))


# The build


@pytest.mark.parametrize(
    ("planted", "said"),
    [
        ({"index.md": "[a](missing.md)"}, "'missing.md'"),
        ({"index.md": "[a](#missing)"}, "'#missing'"),
        ({"index.md": "a", "unused.md": "b"}, "unused.md"),
        ({}, "index.md"),
        ({"index.md": "<!-- made from the code: missing -->"}, "nothing makes 'missing'"),
    ],
    ids=["dead link", "dead anchor", "unused page", "missing page", "unknown part"],
)
def test_a_fault_fails_the_build(planted, said, tmp_path):
    """In a site of one page with our settings."""
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[0]
    settings = settings.replace("hooks: [docs/hooks/", f"hooks: [{ROOT}/docs/hooks/")
    (tmp_path / "mkdocs.yml").write_text(f"{settings}\nnav: [index.md]\n", encoding="utf-8")
    shutil.copytree(ROOT / "docs" / "assets", tmp_path / "docs" / "assets")
    for name, content in planted.items():
        (tmp_path / "docs" / name).write_text(content, encoding="utf-8")
    done = build(tmp_path, tmp_path / "site")
    assert done.returncode != 0
    assert said in done.stderr


class Loads(HTMLParser):
    """What a browser fetches for a page."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        if address := dict(attrs).get(LOADED.get(tag, "")):
            self.found.append(address)


def test_nothing_is_loaded_from_elsewhere(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > len(BY_HAND)
    found = []
    for page in pages:
        reader = Loads()
        reader.feed(page.read_text(encoding="utf-8"))
        assert reader.found
        found += reader.found
    for sheet in [*pages, *site.rglob("*.css")]:
        content = sheet.read_text(encoding="utf-8")
        found += [one.strip("\"' ") for one in re.findall(r"url\(([^)]*)\)|@import\s+(\S+)", content) for one in one]
    assert [one for one in found if re.match(r"(https?:)?//", one)] == []


def test_in_a_browser_without_network(site, browser):
    """Opened as files: nothing fails to load, the search finds, the palette switches, no page is wider than a phone."""
    faults = []

    def note(request):
        if request.failure != "net::ERR_ABORTED":  # the page was left while it loaded
            faults.append(f"{request.url} {request.failure}")

    context = browser.new_context(offline=True, viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.on("requestfailed", note)
    page.on("pageerror", lambda error: faults.append(str(error)))
    for file in sorted(set(site.rglob("*.html")) - {site / "404.html"}):  # that one is for servers
        page.goto(file.as_uri())
        if page.evaluate("document.documentElement.scrollWidth") > 390:
            faults.append(f"{file.relative_to(site)} is wider than a phone")
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto((site / "index.html").as_uri())
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.locator("label[for^=__palette]:visible").click()
    page.wait_for_function("before => getComputedStyle(document.body).backgroundColor != before", arg=before)
    page.locator("input.md-search__input").click()
    page.keyboard.type("calibrate")
    page.wait_for_selector(".md-search-result__item a[href*='guides/judge.html']")
    context.close()
    assert faults == []


# The reference


def every_command():
    def below(name, command):
        inner = getattr(command, "commands", None)
        if inner is None:
            yield name, command
        for word, one in (inner or {}).items():
            yield from below(f"{name} {word}", one)

    return {name: found for start, app in PROGRAMS.items() for name, found in below(start, typer.main.get_command(app))}


COMMANDS = every_command()


def test_the_reference_has_every_command_with_its_options(site):
    """Each option in the section of its command, with its help."""
    shown = text(site, "reference/commands.html")
    for name, command in COMMANDS.items():
        section = re.split(r"\n(?:mlc-bench|train-baseline)[\w -]*¶", shown.partition(f"\n{name}¶")[2])[0]
        for parameter in command.params:
            if parameter.param_type_name == "option" and not parameter.hidden and parameter.name != "help":
                assert parameter.opts[0] in section, f"{name} {parameter.opts[0]}"
        assert " ".join((command.help or "").split())[:30] in " ".join(section.split())
    for code in ("0", "1", "2", "3", "4", "130"):
        assert f"\n{code}\n" in shown


def test_the_reference_has_every_key(site):
    shown = text(site, "reference/training.html")
    for name in methods.names():
        for key in config.keys(methods.get(name).Config):
            assert re.search(rf"\n{re.escape(key)}\n", shown), f"{name}: {key}"
    shown = text(site, "reference/configuration.html")
    keys = [*spec.JudgeSpec.model_fields, *languages.EXPECTED, "tasks", "seen", "notes"]
    keys += [f"settings.{key}" for key in suites.SETTINGS] + ["parser.last_line", "retry.attempts", "price.input"]
    assert [key for key in keys if f"\n{key}\n" not in shown] == []
    assert {field.name for field in fields(languages.Language)} - {"code"} == set(languages.EXPECTED)
    shown = text(site, "reference/record.html")
    assert [key for key in record.RunRecord.model_fields if f"\n{key}\n" not in shown] == []


def described():
    models = [record.RunRecord, spec.JudgeSpec, *(methods.get(name).Config for name in methods.names())]
    for model in models:
        schema = model.model_json_schema()
        for name, part in {model.__name__: schema, **schema.get("$defs", {})}.items():
            for key, field in part.get("properties", {}).items():
                yield f"{name}.{key}", field


def test_every_field_says_what_it_is():
    assert [name for name, field in described() if not field.get("description")] == []


def test_the_reference_lists_what_there_is(site):
    shown = text(site, "reference/catalog.html")
    names = [f"{entry.name} v{entry.version}" for entry in listing.tasks().values()]
    for name in [*names, *suites.known(), *languages.known(), *spec.names()]:
        assert f"\n{name}\n" in shown, name


def test_the_versions_are_those_of_the_code(site):
    """Of every task, judge and schema; judges' as `judges list` has them."""
    shown = text(site, "reference/versions.html")
    for name, entry in listing.tasks().items():
        version = f"that of lm-eval {importlib.metadata.version('lm-eval')}" if entry.family else entry.version
        assert f"\n{name}\n{version}\n" in shown, name
    listed = helpers.command("judges", "list").stdout.splitlines()
    versions = {line.split()[0]: line.split()[2] for line in listed if line.split()}
    assert [name for name in spec.names() if f"\n{name}\n{versions[name]}\n" not in shown] == []
    table = shown.partition("new parts")[2]
    for version in range(1, record.SCHEMA_VERSION + 1):
        assert f"\n{version}\n" in table
    assert re.search(r"\n4\nselectivity, .*refusals\n", table)


def test_every_variable_of_the_environment_is_explained():
    shown = (ROOT / "docs/reference/configuration.md").read_text(encoding="utf-8")
    sources = [path.read_text() for part in ("mlc_bench", "baselines") for path in (ROOT / part).rglob("*.py")]
    names = {name for source in sources for name in re.findall(r"MLC_BENCH_[A-Z]+", source)}
    assert names
    assert [name for name in sorted(names) if f"`{name}`" not in shown] == []


# Pages by hand


def test_every_guide_is_followed_by_a_test():
    tests = "\n".join(
        path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py") if path.name != "test_site.py"
    )
    assert [path.name for path in sorted(GUIDES.glob("*.md")) if f'"{path.name}"' not in tests] == []


def shown_commands():
    """(page, line) of each command in a code block of a page or of the README; drawings name commands too."""
    for path in [*BY_HAND, ROOT / "README.md"]:
        content = path.read_text(encoding="utf-8")
        for block in re.findall(r"^```\w*\n(.*?)^```", content, re.MULTILINE | re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                if "─" not in line and re.match(r"(mlc-bench|train-baseline|accelerate launch) ", line):
                    yield path.name, line.split("  #")[0]


def test_the_commands_that_pages_show_exist():
    """Their options and the configurations of ours that they name, also where no test can run them."""
    shown = list(shown_commands())
    assert len(shown) > 60
    for page, line in shown:
        for path in re.findall(r"baselines/configs/[\w./-]+", line):
            assert (ROOT / path).is_file() or f"Write `{path}`:" in (GUIDES / page).read_text(), f"{page}: {line}"
        if line.startswith("accelerate") or "|" in line or ";" in line:
            continue
        name = max((name for name in COMMANDS if f"{line} ".startswith(f"{name} ")), key=len, default=None)
        command = COMMANDS[name or "train-baseline train"]
        options = [one for one in command.params if one.param_type_name == "option"]
        known = {option for one in options for option in [*one.opts, *one.secondary_opts]}
        if not name:
            method = line.split()[1]
            of_the_page = page == "add-a-method.md" and method not in methods.names()
            kind = config.TrainConfig if of_the_page else methods.get(method).Config
            known |= {f"--{key.replace('_', '-')}" for key in config.keys(kind)}
        given = [word.partition("=")[0] for word in line.split() if word.startswith("--")]
        assert [option for option in given if option not in known] == [], f"{page}: {line}"


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_links_into_the_repository_lead_somewhere(name):
    path = ROOT / name
    if not path.is_file():
        pytest.skip(f"there is no {name}")
    links = re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8"))
    here = [link for link in links if "://" not in link and not link.startswith("mailto:")]
    assert [link for link in here if not (ROOT / link).exists()] == []


def test_the_floors_of_the_architecture_are_those_of_the_contracts():
    """The table in docs/explanations/architecture.md against the layers in pyproject.toml."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = [one for one in settings["tool"]["importlinter"]["contracts"] if one["type"] == "layers"]
    layers = max((one["layers"] for one in contracts), key=len)
    floors = [{name.strip(" ()").removeprefix("mlc_bench.") for name in re.split("[|:]", layer)} for layer in layers]
    page = (ROOT / "docs/explanations/architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", page, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(len(rows), 0, -1))
    assert [set(re.findall(r"`(\w+)`", rooms)) for _, rooms in rows] == floors


def test_the_picture_of_the_floors_has_the_rooms_of_the_table():
    page = (ROOT / "docs/explanations/architecture.md").read_text(encoding="utf-8")
    picture = page.split("```")[1]
    drawn = set(re.findall(r"│ (\w+)(?:/|\.py) ", picture))
    assert drawn == set(re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\| \d+ \| .*$", page, re.MULTILINE))))
    here = {path.name for path in (ROOT / "mlc_bench").iterdir() if (path / "__init__.py").is_file()}
    assert here | {"baselines", "leaderboard"} <= drawn


def test_the_install_lines_are_those_of_the_makefile():
    page = (GUIDES / "first-run.md").read_text(encoding="utf-8")
    makefile = Path(ROOT / "Makefile").read_text(encoding="utf-8")
    (install,) = re.findall(r"--no-deps --only-binary :all: --require-hashes -r (\S+)", page)
    assert install == "mlc_bench/engines/packages/demo.txt"
    assert ".venv/%-is-installed: mlc_bench/engines/packages/%.txt" in makefile
    assert "--no-deps --only-binary :all: --require-hashes -r $<\n" in makefile
    assert (
        yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nplugins:")[0])["strict"] is True
    )
