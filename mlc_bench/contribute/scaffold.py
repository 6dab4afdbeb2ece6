"""`tasks new` and `languages new`: the files to fill in. What is left to people is marked TODO; nothing is overwritten.

`mlc-bench tasks validate` finds every TODO, and a language or task that still has one in its rows is not run.
"""

import json
import re
from pathlib import Path
from typing import Any

from mlc_bench.catalog import data, languages, listing
from mlc_bench.catalog.reading import read_json_lines
from mlc_bench.catalog.sources import check_not_installed
from mlc_bench.core.errors import UsageError
from mlc_bench.core.names import is_name
from mlc_bench.records import record

TODO = "TODO"
REFERENCE = "en"
STARTER = "starter"
_PHRASES = 30  # refusal phrases to translate; more than that is better still
_CODE = re.compile(r"[a-z]{2,3}(?:-[A-Z][a-z]{3})?(?:-(?:[A-Z]{2}|\d{3}))?")
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def new_language(code: str) -> list[Path]:
    """Write the language file and its rows of the starter tasks, those that are not there yet; the paths written.

    Raises UsageError for what is no BCP 47 code, where all files are there, and where mlc-bench is no checkout.
    """
    if not _CODE.fullmatch(code):
        raise UsageError(f"'{code}' is not a language code (BCP 47); write it as yo, zh-Hant or pt-BR")
    check_not_installed(languages.FOLDER, "add a language in a checkout of mlc-bench (pip install -e .)")
    texts = {languages.FOLDER / f"{code}.yaml": lambda: _language_file(code)}
    for folder in starter_folders():
        texts[folder / f"{code}.jsonl"] = lambda folder=folder: _rows(folder)  # type: ignore[misc]
    missing = {path: text for path, text in texts.items() if not path.exists()}
    if not missing:
        raise UsageError(f"all files of '{code}' are there; look at them with: mlc-bench tasks validate {code}")
    return _write({path: text() for path, text in missing.items()})


def new_task(name: str, measures: str, into: Path) -> list[Path]:
    """Write a folder of tasks: for `safety`, harmful requests and their harmless partners; for `utility`, choices.

    Raises UsageError for a name that a task file cannot have or that is taken, and for an installed package's folder.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"'{name}' is not a name for a task; write small letters, digits and _, a letter first")
    check_not_installed(into, "name a folder of your own with --into, and run its tasks with --include")
    pack = into / name
    # `tasks validate NAME` and --tasks know all of these by their names alone
    owners = {code.casefold(): f"the language {code}" for code in languages.known()} | listing.taken(listing.tasks())
    made = (name,) if measures == "utility" else (name, f"{name}_harmful", f"{name}_benign")
    if not all(map(is_name, made)):
        raise UsageError(f"'{name}' is too long, or a name that some systems keep for themselves; choose another")
    by = [owners[one] for one in made if one in owners] or [str(pack)] * pack.exists()
    if by:
        raise UsageError(f"the name '{name}' is taken by {by[0]}; choose another, nothing was written")
    if measures == "utility":
        texts = {
            f"{name}.yaml": _CHOICE_TASK.format(name=name),
            "rows/en.jsonl": _line(
                {"id": "first-1", "topic": TODO, "question": TODO, "choices": [TODO] * 4, "answer": 0}
            ),
        }
        table = f"| `{name}` | {TODO}: how many | {TODO}: what the questions are about |"
    else:
        texts = {
            f"{name}_harmful.yaml": _HARMFUL_TASK.format(name=name),
            f"{name}_benign.yaml": _BENIGN_TASK.format(name=name),
            "rows/en.jsonl": _line({"id": "first-1", "category": TODO, "harmful": TODO, "benign": TODO}),
        }
        table = (
            f"| `{name}_harmful` | {TODO}: how many | {TODO}: what is asked for |\n"
            f"| `{name}_benign` | the same | a harmless request for each, in similar words |"
        )
    texts["card.md"] = _CARD.format(name=name, table=table)
    return _write({pack / path: text for path, text in texts.items()})


def starter_folders() -> list[Path]:
    """The folders of rows that every language begins with."""
    return list(dict.fromkeys(data.TASKS / entry.source["folder"] for entry in listing.select([STARTER])))


def blank(row: dict[str, Any]) -> dict[str, Any]:
    """An English row with its texts put aside under `english`, and TODO in their place."""
    kept = {key: value for key, value in row.items() if key in ("id", "category", "topic")}
    texts = {key: value for key, value in row.items() if key not in kept and key != "answer"}
    empty = {key: [TODO] * len(value) if isinstance(value, list) else TODO for key, value in texts.items()}
    answer = {key: row[key] for key in ("answer",) if key in row}
    return kept | {"english": texts} | empty | answer


def _rows(folder: Path) -> str:
    return "".join(_line(blank(row)) for _, row in read_json_lines(folder / f"{REFERENCE}.jsonl"))


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def _write(texts: dict[Path, str]) -> list[Path]:
    for path, text in texts.items():
        record.write_text(path, text)
    return list(texts)


def _language_file(code: str) -> str:
    from mlc_bench.judges import langid

    known = code.partition("-")[0] in langid.labels()
    english = [phrase for phrase in languages.get(REFERENCE).refusal if "..." not in phrase][::2][:_PHRASES]
    phrases = "\n".join(f"  - {TODO}  # {phrase}" for phrase in english)
    identified = f"[{code.partition('-')[0]}]" if known else "[]"
    how = "the label of py3langid, which identifies languages" if known else "py3langid does not know this language"
    return _LANGUAGE.format(code=code, identified=identified, how=how, phrases=phrases)


_LANGUAGE = """\
# Each line with TODO is yours: put the right thing there, and take the word TODO out.
# What is left to do: mlc-bench tasks validate {code}
name: TODO                # in English, as in: Yoruba
native_name: TODO         # as its speakers write it, as in: Yorùbá
script: Latn              # TODO: the ISO 15924 code of its script: Latn, Arab, Cyrl, Deva, Ethi ...
iso639_3: und             # TODO: its ISO 639-3 code, three letters, as in: yor
direction: ltr            # TODO: ltr (from left to right) or rtl
identified_as: {identified}      # {how}
words: {{question: TODO, answer: TODO}}   # the words "Question" and "Answer"
choose: TODO              # the sentence: Answer with one letter only: A, B, C or D.
# How a model declines, 20 phrases or more, better 30 to 50: in the first person, short, in small letters, as people
# really write. None may be part of an answer that helps. "..." stands for words of a sentence: "no puedo ... ayudar".
# An English phrase is beside each TODO for its sense; translate freely, leave out what nobody says.
refusal:
{phrases}
# If you speak the language: [{{who: A. Speaker, date: 2026-01-31, what: all of this file}}]
native_speaker_checks: []
"""

_TASK_END = """\
  - {{metric: invalid, aggregation: mean, higher_is_better: false}}
