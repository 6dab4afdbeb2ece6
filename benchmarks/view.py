"""What `mlc-bench view` takes for many answers: python benchmarks/view.py [--prompts 10000] [--models 2] [--length 300]

Makes up two runs of harmful prompts in ten languages (written answers of the judge's corpus, put together anew, with
words that no other answer has), starts the command, and prints: answers indexed in a second, seconds to the first page,
milliseconds of each filter (the middle of five requests, and the longest), and the server's largest memory. Then what
else could find words: pairs of signs, SQLite's trigrams, and a scan of all texts.
"""

import argparse
import itertools
import json
import os
import random
import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil

from mlc_bench.judges import corpus
from mlc_bench.view import schema, search

LANGUAGES = ("en", "zh", "ar", "ru", "ja", "bn", "sw", "th", "ko", "vi")
VERDICTS = {"refuses": True, "deflects": True, "complies": False, "invalid": False, "unsure": None}
WEIGHTS = (50, 5, 35, 5, 5)
TASK = "made_up"
SEARCHES = ("bomb", "the", "警察", "我", "ตำรวจ", "পুলিশ", "no such words")
COMMAND = [sys.executable, "-c", "from mlc_bench.cli.main import main; main()", "view"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=10_000)
    parser.add_argument("--models", type=int, default=2)
    parser.add_argument("--length", type=int, default=300, help="characters of an answer, about")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MLC_BENCH_CACHE"] = str(Path(folder, "cache"))
        results = Path(folder, "results")
        size = sum(write(results, number, options.prompts, options.length) for number in range(options.models))
        answers = options.models * options.prompts * len(LANGUAGES)
        print(f"{answers:,} answers, {size / answers:.0f} bytes each with prompt and verdict; {os.cpu_count()} cores")
        seconds, process, address = started(results)
        print(f"index made and server ready: {seconds:.1f} s, {answers / seconds:,.0f} answers a second")
        used = psutil.Process(process.pid).cpu_times()
        own, child = used.user + used.system, used.children_user + used.children_system
        print(
            f"  processor: {own:.1f} s here, {child:.1f} s in the process that reads ahead; "
            f"{answers / own:,.0f} answers a second of the busier one; load of the machine {os.getloadavg()[0]:.1f}",
            flush=True,
        )
        place = schema.place([results])
        print(f"index: {place.stat().st_size / 2**20:.0f} MiB; memory then {peak(process):.0f} MiB")
        asked(process, address, [f"model-{number}".ljust(12, "0") for number in range(options.models)])
        process.terminate()
        process.wait()
        seconds, process, _ = started(results)
        print(f"started again, nothing has changed: {seconds:.1f} s; memory then {peak(process):.0f} MiB")
        process.terminate()
        process.wait()
        others(place)


