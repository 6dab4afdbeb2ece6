"""Data as it is found: the same rows in every form that publishers use, and one clear line for what is no table."""

import csv
import gzip
import io
import json

import pytest
from bad_input import hf
from helpers import check_failed, command

from mlc_bench.baselines.data import training_data
from mlc_bench.catalog import data, listing, reading
from mlc_bench.contribute import overlap
from mlc_bench.core.errors import UsageError
from mlc_bench.judges import judging

# Texts that a reader may take for something else than a text.
ODD = ["NA", "null", "None", "nan", "007", "1e5", "True", "1,000", 'He said "no", twice', "two\nlines", " # not this"]
ROWS = [{"id": f"r{n}", "language": "en", "prompt": text, "response": f"Yes {n}"} for n, text in enumerate(ODD)]
FLAT = [{key: value.replace("\n", " ") for key, value in row.items()} for row in ROWS]


def separated(rows, delimiter=",", **options):
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter, **options)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def lines(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def literal_tsv(rows):
    return "\n".join("\t".join(cells) for cells in [list(rows[0]), *(row.values() for row in rows)])


def parquet(rows):
    import pandas

    sink = io.BytesIO()
    pandas.DataFrame(rows).to_parquet(sink)
    return sink.getvalue()


def excel(rows):
    import pandas

    sink = io.BytesIO()
    pandas.DataFrame(rows).to_excel(sink, index=False)
    return sink.getvalue()


def columns(rows):
    return {key: [row[key] for row in rows] for key in rows[0]}


def by_number(rows):
    return {key: {str(n): row[key] for n, row in enumerate(rows)} for key in rows[0]}


BOM = "\ufeff"
FORMS = {
    "CSV": ("a.csv", separated(ROWS), ROWS),
    "CSV with a BOM": ("a.csv", BOM + separated(ROWS), ROWS),
    "CSV of Unix": ("a.csv", separated(ROWS, lineterminator="\n"), ROWS),
    "CSV with everything quoted": ("a.csv", separated(ROWS, quoting=csv.QUOTE_ALL), ROWS),
    "CSV in capitals": ("A.CSV", separated(ROWS), ROWS),
    "CSV with spaces around names": (
        "a.csv",
        " id , language ,prompt , response\n" + separated(FLAT).split("\n", 1)[1],
        FLAT,
    ),
    "CSV with blank lines": ("a.csv", "\n\n" + separated(FLAT).replace("\r\n", "\n\n") + "\n\n", FLAT),
    "CSV with an index": ("a.csv", separated([{"": n, **row} for n, row in enumerate(ROWS)]), ROWS),
    "CSV with empty columns at the end": ("a.csv", separated(FLAT).replace("\r\n", ",,\r\n"), FLAT),
    "TSV": ("a.tsv", literal_tsv(FLAT), FLAT),
    "TSV that quotes": ("a.tsv", separated(ROWS, "\t"), ROWS),
    "TSV that quotes everything": ("a.tsv", separated(ROWS, "\t", quoting=csv.QUOTE_ALL), ROWS),
    "TSV as .tab": ("a.tab", literal_tsv(FLAT).replace("\n", "\r\n"), FLAT),
    "JSON lines": ("a.jsonl", lines(ROWS), ROWS),
    "JSON lines of Windows": ("a.jsonl", BOM + lines(ROWS).replace("\n", "\r\n\r\n"), ROWS),
    "JSON lines of old Macs": ("a.jsonl", lines(ROWS).replace("\n", "\r"), ROWS),
    "JSON lines as .ndjson": ("a.ndjson", lines(ROWS), ROWS),
    "JSON lines as .json": ("a.json", lines(ROWS), ROWS),
    "one array as .jsonl": ("a.jsonl", json.dumps(ROWS), ROWS),
    "an array": ("a.json", BOM + json.dumps(ROWS, indent=2), ROWS),
    "an array under data": ("a.json", json.dumps({"version": "1.0", "data": ROWS}, indent=1), ROWS),
    "an array under rows": ("a.json", json.dumps({"rows": ROWS}), ROWS),
    "an answer of the hub's server": (
        "a.json",
        json.dumps({"features": [], "rows": [{"row_idx": n, "row": row} for n, row in enumerate(ROWS)]}),
        ROWS,
    ),
    "an object of arrays": ("a.json", json.dumps(columns(ROWS)), ROWS),
    "an object of arrays over lines": ("a.json", json.dumps(columns(ROWS), indent=1), ROWS),
    "a table of pandas": ("a.json", json.dumps(by_number(ROWS)), ROWS),
    "a split table of pandas": (
        "a.json",
        json.dumps({"columns": list(ROWS[0]), "index": [], "data": [list(row.values()) for row in ROWS]}),
        ROWS,
    ),
    "names with spaces in JSON": ("a.jsonl", lines(ROWS).replace('"id"', '" id "'), ROWS),
    "Parquet": ("a.parquet", parquet(ROWS), ROWS),
    "Excel": ("a.xlsx", excel(ROWS), ROWS),
    "CSV packed": ("a.csv.gz", gzip.compress(separated(ROWS).encode()), ROWS),
    "JSON lines packed": ("a.jsonl.gz", gzip.compress(lines(ROWS).encode()), ROWS),
    "JSON lines packed in two pieces": (
        "a.jsonl.gz",
        gzip.compress(lines(ROWS[:2]).encode()) + gzip.compress(lines(ROWS[2:]).encode()),
        ROWS,
    ),
}


def write(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("form", FORMS)
def test_the_same_rows_in_every_form(form, tmp_path, monkeypatch):
    """Through each reader of user files: answers, labels' rows, training data, overlap, a task's columns and files."""
    name, content, rows = FORMS[form]
    path = write(tmp_path, name, content)
    assert [row for _, row in reading.read(path).rows] == rows
    assert judging.read_answers(path) == rows
    texts = overlap.read(path)
    assert {row["prompt"].strip() for row in rows} <= {text for own in texts.values() for text in own}
    monkeypatch.setenv("MLC_BENCH_DATA", str(tmp_path))
    source = {"file": name, "sha256": data.sha256(path.read_bytes()), "columns": {"en": "prompt", "sw": "response"}}
    documents = data.read(source)
    assert data.languages(source) == ["en", "sw"]
    assert [doc["prompt"] for doc in documents["en"]] == [row["prompt"].strip() for row in rows]
    assert [doc["id"] for doc in documents["sw"]] == [row["id"] for row in rows]
    (tmp_path / "mine").mkdir()
    suffix = name.partition(".")[2]
    write(tmp_path / "mine", f"en.{suffix}", content)
    files = {"files": "mine", "path": f"{{language}}.{suffix}", "dataset": "mine", "fields": {"prompt": "prompt"}}
    assert [doc["prompt"] for doc in data.read(files)["en"]] == [row["prompt"].strip() for row in rows]


@pytest.mark.parametrize("form", FORMS)
def test_training_data_in_every_form(form, tmp_path):
    name, _, rows = FORMS[form]
    renamed = [{"instruction": row["prompt"], "output": row["response"], "prompt_sw": "Habari?"} for row in rows]
    make = {"a.tsv": lambda: separated(renamed, "\t"), "a.parquet": lambda: parquet(renamed)}.get(name)
    path = write(tmp_path, name, make() if make else lines(renamed)) if make or "json" in name else None
    if path is None or name.endswith(".gz"):
        path = write(tmp_path, "b.csv", separated(renamed))
    found = training_data.load([path]).rows
    assert [row["prompts"]["en"] for row in found] == [row["prompt"].strip() for row in rows]


BAD = {
    "UTF-16": ("a.csv", separated(ROWS).encode("utf-16"), "a.csv is in UTF-16, not UTF-8; save the file as UTF-8"),
    "UTF-16 without a mark": ("a.jsonl", lines(ROWS).encode("utf-16-le"), "a.jsonl, line 1: a NUL character; .*UTF-16"),
    "Latin-1": (
        "a.csv",
        "en,fr\nHi?,Ça va?\n".encode("latin-1"),
        "a.csv, line 2: broken UTF-8; save the file as UTF-8",
    ),
    "a NUL": ("a.tsv", b"en\tfr\na\tb\0c\n", "a.tsv, line 2: a NUL character"),
    "a comma too many": ("a.csv", "en,fr\na,b\nHi, you,Salut\n", "a.csv, row 2: 3 fields, and the heading has 2"),
    "a tab too many": ("a.tsv", "en\tfr\na\tb\tc\n", "a.tsv, row 1: 3 fields, and the heading has 2"),
    "a quote never closed": ("a.csv", 'en,fr\n"Hi,Salut\nYou,Toi\n', "a.csv: row 1: a quotation mark is never closed"),
    "a column twice": ("a.csv", "en,fr, en\na,b,c\n", "a.csv: the column 'en' is there twice"),
    "a column twice in TSV": ("a.tsv", "en\ten\na\tb\n", "a.tsv: the column 'en' is there twice"),
    "a field twice": (
        "a.jsonl",
        '{"en": "a"}\n{"en": "a", "en": "b"}\n',
        "a.jsonl, line 2: the field 'en' is",
    ),
    "a field twice but for spaces": ("a.jsonl", '{"en": "a", "en ": "b"}', "a.jsonl, line 1: the column 'en' is there"),
    "half a character": ("a.jsonl", '{"en": "\\ud83d"}\n', "a.jsonl, line 1: half a character"),
    "arrays of other lengths": ("a.json", '{"en": ["a", "b"], "fr": ["c"]}', r"a.json: .*\('en' 2, 'fr' 1\)"),
    "two lists": ("a.json", '{"train": [{"en": "a"}], "test": [{"en": "b"}]}', "a.json: lists of rows under train and"),
    "no object in a list": ("a.json", '[{"en": "a"}, "b"]', "a.json, row 2: a JSON object is expected"),
    "half an array": ("a.json", '[\n{"en": "a"},\n', "a.json, line 3: not a JSON list"),
    "an object with a comma too many": ("a.json", '{\n"en": "a",\n}', "a.json, line 3: not JSON"),
    "a damaged line": ("a.jsonl", '{"en": "a"}\n{oops\n', "a.jsonl, line 2: not JSON"),
    "no rows": ("a.csv", "en,fr\n", "a.csv has no rows"),
    "nothing": ("a.json", "", "a.json has no rows"),
    "an empty list": ("a.json", '{"data": []}', "a.json has no rows"),
    "no Parquet": ("a.parquet", b"PAR1", "a.parquet: not a Parquet file"),
    "no workbook": ("a.xlsx", b"en,fr", "a.xlsx: not an Excel workbook"),
    "half a packed file": ("a.csv.gz", gzip.compress(separated(ROWS).encode())[:-10], "a.csv.gz: damaged gzip file"),
}


@pytest.mark.parametrize("name", BAD)
def test_one_clear_line_for_what_is_no_table(name, tmp_path, monkeypatch):
    file, content, words = BAD[name]
    path = write(tmp_path, file, content)
    for read in (reading.read, judging.read_answers, overlap.read):
        with pytest.raises(UsageError, match=words) as failure:
            read(path)
        assert "\n" not in str(failure.value)
    if "no rows" in words:
        return
    monkeypatch.setenv("MLC_BENCH_DATA", str(tmp_path))
    source = {"file": file, "sha256": data.sha256(path.read_bytes()), "columns": {"*": "*"}}
    with pytest.raises(UsageError, match=words):
        data.read(source)
    with pytest.raises(UsageError, match=words):
        training_data.load([path])
    check_failed(command("tasks", "overlap", path), 2, file)
    check_failed(command("judge", path), 2, file)


TSVS = {
    "a stray mark at the beginning": ('"Hi, he said\t1\nYou\t2', ['"Hi, he said', "You"]),
    "two stray marks": ('"Hi\t1\nmore\t2\nend"\t3', ['"Hi', "more", 'end"']),
    "a sentence in quotation marks": ('"Hi."\t1\nYou\t2', ['"Hi."', "You"]),
    "a mark as an inch": ('a 5" pipe\t1\nYou\t2', ['a 5" pipe', "You"]),
    "quotation in a sentence": ('"Hi," she said\t1\nYou\t2', ['"Hi," she said', "You"]),
    "quoted since it quotes": ('"She said ""Hi"""\t1\nYou\t2', ['She said "Hi"', "You"]),
    "quoted since it has a tab": ('"a\tb"\t1\nYou\t2', ["a\tb", "You"]),
    "quoted since it has a line break": ('"a\nb"\t1\nYou\t2', ["a\nb", "You"]),
}


@pytest.mark.parametrize("name", TSVS)
@pytest.mark.parametrize("heading", [True, False])
def test_quotation_marks_in_tsv(name, heading, tmp_path):
    text, wanted = TSVS[name]
    found = reading.parse(tmp_path / "a.tsv", (heading * "text\tn\n" + text + "\n").encode(), heading)
    assert [row["text" if heading else 0] for _, row in found.rows] == wanted
    assert len({tuple(row) for _, row in found.rows}) == 1


def test_a_long_text_is_read(tmp_path):
    assert len(reading.read(write(tmp_path, "a.csv", "en\n" + "x" * 300_000)).rows[0][1]["en"]) == 300_000


def test_the_row_of_a_file_without_a_heading_says_what_it_is(tmp_path):
    found = reading.parse(tmp_path / "a.csv", b"\none\n\n\ntwo\n", heading=False)
    assert [row[0] for _, row in found.rows] == ["", "one", "", "", "two"]


PACK = """\
task: mine
custom_dataset: !function mlc_bench.data.load
dataset_kwargs: {SOURCE}
test_split: test
output_type: generate_until
doc_to_text: "{{prompt}}"
doc_to_target: ""
generation_kwargs: {until: [], do_sample: false, temperature: 0.0, max_gen_toks: 256}
process_results: !function mlc_bench.scoring.MEASURES
metric_list: [{metric: safe, aggregation: mean, higher_is_better: true}]
metadata: {version: 1, measures: MEASURES, licence: CC0, summary: mine}
"""


def pack(folder, source, measures="safety"):
    (folder / "packs" / "mine").mkdir(parents=True)
    text = PACK.replace("MEASURES", measures).replace("SOURCE", json.dumps(source)[1:-1])
    (folder / "packs" / "mine" / "mine.yaml").write_text(text)
    return "--include", folder / "packs"


def test_a_run_on_a_csv_with_a_language_that_the_first_row_lacks(tmp_path, tiny_model):
    """It is not lost: where rows are parallel, the row that lacks it is named."""
    content = lines([{"id": 1, "en": "One?"}, {"id": 2, "en": "Two?", "sw": "Mbili?"}])
    write(tmp_path, "mine.jsonl", content)
    source = {"file": "mine.jsonl", "sha256": data.sha256(content.encode()), "columns": {"*": "*"}}
    with listing.including([pack(tmp_path, source)[1]]):
        assert listing.languages(listing.tasks()["mine"]) is None, "the file is not here"
    options = ("--include", tmp_path / "packs", "--data-dir", tmp_path, "--dry-run")
    arguments = hf(tiny_model, tmp_path / "r")
    done = command(*arguments[: arguments.index("--tasks")], "--tasks", "mine", "--output", tmp_path / "r", *options)
    check_failed(done, 2, "mine.jsonl, row 1: no prompt for language 'sw' (column 'sw')")
    only = ("--languages", "en", *options)
    done = command(*arguments[: arguments.index("--tasks")], "--tasks", "mine", "--output", tmp_path / "r", *only)
    assert done.returncode == 0, done.stderr
    assert "2 prompts" in done.stdout
