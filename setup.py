"""The packages, found: a folder with an __init__.py is one. All else is in pyproject.toml."""

from setuptools import find_packages, setup

# These top-level folders keep their places in the repository and are installed inside our own namespace.
INSIDE = ["tasks", "baselines", "leaderboard"]

found = find_packages(include=["mlc_bench", "mlc_bench.*"])
for folder in INSIDE:
    found += [f"mlc_bench.{name}" for name in find_packages(include=[folder, f"{folder}.*"])]
setup(packages=found)
