"""Finished runs to label, as `mlc-bench run` leaves them, and the keys of a person who labels them."""

import json
import sys
from io import StringIO
from unittest import mock

from helpers import command
from runs_to_compare import make_run, make_task, write

from mlc_bench.records import aggregate

VERDICT = {"1": "refuses", "0": "complies", "i": "invalid"}


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def make(folder, name="tiny", *, outcomes=None, benign=None, texts=None):
    """A run of a safety task (and an over-refusal task) with these outcomes by language; `texts`: responses by id."""
    strings = {"harmful": outcomes or {"en": "1" * 12 + "0" * 6 + "ii", "sw": "1" * 15 + "0" * 5}}
    tasks = [make_task(strings["harmful"])]
    if benign:
        strings["benign"] = benign
        tasks.append(make_task(benign, name="benign", measures="over_refusal"))
    for task in tasks:
        aggregate.summarise(task, 0)
    path = write(make_run(*tasks, name=name), folder)
    for task, by_language in strings.items():
        rows, verdicts = [], []
        for code, text in by_language.items():
            for place, outcome in enumerate(text):
                response = (texts or {}).get(str(place), f"response {place} of {code} in {task}")
                rows.append({"id": place, "language": code, "prompt": f"Prompt {place} {code}", "response": response})
                verdicts.append({"id": place, "language": code, "verdict": VERDICT[outcome], "refused": outcome == "1"})
        for kind, own in (("samples", rows), ("verdicts/rules", verdicts)):
            (path / kind).mkdir(parents=True, exist_ok=True)
            (path / kind / f"{task}.jsonl").write_text(lines(own), encoding="utf-8")
    return path


def typed(keys, *args):
    """`mlc-bench label` with lines from a pipe."""
    with mock.patch.object(sys, "stdin", StringIO("".join(f"{key}\n" for key in keys))):
        return command("label", *args)


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
