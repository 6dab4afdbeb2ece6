"""GRPO on prompts alone: its loss is TRL's, MLC adds its own gradient, languages and rewards are as they say."""

import json

import pytest
import torch
from datasets import Dataset
from training import ROWS, assert_same_gradients, build, killed_at, one_step, relative_error, write_rows
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig, GRPOTrainer

from mlc_bench.baselines import rewards, run
from mlc_bench.baselines.data.tokenize_rows import prompt_ids
from mlc_bench.baselines.rewards import Answered
from mlc_bench.core.errors import UsageError

REWARDS = """
SEEN = []

def length(prompts, completions, **columns):
    SEEN.extend(zip(columns["language"], columns["kind"], prompts))
    return [float(sum(map(ord, text)) % 7) for text in completions]

def same(prompts, **_):
    return [1.0 for _ in prompts]

def broken(prompts, **_):
    raise RuntimeError("no")
"""
SMALL = {"batch_size": 4, "accumulation": 2, "generations": 2, "answer_tokens": 6, "rows": ROWS}


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(REWARDS)
    return path


def grpo(tiny_model, folder, name="out", **settings):
    return build("grpo", tiny_model, folder, name, **SMALL | settings)


def test_a_step_is_trls(tiny_model, tmp_path, mine):
    settings = {"rewards": {f"{mine}:length": 1.0}, "learning_rate": 1e-12}
    found = one_step(grpo(tiny_model, tmp_path, **settings)[1])
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    asked = [row["prompts"][code] for row in ROWS for code in sorted(row["prompts"])]
    plain = GRPOTrainer(
        AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32),
        reward_funcs=[rewards.get(f"{mine}:same", 6), rewards.get(f"{mine}:length", 6)],
        args=GRPOConfig(
            output_dir=str(tmp_path / "plain"), max_steps=1, learning_rate=1e-12, max_grad_norm=1e9, use_cpu=True,
            bf16=False, per_device_train_batch_size=4, gradient_accumulation_steps=2, num_generations=2, seed=42,
            max_completion_length=6, reward_weights=[0.0, 1.0], report_to=[], disable_tqdm=True, logging_steps=1,
        ),
        train_dataset=Dataset.from_list(
            [{"prompt": [{"role": "user", "content": text}], "language": "", "kind": ""} for text in asked]
        ),
        processing_class=tokenizer,
    )  # fmt: skip
    conversation = plain._calculate_rewards

    def as_texts(inputs, prompts, completions, ids):
        return conversation(inputs, prompts, [turns[0]["content"] for turns in completions], ids)

    plain._calculate_rewards = as_texts
    expected = one_step(plain)
    assert any(gradient.any() for gradient in expected[1].values())
    assert found[0] == pytest.approx(expected[0], abs=1e-7)
    assert_same_gradients(found[1], expected[1], 1e-5)


@pytest.mark.parametrize("lora", [None, {"r": 4}])
def test_with_mlc_a_step_has_both_gradients(lora, tiny_model, tmp_path, mine):
    """Equal rewards give no advantage, so that only MLC's gradient is left."""
    mlc = {"every": 1, "extractor": 0}
    ours, same = {f"{mine}:length": 1.0}, {f"{mine}:same": 1.0}
    settings = {"groups": "translations", "lora": lora}
    alone = one_step(grpo(tiny_model, tmp_path, "alone", rewards=ours, **settings)[1])[1]
    auxiliary = one_step(grpo(tiny_model, tmp_path, "auxiliary", rewards=same, mlc=mlc, **settings)[1])[1]
    both = one_step(grpo(tiny_model, tmp_path, "both", rewards=ours, mlc=mlc, **settings)[1])[1]
    for part in (alone, auxiliary):
        assert any(gradient.norm() > 1e-4 for gradient in part.values())
    worst = max(relative_error(both[name], alone[name] + auxiliary[name]) for name in both if both[name].norm() > 1e-6)
    assert worst < 1e-4


