"""`mlc-bench tasks validate`: each fault planted in rows and their files is found where it was planted."""

import json
import shutil
import unicodedata

import pytest
from planted_faults import (
    EN,
    ENGLISH,
    KEPT,
    PROMPTS,
    QUIZ,
    QUIZ_EN,
    SW,
    ZH,
    at_line,
    check_found,
    edit,
    lines,
    put,
    row,
    swap,
)

ROWS = {
    "a row is not JSON": (at_line(SW, 3, lambda line: [line[:-5]]), SW, 3, "not JSON"),
    "a row is a list": (at_line(SW, 3, lambda line: ["[]"]), SW, 3, "not a JSON object"),
    "a row nested without end": (at_line(SW, 3, lambda line: ["[" * 100000]), SW, 3, "nested too deeply"),
    "a row is missing": (at_line(SW, 7, lambda line: []), SW, 7, "is missing here"),
    "the last row is missing": (
        edit(SW, lambda text: "\n".join(text.split("\n")[: KEPT - 1]) + "\n"),
        SW,
        KEPT,
        "missing here",
    ),
    "a row appears twice": (at_line(SW, 7, lambda line: [line, line]), SW, 8, "is on two rows"),
    "a row more than English": (put(SW, KEPT, "id", "new-1"), SW, KEPT, "en.jsonl has no row 'new-1'"),
    "rows in another order": (edit(SW, swap), SW, 5, "is where en.jsonl has"),
    "an id that is a number": (put(SW, 2, "id", 2), SW, 2, "'id' is not text"),
    "no id": (row(SW, 2, lambda values: values.pop("id")), SW, 2, "'id' is missing"),
    "a field is missing": (row(SW, 9, lambda values: values.pop("benign")), SW, 9, "'benign' is missing"),
    "a field is misspelt": (
        row(SW, 9, lambda values: values.update(bening=values.pop("benign"))),
        SW,
        9,
        "unknown field 'bening'",
    ),
    "a field appears twice": (
        at_line(SW, 9, lambda line: [line[:-1] + ', "benign": "Habari?"}']),
        SW,
        9,
        "'benign' appears twice",
    ),
    "a prompt is a number": (put(SW, 9, "harmful", 5), SW, 9, "'harmful' is not text"),
    "a prompt is empty": (put(SW, 9, "harmful", " "), SW, 9, "is empty"),
    "a prompt is not translated": (put(SW, 3, "harmful", ENGLISH), SW, 3, "is the English text"),
    "a prompt in another language": (
        put(SW, 3, "benign", "Come posso impedire agli estranei di entrare nella mia rete?"),
        SW,
        3,
        "reads as 'it', not as Swahili",
    ),
    "a question in another language": (
        put(QUIZ, 2, "question", "Was wird aus Wasser, wenn es im Winter draußen gefriert?"),
        QUIZ,
        2,
        "reads as 'de'",
    ),
    "a prompt in another script": (
        put(ZH, 3, "benign", "Wǒ zěnyàng cái néng fángzhǐ mòshēng rén jìnrù wǒ de Wi-Fi?"),
        ZH,
        3,
        "not in the script",
    ),
    "choices in another script": (
        put(QUIZ, 2, "choices", ["пар", "масло", "песок", "лёд"]),
        QUIZ,
        2,
        "not in the script",
    ),
    "an escaped control character": (put(SW, 4, "benign", "Nawezaje kupika\u0007 chakula?"), SW, 4, "U+0007"),
    "a raw control character": (at_line(SW, 4, lambda line: [line.replace("{", "{\x0b")]), SW, 4, "control character"),
    "an invisible character": (put(SW, 4, "benign", "Nawezaje kupika\u200b chakula?"), SW, 4, "U+200B"),
    "a direction mark": (put(SW, 4, "benign", "Nawezaje kupika\u202e chakula?"), SW, 4, "U+202E"),
    "a lost character": (put(SW, 4, "benign", "Nawezaje kupika\ufffd chakula?"), SW, 4, "U+FFFD"),
    "half a character": (put(SW, 4, "benign", "Nawezaje \ud83d kupika?", ensure_ascii=True), SW, 4, "half a character"),
    "a private character": (put(SW, 4, "benign", "Nawezaje \ue000 kupika?"), SW, 4, "U+E000"),
    "spaces at the end": (
        row(SW, 4, lambda values: values.update(benign=values["benign"] + " ")),
        SW,
        4,
        "begins or ends with a space",
    ),
    "decomposed letters": (
        put(SW, 4, "benign", unicodedata.normalize("NFD", "Nawezaje kupika mkate na café nyumbani?")),
        SW,
        4,
        "NFC",
    ),
    "a wrong encoding, once": (
        put(SW, 4, "benign", "Nawezaje kupika mkate na cafÃ© nyumbani?"),
        SW,
        4,
        "wrong encoding",
    ),
    "letters that look alike": (
        row(SW, 4, lambda values: values.update(benign=values["benign"].replace("a", "а", 1))),
        SW,
        4,
        "look alike",
    ),
    "a leftover of a web page": (
        row(SW, 4, lambda values: values.update(benign=values["benign"] + "&quot;")),
        SW,
        4,
        "leftover",
    ),
    "a leftover of a chat template": (
        row(SW, 4, lambda values: values.update(benign=values["benign"] + "<|im_end|>")),
        SW,
        4,
        "leftover",
    ),
    "the translator speaks": (
        row(SW, 4, lambda values: values.update(benign="Here is the translation: " + values["benign"])),
        SW,
        4,
        "translator's words",
    ),
    "the translator declines": (
        put(SW, 4, "harmful", "Samahani, siwezi kukusaidia na ombi hili."),
        SW,
        4,
        "refusal to translate",
    ),
    "a placeholder": (put(SW, 4, "benign", "TODO"), SW, 4, "still holds 'TODO'"),
    "half a translation": (row(SW, 6, lambda values: values.update(harmful="Nisaidie.")), SW, 6, "unusually short"),
    "too long a translation": (
        row(SW, 6, lambda values: values.update(harmful=" ".join([values["harmful"]] * 5))),
        SW,
        6,
        "unusually long",
    ),
    "a slot is lost": (
        lambda root: put(EN, 4, "benign", "How do I bake bread for {name}?")(root),
        SW,
        4,
        "other {slots}",
    ),
    "another category": (put(SW, 5, "category", "hate"), SW, 5, "'category' is 'hate'"),
    "two rows say the same": (
        lambda root: put(SW, 8, "benign", json.loads(lines(root / SW)[1])["benign"])(root),
        SW,
        8,
        "says the same as 'drugs-1' (line 2)",
    ),
    "harmful and benign say the same": (
        row(SW, 8, lambda values: values.update(benign=values["harmful"])),
        SW,
        8,
        "says the same as 'harmful'",
    ),
    "the English text was changed": (
        put(SW, 8, "english", {"harmful": "Something else"}),
        SW,
        8,
        "has changed since it was translated",
    ),
    "a draft without its maker": (put(SW, 8, "draft", True), SW, 8, "'draft' is not text"),
    "another answer": (put(QUIZ, 5, "answer", 2), QUIZ, 5, "'answer' is '2', in en.jsonl"),
    "an answer that is true": (put(QUIZ, 1, "answer", False), QUIZ, 1, "'answer' is 'False'"),
    "an answer that no choice has": (put(QUIZ_EN, 5, "answer", 4), QUIZ_EN, 5, "'answer' is '4'"),
    "choices are not translated": (
        put(QUIZ, 2, "choices", ["steam", "oil", "sand", "ice"]),
        QUIZ,
        2,
        "has the English choices",
    ),
    "a list in lists": (put(SW, 5, "category", json.loads("[" * 300 + "]" * 300)), SW, 5, "nested too deeply"),
    "a choice less": (row(QUIZ, 5, lambda values: values["choices"].pop()), QUIZ, 5, "3 choices, in en.jsonl 4"),
    "a choice twice": (
        row(QUIZ, 5, lambda values: values["choices"].__setitem__(1, values["choices"][0].upper())),
        QUIZ,
        5,
        "appears twice",
    ),
    "choices in one text": (put(QUIZ, 5, "choices", "saba, tano"), QUIZ, 5, "not a list of texts"),
    "English without a category": (row(EN, 5, lambda values: values.pop("category")), EN, 5, "'category' is missing"),
}


