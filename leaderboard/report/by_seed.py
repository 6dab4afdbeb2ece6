"""What each seed gives by itself: whether a result hangs on the order of the data and on what is drawn at the start."""

from collections.abc import Sequence

from mlc_bench.leaderboard.report import effects, method_tables
from mlc_bench.leaderboard.report.claims import Tasks, silent
from mlc_bench.leaderboard.report.method_tables import Arms


def levels(arms: Arms, tasks: Tasks) -> str:
    """Selectivity outside English, the rates behind it and language fidelity, run by run, of methods with several."""
    rows = []
    for (model, method), arm in arms.items():
        for seed in sorted(arm.runs) if len(arm.runs) > 1 else ():
            own, cells = arm.on(seed), []
            for pair in tasks.pairs:
                codes = method_tables.foreign(own, pair.both, silent(arms, model, pair.both))
                rates = " / ".join(method_tables.rate(own, task, codes).partition(" [")[0] for task in pair.both)
                cells.append(f"{method_tables.selectivity(own, pair, codes)}: {rates}")
            rows.append([model, method, str(seed), *cells, method_tables.kept_language(arms, own, tasks)])
    head = [
        "model",
        "method",
        "seed",
        *(f"selectivity, {pair.harmful}: refused / over-refusal" for pair in tasks.pairs),
    ]
    return method_tables.table([*head, "in its language"], rows) if rows else ""


def differences(arms: Arms, comparisons: Sequence[tuple[str, str]], tasks: Tasks) -> str:
    """The differences of selectivity between runs of one seed, each with its interval over prompts."""
    rows = []
    for model in dict.fromkeys(model for model, _ in arms):
        for one, other in comparisons:
            if (model, one) not in arms or (model, other) not in arms:
                continue
            first, second = arms[model, one], arms[model, other]
            for pair in tasks.pairs:
                quiet = silent(arms, model, pair.both)
                own = method_tables.foreign(second, pair.both)
                codes = [code for code in method_tables.foreign(first, pair.both, quiet) if code in own]
                seeds = effects.shared_seeds(first, second, *pair.both)
                for seed in seeds if len(seeds) > 1 and codes else ():
                    found = effects.selectivity_effect(first.on(seed), second.on(seed), pair, codes)
                    rows.append([model, f"{one} − {other}", pair.harmful, str(seed), method_tables.shown(found)])
    return (
        method_tables.table(["model", "comparison", "task", "seed", "difference of selectivity"], rows) if rows else ""
    )
