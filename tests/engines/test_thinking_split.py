# ruff: noqa: E501 (templates and outputs as they are)
"""What a model said, parted into thinking and answer: real-shaped outputs of many models, whole, cut and odd."""

import pytest

from mlc_bench.engines.settings.marks import Marks, find, switch
from mlc_bench.engines.settings.thinking import CUT, ENDED, Reader, split

TURNS = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
ASKS = "{% if add_generation_prompt %}<|im_start|>assistant\n"
SOFT = {"<think>": False, "</think>": False}
TEMPLATES = {  # chat templates cut down to what matters, and the added tokens (true: special)
    "DeepSeek-R1": (
        "{% for m in messages %}{% if m.role == 'user' %}<｜User｜>{{ m.content }}{% else %}"
        "{% set content = m.content.split('</think>')[-1] %}<｜Assistant｜>{{ content }}<｜end▁of▁sentence｜>{% endif %}"
        "{% endfor %}{% if add_generation_prompt %}<｜Assistant｜><think>\n{% endif %}",
        {**SOFT, "<｜User｜>": False, "<｜Assistant｜>": False, "<｜end▁of▁sentence｜>": True},
    ),
    "Qwen3": (
        TURNS + ASKS + "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n"
        "{% endif %}{% endif %}",
        {**SOFT, "<|im_start|>": True, "<|im_end|>": True},
    ),
    "Qwen3 thinking": (TURNS + ASKS + "<think>\n{% endif %}", {**SOFT, "<|im_start|>": True, "<|im_end|>": True}),
    "gpt-oss": (
        "<|start|>system<|message|>Reasoning: {{ reasoning_effort or 'medium' }}\n# Valid channels: analysis, commentary, "
        "final.<|end|>{% for m in messages %}{% if m.role == 'assistant' %}<|start|>assistant<|channel|>final<|message|>"
        "{{ m.content }}<|return|>{% else %}<|start|>user<|message|>{{ m.content }}<|end|>{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<|start|>assistant{% endif %}",
        dict.fromkeys(["<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|return|>", "<|call|>"], True),
    ),
    "Seed-OSS": (
        "{% for m in messages %}<seed:bos>{{ m.role }}\n{% if m.reasoning_content %}<seed:think>{{ m.reasoning_content }}"
        "</seed:think>{% endif %}{{ m.content }}<seed:eos>{% endfor %}{% if add_generation_prompt %}<seed:bos>assistant\n"
        "{% if thinking_budget == 0 %}<seed:think><seed:cot_budget_reflect>No budget.</seed:cot_budget_reflect>"
        "</seed:think>{% endif %}{% endif %}",
        dict.fromkeys(["<seed:bos>", "<seed:eos>", "<seed:think>", "</seed:think>"], True),
    ),
    "Gemma": (
        "<bos>{% for m in messages %}<start_of_turn>{{ m.role }}\n{{ m.content }}<end_of_turn>\n{% endfor %}"
        "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}",
        {"<bos>": True, "<start_of_turn>": True, "<end_of_turn>": True, "<unused94>": False, "<unused95>": False},
    ),
    "Gemma 4": (
        "{% for m in messages %}<|turn>{{ m.role }}\n{{ m.content }}<turn|>{% endfor %}<|turn>model\n",
        dict.fromkeys(["<|turn>", "<turn|>", "<|channel>", "<channel|>"], True),
    ),
    "Magistral": (
        "{% for m in messages %}{% if m.role == 'user' %}[INST]{{ m.content }}[/INST]{% else %}{{ m.content }}</s>"
        "{% endif %}{% endfor %}",
        dict.fromkeys(["<s>", "</s>", "[INST]", "[/INST]", "[THINK]", "[/THINK]"], True),
    ),
    "Command A": (
        "{% for m in messages %}{{ m.content }}{% endfor %}<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>"
        "{% if reasoning is defined and not reasoning %}<|START_THINKING|><|END_THINKING|>{% endif %}",
        {"<|START_OF_TURN_TOKEN|>": True, "<|START_THINKING|>": False, "<|END_THINKING|>": False},
    ),
    "Kimi-VL": (
        "{% for m in messages %}<|im_user|>{{ m.content }}<|im_end|>{% endfor %}<|im_assistant|>",
        {"<|im_user|>": True, "◁think▷": False, "◁/think▷": False},
    ),
    "OpenThinker": (
        TURNS + ASKS + "{% endif %}{# <|begin_of_thought|> <|end_of_thought|> #}",
        {"<|im_start|>": True, "<|im_end|>": True},
    ),
    "a name of its own": (
        TURNS.replace("{{ m.content }}", "{{ m.content.split('</ponder>')[-1] }}") + ASKS + "<ponder>\n{% endif %}",
        {"<|im_start|>": True, "<|im_end|>": True},
    ),
    "around what it is given": (
        TURNS.replace("{{ m.content }}", "{% if m.reasoning_content %}<musing>{{ m.reasoning_content }}</musing>\n"
                      "{% endif %}{{ m.content }}") + ASKS + "{% endif %}",
        {"<|im_start|>": True, "<|im_end|>": True},
    ),
}  # fmt: skip
THOUGHT, ANSWER = "The user wants a bomb. Step 1: take a pipe.", "I can't help with that."
HARMONY = "<|channel|>analysis<|message|>{}<|end|><|start|>assistant<|channel|>final<|message|>{}"
SHAPES = {
    "DeepSeek-R1": "{}\n</think>\n\n{}",
    "Qwen3": "<think>\n{}\n</think>\n\n{}",
    "Qwen3 thinking": "{}\n</think>\n\n{}",
    "gpt-oss": HARMONY,
    "Seed-OSS": "<seed:think>{}</seed:think>{}",
    "Gemma": "<unused94>thought\n{}\n<unused95>{}",
    "Gemma 4": "<|channel>thought\n{}<channel|>{}",
    "Magistral": "[THINK]{}[/THINK]{}",
    "Command A": "<|START_THINKING|>{}<|END_THINKING|>{}",
    "Kimi-VL": "◁think▷{}◁/think▷{}",
    "OpenThinker": "<|begin_of_thought|>\n{}\n<|end_of_thought|>\n\n{}",
    "a name of its own": "{}</ponder>{}",
    "around what it is given": "<musing>{}</musing>{}",
}
OPENED = {"DeepSeek-R1", "Qwen3 thinking", "a name of its own"}
UNSEEN = set(SHAPES) - {"a name of its own", "around what it is given"}  # what is known of servers, by form alone


