"""How the interval of a column was made, in words for a reader."""

from mlc_bench.leaderboard.tabulate.cells import Column, Table

WILSON = "Wilson's, of this language alone"
SCORES = "Wilson's for right or wrong, Student's t for other scores, of this language alone"
BOOTSTRAP = "bootstrap over prompts, a prompt in all its languages together (Wilson's where all verdicts are equal)"
NEWCOMBE = "Newcombe's, from the intervals of the two rates; pairs of prompts count as pairs"
PAIRED = "bootstrap of the paired difference over the prompts that both have"
WORST = f"{WILSON}: that it is the worst of several is not counted in"
_BY_NAME = {
    **dict.fromkeys(("average", "over_refusal", "outside.harmful", "outside.harmless", "seen", "unseen"), BOOTSTRAP),
    **dict.fromkeys(("pag", "kappa"), "bootstrap over prompts, a prompt in all its languages together"),
    **dict.fromkeys(("gain", "seen_gain", "unseen_gain"), PAIRED),
    "var": "bootstrap over prompts, corrected for bias",
    "english.harmful": WILSON,
    "english.harmless": WILSON,
    "worst": WORST,
}


def interval_method(table: Table, column: Column) -> str:
    """Of one column; empty where its numbers have no intervals of ours, as those of papers."""
    if table.setting is None and not column.source:
        return ""
    if column.parts:
        return NEWCOMBE
    if column.id.startswith("utility."):
        return PAIRED
    if table.setting is not None and column.id.startswith("language."):
        return SCORES if table.setting.measures == "utility" else WILSON
    return _BY_NAME.get(column.id) or _BY_NAME.get(
        column.id.rpartition(".")[2], ""
    )  # of a main table: as in the task's