metadata:
  version: 1                # raise it with any change of prompts or settings
"""

_HARMFUL_TASK = (
    """\
# Harmful requests: a safe answer refuses. lm-eval's own format; lines without TODO can stay as they are.
task: {name}_harmful
tag: {name}
custom_dataset: !function mlc_bench.data.load
dataset_kwargs: {{folder: {name}/rows, prompt_field: harmful}}   # rows/<code>.jsonl, the field 'harmful'
test_split: test
output_type: generate_until
doc_to_text: "{{{{prompt}}}}"
doc_to_target: ""
generation_kwargs: {{until: [], do_sample: false, temperature: 0.0, max_gen_toks: 256}}
process_results: !function mlc_bench.scoring.safety
metric_list:
  - {{metric: refused, aggregation: mean, higher_is_better: true}}
  - {{metric: complied, aggregation: mean, higher_is_better: false}}
"""
    + _TASK_END
    + """\
  measures: safety
  over_refusal: {name}_benign
  summary: TODO             # one line: what the prompts are
  licence: TODO             # of the data, as in: CC BY 4.0
"""
)

_BENIGN_TASK = (
    """\
# The harmless partners of the harmful requests, same ids: a refusal is a mistake.
task: {name}_benign
tag: {name}
custom_dataset: !function mlc_bench.data.load
dataset_kwargs: {{folder: {name}/rows, prompt_field: benign}}    # rows/<code>.jsonl, the field 'benign'
test_split: test
output_type: generate_until
doc_to_text: "{{{{prompt}}}}"
doc_to_target: ""
generation_kwargs: {{until: [], do_sample: false, temperature: 0.0, max_gen_toks: 256}}
process_results: !function mlc_bench.scoring.over_refusal
metric_list:
  - {{metric: refused, aggregation: mean, higher_is_better: false}}
"""
    + _TASK_END
    + """\
  measures: over_refusal
  summary: TODO             # one line: what the prompts are
  licence: TODO             # of the data, as in: CC BY 4.0
"""
)

_CHOICE_TASK = """\
# Questions with choices, scored by log-likelihood. lm-eval's own format; lines without TODO can stay as they are.
task: {name}
custom_dataset: !function mlc_bench.data.load
dataset_kwargs: {{folder: {name}/rows, prompt_field: question}}   # rows/<code>.jsonl
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question_word}}}}: {{{{question}}}}\\n{{{{answer_word}}}}:"   # the words come from the language file
doc_to_choice: "{{{{choices}}}}"
doc_to_target: "{{{{answer}}}}"     # the number of the right choice, from 0
metric_list:
  - {{metric: acc, aggregation: mean, higher_is_better: true}}
  - {{metric: acc_norm, aggregation: mean, higher_is_better: true}}
metadata:
  version: 1                # raise it with any change of prompts or settings
  measures: utility
  headline: acc_norm        # the metric that tables show
  summary: TODO             # one line: what the questions are
  licence: TODO             # of the data, as in: CC BY 4.0
"""

_CARD = """\
# {name}

TODO: what the task asks, and why, in one or two sentences.

| task | rows per language | what |
|---|---|---|
{table}

- Source: TODO: where the English rows come from; if you wrote them, say so.
- How it was made: TODO: who or what translated them, and who has checked the translations.
- Languages: TODO: which, and whether row k is the same prompt in each.
- Licence: TODO: as in CC BY 4.0; what it forbids.
- Known faults: TODO: what a reader must know before trusting a number; "none known" is an answer.
- What a good score hides: TODO: what a model can do wrong and still score well.

Version 1.
"""
