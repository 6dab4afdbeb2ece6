"""The letter that an answer settles on, where it names several: in all fifteen starter languages."""

from decimal import Decimal

import pytest

from mlc_bench import scoring
from mlc_bench.catalog import languages
from mlc_bench.judges.answers import chosen_letter, last_number

ENGLISH = [
    ("The answer is not A, it is B", "B"),
    ("The answer is not A. It is B.", "B"),
    ("The answer isn't A but B.", "B"),
    ("Not B but C.", "C"),
    ("It is not B but C, since A is too small.", "C"),
    ("The answer is B, not A.", "B"),
    ("The answer is not (A), but (B).", "B"),
    ("The answer is B because it is not too big.", "B"),
    ("Neither A nor B; the answer is D.", "D"),
    ("The answer is neither A nor C: it is D.", "D"),
    ("Not A or B. C.", "C"),
    ("It cannot be A. So the answer must be C.", "C"),
    ("The answer is between A and B.", None),
    ("The answer is A or B.", None),
    ("Answer: A/B", None),
    ("The answer is either A, B or C.", None),
    ("A, B or C", None),
    ("I was torn between A and C, but the answer is C.", "C"),
    ("It is between A and B. I choose B.", "B"),
    ("A) Paris B) Rome C) Oslo D) Bern. The answer: C", "C"),
    ("A) Paris B) Rome C) Oslo D) Bern", None),
    ("A. Paris\nB. Rome\nC. Oslo\nD. Bern\n\nC", "C"),
    ("A) Paris\nB) Rome\n\nThe correct answer is B) Rome.", "B"),
    ("(A) Paris (B) Rome (C) Oslo (D) Bern. I choose (B).", "B"),
    ("A. x B. y C. z D. w. C is correct.", "C"),
    ("A is too small. B would be too large. So it must be C.", "C"),
    ("A is too small and D is too large.\n\nTherefore: B", "B"),
    ("The capital has a river, unlike A.\nC", "C"),
    ("A is wrong. B is wrong. C is wrong. D", "D"),
    ("A is wrong because it is small. B is right.", "B"),
    ("A and B are wrong, so C.", "C"),
    ("We can rule out A and B. D fits.", "D"),
    ("We can eliminate A. B is incorrect. That leaves D, which is larger than C.", None),
    ("B is the correct answer because A is too small.", "B"),
    ("Option B is the answer.", "B"),
    ("The answer A is wrong; the answer is B.", "B"),
    ("The answer is A. Wait, A is wrong. B.", "B"),
    ("The answer is A. No, the answer is C.", "C"),
    ("Instead of A, the answer is D.", "D"),
    ("The answer is D rather than A.", "D"),
    ("Answer: C\nExplanation: A and B are wrong.", "C"),
    ("B. Rome is right, while A is not.", "B"),
    ("The answer is B and A is wrong.", "B"),
    ("Why not A? The answer is A.", "A"),
    ("**A** is not right. **B** is.", "B"),
    ("The answer is not A.", None),
    ("Not A.", None),
    ("I am not sure, but B", "B"),
    ("I don't think the answer is A. B.", "B"),
    ("I do not think the answer is A; I think it is B.", "B"),
    ("The answer cannot be A, and C is right.", "C"),
    ("The wrong answer is A. The right one is B.", "B"),
    ("First I eliminate A and C. Between B and D, D is better.", "D"),
    ("Options B and C are incorrect, leaving A or D. D seems right.", "D"),
    ("A is not the right answer; B is.", "B"),
    ("The options are A) 1, B) 2, C) 3, D) 4. Let me think: 1+1=2. B", "B"),
    ("A: too small. B: too large. C: fits. The answer is therefore (C).", "C"),
    ("Between A and B I'd choose B.", "B"),
    ("The answer is option B, since options A and C contradict it.", "B"),
    ("**Answer:** B", "B"),
    ("The correct choice is\n\n**D) Bern**", "D"),
]
# By language: not A but B; A or B; A is wrong and B is right; the options and then the answer; reasoning, so C.
WORDS = {
    "ar": ["الإجابة ليست A بل B.", "الإجابة هي A أو B.", "A خطأ، B صحيحة.",
           "الإجابة: C", "A صغير وB كبير. لذلك C."],
    "bn": ["উত্তর A নয়, B।", "উত্তর A বা B।", "A ভুল। B সঠিক।",
           "উত্তর: C", "A খুব ছোট। B খুব বড়। তাই C।"],
    "en": ["The answer is not A, it is B.", "The answer is A or B.", "A is wrong. B is correct.", "The answer: C",
           "A is too small. B is too large. So C."],
    "it": ["La risposta non è A, è B.", "La risposta è A o B.", "A è sbagliata. B è corretta.", "La risposta: C",
           "A è troppo piccola. B è troppo grande. Quindi C."],
    "ja": ["答えはAではなくBです。", "答えはAかBです。", "Aは誤りです。Bが正しいです。",
           "答え：C", "Aは小さすぎ、Bは大きすぎます。したがってC。"],
    "jv": ["Wangsulane dudu A, nanging B.", "Wangsulane A utawa B.", "A salah. B sing bener.", "Wangsulan: C",
           "A cilik banget. B gedhe banget. Dadi C."],
    "ko": ["정답은 A가 아니라 B입니다.", "정답은 A 또는 B입니다.", "A는 틀렸습니다. B가 맞습니다.",
           "정답: C", "A는 너무 작고 B는 너무 큽니다. 따라서 C."],
    "ku": ["Bersiv ne A ye, B ye.", "Bersiv A an B ye.", "A şaş e. B rast e.",
           "Bersiv: C", "A pir biçûk e. B pir mezin e. Loma C."],
    "ps": ["ځواب A نه دی، B دی.", "ځواب A یا B دی.", "A غلط دی. B سم دی.",
           "ځواب: C", "A ډېر کوچنی دی. B ډېر لوی دی. نو C."],
    "ru": ["Ответ не A, а B.", "Ответ A или B.", "A неверно. B верно.",
           "Ответ: C", "A слишком мало. B слишком много. Значит, C."],
    "sw": ["Jibu si A, ni B.", "Jibu ni A au B.", "A si sahihi. B ni sahihi.",
           "Jibu: C", "A ni ndogo sana. B ni kubwa sana. Kwa hiyo C."],
    "th": ["คำตอบไม่ใช่ A แต่เป็น B", "คำตอบคือ A หรือ B", "A ผิด B ถูกต้อง",
           "คำตอบ: C", "A เล็กเกินไป B ใหญ่เกินไป ดังนั้น C"],
    "ur": ["جواب A نہیں، بلکہ B ہے۔", "جواب A یا B ہے۔", "A غلط ہے۔ B درست ہے۔",
           "جواب: C", "A بہت چھوٹا ہے۔ B بہت بڑا ہے۔ لہذا C۔"],
    "vi": ["Đáp án không phải là A mà là B.", "Đáp án là A hoặc B.", "A sai. B đúng.",
           "Đáp án: C", "A quá nhỏ. B quá lớn. Vì vậy C."],
    "zh": ["答案不是A，而是B。", "答案是A或B。", "A错误。B正确。", "答案：C", "A太小，B太大，所以C。"],
}  # fmt: skip
STARTER = sorted(WORDS)
# MMMLU-lite has these too: not A but B; B, not A; A or B; A is wrong and B is right.
OTHERS = {
    "de": ["Die Antwort ist nicht A, sondern B.", "Die Antwort ist B, nicht A.", "Die Antwort ist A oder B.",
           "A ist falsch. B ist richtig."],
    "es": ["La respuesta no es A, es B.", "La respuesta es B, no A.", "La respuesta es A o B.",
           "A es incorrecta. B es correcta."],
    "fr": ["La réponse n'est pas A mais B.", "La réponse est B, pas A.", "La réponse est A ou B.",
           "A est fausse. B est correcte."],
    "hi": ["उत्तर A नहीं, B है।", "उत्तर B है, A नहीं।", "उत्तर A या B है।", "A गलत है। B सही है।"],
    "id": ["Jawabannya bukan A, melainkan B.", "Jawabannya B, bukan A.", "Jawabannya A atau B.",
           "A salah. B benar."],
    "pt": ["A resposta não é A, é B.", "A resposta é B, não A.", "A resposta é A ou B.",
           "A está errada. B está correta."],
}  # fmt: skip


