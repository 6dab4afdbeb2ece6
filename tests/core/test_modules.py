"""The size of modules and of folders: small enough to be read at once."""

from collections import Counter

from checkout import ROOT

FOLDERS = ("baselines", "benchmarks", "docs", "leaderboard", "mlc_bench", "tasks", "tests")
MOST_LINES = 400
MOST_MODULES = 15
FLAT = ("tests", "benchmarks")  # their files are read one by one, by name

MODULES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


def test_no_module_is_long():
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert len(lengths) > 200
    assert not {path: length for path, length in lengths.items() if length > MOST_LINES}


def test_no_folder_has_many_modules():
    counts = Counter(path.parent.relative_to(ROOT) for path in MODULES)
    assert not {str(folder): n for folder, n in counts.items() if n > MOST_MODULES and folder.parts[0] not in FLAT}