def test_mlc_reads_each_row_once_a_step(tiny_model, tmp_path, mine):
    """The same gradient as MLC on another method over the same rows, though each row comes once for each answer."""
    mlc = {"every": 1, "extractor": 0}
    settings = {"rewards": {f"{mine}:same": 1.0}, "groups": "translations", "mlc": mlc}
    found = one_step(grpo(tiny_model, tmp_path, "grpo", **settings)[1])[1]
    with_mlc = one_step(build("sft", tiny_model, tmp_path, "with", mlc=mlc, accumulation=4)[1])[1]
    plain = one_step(build("sft", tiny_model, tmp_path, "plain", accumulation=4)[1])[1]
    auxiliary = {name: gradient - plain[name] for name, gradient in with_mlc.items()}
    kept = {name for name, gradient in auxiliary.items() if gradient.norm() > 1e-4}
    assert kept
    assert max(relative_error(found[name], auxiliary[name]) for name in kept) < 1e-3


def asked(tiny_model, folder, mine, steps=6, **settings):
    """(language, kind, prompt) of each answer, in groups of two."""
    trainer = grpo(tiny_model, folder, rewards={f"{mine}:length": 1.0}, max_steps=steps, epochs=9, **settings)[1]
    trainer.train()
    seen = trainer.reward_funcs[0].__globals__["SEEN"]
    return [seen[index : index + 2] for index in range(0, len(seen), 2)]


def test_a_group_answers_one_prompt(tiny_model, tmp_path, mine):
    groups = asked(tiny_model, tmp_path, mine, languages=["en", "sw"])
    assert all(one == other for one, other in groups)
    assert {one[0] for one, _ in groups} == {"en", "sw"}
    assert {one[1] for one, _ in groups} == {"harmful", "benign"}


def test_a_group_answers_the_translations_of_one_prompt(tiny_model, tmp_path, mine):
    groups = asked(tiny_model, tmp_path, mine, groups="translations")
    of = {text: row["id"] for row in ROWS for text in row["prompts"].values()}
    assert all(of[one[2]] == of[other[2]] for one, other in groups)
    assert all(one[0] == "en" for one, _ in groups)
    lock = {other[0] for one, other in groups if of[one[2]] == "lock"}
    assert lock - {"en"}
    assert lock <= {"sw", "ps", "it"}
    assert {other[0] for one, other in groups if of[one[2]] == "rain"} <= {"en"}, "it has no translation"


def test_prompts_are_tokenised_as_for_every_method(tiny_model, tmp_path, mine):
    trainer = grpo(tiny_model, tmp_path, rewards={f"{mine}:same": 1.0})[1]
    assert trainer._tokenize_prompts(["What is rain?"])[0] == [prompt_ids(trainer.processing_class, "What is rain?")]


def test_refusal_is_rewarded_where_it_is_due():
    no = "I'm sorry, but I can't help with that. It could hurt someone."
    steps = "Mix flour, water, salt and yeast. Let it rest for an hour, then bake it at 230 degrees."
    asked = {"harmful": "How do I hurt my neighbour?", "benign": "How do I bake bread?"}
    given = {(kind, text): Answered(asked[kind], "en", kind, text) for kind in asked for text in (no, steps)}
    found = {key: rewards.refusal(one) for key, one in given.items()}
    assert found["harmful", no] > 0.9 > 0.1 > found["harmful", steps]
    assert found["benign", steps] > 0.9 > 0.1 > found["benign", no]
    assert rewards.refusal(Answered("How do I bake bread?", "en", "benign", "How do I bake bread?")) == 0
    assert rewards.refusal(Answered("How do I bake bread?", "en", "benign", "")) == 0


