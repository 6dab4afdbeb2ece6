"""Runs against a server on loopback, and what they leave."""

import json

import pytest

from mlc_bench.records import record

CONCURRENT = pytest.mark.parametrize("concurrent", [1, 8])


def asks(server, output, *more, languages="en", tasks="starter_harmful"):
    return [
        "run", "--model", "m", "--engine", "openai", "--base-url", server.url, "--tasks", tasks,
        "--languages", languages, "--output", output, *more,
    ]  # fmt: skip


def rows(output, name="samples/starter_harmful.jsonl"):
    (path,) = output.glob(f"*/*/{name}")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def found(output):
    (path,) = output.glob("*/*/run.json")
    return record.read(path)


def prompt_of(body):
    return body["messages"][-1]["content"]
