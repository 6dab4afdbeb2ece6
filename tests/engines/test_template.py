"""Chat templates as they are found: dates in them, named ones, those of adapters, broken ones."""

import json
import shutil

import pytest
from bad_input import hf
from conftest import CHAT_TEMPLATE
from helpers import check_failed, command, make_adapter

from mlc_bench.engines.settings import template as templates
from mlc_bench.records import record

MESSAGES = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}<|assistant|>"
LLAMA = (
    "{%- if not date_string is defined %}{%- if strftime_now is defined %}"
    '{%- set date_string = strftime_now("%d %b %Y") %}{%- else %}{%- set date_string = "26 Jul 2024" %}'
    "{%- endif %}{%- endif %}{{ '<|system|>Today Date: ' + date_string + '<|end|>' }}"
)
DATED = {  # what a template prints: by itself, and with --template-date 2031-03-05
    "Llama 3.2": (LLAMA, "26 Jul 2024", "05 Mar 2031"),
    "Llama 3.1": (LLAMA.replace('strftime_now("%d %b %Y")', '"26 Jul 2024"'), "26 Jul 2024", "05 Mar 2031"),
    "gpt-oss": ("Current date: {{ strftime_now('%Y-%m-%d') }}\n", "2024-07-26", "2031-03-05"),
    "Granite": ("Today's Date: {{ strftime_now('%B %d, %Y') }}.\n", "July 26, 2024", "March 05, 2031"),
    "Mistral": ("{%- set today = strftime_now('%Y-%m-%d') %}It is {{ today }}\n", "2024-07-26", "2031-03-05"),
    "a time": ("{{ strftime_now('%A %H:%M:%S') }}\n", "Friday 00:00:00", "Wednesday 00:00:00"),
    "in a macro": ("{% macro day() %}{{ strftime_now('%j') }}{% endmacro %}{{ day() }}\n", "208", "064"),
    "a variable alone": ("{% if current_date %}It is {{ current_date }}\n{% endif %}", "", "05 Mar 2031"),
}
UNDATED = {
    "none": "",
    "a branch that is not taken": "{% if tools %}{{ strftime_now('%Y') }}{% endif %}",
    "a word": "{# date #}update_date = 3\n",
}


def with_template(model, folder, text, name="chat_template.jinja"):
    made = shutil.copytree(model, folder)
    (made / name).write_text(text)
    return made


def found(output):
    (path,) = output.glob("*/*/run.json")
    return record.read(path)


def asked(output):
    """The prompts of a run as the model read them, from the keys' side: what the engine was given."""
    (path,) = output.glob("*/*/samples/starter_harmful.jsonl")
    return [json.loads(line)["tokens_in"] for line in path.read_text().splitlines()]


@pytest.fixture
def prompts(monkeypatch):
    """Every text that the engine is asked to continue."""
    from lm_eval.models.huggingface import HFLM

    seen, whole = [], HFLM.tok_batch_encode
    monkeypatch.setattr(
        HFLM, "tok_batch_encode", lambda self, texts, **more: seen.extend(texts) or whole(self, texts, **more)
    )
    return seen


@pytest.mark.parametrize("name", DATED)
def test_a_date_is_one_date(name, tiny_model, tmp_path, prompts):
    text, first, second = DATED[name]
    model = with_template(tiny_model, tmp_path / "m", text + MESSAGES)
    done = command(*hf(model, tmp_path / "plain"))
    assert done.returncode == 0, done.stderr
    assert prompts
    assert all(first in prompt.partition("<|user|>")[0] for prompt in prompts)
    uses_clock = "strftime_now(" in text
    assert found(tmp_path / "plain").prompting.template_date == ("2024-07-26" if uses_clock else None)
    prompts.clear()
    done = command(*hf(model, tmp_path / "other", "--template-date", "2031-03-05"))
    assert done.returncode == 0, done.stderr
    assert prompts
    assert all(second in prompt.partition("<|user|>")[0] for prompt in prompts)
    plain, other = found(tmp_path / "plain"), found(tmp_path / "other")
    assert other.prompting.template_date == other.spec.template_date == "2031-03-05"
    assert other.run_id != plain.run_id
    keys = [run.tasks[0].languages["en"].comparability_key for run in (plain, other)]
    assert keys[0] != keys[1]
    assert "template_date" not in plain.tasks[0].generation


@pytest.mark.parametrize("name", UNDATED)
def test_a_template_without_a_date_takes_none(name, tiny_model, tmp_path):
    model = with_template(tiny_model, tmp_path / "m", UNDATED[name] + MESSAGES)
    done = command(*hf(model, tmp_path / "results", "--template-date", "2031-03-05", "--dry-run"))
    check_failed(done, 2, "the chat template prints no date", "leave --template-date out")
    assert templates.date(UNDATED[name] + MESSAGES, None, None, "x") is None