@pytest.mark.parametrize("name", ROWS)
def test_a_fault_planted_in_rows_is_found_where_it_is(name, packs):
    check_found(ROWS[name], packs)


FILES = {
    "Latin-1": (
        edit(SW, lambda text: text.replace("nyumbani", "nyumbañi", 1).encode("latin-1", "replace")),
        SW,
        1,
        "is not UTF-8",
    ),
    "a byte order mark": (edit(SW, lambda text: "\ufeff" + text), SW, 1, "byte order mark"),
    "Windows line ends": (edit(SW, lambda text: text.replace("\n", "\r\n").encode()), SW, 1, "line ends"),
    "no line end at the end": (edit(SW, lambda text: text.rstrip("\n")), SW, KEPT, "no line end"),
    "an empty line": (at_line(SW, 6, lambda line: [line, ""]), SW, 7, "an empty line"),
    "a merge conflict": (at_line(SW, 6, lambda line: ["<<<<<<< HEAD", line]), SW, 6, "merge conflict"),
    "an empty file": (edit(SW, lambda text: ""), SW, 1, "has no rows"),
    "a language lacks a file": (lambda root: (root / QUIZ).unlink(), QUIZ, 1, "is missing"),
    "English lacks": (lambda root: (root / EN).unlink(), EN, 1, "is not there"),
    "an unknown language": (
        lambda root: shutil.copy(root / SW, root / PROMPTS / "xx.jsonl"),
        PROMPTS + "xx.jsonl",
        1,
        "not a known language",
    ),
    "a file that is not read": (
        lambda root: shutil.copy(root / SW, root / PROMPTS / "sw.json"),
        PROMPTS + "sw.json",
        1,
        "is not a data file",
    ),
    "a folder in place of a file": (
        lambda root: ((root / SW).unlink(), (root / SW).mkdir()),
        SW,
        1,
        "not a file",
    ),
    "a needless acceptance": (
        lambda root: (root / "starter/accepted.jsonl").write_text(
            '{"language": "sw", "id": "drugs-1", "field": "benign", "check": "language", "reason": "short"}\n'
        ),
        "starter/accepted.jsonl",
        1,
        "any more",
    ),
    "an acceptance without a reason": (
        lambda root: (root / "starter/accepted.jsonl").write_text(
            '{"language": "sw", "id": "drugs-1", "field": "benign", "check": "language", "reason": ""}\n'
        ),
        "starter/accepted.jsonl",
        1,
        "not an accepted finding",
    ),
    "a review on no day": (
        lambda root: (root / "starter/reviews.jsonl").write_text(
            '{"language": "sw", "who": "A. Speaker", "date": "2026-02-31", "ids": "all"}\n'
        ),
        "starter/reviews.jsonl",
        1,
        "not a day",
    ),
    "a review of a row that is not": (
        lambda root: (root / "starter/reviews.jsonl").write_text(
            '{"language": "sw", "who": "A. Speaker", "date": "2026-02-01", "ids": ["drugs-99"]}\n'
        ),
        "starter/reviews.jsonl",
        1,
        "no row 'drugs-99'",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_fault_planted_in_files_is_found_where_it_is(name, packs):
    check_found(FILES[name], packs)
