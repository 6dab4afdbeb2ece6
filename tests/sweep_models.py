"""Two tiny bases with six adapters that fit both, the same twelve jobs as single runs, and sweeps of them."""

import json
import shutil

import pytest
import yaml
from helpers import command, make_adapter

ADAPTERS = [f"a{number}" for number in range(6)]
SETTINGS = {"tasks": ["starter_harmful", "starter_benign"], "languages": ["en", "sw"], "limit": 3, "max_tokens": 16}
SETTINGS |= {"engine": "hf", "engine_args": {"batch_size": 2}}
ANSWERS = 2 * 2 * 3  # of one job
JOBS = 12
_OF_THE_MOMENT = {"created", "finished", "phases", "responses", "git", "hardware"}


@pytest.fixture(scope="session")
def bases(tiny_model, other_tiny_model, tmp_path_factory):
    """A folder with the models `one` and `two` and the adapters a0 to a5."""
    folder = tmp_path_factory.mktemp("bases")
    shutil.copytree(tiny_model, folder / "one")
    shutil.copytree(other_tiny_model, folder / "two")
    for seed, name in enumerate(ADAPTERS):
        make_adapter(folder / "one", folder / name, seed=seed)
    return folder


@pytest.fixture(scope="session")
def twelve(bases):
    """The keys of the sweep of twelve jobs."""
    models = [str(bases / name) for name in ("one", "two")]
    return {"models": models, "adapters": [str(bases / name) for name in ADAPTERS], "judges": ["refusal", "rules"]}


@pytest.fixture(scope="session")
def single_runs(twelve, tmp_path_factory):
    """What twelve `mlc-bench run` leave."""
    output = tmp_path_factory.mktemp("single-runs")
    asked = ["--tasks", "starter_harmful,starter_benign", "--languages", "en,sw", "--limit", 3, "--max-tokens", 16]
    asked += ["--engine", "hf", "--engine-args", "batch_size=2", "--judge", "refusal,rules", "--output", output]
    for model in twelve["models"]:
        for adapter in twelve["adapters"]:
            done = command("run", "--model", model, "--adapter", adapter, *asked)
            assert done.returncode == 0, done.stderr
    return output


def write(folder, content, **changes):
    """A sweep's file."""
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump(content | SETTINGS | changes))
    return path


def events(stdout, kind=None):
    """The events that --json has printed, or those of one kind."""
    found = [json.loads(line) for line in stdout.splitlines()]
    return [event for event in found if kind in (None, event["event"])]


def results(output):
    """Records (without times), samples and verdicts, by their paths."""
    found = {}
    for path in output.glob("*/*/run*.json"):
        record = json.loads(path.read_text())
        found[str(path.relative_to(output))] = {k: v for k, v in record.items() if k not in _OF_THE_MOMENT}
    for kind in ("samples", "verdicts"):
        for path in output.glob(f"*/*/{kind}/**/*.jsonl"):
            found[str(path.relative_to(output))] = path.read_text()
    return found


def stored(output):
    """The keys in all stores, a line that is being written left out."""
    lines = [line for path in output.glob("*/responses/*.jsonl") for line in path.read_bytes().split(b"\n")[:-1]]
    return [json.loads(line)["key"] for line in lines]
