"""The command line inside this process, and peft adapters of the tiny model."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported; the tiny model gains nothing from threads

import contextlib
import io
import logging
import subprocess
import sys
from unittest import mock

from mlc_bench.cli import main
from mlc_bench.engines import vllm_cpu


def command(*args, main=main.main):
    """Run a command line here (imports are paid once), and leave the process as it was."""
    arguments = ["mlc-bench", *map(str, args)]
    out, err = io.StringIO(), io.StringIO()
    vllm_cpu.install()  # changes the environment once for the whole process
    code = None
    with (
        mock.patch.object(sys, "argv", arguments),
        mock.patch.dict(os.environ),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            code = end.code
        finally:
            for name in ("lm_eval", "asyncio"):
                logging.getLogger(name).setLevel(logging.NOTSET)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def check_failed(done, code, *words):
    """One line says what is wrong, it is the last one, and it holds the words; no traceback, no 'defect'."""
    assert done.returncode == code, done.stderr
    *before, line = done.stderr.splitlines()
    assert line.startswith("error: "), done.stderr
    assert not [other for other in before if other.startswith(("error", "ERROR", "Traceback", "WARNING"))], done.stderr
    assert "a defect" not in line
    for word in words:
        assert word in line


def make_adapter(base, folder, seed=0, trained=True, change=None):
    """A LoRA adapter; untrained ones have a lora_B of zeros. `change(config)` edits the saved configuration."""
    import json

    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    settings = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), settings)
    if trained:
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter.data, std=1.0)
    model.save_pretrained(folder)
    if change:
        path = folder / "adapter_config.json"
        config = json.loads(path.read_text())
        change(config)
        path.write_text(json.dumps(config))
    return folder
