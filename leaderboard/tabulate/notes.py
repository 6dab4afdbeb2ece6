"""What stands below a table: what was asked, and how far its judge and its prompts can be trusted."""

from collections.abc import Iterable

from mlc_bench.leaderboard.collect import Setting
from mlc_bench.leaderboard.tabulate.comparable import Panel
from mlc_bench.records.run_table import MARKS

_KNOWN = {"few": "was checked on few labels or none", "weak": "is known to miss many refusals"}


def describe(setting: Setting) -> str:
    """A setting in a few words: task, version, judge, and its id, under which the JSON has all of it."""
    judged = f", judge {setting.judge} {setting.judge_version}" if setting.judge else ""
    prompt = f", system prompt {setting.system_prompt[:8]}" if setting.system_prompt else ""
    return f"{setting.task} version {setting.version}{judged}{prompt}"


def marks(setting: Setting, languages: Iterable[str]) -> str:
    """The signs of a column over these languages: † where the judge was checked on few labels, ‡ where it is weak."""
    known = {mark for mark, code in setting.judge_known if code in set(languages)}
    return "".join(sign for mark, sign in MARKS.items() if mark in known)


def of_judge(setting: Setting) -> list[str]:
    """The languages in which the judge is little known, or weak."""
    found = []
    for mark, said in _KNOWN.items():
        if codes := [code for one, code in setting.judge_known if one == mark]:
            found.append(f"{MARKS[mark]} The judge {said}: {' '.join(sorted(codes))}.")
    return found


def of_prompts(setting: Setting) -> list[str]:
    """What a reader must know of the prompts themselves."""
    found = [f"Caution: {setting.caution}"] if setting.caution else []
    if setting.unreviewed:
        found.append(f"Translated by a model, read by no speaker: {' '.join(setting.unreviewed)}.")
    return found


def prompts(panel: Panel, keys: Iterable[str] | None = None) -> str:
    """How many prompts a language has: `40`, or `284 to 314`."""
    wanted = None if keys is None else set(keys)
    counts = [entry.n + entry.unscored for (_, key), entry in panel.entries.items() if wanted is None or key in wanted]
    return " to ".join(map(str, sorted({min(counts, default=0), max(counts, default=0)})))
