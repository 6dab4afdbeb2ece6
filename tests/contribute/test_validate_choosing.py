"""The words around a chosen letter in a language file: their faults are named with their line."""

import pytest
from planted_faults import SW_YAML, check_found, originals, packs, replaced  # noqa: F401

from mlc_bench.catalog import languages

LINES = (languages.FOLDER / "sw.yaml").read_text(encoding="utf-8").splitlines()
FIRST = next(number for number, line in enumerate(LINES, 1) if line.startswith("choosing:"))
PLANTED = {
    "an unknown key": ("  so: [kwa hiyo", "  then: [kwa hiyo", FIRST, "'choosing' is"),
    "no list": ("  so: [kwa hiyo, hivyo, basi, nachagua]", "  so: hivyo", FIRST, "'choosing' is"),
    "an empty word": ("hivyo, basi", "hivyo, ''", FIRST, "'choosing' is"),
    "a word twice": ("hivyo, basi", "hivyo, hivyo", FIRST + 5, "'hivyo' appears twice under 'so'"),
    "right and ruled out": ("ndiyo sahihi]", "ni makosa]", FIRST + 1, "'ni makosa' is under 'right'"),
    "another script": ("hivyo, basi", "hivyo, поэтому", FIRST + 5, "not in the script"),
    "a control character": ("hivyo, basi", 'hivyo, "ba\\asi"', FIRST + 5, "U+0007"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_fault_among_the_words_around_a_letter(name, packs):  # noqa: F811
    old, new, line, words = PLANTED[name]
    check_found((replaced(SW_YAML, old, new), SW_YAML, line, words), packs)


def test_the_files_of_all_languages_have_no_such_fault():
    for code in languages.known():
        words = languages.get(code).choosing
        assert set(words) <= set(languages.CHOOSING)
        assert not set(words.get("right", [])) & {*words.get("not_before", []), *words.get("not_after", [])}