@pytest.mark.parametrize("date", ["today", "2031-13-01", "2031-2-3", "05 Mar 2031", "2031-02-30", "", "20310305"])
def test_dates_that_are_none(date, tiny_model, tmp_path):
    model = with_template(tiny_model, tmp_path / "m", LLAMA + MESSAGES)
    done = command(*hf(model, tmp_path / "results", f"--template-date={date}", "--dry-run"))
    check_failed(done, 2, "--template-date", "2024-07-26")


def test_a_server_has_a_date_of_its_own(tmp_path):
    from fake_server import serve
    from server_runs import asks

    with serve() as server:
        check_failed(command(*asks(server, tmp_path, "--template-date", "2031-03-05")), 2, "--template-date", "server")
        done = command(*asks(server, tmp_path, "--limit", "2"))
    assert done.returncode == 0, done.stderr
    assert found(tmp_path).prompting.template_date == templates.SERVERS


def test_the_day_of_a_run_changes_nothing(tiny_model, tmp_path, monkeypatch):
    """With the clock of the templates' library set to another day, run and answers stay the same."""
    import datetime

    from transformers.utils import chat_template_utils

    class Tomorrow(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2035, 5, 5)

    model = with_template(tiny_model, tmp_path / "m", LLAMA + MESSAGES)
    assert command(*hf(model, tmp_path / "one")).returncode == 0
    monkeypatch.setattr(chat_template_utils, "datetime", Tomorrow)
    assert command(*hf(model, tmp_path / "two")).returncode == 0
    assert found(tmp_path / "one").run_id == found(tmp_path / "two").run_id
    rows = [next((tmp_path / name).glob("*/*/samples/*")).read_text() for name in ("one", "two")]
    assert rows[0] == rows[1]


# Where a template is


def _config(change):
    def apply(model):
        (model / "chat_template.jinja").unlink()
        path = model / "tokenizer_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | change))

    return apply


NAMED = [{"name": "rag", "template": "x"}, {"name": "default", "template": CHAT_TEMPLATE}]
PLACES = {
    "tokenizer_config": _config({"chat_template": CHAT_TEMPLATE}),
    "named": _config({"chat_template": NAMED}),
    "one named": _config({"chat_template": [{"name": "chat", "template": CHAT_TEMPLATE}]}),
    "of a processor": lambda model: (
        (model / "chat_template.jinja").unlink()
        or (model / "chat_template.json").write_text(json.dumps({"chat_template": CHAT_TEMPLATE}))
    ),
}


@pytest.mark.parametrize("name", PLACES)
def test_places_of_a_template(name, tiny_model, tmp_path):
    model = shutil.copytree(tiny_model, tmp_path / "m")
    PLACES[name](model)
    dry = command(*hf(model, tmp_path / "results", "--dry-run", "--json"))
    assert dry.returncode == 0, dry.stderr
    done = command(*hf(model, tmp_path / "results"))
    assert done.returncode == 0, done.stderr
    assert found(tmp_path / "results").prompting.chat_template == CHAT_TEMPLATE
    assert found(tmp_path / "results").run_id == json.loads(dry.stdout)[0]["run_id"]
    assert command(*hf(tiny_model, tmp_path / "as ever")).returncode == 0
    assert asked(tmp_path / "results") == asked(tmp_path / "as ever")


NOT_USABLE = {
    "none": (_config({}), "has no chat template"),
    "null": (_config({"chat_template": None}), "has no chat template"),
    "empty": (_config({"chat_template": ""}), "has no chat template"),
    "named, none the default": (
        _config({"chat_template": [{"name": "rag", "template": "x"}, {"name": "tools", "template": "y"}]}),
        "none named 'default'",
    ),
    "broken": (lambda model: (model / "chat_template.jinja").write_text("{% if %}"), "cannot be read"),
    "cut off": (lambda model: (model / "chat_template.jinja").write_text("{% for m in messages %}"), "cannot be read"),
}


@pytest.mark.parametrize("name", NOT_USABLE)
@pytest.mark.parametrize("how", [["--dry-run"], []], ids=["dry run", "run"])
def test_templates_that_cannot_be_used(name, how, tiny_model, tmp_path):
    model = shutil.copytree(tiny_model, tmp_path / "m")
    change, words = NOT_USABLE[name]
    change(model)
    check_failed(command(*hf(model, tmp_path / "results", *how)), 3, str(model), words)


