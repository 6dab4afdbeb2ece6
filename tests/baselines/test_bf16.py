"""A CPU without instructions for bf16 emulates it: said where that costs time, and nowhere else."""

import json

import pytest
import torch
import yaml
from helpers import command
from training import write_rows
from transformers import AutoModelForCausalLM, AutoTokenizer

from mlc_bench.baselines import cli as train
from mlc_bench.core.provenance import emulates_bf16

CPUS = {  # architecture, AVX-512 BW, AVX-NE-CONVERT: whether it emulates bf16
    "AVX2 alone": ({"architecture": "x86_64", "avx512_bw": False, "avx_ne_convert": False}, True),
    "AVX-512": ({"architecture": "x86_64", "avx512_bw": True, "avx_ne_convert": False}, False),
    "AVX-NE-CONVERT": ({"architecture": "x86_64", "avx512_bw": False, "avx_ne_convert": True}, False),
    "ARM": ({"architecture": "aarch64", "bf16": True}, False),
}
SAID = "emulate"


@pytest.fixture(params=CPUS)
def emulated(request, monkeypatch):
    capabilities, expected = CPUS[request.param]
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    return expected


@pytest.fixture
def bf16_model(tiny_model, tmp_path):
    folder = tmp_path / "bf16"
    AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.bfloat16).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(folder)
    return folder


def test_a_gpu_computes_it(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: CPUS["AVX2 alone"][0])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert not emulates_bf16()


def test_this_cpu_is_known():
    """The names that torch gives to what a CPU can do."""
    found = torch.cpu.get_capabilities()
    assert found["architecture"] != "x86_64" or {"avx512_bw", "avx_ne_convert"} <= found.keys()


def test_a_run_says_so(emulated, bf16_model, tmp_path):
    asked = ["run", "--model", bf16_model, "--engine", "hf", "--tasks", "starter_harmful", "--languages", "en"]
    asked += ["--limit", "1", "--max-tokens", "2", "--output", tmp_path / "results"]
    done = command(*asked)
    assert done.returncode == 0, done.stderr
    assert (SAID in done.stderr) == emulated
    done = command(*asked, "--engine-args", "dtype=float32")
    assert done.returncode == 0, done.stderr
    assert SAID not in done.stderr


@pytest.mark.parametrize("bf16", [True, False])
def test_training_says_so(bf16, emulated, tiny_model, tmp_path):
    settings = {"model": str(tiny_model), "data": [str(write_rows(tmp_path))], "keep_out": [], "max_steps": 1}
    settings |= {"output": str(tmp_path / "out"), "bf16": bf16}
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(settings))
    asked = ["sft", "--config", tmp_path / "settings.yaml"]
    done = command(*asked, "--check", "--json", main=train.main)
    notes = [one["subject"] for one in json.loads(done.stdout) if one["level"] == "note"]
    assert notes == (["bf16"] if bf16 and emulated else [])
    done = command(*asked, main=train.main)
    assert done.returncode == 0, done.stderr
    assert (SAID in done.stderr) == (bf16 and emulated)
