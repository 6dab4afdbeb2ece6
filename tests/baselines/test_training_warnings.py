"""What a training run says before and while it trains, and by what name its manifest goes."""

import io
import json
import re
import shutil
import sys
import time

import pytest
from training import ROWS, write_rows
from transformers import AutoTokenizer, GenerationConfig, TrainerControl, TrainerState, TrainingArguments

from mlc_bench.baselines import callbacks, cli, methods
from mlc_bench.baselines.data import equal_pairs, training_data
from mlc_bench.core.errors import UserError
from mlc_bench.leaderboard import lineage

NO_END = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
BETWEEN_TURNS = (  # as templates have it that write the end token before the next turn only
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}"
    "{% if not loop.last %}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|end|><|assistant|>{% endif %}"
)
OTHER_END = NO_END.replace("['content'] }}", "['content'] }}<|system|>")  # a token that is no end token by itself


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """`command(method, model, *options)`: exit code, stdout and stderr of train-baseline."""

    def start(method, model, *options, rows=ROWS, steps=1):
        settings = ["--max-steps", steps, "--accumulation", "1", "--keep-out", "[]", "--bf16", "false"]
        data = ["--model", model, "--data", write_rows(tmp_path, rows), "--output", tmp_path / "out"]
        monkeypatch.setattr(sys, "argv", ["train-baseline", method, *map(str, [*data, *settings, *options])])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        streams = capsys.readouterr()
        return ended.value.code, streams.out, streams.err

    return start


def with_template(model, folder, template):
    shutil.copytree(model, folder)
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("method", "mlc", "name"),
    [
        ("dpo", None, "dpo"),
        ("dpo", {"objective": "rank"}, "dpo+mlc"),
        ("dpo", {"objective": "signed"}, "dpo+mlc.signed"),
        ("dpo", {"objective": "cosine"}, "dpo+cosine"),
        ("dpo", {"objective": "cosine", "weight": 0}, "dpo"),
        ("sft", {"objective": "cosine"}, "sft+cosine"),
        ("mpo", {"objective": "signed"}, "mpo+mlc.signed"),
        ("cosine", {}, "cosine"),
        ("cosine", {"weight": 0}, "dpo"),
        ("cosine", None, "dpo"),
    ],
)
def test_the_name_says_what_is_trained(method, mlc, name):
    config = methods.get(method).Config.model_validate({"model": "m", "output": "o", "mlc": mlc})
    assert methods.label(method, config.mlc) == name


def test_the_name_is_in_the_manifest_and_for_the_leaderboard(command, tiny_model, tmp_path):
    command("dpo", tiny_model, "--mlc.objective", "cosine")
    manifest = json.loads((tmp_path / "out" / "train_manifest.json").read_text())
    assert manifest["method"] == "dpo+cosine"
    import sample_records

    assert lineage.method(sample_records.make("m", training=manifest).model) == "dpo+cosine"


@pytest.mark.parametrize("template", [NO_END, BETWEEN_TURNS, OTHER_END], ids=["none", "between turns", "another token"])
def test_a_template_without_an_end_token_is_said_before_training(template, command, tiny_model, tmp_path):
    model = with_template(tiny_model, tmp_path / "model", template)
    code, out, _ = command("sft", model, "--check", "--json")
    assert code == 0
    (finding,) = [one for one in json.loads(out) if one["subject"] == "end of turn"]
    assert finding["level"] == "note"
    assert "writes no end token after a response (end tokens: <|end|>)" in finding["text"]
    code, _, err = command("sft", model)
    assert code == 0
    lines = err.splitlines()
    assert sum(finding["text"] == line for line in lines) == 1
    assert lines.index(finding["text"]) < next(number for number, line in enumerate(lines) if "1/1" in line)


def test_an_end_token_of_the_generation_config_is_one(command, tiny_model, tmp_path):
    model = with_template(tiny_model, tmp_path / "model", OTHER_END)
    GenerationConfig(eos_token_id=[257, 258]).save_pretrained(model)
    assert AutoTokenizer.from_pretrained(model).convert_tokens_to_ids("<|system|>") == 258
    assert "end of turn" not in command("sft", model, "--check", "--json")[1]


def test_a_template_with_an_end_token_is_not_mentioned(command, tiny_model):
    assert "end of turn" not in command("dpo", tiny_model, "--check", "--json")[1]
    assert "end token" not in command("dpo", tiny_model)[2]


SAME = {"chosen": "The same words.", "rejected": "The same words."}
EQUAL_ROWS = [
    ROWS[0] | SAME | {"responses": {"sw": {"chosen": "Hapana.", "rejected": "Ndiyo."}}},
    ROWS[1] | {"responses": {"sw": {"chosen": "Sawa.", "rejected": "Sawa."}}},
    ROWS[3] | {"responses": {"ps": {"chosen": "نه", "rejected": "هو"}}},
]