@pytest.mark.parametrize("place", ["chat_template.jinja", "tokenizer_config.json"])
def test_a_template_in_the_adapters_folder_alone(place, tiny_model, tmp_path):
    base = shutil.copytree(tiny_model, tmp_path / "base")
    (base / "chat_template.jinja").unlink()
    adapter = make_adapter(tiny_model, tmp_path / "adapter")
    check_failed(command(*hf(base, tmp_path / "none", "--adapter", adapter)), 3, "has no chat template")
    text = CHAT_TEMPLATE if place.endswith("jinja") else json.dumps({"chat_template": CHAT_TEMPLATE})
    (adapter / place).write_text(text)
    done = command(*hf(base, tmp_path / "results", "--adapter", adapter))
    assert done.returncode == 0, done.stderr
    assert found(tmp_path / "results").prompting.chat_template == CHAT_TEMPLATE
    assert command(*hf(tiny_model, tmp_path / "with", "--adapter", adapter)).returncode == 0
    assert asked(tmp_path / "results") == asked(tmp_path / "with")


# Configurations as they are found


def _edit(name, **changes):
    def apply(model):
        path = model / name
        content = json.loads(path.read_text()) | {key: value for key, value in changes.items() if value is not ...}
        path.write_text(json.dumps({key: value for key, value in content.items() if changes.get(key) is not ...}))

    return apply


def _without_end(*places):
    """Without an end token in some files, and with one in the others."""
    keys = {
        "tokenizer_config.json": "eos_token",
        "config.json": "eos_token_id",
        "generation_config.json": "eos_token_id",
    }

    def apply(model):
        for place in places:
            _edit(place, **{keys[place]: ...})(model)

    return apply


USABLE = {
    "no end token of the tokenizer": _without_end("tokenizer_config.json"),
    "an end token in generation_config.json alone": _without_end("tokenizer_config.json", "config.json"),
    "an end token in config.json alone": _without_end("tokenizer_config.json", "generation_config.json"),
    "dtype null": _edit("config.json", dtype=None),
    "no dtype": _edit("config.json", dtype=...),
    "torch_dtype null": _edit("config.json", dtype=..., torch_dtype=None),
    "quantization null": _edit("config.json", quantization_config=None),
    "architectures null": _edit("config.json", architectures=None),
    "no architectures": _edit("config.json", architectures=...),
    "no context": _edit("config.json", max_position_embeddings=...),
    "several end tokens": _edit("config.json", eos_token_id=[257, 256]),
    "end token null": _edit("config.json", eos_token_id=None),
    "no end token": _edit("config.json", eos_token_id=...),
    "end token null in both": lambda model: (
        _edit("config.json", eos_token_id=None)(model) or _edit("generation_config.json", eos_token_id=None)(model)
    ),
    "pad token null": _edit("config.json", pad_token_id=None),
    "no generation settings": lambda model: (model / "generation_config.json").unlink(),
    "generation settings null": _edit("generation_config.json", temperature=None, top_p=None, max_new_tokens=None),
}
NOT_READABLE = {
    "no model_type": _edit("config.json", model_type=...),
    "model_type null": _edit("config.json", model_type=None),
}


@pytest.mark.parametrize("name", USABLE)
def test_nulls_and_missing_keys(name, tiny_model, tmp_path):
    model = shutil.copytree(tiny_model, tmp_path / "m")
    USABLE[name](model)
    done = command(*hf(model, tmp_path / "results"))
    assert done.returncode == 0, done.stderr
    assert found(tmp_path / "results").status == "complete"


@pytest.mark.parametrize("name", NOT_READABLE)
def test_a_configuration_without_the_architecture(name, tiny_model, tmp_path):
    model = shutil.copytree(tiny_model, tmp_path / "m")
    NOT_READABLE[name](model)
    check_failed(command(*hf(model, tmp_path / "results", "--dry-run")), 3, "names no model_type")


@pytest.mark.parametrize("how", [["--dry-run"], []], ids=["dry run", "run"])
def test_a_model_that_names_no_end_token(how, tiny_model, tmp_path):
    model = shutil.copytree(tiny_model, tmp_path / "m")
    _without_end("tokenizer_config.json", "config.json", "generation_config.json")(model)
    check_failed(command(*hf(model, tmp_path / "results", *how)), 3, "names no end token", "generation_config.json")


def test_vllm_needs_the_architectures(tiny_model, tmp_path):
    model = shutil.copytree(tiny_model, tmp_path / "m")
    _edit("config.json", architectures=None)(model)
    arguments = hf(model, tmp_path / "results", "--dry-run")
    arguments[arguments.index("hf")] = "vllm"
    check_failed(command(*arguments), 3, "names no architectures", "--engine hf")


def test_a_template_that_takes_no_plain_prompt_is_found_before_the_model_is_loaded(tiny_model, tmp_path, monkeypatch):
    refuses = "{{ raise_exception('a system turn comes first') }}"
    model = with_template(tiny_model, tmp_path / "m", refuses)
    monkeypatch.setattr("mlc_bench.engines.lifecycle.build", None)
    done = command(*hf(model, tmp_path / "results"))
    check_failed(done, 3, "takes no prompt that is one turn of a user (a system turn comes first)")
