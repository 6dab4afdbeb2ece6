"""Tokens in the manifest, for every method, against a count by hand: what went through the model, padding left out."""

import json
import shutil

import pytest
import sample_records
from training import ROWS, write_rows
from transformers import AutoTokenizer

from mlc_bench.baselines import methods, run
from mlc_bench.core.errors import UserError
from mlc_bench.leaderboard import redact

EPOCHS = 2
COUNTED = {"counted_from": "attention mask"}
RESPONSES = {"sw": {"chosen": "Siwezi kusaidia na hilo.", "rejected": "Sukuma pini."}}
ROWS_WITH_RESPONSES = [
    row | {"prompts": {"en": row["prompts"]["en"], "sw": "Ninafanyaje hivyo?"}, "responses": RESPONSES} for row in ROWS
]


def prompt(text):
    """The tiny model's tokens: a byte is a token; a turn has a mark before it, and an end after it."""
    return len(["<|user|>", *text.encode(), "<|end|>", "<|assistant|>"])


def exchange(question, answer):
    return prompt(question) + len(answer.encode()) + len(["<|end|>"])


def total(parts, code="en"):
    """Tokens of all rows in one language, `parts` of each pair."""
    pairs = [(row["prompts"][code], row if code == "en" else RESPONSES[code]) for row in ROWS_WITH_RESPONSES]
    return sum(exchange(question, pair[part]) for question, pair in pairs for part in parts)


CHOSEN, BOTH = ("chosen",), ("chosen", "rejected")
ENGLISH, ALL = total(BOTH), total(BOTH) + total(BOTH, "sw")
SUPERVISED = total(CHOSEN) + total(CHOSEN, "sw")
COMBINATIONS = sum(  # prompt and answer in English or not
    exchange(row["prompts"][asked], answer)
    for row in ROWS_WITH_RESPONSES
    for asked in ("en", "sw")
    for answer in (row["chosen"], RESPONSES["sw"]["chosen"])
)
assert (total(CHOSEN), ENGLISH) == (238, 376)
# What an epoch reads, and what the reference reads before training.
EXPECTED = {
    "sft": (total(CHOSEN), 0),
    "dpo": (ENGLISH, ENGLISH),
    "cosine": (ENGLISH, ENGLISH),
    "simpo": (ENGLISH, 0),
    "orpo": (ENGLISH, 0),
    "translate-sft": (SUPERVISED, 0),
    "self-defence": (SUPERVISED, 0),
    "translate-dpo": (ALL, ALL),
    "sdrrl": (COMBINATIONS, 0),
    "mpo": (ALL, 2 * ENGLISH),  # the reference's reward gap and states
}


def train(method, model, folder, name="out", rows=ROWS_WITH_RESPONSES, **settings):
    values = {"model": str(model), "data": [str(write_rows(folder, rows))], "output": folder / name, "keep_out": []}
    values |= {"epochs": EPOCHS, "bf16": False, "learning_rate": 1e-4, "save_steps": 1}
    return run.execute(run.prepare(method, methods.get(method).Config.model_validate(values | settings)))


@pytest.mark.parametrize("size", [1, 4], ids=["batches of one", "a batch of four"])
@pytest.mark.parametrize("method", [name for name in methods.names() if name != "grpo"])  # it reads its own answers
def test_tokens_are_those_that_went_through_the_model(method, size, tiny_model, tmp_path):
    """A batch of four pads each row to the longest; the count stays."""
    settings = {"switch": 0.0} if method == "sdrrl" else {}
    manifest = train(method, tiny_model, tmp_path, batch_size=size, accumulation=4 // size, **settings)
    tokens, reference = EXPECTED[method]
    assert manifest["tokens"] == EPOCHS * tokens
    assert manifest.get("reference_tokens", 0) == reference
    assert manifest["counted_from"] == "attention mask"


@pytest.mark.parametrize("lora", [None, {"r": 4}], ids=["full", "lora"])
def test_tokens_of_the_auxiliary_loss_are_apart(lora, tiny_model, tmp_path):
    """On every second of four steps, two rows each; `rain` has an English prompt only."""
    manifest = train("dpo", tiny_model, tmp_path, rows=ROWS, accumulation=4, mlc={"every": 2}, lora=lora)
    assert manifest["tokens"] == EPOCHS * ENGLISH
    prompts = sum(prompt(text) for row in ROWS for text in row["prompts"].values())
    assert manifest["mlc_tokens"] == prompts  # one of the two steps


def test_what_prompts_begin_with_is_read_once(tiny_model, tmp_path):
    template = AutoTokenizer.from_pretrained(tiny_model)
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    template.chat_template = "A long beginning" + template.chat_template
    template.save_pretrained(folder)
    manifest = train("sft", folder, tmp_path, rows=ROWS[:1], epochs=1, mlc={})
    prompts = list(ROWS[0]["prompts"].values())
    assert manifest["mlc_tokens"] == len("A long beginning") + len("u") + sum(prompt(text) - 1 for text in prompts)


def test_a_run_that_went_on_counts_as_a_whole_one(tiny_model, tmp_path, monkeypatch):
    whole = train("dpo", tiny_model, tmp_path, "whole", accumulation=2, mlc={"every": 1})

    class Stopped(run.Watch):
        def on_step_end(self, args, state, control, **kwargs):
            if state.global_step == 3:
                raise UserError("stopped")

    with monkeypatch.context() as patch:
        patch.setattr(run, "Watch", Stopped)
        with pytest.raises(UserError, match="stopped"):
            train("dpo", tiny_model, tmp_path, "parts", accumulation=2, mlc={"every": 1})
    parts = train("dpo", tiny_model, tmp_path, "parts", accumulation=2, mlc={"every": 1})
    assert whole["mlc_tokens"] > 0
    for name in ("tokens", "mlc_tokens", "reference_tokens"):
        assert parts[name] == whole[name], name
    assert json.loads((tmp_path / "parts" / "train_manifest.json").read_text()) == parts
    assert parts["steps"] == whole["steps"]


def test_a_published_record_says_how_tokens_were_counted():
    manifest = {"method": "dpo", "tokens": 376, "mlc_tokens": 10, "reference_tokens": 376, **COUNTED}
    record = sample_records.make("m", training=manifest)
    assert redact.published(record).model.training == manifest
