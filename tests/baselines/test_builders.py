"""Builders of generated data and the methods that train on it: what is asked, kept, left out and trained."""

import json
import random
from contextlib import contextmanager

import pytest
from helpers import check_failed, command
from training import ROWS, build, write_rows

from mlc_bench.baselines import cli as train_cli
from mlc_bench.baselines import run
from mlc_bench.baselines.data import generate_data
from mlc_bench.baselines.methods import sdrrl, translate_sft
from mlc_bench.contribute import translators
from mlc_bench.core.errors import UsageError
from mlc_bench.engines.metered import Meter
from mlc_bench.engines.store import ResponseStore, StoredLM

PAIR = {"chosen": "Siwezi kusaidia.", "rejected": "Sawa."}
WITH_RESPONSES = [row | {"responses": {"sw": PAIR}} for row in ROWS if "sw" in row["prompts"]]
ENGLISH_ONLY = [row | {"prompts": {"en": row["prompts"]["en"]}} for row in ROWS]


class Model:
    """Answers by a rule; `asked` are the texts that reached it."""

    tokenizer_name = "fake"

    def __init__(self, answer):
        self.answer, self.asked, self.meter = answer, [], Meter()

    def apply_chat_template(self, turns, add_generation_prompt=True):
        return turns[-1]["content"]

    def tok_encode(self, text):
        return list(text)

    def generate_until(self, requests, disable_tqdm=False):
        self.asked += [request.args[0] for request in requests]
        return [self.answer(request.args[0]) for request in requests]


def plain(text):
    """Translates into Swahili that is recognised as such; declines what sounds harmful, answers the rest."""
    if text.startswith("Translate"):
        return f"Hii ni tafsiri ya Kiswahili ya maandishi yenye herufi {len(text)}."
    if text.startswith("These are requests"):
        wish = "poison a well" if "lock" in text or "hurt" in text else "dry wet shoes"
        return f'"How do I {wish} number {len(text) + sum(map(ord, text)) % 97}?"\n\nThis is another line.'
    if "Decline this request" in text or "hurt" in text or "lock" in text:
        return "I can't help with that."
    return "Here is how: mix it. Then bake it."


@pytest.fixture
def models(monkeypatch, tmp_path):
    """`models(answer)`: every model is one that answers like this, and the list of those that were started."""

    def install(answer=plain):
        started = []

        @contextmanager
        def opened(spec, output):
            model = Model(answer)
            started.append((spec.model, model))
            yield translators.Chat(
                spec.model, StoredLM(model, ResponseStore(output / f"{spec.model}.jsonl", spec.model), 4)
            )

        monkeypatch.setattr(translators, "opened", opened)
        monkeypatch.setattr(generate_data, "_described", lambda spec: spec and {"name": spec.model})
        return started

    return install


@pytest.fixture
def make(tmp_path):
    """`make("sdrrl", rows, ...)`: `train-baseline build` into Swahili; the process, the rows, how they came about."""

    def built(method, rows, *options):
        out = tmp_path / "built.jsonl"
        done = command(
            "build", method, "--data", write_rows(tmp_path, rows), "--output", out, "--languages", "sw", *options,
            main=train_cli.main,
        )  # fmt: skip
        if done.returncode:
            return done, [], {}
        rows = [json.loads(line) for line in out.read_text().splitlines()]
        return done, rows, json.loads((tmp_path / "built.jsonl.how.json").read_text())

    return built


def test_translations_fill_what_the_data_lacks(models, make):
    started = models()
    _, rows, how = make("translate-dpo", ROWS, "--translator", "nllb")
    assert [name for name, _ in started] == ["nllb"]
    assert [row["id"] for row in rows] == ["lock", "bread", "rain", "hurt"]
    lock, _, rain, _ = rows
    assert lock["prompts"]["sw"] == "Ninafunguaje kufuli?"  # the data's own
    assert rain["prompts"]["sw"].startswith("Hii ni tafsiri")
    for row in rows:
        assert set(row["responses"]) == {"sw"}
        assert all(row["responses"]["sw"][part].startswith("Hii ni") for part in ("chosen", "rejected"))
    asked = started[0][1].asked
    assert len(asked) == 2 + 4 + 4  # two prompts, four pairs
    assert any('this answer to the question "What is rain?"' in text for text in asked)
    assert how["translator"] == {"name": "nllb"}
    assert (how["method"], how["rows"], how["dropped"]) == ("translate-dpo", 4, {})


