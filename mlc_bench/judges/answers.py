"""What a free answer settles on: its last number. Pure; knows the language files only."""

import re
import unicodedata
from decimal import Decimal

from mlc_bench.catalog import languages
from mlc_bench.judges import choices
from mlc_bench.judges.choices import chosen_letter

__all__ = ["chosen_letter", "last_number"]

_BEFORE = 30  # characters before a number in which a "not" is looked for
_SPACES = "\u00a0\u2009\u202f"  # that writers put between groups of digits, and nowhere else


def last_number(text: str, language: str) -> Decimal | None:
    """The last number of a text, in the digits of any script, its signs read as the language writes numbers.

    A sign that the language does not use counts as in English, as models often write: `18.5` in Swahili and Russian.
    A number right behind a "not" is passed over.
    """
    signs = languages.get(language).number
    groups = {signs["group"], *_SPACES} | ({","} if signs["decimal"] not in ".," else set())
    decimals = {signs["decimal"], "."} - groups
    grouped = rf"\d{{1,3}}(?:[{re.escape(''.join(groups))}]\d{{3}})+(?!\d)"
    number = rf"((?<![\w)])[-\u2212])?({grouped}|\d+)(?:[{re.escape(''.join(decimals))}](\d+))?"
    digits = "".join(str(unicodedata.decimal(char)) if char.isdecimal() else char for char in text)
    denied = re.compile(rf"(?:{choices.denials(language)})\W{{0,3}}$")
    for found in reversed(list(re.finditer(number, digits))):
        if not denied.search(digits[: found.start()][-_BEFORE:]):  # "18, not 20"
            sign, whole, fraction = found.groups()
            return Decimal(f"{'-' if sign else ''}{re.sub(r'[^0-9]', '', whole)}.{fraction or 0}")
    return None
