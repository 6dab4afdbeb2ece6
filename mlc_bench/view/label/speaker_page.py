"""The drawn answers as one HTML file, for people who have none of our software: they label, and send a file back."""

from collections.abc import Iterator
from dataclasses import dataclass

from mlc_bench.judges.labels.file import digest
from mlc_bench.judges.labels.session import KEYS, Session
from mlc_bench.judges.labels.take import LONGEST_NOTE, mark
from mlc_bench.view import one_file, pages
from mlc_bench.view.contents import Spoken, spoken
from mlc_bench.view.label.words import QUESTIONS, meanings


@dataclass(frozen=True)
class Asked:
    """All that the file has of an answer; `mark` is its name there."""

    mark: str
    spoken: Spoken
    prompt: str
    english: str | None
    response: str


def document(one: Session) -> Iterator[str]:
    """The file, in parts: the answers that have no label yet, without run, model, verdict and id."""
    draw = digest(one.file.path)
    style, code = pages.asset("page.css"), pages.asset("label_file.js")
    return pages.template("label_file.html").generate(
        answers=[
            Asked(mark(draw, own.key), spoken(0, own.language), own.prompt, own.english, own.response)
            for own in one.unlabelled
        ],
        draw=draw,
        annotator=one.annotator,
        questions=[(name, heading, meanings(KEYS[name])) for name, heading in QUESTIONS.items()],
        longest_note=LONGEST_NOTE,
        style=style,
        code=code,
        policy=one_file.policy(style, code),
    )