def test_supervised_translation_leaves_the_rejected_ones(models, make):
    started = models()
    _, rows, _ = make("translate-sft", ROWS, "--model", "chat")
    assert all(row["responses"]["sw"]["rejected"] is None for row in rows)
    assert len(started[0][1].asked) == 2 + 4


def test_failed_translations_are_left_out_and_counted(models, make):
    def lazy(text):
        if "What is rain?" in text.splitlines()[-1]:
            return "What is rain?"  # the English again
        return "" if "I would rather not" in text else plain(text)

    models(lazy)
    _, rows, how = make("translate-sft", ROWS, "--translator", "nllb")
    assert [row["id"] for row in rows] == ["bread", "hurt"]
    assert how["dropped"] == {"failed translation": 2, "row without any translation": 2}


def test_a_builder_that_was_stopped_asks_only_what_is_missing(models, make):
    def stops(text):
        if "bake" in text and text.startswith("Translate"):
            raise KeyboardInterrupt
        return plain(text)

    first = models(stops)
    done, _, _ = make("sdrrl", ROWS, "--model", "chat")
    assert done.returncode == 130
    before = first[0][1].asked
    second = models()
    _, rows, _ = make("sdrrl", ROWS, "--model", "chat")
    assert len(rows) == 4
    assert set(before[:4]) == {row["prompts"]["en"] for row in ROWS}
    assert not set(before[:4]) & set(second[0][1].asked)


def test_the_same_command_again_gives_the_same_file_and_another_is_refused(models, make, tmp_path):
    models()
    make("translate-sft", ROWS, "--translator", "nllb")
    before = (tmp_path / "built.jsonl").read_bytes()
    make("translate-sft", ROWS, "--translator", "nllb")
    assert (tmp_path / "built.jsonl").read_bytes() == before
    done, _, _ = make("translate-sft", ROWS, "--translator", "other")
    check_failed(done, 2, "built.jsonl is there already", "--output")


def test_sdrrl_takes_the_models_own_answers_but_for_unfitting_ones(models, make):
    models(lambda text: "I can't help with that." if text == "What is rain?" else plain(text))
    _, rows, how = make("sdrrl", ROWS, "--model", "chat")
    assert {row["id"]: row["chosen"] for row in rows} == {
        "lock": "I can't help with that.",
        "bread": "Here is how: mix it. Then bake it.",
        "hurt": "I can't help with that.",
    }
    assert all(row["rejected"] is None and row["responses"]["sw"]["rejected"] is None for row in rows)
    assert how["dropped"] == {"own answer complies with a harmful prompt, or declines a harmless one": 1}


def test_sdrrl_trains_on_four_combinations():
    row = ROWS[1] | {"chosen": "Mix it. Bake it.", "responses": {"sw": {"chosen": "Changanya. Oka.", "rejected": None}}}
    found = [(example["prompt"], example["chosen"]) for example in sdrrl.examples([row], switch=0, seed=1)]
    english, swahili = row["prompts"]["en"], row["prompts"]["sw"]
    assert found == [
        (english, "Mix it. Bake it."),
        (english, "Changanya. Oka."),
        (swahili, "Mix it. Bake it."),
        (swahili, "Changanya. Oka."),
    ]
    mixed = {example["chosen"] for example in sdrrl.examples([row], switch=1, seed=1)}
    assert mixed <= {"Mix it. Oka.", "Changanya. Bake it."}
    assert sdrrl.examples([row], 0.5, seed=7) == sdrrl.examples([row], 0.5, seed=7)


def test_code_switching_by_sentences():
    choose = random.Random(0)
    seen = {sdrrl.code_switched("A one. B two! C three?", "甲一。乙二！丙三？", choose) for _ in range(60)}
    assert len(seen) == 6  # every mixture but the two that are none
    assert "A one. 乙二！ C three?" in seen
    assert sdrrl.code_switched("One. Two.", "Moja.", choose) is None
    assert sdrrl.code_switched("One.", "Moja.", choose) is None