@pytest.mark.parametrize("method", methods.names())
def test_equal_pairs_are_counted_and_left_out(method, command, tiny_model, tmp_path):
    """By every method that reads pairs, with its responses in other languages; by no other."""
    needs = methods.get(method).NEEDS
    rows, responses = (1, 1) if needs.get("rejected") and needs.get("responses") else (int("rejected" in needs), 0)
    expected = {"chosen equals rejected": rows, "chosen equals rejected in another language": responses}
    expected = {reason: count for reason, count in expected.items() if count}
    whole = ["--batch-size", "2", "--generations", "2"] if method == "grpo" else []  # a group of answers in each step
    _, out, _ = command(method, tiny_model, "--check", "--json", *whole, rows=EQUAL_ROWS)
    text = next(one["text"] for one in json.loads(out) if one["subject"] == "data")
    for reason, count in expected.items():
        assert f"{count} left out ({reason})" in text
    code, _, err = command(method, tiny_model, *whole, rows=EQUAL_ROWS)
    assert code == 0, err
    manifest = json.loads((tmp_path / "out" / "train_manifest.json").read_text())
    assert manifest["data"]["dropped"] == expected
    assert manifest["data"]["rows"] == 3 - rows
    assert ("pairs left out: 1 (chosen equals rejected)" in err) == bool(rows)


def test_pairs_that_differ_beyond_the_cut_off_are_equal(tiny_model):
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    row = {"id": "a", "prompts": {"en": "Hi"}, "responses": None, "kind": "benign"}
    row |= {"chosen": "x" * 20 + "yes", "rejected": "x" * 20 + "no"}
    data = training_data.TrainingData([row])
    for cutoff, left in ((5 + 20, 0), (5 + 21, 1), (1024, 1)):
        if left:
            assert len(equal_pairs.left_out(data, {"rejected": True}, tokenizer, cutoff).rows) == 1
        else:
            with pytest.raises(UserError, match="nothing to prefer"):
                equal_pairs.left_out(data, {"rejected": True}, tokenizer, cutoff)


def test_nothing_but_equal_pairs(command, tiny_model):
    rows = [row | SAME for row in ROWS]
    code, _, err = command("dpo", tiny_model, rows=rows)
    assert (code, err.splitlines()[-1][:6]) == (2, "error:")
    assert "'chosen' and 'rejected' are the same" in err
    code, out, _ = command("dpo", tiny_model, "--check", "--json", rows=rows)
    assert code == 3
    assert next(one["level"] for one in json.loads(out) if one["subject"] == "pairs") == "problem"


LINE = re.compile(r"dpo: (\d+)/40  loss [\d.]+  margin -?[\d.]+  [\d.]+ s/step, \d+ s left")


def test_plain_lines_in_a_log(command, tiny_model):
    """The first step at once, every tenth of the steps, the last; what comes before the first step is said too."""
    _, _, err = command("dpo", tiny_model, steps=40)
    lines = err.splitlines()
    assert lines[0].startswith("dpo: prepares 4 rows and the model")
    assert any(line.startswith("reference: 4/4") for line in lines)
    assert [int(found[1]) for found in map(LINE.fullmatch, lines) if found] == [1, 5, 9, 13, 17, 21, 25, 29, 33, 37, 40]


def test_a_line_every_thirty_seconds_also_within_a_step(tmp_path, monkeypatch, capsys):
    """1,000 steps of two passes, 20 seconds each, until the twelfth: every other step says where it is."""
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    watch, state, control = callbacks.Watch("dpo"), TrainerState(max_steps=1000), TrainerControl()
    args = TrainingArguments(output_dir=str(tmp_path), gradient_accumulation_steps=3, report_to=[])
    watch.on_train_begin(args, state, control)
    for step in range(3):
        watch.on_step_begin(args, state, control)
        for _ in range(2):
            clock[0] += 20
            watch.on_substep_end(args, state, control)
        clock[0] += 20
        state.global_step = step + 1
        state.log_history.append({})
        watch.on_log(args, state, control, logs={"loss": 1.0})
    assert sys.stderr.getvalue().splitlines() == [
        "dpo: step 1/1000, 2 of 3 passes",
        "dpo: 1/1000  loss 1.0000  60.0 s/step, 59940 s left",
        "dpo: step 2/1000, 2 of 3 passes",
        "dpo: step 3/1000, 1 of 3 passes",
        "dpo: 3/1000  loss 1.0000  60.0 s/step, 59820 s left",
    ]
