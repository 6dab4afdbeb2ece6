"""Made-up records of a reproduction."""

import sample_records

from mlc_bench.leaderboard.report import claims, effects

PAIR = effects.Pair("starter_harmful", "starter_benign")
APART = effects.Pair("polyrefuse_harmful_100", "polyrefuse_harmless_100")
ROLES = claims.Tasks((PAIR, APART), "pku", "starter_choice")
TASKS = (
    ("starter_harmful", "safety", "starter_benign"), ("starter_benign", "over_refusal", None),
    ("polyrefuse_harmful_100", "safety", "polyrefuse_harmless_100"), ("polyrefuse_harmless_100", "over_refusal", None),
    ("pku", "safety", None), ("starter_choice", "utility", None),
)  # fmt: skip


def run(name, harmful=0.5, benign=0.1, choice=0.5, n=40, languages=("en", "sw", "ps", "ar"), invalid="", **options):
    """A record whose rates are exactly those given, the same prompts first; `invalid`: that character for a failure.

    The rates of both pairs of tasks are the same, and so is that of pku.
    """

    def text(rate):
        return "1" * round(rate * n) + (invalid or "0") * (n - round(rate * n))

    def per(rate):
        return {
            code: text(one)
            for code, one in (rate if isinstance(rate, dict) else dict.fromkeys(languages, rate)).items()
        }

    harmless = {code: one.replace("i", "0") for code, one in per(benign).items()}
    strings = {
        "starter_harmful": per(harmful), "polyrefuse_harmful_100": per(harmful), "pku": per(harmful),
        "starter_benign": harmless, "polyrefuse_harmless_100": harmless,
        "starter_choice": {code: one.replace("i", "0") for code, one in per(choice).items()},
    }  # fmt: skip
    made = sample_records.make(name, tasks=TASKS, strings=strings, **{"judge": "refusal"} | options)
    for task in made.tasks:
        task.over_refusal_pairs = task.name == PAIR.harmful
    return made


def arms(*runs):
    return effects.arms(runs, {"base": ("m", "base")})


def called(*runs, second=(), trusted=(), compared=(("dpo+mlc", "dpo"),)):
    """The calls by their questions."""
    found = claims.call_all(arms(*runs), arms(*second), ROLES, compared, trusted)
    return {one.question: one for one in found}