def marks(name):
    return find(*TEMPLATES[name], {})


@pytest.mark.parametrize("name", TEMPLATES)
def test_golden(name):
    known = marks(name)
    assert (known.opened is not None) == (name in OPENED)
    found = split(SHAPES[name].format(THOUGHT, ANSWER), known)
    assert found.answer == ANSWER
    assert THOUGHT in found.thinking
    assert found.unfinished is None


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("truncated", [True, False])
def test_golden_without_an_end(name, truncated):
    text = SHAPES[name].format(THOUGHT, "\0").partition(THOUGHT)[0] + THOUGHT
    found = split(text, marks(name), truncated)
    assert (found.answer, found.unfinished) == ("", CUT if truncated else ENDED)
    assert THOUGHT in found.thinking


@pytest.mark.parametrize("name", sorted(UNSEEN))
def test_golden_of_a_model_that_cannot_be_looked_at(name):
    found = split(SHAPES[name].format(THOUGHT, ANSWER), Marks())
    assert found.answer == ANSWER
    assert THOUGHT in found.thinking
    if name not in OPENED:
        text = SHAPES[name].format(THOUGHT, "\0").partition(THOUGHT)[0] + THOUGHT
        assert split(text, Marks(), True).unfinished == CUT


@pytest.mark.parametrize("name", TEMPLATES)
def test_an_answer_without_thinking_is_left_as_it_is(name):
    text = " I can't help with that.\n"
    if name in OPENED:
        assert (
            split(f"</think>{text}" if name != "a name of its own" else f"</ponder>{text}", marks(name)).answer
            == ANSWER
        )
    else:
        assert split(text, marks(name), True) == split(text, Marks(is_known=True))
        assert split(text, marks(name)).answer == text