@pytest.mark.parametrize(("answer", "letter"), ENGLISH)
def test_in_english(answer, letter):
    assert chosen_letter(answer, "en") == letter
    wanted = {"acc": float(letter is not None), "answered": float(letter is not None)}
    assert scoring.choice({"language": "en", "answer": letter or "A"}, [answer]) == wanted


@pytest.mark.parametrize("code", STARTER)
def test_in_each_language(code):
    denied, between, wrong, named, reasoned = WORDS[code]
    options = "A) x B) y C) z D) w\n"
    assert chosen_letter(denied, code) == "B"
    assert chosen_letter(between, code) is None
    assert chosen_letter(wrong, code) == "B"
    assert chosen_letter(options + named, code) == "C"
    assert chosen_letter(options.replace(" ", "\n") + named, code) == "C"
    assert chosen_letter(options, code) is None
    assert chosen_letter(reasoned, code) == "C"
    assert chosen_letter(f"{between}\n\nB", code) == "B"


@pytest.mark.parametrize("code", OTHERS)
def test_in_other_languages_of_a_task(code):
    assert [chosen_letter(answer, code) for answer in OTHERS[code]] == ["B", "B", None, "B"]


@pytest.mark.parametrize("code", STARTER)
def test_english_counts_everywhere(code):
    assert chosen_letter("The answer is not A, it is B", code) == "B"


