"""What the wheel holds: all code and every data file that the program reads, and nothing else of the repository."""

import zipfile

import pytest
from built import build
from checkout import ROOT

FOLDERS = {"mlc_bench": "", "tasks": "tasks", "baselines": "baselines", "leaderboard": "leaderboard"}
NOT_OURS_TO_SHIP = {"leaderboard/results", "leaderboard/tables", "leaderboard/reproduction"}
ONLY_HERE = {"baselines/paper_scale.sh"}  # a script for a checkout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The names in a wheel that is built from a copy of the repository."""
    folder = tmp_path_factory.mktemp("wheel")
    build("wheel", "--wheel-dir", folder)
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_the_code_and_its_data_and_nothing_else(wheel):
    expected = set()
    for folder, place in FOLDERS.items():
        for path in (ROOT / folder).rglob("*"):
            name = path.relative_to(ROOT).as_posix()
            hidden = any(part.startswith(".") or part == "__pycache__" for part in path.relative_to(ROOT).parts)
            if path.is_file() and not hidden and name not in ONLY_HERE and not name.startswith(tuple(NOT_OURS_TO_SHIP)):
                expected.add("/".join(filter(None, ["mlc_bench", place, path.relative_to(ROOT / folder).as_posix()])))
    found = {name for name in wheel if ".dist-info/" not in name}
    assert found - expected == set()
    assert expected - found == set()


@pytest.mark.parametrize(
    "name",
    [
        "py.typed",
        "catalog/languages/sw.yaml",
        "catalog/suites/paper.yaml",
        "catalog/families/mmlu.yaml",
        "judges/llama-guard-3-8b.yaml",
        "records/record.schema.json",
        "tasks/starter/prompts/en.jsonl",
        "baselines/data/embedded/benign.jsonl",
        "baselines/configs/accelerate/zero3.yaml",
        "leaderboard/render/page/page.js",
        "leaderboard/published/mlc_paper.yaml",
    ],
)
def test_one_of_each_kind_of_data(wheel, name):
    assert f"mlc_bench/{name}" in wheel
