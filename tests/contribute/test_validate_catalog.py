"""`mlc-bench tasks validate`: each fault planted in languages, suites and families is found where it was planted."""

import pytest
from planted_faults import SUITE, SW_YAML, ZH_YAML, check_found, edit, replaced

LANGUAGES = {
    "malformed YAML": (replaced(SW_YAML, "words: {", "words: {{"), SW_YAML, 7, "malformed YAML"),
    "a list": (edit(SW_YAML, lambda text: "- a\n"), SW_YAML, 1, "not a mapping"),
    "a key is missing": (replaced(SW_YAML, "direction: ltr\n", ""), SW_YAML, 1, "'direction' is missing"),
    "an unknown key": (replaced(SW_YAML, "direction:", "directoin:"), SW_YAML, 5, "unknown key 'directoin'"),
    "a key appears twice": (replaced(SW_YAML, "direction: ltr", "direction: ltr\ndirection: ltr"), SW_YAML, 6, "twice"),
    "a key of another kind": (replaced(SW_YAML, "name: Swahili", "name: [Swahili]"), SW_YAML, 1, "'name' is"),
    "left to fill in": (replaced(SW_YAML, "native_name: Kiswahili", "native_name: TODO"), SW_YAML, 2, "'TODO'"),
    "left in a comment": (replaced(SW_YAML, "# ISO 15924", "# TODO: check"), SW_YAML, 3, "'TODO'"),
    "a script of no text": (replaced(SW_YAML, "script: Latn", "script: Latx"), SW_YAML, 3, "not known here"),
    "another script": (replaced(ZH_YAML, "script: Hans", "script: Cyrl"), ZH_YAML, 2, "is not in the script Cyrl"),
    "another direction": (replaced(SW_YAML, "direction: ltr", "direction: rtl"), SW_YAML, 5, "is written ltr"),
    "an unknown label": (
        replaced(SW_YAML, "identified_as: [sw]", "identified_as: [swa]"),
        SW_YAML,
        6,
        "no label 'swa'",
    ),
    "the label of another": (
        replaced(SW_YAML, "identified_as: [sw]", "identified_as: [sw, it]"),
        SW_YAML,
        6,
        "as 'it' already",
    ),
    "the name of another": (replaced(SW_YAML, "name: Swahili", "name: Italian"), SW_YAML, 1, "is that of 'it'"),
    "a word is empty": (replaced(SW_YAML, "question: Swali", "question: ''"), SW_YAML, 7, "'words' is"),
    "a control character": (replaced(SW_YAML, "question: Swali", 'question: "Sw\\ali"'), SW_YAML, 7, "U+0007"),
    "a phrase appears twice": (
        replaced(SW_YAML, "- siwezi kukusaidia", "- Siwezi kusaidia"),
        SW_YAML,
        12,
        "appears twice",
    ),
    "a phrase is English": (replaced(SW_YAML, "- siwezi kukusaidia", "- I can't help"), SW_YAML, 12, "is English"),
    "a phrase in another script": (
        replaced(SW_YAML, "- siwezi kukusaidia", "- не могу"),
        SW_YAML,
        12,
        "not in the script",
    ),
    "a phrase without words": (replaced(SW_YAML, "- siwezi kukusaidia", '- "..."'), SW_YAML, 12, "says nothing"),
    "few phrases": (edit(SW_YAML, lambda text: few_phrases(text)), SW_YAML, 10, "3 refusal phrases"),
    "a check by nobody": (
        replaced(SW_YAML, "native_speaker_checks: []", "native_speaker_checks: [{date: 2026-01-31, what: all}]"),
        SW_YAML,
        None,
        "without 'who'",
    ),
    "a check on no day": (
        replaced(SW_YAML, "native_speaker_checks: []", "native_speaker_checks: [{who: A, date: soon, what: all}]"),
        SW_YAML,
        None,
        "is not a day",
    ),
    "a file's name": (
        lambda root: (root / SW_YAML).rename(root / "languages/Swahili.yaml"),
        "languages/Swahili.yaml",
        1,
        "not the name",
    ),
}


@pytest.mark.parametrize("name", LANGUAGES)
def test_a_fault_planted_in_languages_is_found_where_it_is(name, packs):
    check_found(LANGUAGES[name], packs)


SUITES = {
    "malformed YAML": (replaced(SUITE, "tasks: [", "tasks: [["), SUITE, "tasks:", "malformed YAML"),
    "a key is missing": (replaced(SUITE, "summary:", "# summary:"), SUITE, 1, "'summary' is missing"),
    "an unknown key": (replaced(SUITE, "settings:", "seting:"), SUITE, "seting", "unknown key 'seting'"),
    "an unknown task": (
        replaced(SUITE, "starter_benign", "starter_bening"),
        SUITE,
        "bening",
        "no task 'starter_bening'",
    ),
    "a task twice": (replaced(SUITE, "starter_benign", "starter_harmful"), SUITE, "tasks:", "appears twice"),
    "an unknown setting": (replaced(SUITE, "limit:", "limt:"), SUITE, "limt", "unknown setting 'limt'"),
    "a limit of nothing": (replaced(SUITE, "limit: 10", "limit: 0"), SUITE, "limit", "'limit' is '0'"),
    "a language that is none": (
        replaced(SUITE, "limit: 10", "languages: [en, swa]"),
        SUITE,
        "swa",
        "no known language",
    ),
}


@pytest.mark.parametrize("name", SUITES)
def test_a_fault_planted_in_suites_is_found_where_it_is(name, packs):
    check_found(SUITES[name], packs)


FAMILY = "families/belebele.yaml"
FAMILIES = {
    "malformed YAML": (replaced(FAMILY, "lm_eval: {", "lm_eval: {{"), FAMILY, "lm_eval", "malformed YAML"),
    "a key is missing": (replaced(FAMILY, "output_type:", "# output_type:"), FAMILY, 1, "'output_type' is missing"),
    "an unknown key": (replaced(FAMILY, "output_type:", "output_tipe:"), FAMILY, "output_tipe", "unknown key"),
    "a name unlike the file's": (replaced(FAMILY, "task: belebele", "task: bele"), FAMILY, 1, "'task' is 'bele'"),
    "no tasks of lm-eval": (replaced(FAMILY, "folder: belebele, ", ""), FAMILY, "lm_eval", "does not name"),
    "no version": (replaced(FAMILY, "version: 1", "version: one"), FAMILY, "version", "'version' is 'one'"),
    "no headline": (replaced(FAMILY, "  headline: acc\n", ""), FAMILY, "metadata", "'headline' is missing"),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_fault_planted_in_families_is_found_where_it_is(name, packs):
    check_found(FAMILIES[name], packs)


def few_phrases(text):
    head, phrases = text.split("refusal:")
    kept = phrases.split("\n")[:4]
    return head + "refusal:" + "\n".join(kept) + "\nnative_speaker_checks: []\n"
