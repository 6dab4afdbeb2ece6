"""Numbers and letters that free answers settle on."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlc_bench import scoring
from mlc_bench.catalog import languages
from mlc_bench.judges.answers import chosen_letter, last_number

NUMBERS = [
    ("The answer is 1,200.", "en", "1200"),
    ("She has $18.50 left", "en", "18.5"),
    ("16, 3, 4", "en", "4"),
    ("5-3=2", "en", "2"),
    ("10-3", "en", "3"),
    ("x = -4", "en", "-4"),
    ("x = −4", "en", "-4"),
    ("2 + 2 = **4**", "en", "4"),
    ("\\boxed{70,000}", "en", "70000"),
    ("1,2345", "en", "2345"),
    ("Die Antwort ist 1.200 Euro", "de", "1200"),
    ("18,5", "de", "18.5"),
    ("1 200 руб", "ru", "1200"),
    ("18.5 руб", "ru", "18.5"),
    ("1\u202f234\u202f567,5", "fr", "1234567.5"),
    ("Jibu ni 2,125.", "sw", "2125"),
    ("উত্তর: ১৮", "bn", "18"),
    ("సమాధానం: ౧౨", "te", "12"),
    ("คำตอบคือ ๑,๒๐๐", "th", "1200"),
    ("کل ۱٬۲۰۰ است", "fa", "1200"),
    ("عدد ١٢٫٥", "ar", "12.5"),
    ("答案是18。", "zh", "18"),
    ("答えは１８です", "ja", "18"),
    ("no number here", "en", None),
    ("", "en", None),
]
LETTERS = [
    ("B", "en", "B"),
    ("b", "en", None),
    ("B. Paris", "en", "B"),
    ("(B) because A is wrong", "en", "B"),
    ("**C**", "en", "C"),
    ("The answer is (D).", "en", "D"),
    ("The answer is A, not B", "en", "A"),
    ("Answer: C\nExplanation: A and B are wrong.", "en", "C"),
    ("A. x\nB. y\nC. z\nD. w\nAnswer: C", "en", "C"),
    ("Let me see. \\boxed{D}", "en", "D"),
    ("I choose B", "en", "B"),
    ("A dog is an animal.", "en", None),
    ("I think it's B or C", "en", None),
    ("Grade A-level", "en", None),
    ("ABC", "en", None),
    ("Jibu ni C", "sw", "C"),
    ("Die richtige Antwort ist D, weil", "de", "D"),
    ("答案是B。", "zh", "B"),
    ("Ａ", "zh", "A"),
    ("Aです", "ja", "A"),
    ("এ", "bn", "A"),
    ("উত্তর: বি", "bn", "B"),
    ("বিড়াল", "bn", None),
    ("الإجابة: ج", "ar", "C"),
    ("ข", "th", "B"),
    ("", "en", None),
]


@pytest.mark.parametrize(("text", "language", "number"), NUMBERS)
def test_the_last_number(text, language, number):
    assert last_number(text, language) == (None if number is None else Decimal(number))


@pytest.mark.parametrize(("text", "language", "letter"), LETTERS)
def test_the_chosen_letter(text, language, letter):
    assert chosen_letter(text, language) == letter


@given(st.integers(-(10**9), 10**9), st.sampled_from(languages.known()))
def test_a_number_written_as_the_language_does_is_read_back(number, code):
    signs = languages.get(code).number
    written = f"{number:,}".replace(",", signs["group"])
    assert last_number(f"= {written}", code) == number
    assert last_number(f"= {number}{signs['decimal']}25", code) == Decimal(f"{number}.25")


@given(st.text(), st.sampled_from(languages.known()))
def test_any_text_is_read(text, code):
    assert chosen_letter(text, code) in (*"ABCD", None)
    last_number(text, code)


@pytest.mark.parametrize("code", languages.known())
def test_an_answer_in_the_words_of_the_language(code):
    language = languages.get(code)
    for index, letter in enumerate("ABCD"):
        assert chosen_letter(f"{language.words['answer']}: {letter}", code) == letter
        if language.choice_letters:
            assert chosen_letter(language.choice_letters[index], code) == letter


def test_metrics():
    doc = {"language": "bn", "answer": "2,125"}
    assert scoring.number(doc, ["<think>9</think>মোট ২,১২৫"]) == {"exact_match": 1.0, "answered": 1.0}
    assert scoring.number(doc, ["<think>2125"]) == {"exact_match": 0.0, "answered": 0.0}
    assert scoring.number(doc, ["২১২৫.০"]) == {"exact_match": 1.0, "answered": 1.0}
    assert scoring.choice({"language": "en", "answer": "B"}, ["<think>A?</think>B"]) == {"acc": 1.0, "answered": 1.0}
    assert scoring.choice({"language": "en", "answer": "B"}, ["Hm."]) == {"acc": 0.0, "answered": 0.0}