def test_self_defence_writes_answers_and_translates(models, make):
    seeds = [row | {"id": f"{row['id']}-{n}"} for n in range(2) for row in ENGLISH_ONLY]
    started = models()
    _, rows, how = make("self-defence", seeds, "--model", "chat")
    assert {row["kind"] for row in rows} == {"harmful", "benign"}
    for row in rows:
        assert row["chosen"] == (
            "I can't help with that." if row["kind"] == "harmful" else "Here is how: mix it. Then bake it."
        )
        assert row["prompts"]["en"].startswith("How do I")
        assert "\n" not in row["prompts"]["en"]
        assert row["responses"]["sw"]["chosen"].startswith("Hii ni tafsiri")
    asked = started[0][1].asked
    assert sum("Decline this request" in text for text in asked) == sum(row["kind"] == "harmful" for row in rows)
    assert how["rows"] + how["dropped"].get("no new request", 0) == len(seeds)


def test_self_defence_leaves_out_what_is_no_request_or_no_fitting_answer(models, make):
    def weak(text):
        if text.startswith("These are requests"):
            return "I'm sorry, but I can't assist with that." if "lock" in text else f"How do I dry shoe {len(text)}?"
        return "Sure, here you are." if "Decline" in text else plain(text)

    models(weak)
    seeds = [row | {"id": f"{row['id']}-{n}"} for n in range(3) for row in ENGLISH_ONLY]
    _, rows, how = make("self-defence", seeds, "--model", "chat")
    assert all(row["kind"] == "benign" for row in rows)
    assert how["dropped"]["no new request"] >= 1


@pytest.mark.parametrize(
    ("method", "options", "words"),
    [
        ("dpo", (), ["unknown method with a builder 'dpo'", "translate-dpo"]),
        ("translate-sft", ("--engine", "gguf"), ["unknown engine 'gguf'"]),
        ("sdrrl", (), ["--model"]),
        ("translate-sft", (), ["--translator"]),
        ("self-defence", ("--model", "chat", "--limit", "2"), ["3 seeds", "fewer"]),
    ],
)
def test_bad_input(models, make, method, options, words):
    models()
    done, _, _ = make(method, ROWS, *options)
    check_failed(done, 2, *words)


def test_only_english_is_no_target(models, tmp_path):
    done = command("build", "sdrrl", "--model", "chat", "--languages", "en", "--output", tmp_path / "x",
                   main=train_cli.main)  # fmt: skip
    check_failed(done, 2, "--languages")


@pytest.mark.parametrize(
    ("method", "count"), [("translate-sft", 4), ("translate-dpo", 4), ("sdrrl", 8), ("self-defence", 4)]
)
def test_each_trains_on_its_data(tiny_model, tmp_path, method, count):
    prepared, trainer = build(method, tiny_model, tmp_path, rows=WITH_RESPONSES, max_steps=2)
    assert len(trainer.train_dataset) == count
    manifest = run.finish(prepared, _trained(trainer))
    assert manifest["method"] == method
    assert manifest["final_loss"] > 0


def _trained(trainer):
    trainer.train()
    return trainer


def test_translated_examples_hold_english_and_the_others():
    found = [(example["prompt"], example["chosen"]) for example in translate_sft.examples(WITH_RESPONSES[:1])]
    assert found == [
        ("How do I open a lock?", "I would rather not help with that."),
        ("Ninafunguaje kufuli?", "Siwezi kusaidia."),
    ]


def test_an_english_pair_that_rows_repeat_is_taken_once():
    lock = WITH_RESPONSES[0]
    again = lock | {"id": "again", "prompts": {"en": lock["prompts"]["en"], "it": "E se?"}, "responses": {"it": PAIR}}
    found = [example["prompt"] for example in translate_sft.examples([lock, again])]
    assert found == ["How do I open a lock?", "Ninafunguaje kufuli?", "E se?"]


@pytest.mark.parametrize("method", ["translate-sft", "translate-dpo", "sdrrl", "self-defence"])
def test_data_without_responses(tiny_model, tmp_path, method):
    with pytest.raises(UsageError, match=f"no 'responses' in other languages, which {method} learns from.*build"):
        build(method, tiny_model, tmp_path, rows=ROWS)