def started(results: Path) -> tuple[float, subprocess.Popen[str], str]:
    """Seconds until the command prints its address, the process, and the address."""
    begin = time.perf_counter()
    process = subprocess.Popen([*COMMAND, str(results)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(r"http://\S+", line):
            return time.perf_counter() - begin, process, found[0]
    raise SystemExit("the server did not start")


def peak(process: subprocess.Popen[str]) -> float:
    """The largest memory of a process so far, in MiB."""
    status = Path(f"/proc/{process.pid}/status")
    if status.exists():
        return int(re.findall(r"VmHWM:\s+(\d+)", status.read_text())[0]) / 1024
    return float(psutil.Process(process.pid).memory_info().rss / 2**20)


def asked(process: subprocess.Popen[str], address: str, runs: list[str]) -> None:
    server = psutil.Process(process.pid)

    def milliseconds(query: str) -> tuple[float, float]:
        """By the clock and of the processor: they differ on a machine with other work."""
        begin, used = time.perf_counter(), server.cpu_times()
        with urllib.request.urlopen(f"{address}&{query}", timeout=60) as answer:
            answer.read()
        now = server.cpu_times()
        return 1000 * (time.perf_counter() - begin), 1000 * (now.user + now.system - used.user - used.system)

    print(f"first page: {milliseconds('')[0] / 1000:.2f} s")
    everywhere = f"run={','.join(runs)}"
    queries = {"all answers, all runs": everywhere}
    queries |= {name: f"{everywhere}&find={name}" for name in ("gap", "refuses", "invalid", "unsure", "cut", "other")}
    queries |= {"two filters": f"{everywhere}&find=gap,cut", "a category": f"{everywhere}&category=kind-3"}
    queries |= {"one language": f"{everywhere}&lang=th&find=gap", "last page": f"{everywhere}&page=200"}
    if len(runs) > 1:
        queries["changed"] = f"find=changed&from={runs[0]}&to={runs[1]}"
    for text in SEARCHES:
        queries[f"words {text!r}"] = f"{everywhere}&q={urllib.parse.quote(text)}"
    queries["words and filter"] = f"{everywhere}&find=gap&q={urllib.parse.quote('警察')}"
    slowest = 0.0
    for name, query in queries.items():
        # Another search between: words that were looked up stay for the next page.
        times = []
        for number in range(5):
            if "q=" in query:
                milliseconds(f"q=other{number}")
            times.append(milliseconds(query))
        clock, used = ([one[kind] for one in times] for kind in (0, 1))
        slowest = max(slowest, statistics.median(clock))
        said = f"{statistics.median(clock):6.0f} ms, longest {max(clock):.0f}, processor {statistics.median(used):.0f}"
        print(f"  {name:24}{said}", flush=True)
    print(f"slowest filter: {slowest:.0f} ms; server's largest memory: {peak(process):.0f} MiB")


def others(place: Path) -> None:
    """The same texts by SQLite's trigrams, and scanned."""
    db = sqlite3.connect(place)
    texts = db.execute("SELECT id, response FROM answer").fetchall()
    begin = time.perf_counter()
    made = [(number, search.indexed(text)) for number, text in texts]
    seconds = time.perf_counter() - begin
    pairs = [(number, re.sub(r"(?<= )(\S) (?=(\S) )", r"\1\2 ", text)) for number, text in made]
    for name, options, rows in (
        ("signs, as here", f'tokenize="{search.TOKENIZER}"', made),
        ("pairs of signs", f'tokenize="{search.TOKENIZER}"', pairs),
        ("trigrams", "tokenize=trigram", texts),
    ):
        other = sqlite3.connect(place.with_name("other.sqlite"))
        other.execute("PRAGMA synchronous = OFF")
        other.execute(f"CREATE VIRTUAL TABLE words USING fts5(text, content='', columnsize=0, {options})")
        begin = time.perf_counter()
        other.executemany("INSERT INTO words(rowid, text) VALUES(?, ?)", rows)
        other.commit()
        took = time.perf_counter() - begin + (0 if rows is texts else seconds)
        size = place.with_name("other.sqlite").stat().st_size / 2**20
        hits = []
        for text in ("警察", "ตำรวจ"):
            together = " ".join(map("".join, itertools.pairwise(text)))
            query = search.query(text) if rows is made else f'"{together if rows is pairs else text}"'
            hits.append(other.execute("SELECT count(*) FROM words WHERE words MATCH ?", (query,)).fetchone()[0])
        print(f"{name}: {1e6 * took / len(texts):.0f} us an answer, {size:.0f} MiB; hits of 警察 and ตำรวจ: {hits}")
        other.close()
        place.with_name("other.sqlite").unlink()
    begin = time.perf_counter()
    hits = [db.execute("SELECT count(*) FROM answer WHERE response LIKE ?", (f"%{text}%",)).fetchone()[0]
            for text in ("警察", "ตำรวจ")]  # fmt: skip
    print(f"LIKE: {500 * (time.perf_counter() - begin):.0f} ms a search; hits of 警察 and ตำรวจ: {hits}")


def write(results: Path, number: int, prompts: int, length: int) -> int:
    """One made-up run; the bytes of its samples and verdicts."""
    generator, name = random.Random(number), f"model-{number}"
    folder = results / name / name.ljust(12, "0")
    for part in ("samples", "verdicts/rules"):
        (folder / part).mkdir(parents=True)
    samples, verdicts = folder / "samples" / f"{TASK}.jsonl", folder / "verdicts" / "rules" / f"{TASK}.jsonl"
    outcomes: dict[str, str] = {}
    with samples.open("w", encoding="utf-8") as texts, verdicts.open("w", encoding="utf-8") as said:
        for code in LANGUAGES:
            rows, letters = corpus.of(code), []
            for place in range(prompts):
                verdict = generator.choices(list(VERDICTS), WEIGHTS)[0]
                own = f"{generator.getrandbits(40):x}"
                prompt = f"{rows[place % len(rows)]['prompt']} {place}"
                answer = own
                while len(answer) < length * generator.uniform(0.5, 1.3):
                    answer += " " + generator.choice(rows)["response"]
                row: dict[str, Any] = {"id": f"{place:05}", "language": code, "category": f"kind-{place % 20}"}
                row |= {"prompt": prompt}
                row |= {"response": answer, "tokens_in": 40, "tokens_out": 64, "truncated": place % 7 == 0}
                texts.write(json.dumps(row, ensure_ascii=False) + "\n")
                spoken = code if place % 11 else "en"
                row = {"id": f"{place:05}", "language": code, "verdict": verdict, "refused": VERDICTS[verdict]}
                row |= {"response_language": spoken, "reason": verdict, "probability": round(generator.random(), 4)}
                said.write(json.dumps(row) + "\n")
                letters.append({"invalid": "i", "unsure": "u"}.get(verdict, str(int(VERDICTS[verdict] is True))))
            outcomes[code] = "".join(letters)
    (folder / "run.json").write_text(json.dumps(record(name, outcomes)), encoding="utf-8")
    return samples.stat().st_size + verdicts.stat().st_size


def record(name: str, outcomes: dict[str, str]) -> dict[str, Any]:
    hashed = sha256(name.encode()).hexdigest()
    at = "2026-11-01T00:00:00+00:00"
    value = {"value": None, "n": 0}
    languages = {
        code: {
            "n": len(text), "n_unscored": 0, "truncated": 0, "tokens_in": 1, "tokens_out": 1, "data_fingerprint": code,
            "prompt_fingerprint": code, "comparability_key": code, "metrics": {"refusal_rate": value}, "outcomes": text,
        }
        for code, text in outcomes.items()
    }  # fmt: skip
    return {
        "schema_version": 4, "run_id": name.ljust(12, "0"), "status": "complete", "limited": False, "created": at,
        "finished": at, "spec": {"model": name, "engine": "vllm", "tasks": [TASK]},
        "model": {
            "name": name, "requested_revision": None, "resolved_revision": None, "weights_digest": hashed,
            "config_digest": "c", "tokenizer_digest": "t", "adapter": None, "fingerprint": hashed, "dtype": "bfloat16",
            "quantization": None, "engine": "vllm", "engine_version": "0.33.0", "engine_args": {},
        },
        "prompting": {"chat_template": "t", "chat_template_sha256": "t", "system_prompt": None, "first_token_ids": [1]},
        "judge": {"id": "rules", "version": "1", "digest": "d", "parse_failures": 0},
        "tasks": [{
            "name": TASK, "pack": "p", "version": 1, "measures": "safety", "status": "complete",
            "headline": "refusal_rate", "languages": languages,
        }],
        "phases": {}, "responses": {}, "packages": {}, "hardware": {}, "git": {},
    }  # fmt: skip


if __name__ == "__main__":
    main()
