"""Every filter against counts made from the files alone, and the words of every script."""

import itertools
import sqlite3
import unicodedata

import pytest
import regex
import viewed_runs
from viewed_runs import LANGUAGES, read

from mlc_bench.core.errors import UsageError
from mlc_bench.records import counts
from mlc_bench.stats.measures import wilson
from mlc_bench.view import marks, search, selection, serve


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    for seed, name in enumerate(("alpha", "beta")):
        viewed_runs.make(folder, name, seed)
    return folder


@pytest.fixture(scope="module")
def found(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLC_BENCH_CACHE", str(folder.parent / "cache"))
        yield serve.queries([folder])


@pytest.fixture(scope="module")
def runs(folder):
    return {path.parent.name: Rows(path.parent) for path in sorted(folder.glob("*/*/run.json"))}


class Rows:
    """The files of one run, by (task, language, id) and judge."""

    def __init__(self, folder):
        self.samples = keyed(folder / "samples")
        self.verdicts = {judge: keyed(folder / "verdicts" / judge) for judge in ("refusal", "guard")}


def keyed(folder):
    rows = [(task, row) for task in ("harm", "mild") for row in read(folder / f"{task}.jsonl")]
    return {(task, row["language"], row["id"]): row for task, row in rows}


def is_decided(row):
    return row["verdict"] not in (None, "unsure")


def complies(row):
    return is_decided(row) and counts.refused(row) is False and row["verdict"] != "invalid"


def kind(row):
    """What two judges may say differently."""
    said = None if not is_decided(row) else "invalid" if row["verdict"] == "invalid" else counts.refused(row)
    return said, row["verdict"] if row["verdict"] in ("safe", "unsafe") else None


def differ(rows):
    """None where fewer than two judges decided."""
    kinds = [kind(row) for row in rows if is_decided(row)]
    if len(kinds) < 2:
        return None
    harm = {harm for _, harm in kinds if harm}
    return len({said for said, _ in kinds}) > 1 or len(harm) > 1


def expected(rows, judge, key):
    """(holds, is among) of each filter for one answer, from the rows of the files."""
    task, code, name = key
    own, sample = rows.verdicts[judge][key], rows.samples[key]
    english, partner = rows.verdicts[judge][task, "en", name], rows.verdicts[judge]["mild", code, name]
    both = task == "harm" and code != "en" and is_decided(own) and is_decided(english)
    between = differ([rows.verdicts[one][key] for one in rows.verdicts])
    spoken = own["response_language"]
    verdict, decided = own["verdict"], is_decided(own)
    return {
        "gap": (both and counts.refused(english) is True and complies(own), both),
        "partner": (task == "harm" and counts.refused(partner) is True, task == "harm" and is_decided(partner)),
        "disagree": (between is True, between is not None),
        "refuses": (counts.refused(own) is True, decided),
        "complies": (complies(own), decided),
        "deflects": (verdict == "deflects", decided),
        "unsafe": (verdict == "unsafe", verdict in ("safe", "unsafe")),
        "invalid": (verdict == "invalid", decided),
        "unsure": (verdict == "unsure", True),
        "blocked": (verdict == "blocked", decided),
        "none": (verdict is None, True),
        "cut": (sample["truncated"], True),
        "other": (decided and spoken not in (None, code), decided and spoken is not None),
    }


@pytest.mark.parametrize(("task", "judge"), itertools.product(("harm", "mild"), ("refusal", "guard")))
def test_every_filter_is_what_the_files_say(found, runs, task, judge):
    names = ",".join(runs)
    for name in [one.name for one in marks.FILTERS]:
        chosen = selection.parsed(f"task={task}&judge={judge}&run={names}&find={name}", found.contents)
        k = n = 0
        items = set()
        for rows in runs.values():
            for key in rows.samples:
                if key[0] == task:
                    holds, among = expected(rows, judge, key)[name]
                    k, n = k + (holds and among), n + among
                    items |= {key[2]} if holds and among else set()
        whole, single = found.counts(chosen)
        assert (whole.k, whole.n) == (k, n) == (single[name].k, single[name].n), name
        if n:
            assert (whole.low, whole.high) == wilson(k, n)
        lines = found.lines(chosen, found.items(chosen))
        assert {line.name for line in lines} == items, name
        cells = [cell for line in lines for cell in line.cells.values()]
        assert sum(cell.is_found for cell in cells) == k, name
    assert n > 0


def test_the_data_have_something_for_every_filter(runs):
    """Else equal counts would be equal zeros."""
    held = set()
    for rows in runs.values():
        for judge, key in itertools.product(rows.verdicts, rows.samples):
            held |= {name for name, (holds, _) in expected(rows, judge, key).items() if holds}
    assert held == {one.name for one in marks.FILTERS}


def test_changed_from_one_run_to_another(found, runs):
    (first, before), (second, after) = runs.items()
    k = n = 0
    for key, row in after.verdicts["refusal"].items():
        if key[0] == "harm" and is_decided(row) and is_decided(before.verdicts["refusal"][key]):
            k, n = k + (kind(row) != kind(before.verdicts["refusal"][key])), n + 1
    whole, single = found.counts(selection.parsed(f"find=changed&from={first}&to={second}", found.contents))
    assert (whole.k, whole.n) == (k, n) == (single["changed"].k, single["changed"].n)
    assert 0 < k < n
    # To what it changed is another filter beside it.
    chosen = selection.parsed(f"find=changed,complies&from={first}&to={second}", found.contents)
    pairs = [
        (before.verdicts["refusal"][key], row) for key, row in after.verdicts["refusal"].items() if key[0] == "harm"
    ]
    both = sum(complies(row) and is_decided(was) and kind(row) != kind(was) for was, row in pairs)
    assert found.counts(chosen)[0].k == both
    cells = [cell for line in found.lines(chosen, found.items(chosen)) for cell in line.cells.values()]
    assert {cell.run.name for cell in cells} == {first, second}
    assert sum(cell.is_found for cell in cells) == both


def test_filters_category_language_and_model_together(found, runs):
    name, rows = next(iter(runs.items()))
    chosen = selection.parsed(f"run={name}&lang=sw,ar&category=kind-1&find=gap,cut", found.contents)
    keys = [key for key in rows.samples if key[0] == "harm" and key[1] in ("sw", "ar") and int(key[2][1:]) % 3 == 1]
    said = [expected(rows, "refusal", key) for key in keys]
    n = sum(one["gap"][1] for one in said)
    k = sum(one["gap"][0] and one["cut"][0] for one in said)
    whole, _ = found.counts(chosen)
    assert (whole.k, whole.n) == (k, n)


@pytest.mark.parametrize(
    "text",
    ["警察", "炸弹", "我", "ตำรวจ", "สามารถ", "قنبلة", "شرطة", "bomb", "BOMB", "bom", "bomb pipe", "材料", "no such"],
)
def test_words_are_found_in_every_script(found, runs, text):
    """A word of an unspaced script as a part of the text, others by their beginnings, with Arabic's article or not."""

    def has(row, word):
        own = " ".join([row["prompt"], row["response"], row.get("thinking") or ""]).casefold()
        if search.indexed(word) != word:  # without spaces
            return word in own
        articles = ("", "ال", "بال", "وال", "لل")
        return any(one.startswith(before + word.casefold()) for one in own.split() for before in articles)

    name, rows = next(iter(runs.items()))
    hits = {
        (code, place) for (task, code, place), row in rows.samples.items()
        if task == "harm" and all(has(row, word) for word in text.split())
    }  # fmt: skip
    chosen = selection.parsed(f"run={name}&q={text}", found.contents)
    lines = found.lines(chosen, found.items(chosen))
    assert {(code, line.name) for line in lines for (_, code), cell in line.cells.items() if cell.is_found} == hits
    assert found.counts(chosen)[0].k == len(hits)
    assert bool(hits) == (text != "no such")


@pytest.mark.parametrize(
    ("word", "texts", "others"),
    [
        ("شرطة", ["الشرطة", "وبالشرطة", "للشرطة", "شرطتنا شرطة"], ["الشر"]),
        ("الشرطة", ["الشرطة"], ["شرطة"]),
        ("경찰", ["경찰을 불렀다", "경찰"], ["대학경찰"]),  # particles are behind a word
    ],
)
def test_words_with_articles_and_particles(word, texts, others):
    db = sqlite3.connect(":memory:")
    db.execute(f'CREATE VIRTUAL TABLE words USING fts5(text, tokenize="{search.TOKENIZER}")')
    db.executemany("INSERT INTO words VALUES(?)", [(search.indexed(text),) for text in texts + others])
    found = db.execute("SELECT rowid FROM words WHERE words MATCH ? ORDER BY 1", (search.query(word),)).fetchall()
    assert [row for (row,) in found] == list(range(1, len(texts) + 1))


def test_every_sign_of_an_unspaced_script_is_a_word():
    signs = regex.findall(
        r"[\p{lb=SA}\p{Han}\p{Hiragana}\p{Katakana}]", "".join(map(chr, [*range(0xD800), *range(0xE000, 0x40000)]))
    )
    assert len(signs) > 90_000
    assert all(len(search.indexed(f"a{sign}b").split()) >= 3 for sign in signs)


def test_a_search_is_no_query_language(found):
    for text in ('"', 'bomb" OR "x', "NOT", "prompt:bomb", "*", "(((", "NEAR(a b)", "\0", "!!!", "a" * 200):
        chosen = selection.of([("q", text)], found.contents)
        found.counts(chosen)
    assert search.query("!!! *") is None
    assert unicodedata.normalize("NFC", "e\u0301") in search.query("e\u0301")
    with pytest.raises(UsageError, match="200 characters"):
        selection.of([("q", "a" * 201)], found.contents)


def test_an_address_restores_the_selection(found, runs):
    first, second = runs
    for query in (
        "", "find=gap", "task=mild&judge=guard&lang=sw,th", f"run={second}&find=gap,cut&category=kind-1&q=警察 ตำรวจ",
        f"find=changed&from={first}&to={second}&show=marks&page=3",
    ):  # fmt: skip
        chosen = selection.parsed(query, found.contents)
        again = selection.parsed(f"http://127.0.0.1:1/?{chosen.query()}&token=x", found.contents)
        assert again == chosen
        assert found.counts(again) == found.counts(chosen)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("lang=xx", "unknown language of this task 'xx'"),
        ("run=nothing", "unknown run of this judge 'nothing'"),
        ("task=x", "unknown task 'x'"),
        ("judge=x", "unknown judge of this task 'x'"),
        ("find=x", "unknown filter 'x'"),
        ("find=changed", "needs the two runs"),
        ("page=0", "'page' must be a number"),
        ("page=-1", "'page' must be a number"),
        ("category=x", "unknown category"),
        ("nothing=1", "unknown part of an address 'nothing'"),
    ],
)
def test_a_wrong_address_is_one_line(found, query, said):
    with pytest.raises(UsageError) as caught:
        selection.parsed(query, found.contents)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_answers_before_and_behind_are_those_of_the_selection(found, runs):
    chosen = selection.parsed(f"run={','.join(runs)}&find=gap", found.contents)
    seen = []
    lines = found.lines(chosen, found.items(chosen))
    run, code = next(key for key, cell in lines[0].cells.items() if cell.is_found)
    here = found.answer(run, "harm", code, lines[0].name)
    while (before := found.beside(chosen, here)[0]) is not None:
        here = found.answer(before[0], "harm", before[1], before[2])
    while True:
        seen.append((here.run.name, here.language.code, here.name))
        behind = found.beside(chosen, here)[1]
        if behind is None:
            break
        here = found.answer(behind[0], "harm", behind[1], behind[2])
    assert len(seen) == len(set(seen)) == found.counts(chosen)[0].k


def test_english_is_beside_each_translation(found, runs):
    name, rows = next(iter(runs.items()))
    chosen = selection.parsed(f"run={name}&lang=sw", found.contents)
    for line in found.lines(chosen, found.items(chosen)):
        assert line.english == rows.samples["harm", "en", line.name]["prompt"]
        assert line.cells[name, "sw"].prompt == rows.samples["harm", "sw", line.name]["prompt"]
    assert set(found.contents.languages) == set(LANGUAGES)
    assert next(iter(found.contents.languages)) == "en"
