"""Training configurations: each is valid, names its command, and says of published ones where every value is from."""

import os
import re
import shlex
import shutil
import subprocess

import pytest
import yaml
from conftest import ROOT

from mlc_bench.baselines import config, methods

CONFIGS = sorted((ROOT / "baselines" / "configs").glob("*/*.yaml"))
TRAINING = [path for path in CONFIGS if path.parent.name != "accelerate"]
PAPER = [path for path in TRAINING if path.parent.name == "paper"]


def _id(path):
    return f"{path.parent.name}/{path.stem}"


def load(path):
    """The settings as the command in the file's heading would read them, and the method."""
    command = next(line for line in path.read_text().splitlines() if f"--config baselines/configs/{_id(path)}" in line)
    words = shlex.split(command.lstrip("# "))
    method = words[words.index("--config", words.index("--module") if "--module" in words else 0) - 1]
    return method, config.load(methods.get(method).Config, path, [])


def test_there_are_configurations_for_both_models_and_methods():
    names = {path.stem for path in PAPER}
    for model in ("qwen2.5-7b", "gemma-2-9b"):
        for method in ("dpo-mlc", "mpo"):
            assert {f"{method}-{model}", f"{method}-{model}-lora"} <= names
    assert len([path for path in TRAINING if path.parent.name == "small"]) >= 8


@pytest.mark.parametrize("path", TRAINING, ids=_id)
def test_it_is_valid(path):
    method, settings = load(path)
    assert path.stem.startswith(method)
    assert str(settings.output) == f"runs/{path.stem}"
    assert (settings.mlc is not None) == ("mlc" in path.stem or method == "cosine")
    assert (settings.lora is not None) == path.stem.endswith("-lora")


@pytest.mark.parametrize("path", PAPER, ids=_id)
def test_every_value_says_where_it_is_from(path):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith("#") or not line.strip() or re.fullmatch(r"\w+:", line):
            continue
        assert re.search(r"\s# (paper|code|ours)\b", line), f"{path.name}, line {number}: {line}"


@pytest.mark.parametrize("path", PAPER, ids=_id)
def test_no_setting_that_decides_the_result_is_left_to_defaults(path):
    """A default may change; a published setting does not."""
    _method, settings = load(path)
    given = yaml.safe_load(path.read_text())
    unsaid = {"revision", "max_steps", "packing", "reference"}
    unsaid |= {
        "keep_checkpoints",
        "score_every",
        "score_languages",
        "score_max_tokens",
        "report_to",
    }  # what is seen of it, not the result
    assert set(type(settings).model_fields) - unsaid - {"lora", "mlc"} <= set(given)


@pytest.mark.parametrize(
    "path", [path for path in PAPER if "dpo-mlc" in path.stem and "lora" not in path.stem], ids=_id
)
def test_the_published_settings_of_mlc(path):
    _, found = load(path)
    assert (found.mlc.tau, found.mlc.weight, found.mlc.every, found.mlc.extractor) == (0.2, 0.8, 2, 512)
    assert (found.mlc.layer, found.mlc.form, found.mlc.objective) == (None, "code", "rank")  # None: the last layer
    assert (found.beta, found.learning_rate, found.scheduler, found.warmup) == (0.1, 6e-7, "cosine", 0.1)
    assert (found.epochs, found.batch_size, found.accumulation, found.cutoff, found.bf16) == (3, 1, 4, 1024, True)


@pytest.mark.parametrize(("model", "rate"), [("qwen2.5-7b", 6e-7), ("gemma-2-9b", 4e-7)])
def test_the_published_settings_of_mpo(model, rate):
    _, found = load(ROOT / "baselines" / "configs" / "paper" / f"mpo-{model}.yaml")
    assert (found.beta, found.learning_rate, found.epochs, found.batch_size) == (1.5, rate, 2, 1)
    assert (found.scheduler, found.warmup, found.cutoff, found.bf16) == ("cosine", 0.1, 1024, True)


@pytest.mark.parametrize("path", [path for path in CONFIGS if path.parent.name == "accelerate"], ids=_id)
def test_accelerate_reads_its_files(path):
    from accelerate.commands.config.config_args import load_config_from_file

    found = load_config_from_file(str(path))
    assert found.num_processes == 8
    assert found.mixed_precision == "bf16"


@pytest.mark.parametrize(("gpus", "form"), [("8", ""), ("1", "-lora")])
@pytest.mark.parametrize("model", ["qwen2.5-7b", "gemma-2-9b"])
def test_the_script_of_the_paper_scale_gives_commands_that_exist(model, gpus, form, tmp_path):
    """With every program replaced by one that writes down how it was called; the data is never whole."""
    calls, programs = tmp_path / "calls", tmp_path / "bin"
    programs.mkdir()
    for name in ("train-baseline", "accelerate", "mlc-bench", "curl", "git"):
        (programs / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {calls}\n')
        (programs / name).chmod(0o755)
    script = ROOT / "baselines" / "paper_scale.sh"
    shutil.copytree(ROOT / "baselines" / "configs", tmp_path / "baselines" / "configs")
    command, environment = ["bash", script, model, gpus], os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"}
    refused = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert refused.returncode == 3
    assert "is not the file of commit" in refused.stderr
    assert "train-baseline" not in calls.read_text()
    blob = re.search(r"^blob=(\w+)$", script.read_text(), re.MULTILINE)[1]
    (programs / "git").write_text(f"#!/bin/sh\necho {blob}\n")
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    said = calls.read_text().splitlines()
    training = [shlex.split(line) for line in said if " dpo " in line]
    for words in training:
        options = words[words.index("dpo") + 1 :]
        file = ROOT / options[options.index("--config") + 1]
        assert file.stem == f"dpo-mlc-{model}{form}"
        config.load(methods.get("dpo").Config, file, [word for word in options[2:] if word != "--check"])
    assert [("--check" in words, words[-2:] == ["--mlc", "false"]) for words in training] == [
        (True, False), (False, False), (False, True),
    ]  # fmt: skip
    assert len([line for line in said if line.startswith("mlc-bench run")]) == 3
    assert all(("--adapter" in line) == bool(form) for line in said if "--model runs" in line or "--adapter" in line)
    unknown = subprocess.run(["bash", script, "gpt-5", gpus], cwd=tmp_path, env=environment, capture_output=True)
    assert unknown.returncode == 2
