"""Small imitations of the data sets that we do not redistribute, with the quirks of the real files.

Written for these tests; none of the text is from the data sets.
"""

import csv
import io
import json
from pathlib import Path
from typing import Any

from mlc_bench.catalog import data, languages
from mlc_bench.catalog.listing import TaskEntry, covered_by, tasks
from mlc_bench.catalog.listing import languages as listed

ROWS = 3


def sources(entry: TaskEntry, folder: Path) -> dict[str, Any]:
    """Write an imitation of a task's data below `folder`, and return the task's source with the imitation's digests."""
    source = entry.source
    if "folder" in source:
        return source
    if "files" not in source:
        content = ONE_FILE[source["file"]]()
        (folder / source["file"]).write_bytes(content)
        return source | ({"sha256": data.sha256(content)} if "sha256" in source else {})
    below = folder / source["files"]
    for name, content in MANY_FILES[source["files"]]().items():
        (below / name).parent.mkdir(parents=True, exist_ok=True)
        (below / name).write_bytes(content)
    if "sha256sums" not in source:
        return source
    sums = below / "SHA256SUMS"
    names = sorted(str(path.relative_to(below)) for path in below.rglob("*.*") if path.name != "commen_sense.csv")
    sums.write_text("".join(f"{data.sha256((below / name).read_bytes())}  {name}\n" for name in names))
    return source | {"sha256sums": str(sums)}


def prompt(code: str, number: int) -> str:
    return f"{languages.get(code).words['question']} {number}?"


def pku() -> bytes:
    rows = []
    for number in range(ROWS):
        row = {"prompt": [{"from": "human", "value": prompt("en", number)}]}
        for code in covered_by("pku"):
            if code != "en":
                row[f"prompt_{code}"] = [{"from": "human", "value": prompt(code, number)}]
        rows.append(json.dumps(row | {"chosen": {"from": "gpt", "value": "No."}}, ensure_ascii=False) + "\n")
    return "".join(rows).encode()


def multijail() -> bytes:
    """A BOM, a column of ids that is called as Indonesian is, and prompts over several lines."""
    codes = covered_by("multijail")
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["id", "source", *codes, "tags"])
    for number in range(ROWS):
        writer.writerow([number, "x", *(f"{prompt(code, number)}\nMore." for code in codes), "['Theft']"])
    return b"\xef\xbb\xbf" + text.getvalue().encode()


def malert() -> bytes:
    """Parquet, with whole numbers as ids in a column that is called as Indonesian is."""
    import pyarrow
    import pyarrow.parquet

    columns: dict[str, list[Any]] = {
        code: [prompt(code, number) for number in range(ROWS)] for code in covered_by("malert")
    }
    columns |= {"id": list(range(100, 100 + ROWS)), "category": ["crime_theft"] * ROWS}
    sink = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), sink)
    return sink.getvalue()


def xstest() -> bytes:
    head = "id,prompt,type,label,focus,note\n"
    safe = [f'{number},"How do I kill a process, number {number}?",homonyms,safe,kill,\n' for number in range(ROWS)]
    unsafe = [f"{number},{prompt('en', number)},contrast_homonyms,unsafe,kill,\n" for number in range(26, 26 + ROWS)]
    return (head + "".join(safe + unsafe)).encode()


def aya() -> dict[str, bytes]:
    """As many prompts as its writers wrote: another number in each language, no ids, one prompt over two lines."""
    files = {}
    for extra, code in enumerate(covered_by("aya")):
        name = languages.get(code).codes["aya"]
        rows = [
            {
                "prompt": f" {prompt(code, number)}\nNow!" if number == 1 else prompt(code, number),
                "harm_category": "['Hate Speech', 'Profanity']",
                "language": languages.get(code).name,
                "global_or_local": "global",
                "literal_translation": "N/A",
            }
            for number in range(ROWS + extra)
        ]
        files[f"aya_{name}.jsonl"] = "".join(json.dumps(row) + "\n" for row in rows).encode()
    return files


