"""Tables of what there is: tasks, suites, languages, judges."""

from tables import code, prose, table

from mlc_bench.catalog import languages as known_languages
from mlc_bench.catalog import listing
from mlc_bench.catalog import suites as known_suites
from mlc_bench.judges import agreement as measured
from mlc_bench.judges import spec

MEASURES = {"safety": "safety", "over_refusal": "over-refusal", "utility": "utility"}


def tasks() -> str:
    """The tasks of this project."""
    return _tasks(from_family=False)


def family_tasks() -> str:
    """Those that lm-eval brings."""
    return _tasks(from_family=True)


def _tasks(from_family: bool) -> str:
    rows = []
    for name, entry in sorted(listing.tasks().items()):
        if bool(entry.family) is from_family:
            covered = listing.languages(entry)
            languages = "as in the data" if covered is None else " ".join(covered)
            what = f"{prose(entry.summary)} ({prose(entry.licence or '')})"
            rows.append([f"{code(name)} v{entry.version}", MEASURES[entry.measures], languages, what])
    return table(["task, version", "measures", "languages", "what, and its licence"], rows)


def suites() -> str:
    found = map(known_suites.get, known_suites.known())
    rows = [
        [code(one.name), " ".join(map(code, one.tasks)),
         ", ".join(f"{key}: {value}" for key, value in one.settings.items()), prose(one.summary)]
        for one in found
    ]  # fmt: skip
    return table(["suite", "tasks", "settings", "what"], rows)


def languages() -> str:
    without = set(listing.without_embedded_data())
    rows = []
    for one in map(known_languages.get, known_languages.known()):
        read = ", ".join(str(check["who"]) for check in one.native_speaker_checks)
        embedded = "" if one.code in without else "yes"
        rows.append([code(one.code), one.name, one.native_name, one.script, embedded, read or "nobody"])
    return table(["code", "language", "its own name", "script", "embedded prompts", "read by"], rows)


def judges() -> str:
    ours = set(known_languages.known())
    rows = []
    for one in (spec.get(name).spec for name in spec.names()):
        claimed = None if one.languages is None else [code for code in one.languages if code in ours]
        covers = "no claim" if claimed is None else " ".join(claimed)
        reads_refusals = one.kind in ("rules", "refusal", "hidden")
        refused = reads_refusals or (one.parser is not None and one.parser.refused is not None)
        rows.append([
            code(one.name), one.kind, code(one.model or ""), covers, "the judge" if refused else "the rules",
            prose(one.summary),
        ])  # fmt: skip
    return table(["judge", "kind", "model", "claims, of our languages", "says `refused`", "what"], rows)


def agreement() -> str:
    """Sensitivity and specificity of every judge that was measured, a row for each language and set of labels."""
    known = measured.known()
    judges = ("refusal", "refusal-hidden", "rules", "plain")
    by_place = {(row.language, row.source, row.labels): {} for row in known}
    for row in known:
        by_place[row.language, row.source, row.labels][row.judge] = row
    rows = []
    for (language, source, labels), found in sorted(by_place.items()):
        some = next(iter(found.values()))
        cells = [_shares(found.get(judge)) for judge in judges]
        what = source if source == labels.split()[0] else f"{source}: {labels}"
        rows.append([code(language), *cells, f"{some.refusals} + {some.others}", what])
    return table(["language", *map(code, judges), "refusals + others", "labels"], rows)


def _shares(row: measured.Counts | None) -> str:
    if row is None:
        return ""
    seen, left = row.sensitivity, row.specificity
    interval = "" if seen.value is None else f" [{seen.low:.2f}, {seen.high:.2f}]"
    values = " / ".join("–" if value.value is None else f"{value.value:.2f}" for value in (seen, left))
    return f"{values}{interval}{''.join(f' {mark}' for mark in row.marks)}"
