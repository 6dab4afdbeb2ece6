"""Settings of training that make no sense: refused in one line before a model is loaded, by --check as well."""

import json

import pytest
from helpers import check_failed, command
from training import write_rows

from mlc_bench.baselines import cli, methods
from mlc_bench.baselines.config import MLC

WRONG = {
    "scheduler": ("sft --scheduler foo", "scheduler foo: input should be 'linear', 'cosine'"),
    "a scheduler that needs more": ("sft --scheduler reduce_lr_on_plateau", "scheduler reduce_lr_on_plateau"),
    "seed": ("sft --seed -1", "seed -1: input should be greater than or equal to 0"),
    "huge seed": ("sft --seed 99999999999", "seed 99999999999: input should be less than 4294967296"),
    "inf": ("sft --learning-rate inf", "learning_rate inf: input should be a finite number"),
    "nan": ("sft --learning-rate nan", "learning_rate nan: input should be a finite number"),
    "nan of a method": ("dpo --beta nan", "beta nan: input should be a finite number"),
    "warmup": ("sft --warmup 2", "warmup 2: input should be less than 1"),
    "packing": ("dpo --packing", "packing: this method cannot pack"),
    "packing with mlc": ("sft --mlc --packing", "packing and mlc exclude each other"),
    "objective": ("cosine --mlc.objective rank", "train-baseline dpo --mlc.objective rank"),
    "no data": ("sft --data ,", "--data names nothing"),
    "no targets": ("sft --lora --lora.targets ,", "--lora.targets names nothing"),
}
OF_THE_MODEL = {
    "targets": ("sft --lora.targets nope", "unknown module in lora.targets: 'nope'; known: down_proj"),
    "a module that has no weights of its own": (
        "sft --lora.targets q_proj,mlp",
        "unknown module in lora.targets: 'mlp'",
    ),
    "language": ("grpo --languages en,xx", "languages: the data has no prompt in 'xx'; it has en, it, ps, sw, zh"),
}


def typed(text, model, folder, *more):
    place = ["--model", model, "--output", folder / "out", "--keep-out", "[]"]
    data = [] if "--data" in text else ["--data", write_rows(folder)]
    return command(*text.split(), *place, *data, *more, main=cli.main)


@pytest.mark.parametrize("name", WRONG)
def test_settings(name, tmp_path):
    text, words = WRONG[name]
    for more in ((), ("--check",)):
        check_failed(typed(text, "no-such-model", tmp_path, *more), 2, words)


@pytest.mark.parametrize("name", OF_THE_MODEL)
def test_settings_that_do_not_go_with_the_model_or_the_data(name, tiny_model, tmp_path):
    text, words = OF_THE_MODEL[name]
    check_failed(typed(text, tiny_model, tmp_path), 2, words)
    assert not (tmp_path / "out").exists()  # so that the right settings can have it
    done = typed(text, tiny_model, tmp_path, "--check", "--json")
    assert done.returncode == 3
    assert [one for one in json.loads(done.stdout) if one["level"] == "problem" and one["text"].startswith(words)]


@pytest.mark.parametrize("objective", ["rank", "signed"])
def test_runs_of_cosine_with_another_objective_keep_their_name(objective):
    """Earlier versions took them; their manifests are read."""
    assert methods.label("cosine", MLC(objective=objective)) == methods.label("dpo", MLC(objective=objective))
