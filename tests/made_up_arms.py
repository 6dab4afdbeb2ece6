"""Made-up records of a reproduction, and the claims called on them."""

import sample_records

from mlc_bench.leaderboard.report import claims

TRAINED = ("en", "sw", "ps")
TASKS = (
    ("starter_harmful", "safety", "starter_benign"), ("starter_benign", "over_refusal", None),
    ("starter_choice", "utility", None),
)  # fmt: skip
ROLES = claims.Tasks("starter_harmful", "starter_harmful", TASKS[0][::2], "starter_choice", TRAINED)
PAIRS = {"dpo+mlc": "dpo"}


def run(name, harmful=0.5, benign=0.1, choice=0.5, n=40, languages=("en", "sw", "ps", "ar"), invalid="", **options):
    """A record whose rates are exactly those given, the same prompts first; `invalid`: that character for a failure."""

    def text(rate, fail="0"):
        return "1" * round(rate * n) + (invalid or fail) * (n - round(rate * n))

    def per(rate):
        return rate if isinstance(rate, dict) else dict.fromkeys(languages, rate)

    strings = {
        "starter_harmful": {code: text(rate) for code, rate in per(harmful).items()},
        "starter_benign": {code: text(rate).replace("i", "0") for code, rate in per(benign).items()},
        "starter_choice": {code: text(rate).replace("i", "0") for code, rate in per(choice).items()},
    }
    return sample_records.make(name, tasks=TASKS, strings=strings, **options)


def called(*runs):
    arms = claims.arms(runs, {"base": ("m", "base")})
    return {one.number: one for one in claims.call_all(arms, ROLES, PAIRS)}
