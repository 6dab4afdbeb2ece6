"""No usage statistics leave a training run, unless the user wants them sent."""

import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from training import write_rows

TRAIN = [str(Path(sys.executable).with_name("train-baseline"))]
MODULE = [sys.executable, "-m", "mlc_bench.baselines.cli"]
LAUNCH = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "1", "--module"]
# What makes the hub's library silent, or TRL.
SILENT = {
    "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    "CI",
    "HF_HUB_DISABLE_TELEMETRY",
    "DISABLE_TELEMETRY",
    "DO_NOT_TRACK",
}


@contextmanager
def hub():
    """A server in place of the hub: its address, and the list of the paths that it was asked for."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def train(command, model, folder, **variables):
    """The paths that one training step asks the hub for."""
    options = ["sft", "--model", model, "--data", write_rows(folder), "--output", folder / "out", "--max-steps", "1"]
    options += ["--keep-out", "[]", "--bf16", "false"]
    kept = {name: value for name, value in os.environ.items() if name not in SILENT}
    with hub() as (address, asked):
        environment = kept | {"HF_ENDPOINT": address} | variables
        done = subprocess.run([*command, *map(str, options)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (folder / "out" / "train_manifest.json").is_file()
    return asked


@pytest.mark.integration
@pytest.mark.parametrize("command", [TRAIN, [*LAUNCH, "mlc_bench.baselines.cli"]], ids=["command", "launch"])
def test_a_training_run_sends_nothing(command, tiny_model, tmp_path):
    assert train(command, tiny_model, tmp_path) == []


@pytest.mark.integration
def test_who_wants_to_send_it_does(tiny_model, tmp_path):
    asked = train(MODULE, tiny_model, tmp_path, HF_HUB_DISABLE_TELEMETRY="0")
    assert [path for path in asked if path.startswith("/api/telemetry/trl")]
