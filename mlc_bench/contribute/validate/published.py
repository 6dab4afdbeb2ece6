"""Rows of published data, in files elsewhere: the checks of what they say, as for rows of our own."""

from typing import Any

from mlc_bench.catalog.languages import world
from mlc_bench.contribute.validate import rows
from mlc_bench.contribute.validate import text as texts
from mlc_bench.contribute.validate.accepted import Accepted
from mlc_bench.contribute.validate.source import Faults, Row, Yaml, is_text, quote

FIELD = "prompt"


def check(config: Yaml, documents: dict[str, list[dict[str, Any]]], accepts: Accepted, faults: Faults) -> None:
    """Every finding in a task's documents that its folder does not accept, on the line that names the data."""
    task = config.value.get("task")
    name = task if is_text(task) else None
    english = {doc["id"]: Row(0, doc) for doc in documents.get(rows.REFERENCE, [])}

    def report(code: str, row_id: str, finding: texts.Finding) -> None:
        if not accepts.takes(code, row_id, FIELD, finding.check, name):
            fix = f"leave the row out (leave_out), or give the reason in accepted.jsonl (check '{finding.check}')"
            what = f"row {quote(row_id)} of '{code}': {finding.what}"
            faults.add(config.path, config.line("dataset_kwargs"), what, fix)

    for code, docs in documents.items():
        if world.code_of(code) is None:  # said of the task file
            continue
        language = world.describe(code)
        first: dict[str, str] = {}
        lengths = []
        for doc in docs:
            row_id, prompt = doc["id"], doc[FIELD]
            original = english.get(row_id) if code != rows.REFERENCE else None
            for finding in rows.text_findings(language, Row(0, {FIELD: prompt}), original, FIELD, prompt):
                report(code, row_id, finding)
            other = first.setdefault(rows.folded(prompt), row_id)
            if other != row_id:
                report(code, row_id, texts.Finding("duplicate", f"says the same as {quote(other)}", ""))
            if original is not None:
                lengths.append((len(prompt) / len(original.values[FIELD]), row_id))
        for row_id, finding in rows.unusual_lengths(lengths):
            report(code, row_id, finding)