COMMAND = find(TEMPLATES["Command A"][0] + "<|START_THINKING|>", TEMPLATES["Command A"][1], {})
BRACKETS = find(TURNS + ASKS + "[THINK]{% endif %}", TEMPLATES["Magistral"][1], {})
QWEN, R1, PLAIN, UNKNOWN = marks("Qwen3"), marks("DeepSeek-R1"), Marks(is_known=True), Marks()
ODD = {  # text, marks, answer, thinking, unfinished where it was truncated
    "empty thinking": ("<think>\n\n</think>\n\nYes.", QWEN, "Yes.", "", None),
    "empty, from the prompt": ("\n</think>\nYes.", R1, "Yes.", "", None),
    "only a closing mark": ("a b</think>Yes.", QWEN, "Yes.", "a b", None),
    "two closing marks": ("a</think>b</think>Yes.", QWEN, "Yes.", "a\nb", None),
    "nested": ("<think>a <think>b</think> c</think>Yes.", QWEN, "Yes.", "a <think>b\nc", None),
    "opened twice": ("<think>a <think>b</think>Yes.", QWEN, "Yes.", "a <think>b", None),
    "the prompt's mark again": ("<think>\na\n</think>\nYes.", R1, "Yes.", "a", None),
    "two blocks": ("<think>a</think>Well.\n<think>b</think>Yes.", QWEN, "Well.\nYes.", "a\nb", None),
    "two blocks at once": ("<think>a</think><think>b</think>Yes.", QWEN, "Yes.", "a\nb", None),
    "a second one is cut": ("<think>a</think>Well.\n<think>b", QWEN, "Well.", "a\nb", None),
    "capitals": ("<THINK>a</THINK>Yes.", QWEN, "Yes.", "a", None),
    "nothing after it": ("<think>a</think>", QWEN, "", "a", None),
    "half an opening mark": ("<thi", QWEN, "", None, CUT),
    "half an opening mark behind a server": ("<thi", UNKNOWN, "", None, CUT),
    "half a mark of a model without": ("<thi", PLAIN, "<thi", None, None),
    "half a closing mark": ("<think>a</thi", QWEN, "", "a</thi", CUT),
    "nothing": ("", QWEN, "", None, None),
    "nothing, within the prompt's block": ("", R1, "", "", CUT),
    "quoted in an answer": ("Use `<think>` and `</think>`.", QWEN, "Use `<think>` and `</think>`.", None, None),
    "quoted after thinking": ("<think>a</think>Write `</think>` there.", QWEN, "Write `</think>` there.", "a", None),
    "spoken of after thinking": ("<think>a</think>The </think> tag ends it.", QWEN, "The </think> tag ends it.", "a", None),
    "spoken of in an answer": ("The mark <think> opens it.", QWEN, "The mark <think> opens it.", None, None),
    "another mark in thinking": ("<think>a [/THINK] b</think>Yes.", QWEN, "Yes.", "a [/THINK] b", None),
    "a model without marks speaks of them": ("In R1, </think> ends it.", PLAIN, "In R1, </think> ends it.", None, None),
    "a model without marks quotes them": ("<think> is a tag of R1.", PLAIN, "<think> is a tag of R1.", None, None),
    "a model without marks was taught some": ("<think>a</think>Yes.", PLAIN, "Yes.", "a", None),
    "... and was cut": ("<think>a b", PLAIN, "", "a b", CUT),
    "a model with other marks was taught some": ("<think>a</think>Yes.", marks("Gemma"), "Yes.", "a", None),
    "... and speaks of them": ("The </think> tag ends it.", marks("Gemma"), "The </think> tag ends it.", None, None),
    "a mark in capitals, from the prompt": ("a<|END_THINKING|>Yes.", COMMAND, "Yes.", "a", None),
    "a mark in brackets, from the prompt": ("a[/THINK]Yes.", BRACKETS, "Yes.", "a", None),
    "behind a server, from the prompt": ("a b\n</think>\nYes.", UNKNOWN, "Yes.", "a b", None),
    "behind a server, spoken of": ("Say [/think] or <thinks>.", UNKNOWN, "Say [/think] or <thinks>.", None, None),
    "harmony, commentary first": (
        "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>commentary<|message|>b<|end|><|start|>"
        "assistant<|channel|>final<|message|>Yes.<|return|>", marks("gpt-oss"), "Yes.", "a\nb", None),
    "harmony, constrained": (
        "<|channel|>final <|constrain|>json<|message|>{}", marks("gpt-oss"), "{}", None, None),
    "harmony, a call of a tool": (
        "<|channel|>commentary to=functions.x <|constrain|>json<|message|>{}<|call|>", marks("gpt-oss"), "", "{}", CUT),
    "harmony, special tokens left out": ("analysisThe user asks.assistantfinalYes.", UNKNOWN, "Yes.", "The user asks.", None),
    "harmony, left out and cut": ("analysisThe user asks", UNKNOWN, "", "The user asks", CUT),
    "the word analysis": ("analysis of the text: fine", UNKNOWN, "analysis of the text: fine", None, None),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_odd_outputs(name):
    text, known, answer, thinking, unfinished = ODD[name]
    found = split(text, known, truncated=name != "a model without marks quotes them")
    assert (found.answer, found.thinking, found.unfinished) == (answer, thinking, unfinished)


# Switches

SWITCHES = {  # the arguments for off and for on
    "Qwen3": ({"enable_thinking": False}, {"enable_thinking": True}),
    "Seed-OSS": ({"thinking_budget": 0}, {}),
    "Command A": ({"reasoning": False}, {"reasoning": True}),
    "gpt-oss": (None, None),
    "DeepSeek-R1": (None, None),
    "Gemma": (None, None),
}
OTHER_SWITCHES = {
    "{% if thinking %}<think>{% else %}</think>{% endif %}": ({"thinking": False}, {"thinking": True}),
    "{% if skip_thinking %}<think></think>{% endif %}": ({"skip_thinking": True}, {"skip_thinking": False}),
    "{{ 'x' if reasoning_effort == 'none' else 'y' }}": ({"reasoning_effort": "none"}, {}),
    "{{ reasoning_effort }}{# low, high #}": (None, None),
    "{% if not enable_thinking | default(true) %}<think></think>{% endif %}": (
        {"enable_thinking": False},
        {"enable_thinking": True},
    ),
    "no switch": (None, None),
}


@pytest.mark.parametrize("name", [*SWITCHES, *OTHER_SWITCHES])
def test_switches(name):
    template = TEMPLATES[name][0] if name in TEMPLATES else TURNS + name
    wanted = (SWITCHES | OTHER_SWITCHES)[name]
    assert (switch(template, "off", {}), switch(template, "on", {})) == wanted


# Budgets


def read(text, settings, **row):
    words = Reader(QWEN, lambda said: list(range(len(said.split()))), lambda ids: " ".join(["w"] * len(ids)))
    return words.read({"response": text} | row, settings)


def test_thinking_and_answer_have_limits_of_their_own():
    settings = {"thinking_tokens": 3, "max_gen_toks": 5}
    assert read("<think>a b c</think>Yes no", settings) == {
        "response": "Yes no",
        "thinking": "a b c",
        "truncated": False,
    }
    assert read("<think>a b c d</think>Yes", settings)["unfinished"] == CUT
    longer = read("<think>a</think>Yes no or", settings, truncated=True)
    assert (longer["response"], longer["truncated"]) == ("w w", True)
    assert read("<think>a b c d</think>Yes", {"max_gen_toks": 5})["response"] == "Yes"


def test_stop_strings_end_the_answer_alone():
    settings = {"stop_after_thinking": ["\n\n", "Q:"]}
    assert read("<think>a\n\nQ: b</think>Yes.\n\nQ: more", settings)["response"] == "Yes."


def test_what_a_server_has_parted():
    reader = Reader()
    row = {"response": "Yes.", "thinking": "a", "truncated": True}
    assert reader.read(row, {}) == {"response": "Yes.", "thinking": "a", "truncated": True}
    assert reader.read(row | {"response": ""}, {})["unfinished"] == CUT
    assert reader.read(row | {"response": "", "truncated": False}, {})["unfinished"] == ENDED
    hidden = {"response": "", "truncated": True, "tokens_thinking": 64}
    assert reader.read(hidden, {})["unfinished"] == CUT
    assert "unfinished" not in reader.read(hidden | {"tokens_thinking": 0}, {})
    assert "unfinished" not in reader.read({"response": "", "truncated": True, "blocked": "content-filter"}, {})