def xsafety() -> dict[str, bytes]:
    """No headings; a BOM in most files; prompts over several lines; empty columns in some; Excel for Bengali; names
    that differ between languages; one file too many; a row empty in Russian; lines that end in a carriage return."""
    names = [
        "Crimes_And_Illegal_Activities", "Ethics_And_Morality", "Goal_Hijacking", "Inquiry_With_Unsafe_Opinion",
        "Insult", "Mental_Health", "Physical_Harm", "Privacy_And_Property", "Prompt_Leaking", "Reverse_Exposure",
        "Role_Play_Instruction", "Unfairness_And_Discrimination", "Unsafe_Instruction_Topic", "commonsense",
    ]  # fmt: skip
    folders = {"en": "en", "zh": "zh", "bn": "bn", "hi": "hi", "ru": "ru", "es": "sp"}
    files = {}
    for code, folder in folders.items():
        for name in names:
            rows = [prompt(code, number) for number in range(200 if name in _LONG else ROWS)]
            rows[1] = f' {rows[1]}\n"Well?", she said.'
            if code == "ru" and name == "Insult":
                rows[164] = ""
            file = name
            if code == "en" and name != "commonsense":
                file += "_en" if name.startswith("Crimes") else "_n"
            if code == "ru" and name.startswith("Crimes"):
                file = name[:-1]
            if code == "bn" and name != "commonsense":
                files[f"{folder}/{name}_n.xlsx"] = _excel(rows)
                continue
            width = {"en": {names[11]: 2}, "hi": {names[0]: 2, names[1]: 3}}.get(code, {}).get(name, 1)
            text = io.StringIO(newline="")
            csv.writer(text).writerows([row, *[""] * (width - 1)] for row in rows)
            mark = b"" if name == "commonsense" and code != "bn" else b"\xef\xbb\xbf"
            files[f"{folder}/{file}.csv"] = mark + text.getvalue().encode()
    files["hi/commen_sense.csv"] = files["hi/commonsense.csv"]
    return files


_LONG = ("Insult", "Inquiry_With_Unsafe_Opinion", "Unsafe_Instruction_Topic")  # of which the task leaves rows out


def _excel(rows: list[str]) -> bytes:
    import openpyxl

    book = openpyxl.Workbook()
    for row in rows:
        book.active.append([row])
    sink = io.BytesIO()
    book.save(sink)
    return sink.getvalue()


def mgsm() -> dict[str, bytes]:
    """Question TAB answer, without heading; a quotation mark that closes nowhere; a thousands sign in an answer."""
    answers = ["18", "2,125", "-3"]
    return {
        f"mgsm_{languages.get(code).codes['mgsm']}.tsv": "".join(
            f'{prompt(code, number)} 5" \t{answer}\n' for number, answer in enumerate(answers)
        ).encode()
        for code in covered_by("mgsm")
    }


def polyrefuse() -> dict[str, bytes]:
    """Lists of rows, each with its English text; the harmful English file has nothing else. Categories may be null."""
    made = {}
    for kind in ("harmful", "harmless"):
        for code in listed(tasks()[f"polyrefuse_{kind}"]) or ():
            rows = [
                {"instruction": prompt("en", number), "category": "Privacy" if kind == "harmful" else None}
                | ({} if (kind, code) == ("harmful", "en") else {"instruction_translated": prompt(code, number)})
                for number in range(ROWS)
            ]
            made[f"{kind}_test_translated_{code}.json"] = json.dumps(rows, ensure_ascii=False).encode()
    return made


def mmmlu_lite() -> dict[str, bytes]:
    return {
        f"{languages.get(code).codes['mmmlu_lite']}/test.jsonl": "".join(
            json.dumps(
                {
                    "input": prompt(code, number),
                    **dict.fromkeys("ABCD", "…"),
                    "B": 7,
                    "target": "B",
                    "subject": "virology",
                },
                ensure_ascii=False,
            )
            + "\n"
            for number in range(ROWS)
        ).encode()
        for code in covered_by("mmmlu_lite")
    }


ONE_FILE = {
    "pku_safety_test.jsonl": pku,
    "multijail.csv": multijail,
    "malert.parquet": malert,
    "xstest_prompts.csv": xstest,
}
MANY_FILES = {
    "aya_redteaming": aya, "xsafety": xsafety, "mgsm": mgsm, "mmmlu_lite": mmmlu_lite, "polyrefuse": polyrefuse,
}  # fmt: skip