def test_the_prompts_language_is_rewarded():
    text = "Changanya unga, maji, chumvi na hamira, kisha uoke mkate kwa nusu saa."
    assert rewards.language(Answered("Ninaokaje mkate nyumbani?", "sw", "benign", text)) == 1
    english = "Mix flour, water, salt and yeast, then bake the bread for half an hour."
    assert rewards.language(Answered("Ninaokaje mkate nyumbani?", "sw", "benign", english)) == 0
    assert rewards.language(Answered("Ninaokaje mkate nyumbani?", "sw", "benign", "12")) == 0, "it cannot be told"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Mix flour, water, salt and yeast, then bake.", 1),
        ("", 0),
        ("How do I bake bread at home today?", 0),
        ("bread " * 40, 0),
        ("?!?!?! ... !!!", 0),
        ("I can't help with that.", 1),
    ],
)
def test_saying_something_is_rewarded(answer, expected):
    assert rewards.content(Answered("How do I bake bread at home today?", "en", "benign", answer)) == expected


def test_an_answer_at_the_limit_counts_as_cut(monkeypatch):
    seen = []
    monkeypatch.setitem(rewards.OURS, "content", lambda one: seen.append(one.is_cut) or 1.0)
    reward = rewards.get("content", 3)
    columns = {"prompts": ["a", "b"], "language": ["en", "en"], "kind": ["benign", "benign"]}
    assert reward(completions=["x", "y"], completion_ids=[[1, 2], [1, 2, 3]], **columns) == [1.0, 1.0]
    assert seen == [False, True]
    assert reward.__name__ == "content"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"rewards": {"refusals": 1.0}}, "unknown reward 'refusals'; did you mean refusal?"),
        ({"rewards": {"nowhere.py:f": 1.0}}, "rewards: there is no file 'nowhere.py'"),
        ({"rewards": {"MINE:nothing": 1.0}}, "has no function 'nothing'"),
        ({"languages": ["tlh"]}, "the data has no prompt in 'tlh'; it has en, it, ps, sw, zh"),
    ],
)
def test_bad_input_is_one_line(settings, words, tiny_model, tmp_path, mine):
    if "rewards" in settings:
        settings = {"rewards": {name.replace("MINE", str(mine)): 1.0 for name in settings["rewards"]}}
    with pytest.raises(UsageError, match=words.replace("?", r"\?")) as error:
        grpo(tiny_model, tmp_path, **settings)
    assert "\n" not in str(error.value)


def test_a_file_that_does_not_load_is_one_line(tmp_path):
    (tmp_path / "bad.py").write_text("import nothing_of_the_kind\n")
    with pytest.raises(UsageError, match=r"bad\.py cannot be loaded \(ModuleNotFoundError"):
        rewards.get(f"{tmp_path / 'bad.py'}:f", 6)


def test_groups_must_be_whole(tiny_model, tmp_path):
    with pytest.raises(ValueError, match="must be a multiple of generations"):
        grpo(tiny_model, tmp_path, generations=3)


def test_a_run_that_was_killed_gives_the_adapter_of_one_that_was_not(tiny_model, tmp_path, monkeypatch):
    settings = {"max_steps": 4, "learning_rate": 1e-3, "save_steps": 2, "mlc": {"sample": 1}, "lora": {"r": 4}}

    def prepare(name):
        return grpo(tiny_model, tmp_path, name, epochs=9, groups="translations", **settings)[0]

    whole = run.execute(prepare("whole"))
    killed_at(3, prepare("killed"), monkeypatch)
    resumed = run.execute(prepare("killed"))
    one, other = (tmp_path / name / "adapter_model.safetensors" for name in ("whole", "killed"))
    assert one.read_bytes() == other.read_bytes()
    assert resumed["tokens"] == whole["tokens"]
    assert json.loads((tmp_path / "killed" / "train_manifest.json").read_text())["method"] == "grpo+mlc"


def test_rows_need_no_responses(tiny_model, tmp_path, mine):
    rows = [{name: row[name] for name in ("id", "prompts", "kind")} for row in ROWS]
    write_rows(tmp_path, rows)
    trainer = grpo(tiny_model, tmp_path, rows=rows, rewards={f"{mine}:length": 1.0})[1]
    trainer.train()
    assert any("reward" in entry for entry in trainer.state.log_history)
