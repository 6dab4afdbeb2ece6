"""What a form sends: the fields that a page has, each of its kind and length, and nothing else."""

from collections.abc import Collection
from urllib.parse import parse_qsl

from starlette.requests import Request

from mlc_bench.core.errors import UsageError
from mlc_bench.core.names import shown

_KIND = "application/x-www-form-urlencoded"
_MOST = 1000


class Fields:
    """The fields of a form, by name."""

    def __init__(self, pairs: Collection[tuple[str, str]], known: Collection[str]) -> None:
        """UsageError for a field that is none of `known`."""
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            if name not in known:
                raise UsageError(f"the form has no field {shown(name)}")
            self._values.setdefault(name, []).append(value.replace("\r\n", "\n"))

    def every(self, name: str) -> list[str]:
        """All values of a field, each once."""
        return list(dict.fromkeys(self._values.get(name, [])))

    def text(self, name: str, longest: int) -> str:
        """The one value of a field without space around it; "" where it is absent. UsageError for a longer one."""
        values = self._values.get(name, [""])
        if len(values) > 1:
            raise UsageError(f"the field '{name}' is there {len(values)} times")
        if len(value := values[0].strip()) > longest:
            raise UsageError(f"the field '{name}' has {len(value):,} characters; {longest:,} are allowed")
        return value

    def word(self, name: str, known: Collection[str]) -> str:
        """A value that is one of these. UsageError for another."""
        value = self.text(name, 100)
        if value not in known:
            raise UsageError(f"the field '{name}' must be one of {', '.join(known)}, not {shown(value)}")
        return value

    def number(self, name: str, most: int) -> int:
        """A whole number from 0. UsageError for anything else."""
        value = self.text(name, 12)
        if not (value.isascii() and value.isdigit() and int(value) <= most):
            raise UsageError(f"the field '{name}' must be a whole number up to {most:,}, not {shown(value)}")
        return int(value)


def read(request: Request, given: bytes, known: Collection[str]) -> Fields:
    """The fields of a body, whose length the guard has looked at. UsageError for what is no form of ours."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _KIND:
        raise UsageError(f"a form is sent as {_KIND}")
    try:
        pairs = parse_qsl(given.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST, errors="strict")
    except ValueError:
        raise UsageError("the form cannot be read; go back and send it again") from None
    return Fields(pairs, known)
