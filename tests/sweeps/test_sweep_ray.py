"""Sweeps on a Ray cluster of processes on this machine: kills, a head node that is gone, no room, no Ray."""

import json
import subprocess
import sys
import time

import pytest
from checkout import ROOT
from conftest import COMMAND
from helpers import check_failed, command
from sweep_models import write

SMALL = {"object_store_memory": 80 << 20, "include_dashboard": False}


@pytest.fixture
def one_job(bases, tmp_path):
    return write(tmp_path, {"models": [str(bases / "one")], "judges": "rules"}, limit=100)


def test_without_ray_one_line_says_how_to_install_it(one_job, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    check_failed(command("sweep", one_job, "--on", "ray"), 3, "pip install 'mlc-bench[ray]'")


@pytest.mark.parametrize(("address", "words"), [("127.0.0.1:1", "ray start"), ("ray://host:10001", "on a node")])
def test_a_cluster_that_cannot_be_joined(address, words, one_job, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ADDRESS", address)
    check_failed(command("sweep", one_job, "--on", "ray"), 3, "RAY_ADDRESS", words)


@pytest.mark.integration
def test_twelve_jobs_survive_the_loss_of_a_process_and_of_a_node():
    """The benchmark of kills, once: complete, samples equal, every answer stored once."""
    pytest.importorskip("ray")
    small = ["--model", "tiny", "--limit", "5", "--max-tokens", "8", "--batch", "2"]
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "sweep.py", "--kills", "1", *small], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "process at " in done.stdout
    assert "node at " in done.stdout


@pytest.mark.integration
def test_no_room_and_a_head_node_that_is_gone_are_one_line_each(one_job, tmp_path, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "0")  # it would count what others on this machine use
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **SMALL})
    try:
        monkeypatch.setenv("RAY_ADDRESS", cluster.address)
        asked = [COMMAND, "sweep", str(one_job), "--on", "ray", "--output", str(tmp_path / "r")]
        done = subprocess.run(asked, capture_output=True, text=True)
        check_failed(done, 3, "no node of the Ray cluster has room for one")
        cluster.add_node(num_cpus=1, memory=4 << 30, object_store_memory=80 << 20)
        with subprocess.Popen([*asked, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as sweep:
            for line in sweep.stdout:
                if json.loads(line)["event"] == "started":
                    break
            cluster.head_node.kill_gcs_server(check_alive=False)
            begin = time.monotonic()
            _, stderr = sweep.communicate(timeout=180)
    finally:
        cluster.shutdown()
    ended = subprocess.CompletedProcess([], sweep.returncode, "", stderr)
    check_failed(ended, 3, "the head node of the Ray cluster", "is gone", "give the same command again")
    assert time.monotonic() - begin < 120
