"""How fast a model has answered, from the runs in a folder of results."""

import contextlib
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from mlc_bench.core.errors import UserError
from mlc_bench.records import record


@dataclass(frozen=True)
class Rate:
    """Of one base model, with all its adapters, on one engine."""

    tokens_a_second: float
    tokens_an_answer: float
    start: float
    """Seconds until the engine answers; 0 where that was not measured."""


def measured(output: Path) -> dict[tuple[str, str], Rate]:
    """(model, engine) -> its rate. Runs that took their answers from the store, or have choices, say nothing."""
    tokens: defaultdict[tuple[str, str], int] = defaultdict(int)
    answers: defaultdict[tuple[str, str], int] = defaultdict(int)
    seconds: defaultdict[tuple[str, str], float] = defaultdict(float)
    starts: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for path in sorted(output.glob("*/*/run.json")):
        with contextlib.suppress(UserError, OSError, ValueError, KeyError):
            found = record.read(path)
            counts = [
                json.loads(line)["tokens_out"]
                for task in found.tasks
                if task.status == "complete"
                for line in (path.parent / "samples" / f"{task.name}.jsonl").open(encoding="utf-8")
            ]
            if found.responses["from_store"] or not found.responses["generated"]:
                continue
            key = found.model.name, found.model.engine
            tokens[key] += sum(counts)
            answers[key] += len(counts)
            seconds[key] += found.phases["generate"]
            starts[key] += [found.phases["start_engine"]] if found.phases["start_engine"] else []
    return {
        key: Rate(tokens[key] / seconds[key], tokens[key] / answers[key], max(starts[key], default=0.0))
        for key in tokens
        if tokens[key] and seconds[key]
    }
