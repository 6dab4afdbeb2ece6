"""The switches of the libraries' usage statistics: off by import, the user's own setting wins."""

import json
import os
import subprocess
import sys

import pytest

SWITCHES = {"HF_HUB_DISABLE_TELEMETRY": "1", "VLLM_NO_USAGE_STATS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
NAMES = (*SWITCHES, "DISABLE_TELEMETRY", "VLLM_DO_NOT_TRACK", "DO_NOT_TRACK")
SHOW = "import json, os, mlc_bench; print(json.dumps(dict(os.environ)))"


def after_import(**own):
    environment = {name: value for name, value in os.environ.items() if name not in NAMES}
    done = subprocess.run([sys.executable, "-c", SHOW], env=environment | own, capture_output=True, text=True)
    return {name: value for name, value in json.loads(done.stdout).items() if name in NAMES}


def test_off_by_default():
    assert after_import() == SWITCHES


@pytest.mark.parametrize(
    ("own", "left_alone"),
    [
        ({"HF_HUB_DISABLE_TELEMETRY": "0"}, ["HF_HUB_DISABLE_TELEMETRY"]),
        ({"DISABLE_TELEMETRY": "0"}, ["HF_HUB_DISABLE_TELEMETRY"]),
        ({"VLLM_NO_USAGE_STATS": "0"}, ["VLLM_NO_USAGE_STATS"]),
        ({"RAY_USAGE_STATS_ENABLED": "1"}, ["RAY_USAGE_STATS_ENABLED"]),
        ({"DO_NOT_TRACK": "0"}, ["HF_HUB_DISABLE_TELEMETRY", "VLLM_NO_USAGE_STATS"]),  # Ray does not read it
    ],
)
def test_a_setting_of_the_user_wins(own, left_alone):
    others = {name: value for name, value in SWITCHES.items() if name not in left_alone}
    assert after_import(**own) == own | others


def test_the_library_of_the_hub_obeys():
    ask = "import mlc_bench, huggingface_hub.constants as hub; print(hub.HF_HUB_DISABLE_TELEMETRY)"
    environment = {name: value for name, value in os.environ.items() if name not in NAMES}
    done = subprocess.run([sys.executable, "-c", ask], env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == "True", done.stderr