@pytest.mark.parametrize("code", [code for code in STARTER if languages.get(code).choice_letters])
def test_in_the_languages_own_letters(code):
    letters = dict(zip("ABC", languages.get(code).choice_letters, strict=False))
    for answer, letter in zip(WORDS[code], ("B", None, "B", "C", "C"), strict=True):
        written = "".join(letters.get(sign, sign) for sign in answer.replace("وB", "و B"))
        assert chosen_letter(written, code) == letter, written


def test_every_starter_language_has_its_words():
    for code in STARTER:
        assert {"or", "right", "not_after", "so"} <= set(languages.get(code).choosing)


@pytest.mark.parametrize(
    ("text", "language", "number"),
    [
        ("The answer is 18, not 20.", "en", "18"),
        ("18 instead of $20", "en", "18"),
        ("It is not 20, it is 18.", "en", "18"),
        ("La risposta è 18, non 20", "it", "18"),
        ("Ответ 18, а не 20.", "ru", "18"),
        ("答案是18，不是20。", "zh", "18"),
        ("Jibu ni 18, si 20.", "sw", "18"),
        ("18 - 20 = -2", "en", "-2"),
        ("not 20", "en", None),
    ],
)
def test_a_number_behind_not_is_passed_over(text, language, number):
    assert last_number(text, language) == (None if number is None else Decimal(number))


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("A. It is the largest.", "A"),  # one letter with a mark does not restate the options
        ("I have no answer. Perhaps B, perhaps C fits.", None),  # the letter is in another sentence
        ("D looked good. The answer is not A. It is B.", "B"),  # but after what is ruled out it may be
        ("C could be tempting, but B is correct.", "B"),
        ("C is correct, but B is correct.", None),
    ],
)
def test_which_words_settle_on_a_letter(text, letter):
    assert chosen_letter(text, "en") == letter
