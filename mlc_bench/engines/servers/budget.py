"""What a run on a hosted server costs: its price, what has been spent, and where to stop."""

from dataclasses import dataclass, field

from mlc_bench.core.errors import UsageError

_BYTES_PER_TOKEN = 4.0  # of UTF-8: about right for English, and within a factor of two for most other languages
_PER_MESSAGE = 8  # tokens that a chat template adds


@dataclass(frozen=True)
class Price:
    """US dollars for a million tokens."""

    input: float
    output: float

    def of(self, tokens_in: float, tokens_out: float) -> float:
        """US dollars for these tokens."""
        return (tokens_in * self.input + tokens_out * self.output) / 1e6


def parse_price(text: str) -> Price:
    """`IN,OUT` as --price takes it. Raises UsageError for anything but two numbers from 0 on."""
    try:
        given, made = (float(part) for part in text.split(","))
    except ValueError:
        given = made = -1.0
    if not (0 <= given < float("inf") and 0 <= made < float("inf")):
        raise UsageError(
            f"--price '{text}': two numbers are expected, US dollars for a million tokens in and out: 0.5,2"
        )
    return Price(given, made)


def estimate_tokens(*texts: str) -> int:
    """Tokens of a prompt of these messages, from their length: a server's tokenizer is not known here."""
    return round(sum(len(text.encode("utf-8", "replace")) / _BYTES_PER_TOKEN + _PER_MESSAGE for text in texts))


@dataclass
class Budget:
    """The bill of one command. Requests are let through by `reserve` only as long as even the longest answers fit."""

    price: Price
    limit: float | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    answers: int = 0
    is_estimate: bool = False
    """Whether some answer came without usage, so that its tokens are estimated."""
    _reserved: dict[int, float] = field(default_factory=dict)

    @property
    def spent(self) -> float:
        """US dollars."""
        return self.price.of(self.tokens_in, self.tokens_out)

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way."""
        return not self._reserved

    def reserve(self, request: int, tokens_in: int, tokens_out: int) -> bool:
        """Set aside what a request may cost at most; False where that does not fit."""
        most = self.price.of(tokens_in, tokens_out)
        if self.limit is not None and self.spent + sum(self._reserved.values()) + most > self.limit:
            return False
        self._reserved[request] = most
        return True

    def release(self, request: int) -> None:
        """The request has ended, with or without an answer."""
        self._reserved.pop(request, None)

    def add(self, tokens_in: int | None, tokens_out: int | None, estimate: tuple[int, int]) -> None:
        """Take the usage of one answer, or the estimate of its tokens where the server gives none."""
        self.is_estimate = self.is_estimate or tokens_in is None or tokens_out is None
        self.tokens_in += estimate[0] if tokens_in is None else tokens_in
        self.tokens_out += estimate[1] if tokens_out is None else tokens_out
        self.answers += 1

    def bill(self) -> str:
        """One clause: what was spent, on what."""
        about = "about " if self.is_estimate else ""
        return (
            f"{about}${self.spent:.4f} spent on {self.answers} answers ({self.tokens_in:,} tokens in, "
            f"{self.tokens_out:,} out)"
        )
