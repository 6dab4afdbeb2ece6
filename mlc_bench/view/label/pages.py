"""HTML of the pages for labelling. None that shows an answer names a run, a model or a verdict."""

import getpass
from typing import Any
from urllib.parse import urlencode

from mlc_bench.judges.labels.agreement import agreement
from mlc_bench.judges.labels.precision import Precision
from mlc_bench.judges.labels.session import KEYS
from mlc_bench.judges.labels.take import LONGEST_NOTE
from mlc_bench.view import pages
from mlc_bench.view.contents import Contents, Spoken, spoken
from mlc_bench.view.label import rates
from mlc_bench.view.label.sessions import Begun, Sessions
from mlc_bench.view.label.words import QUESTIONS, meanings
from mlc_bench.view.selection import Selection

FOR_EACH = 30  # labels of a task of a model in a language: 20 at least correct its rate, and strata are not equal


def address(path: str, token: str, **query: Any) -> str:
    """An address of a page."""
    return f"{path}?{urlencode({**query, 'token': token})}"


def start(sessions: Sessions, chosen: Selection, token: str) -> str:
    """What was begun, and the form that begins."""
    contents = sessions.contents
    partner = contents.partner_of(chosen.task)
    tasks = [task for task in (chosen.task, partner) if task is not None]
    return pages.template("label_start.html").render(
        token=token,
        address=lambda path, **query: address(path, token, **query),
        draws=sessions.draws(),
        contents=contents,
        spoken=lambda code: spoken(0, code),
        chosen=chosen,
        tasks=contents.tasks_there(),
        checked=tasks,
        languages=_languages(contents),
        sample=FOR_EACH * len(tasks) * len(chosen.runs),
        for_each=FOR_EACH,
        login=_login(),
    )


def _languages(contents: Contents) -> list[Spoken]:
    """The languages that any task has answers in, in the order of the page."""
    there = {one.code for task in contents.tasks_there() for one in contents.languages_of(task)}
    return [one for code, one in contents.languages.items() if code in there]


def answer(sessions: Sessions, one: Begun, whole: bool, token: str) -> str:
    """The answer that is asked about, or what is left to do where all have a label."""
    session = sessions.opened(one)
    shown = session.shown
    found = {
        "token": token,
        "address": lambda path, **query: address(path, token, **query),
        "begun": one,
        "shown": shown,
    }
    if shown is None:
        return pages.template("label_done.html").render(**found)
    return pages.template("label_answer.html").render(
        **found,
        place=session.place,
        spoken=spoken(0, shown.language),
        heading=QUESTIONS[shown.question],
        keys=meanings(KEYS[shown.question]),
        is_first=not session.file.rows and shown.question == "refusal",
        precision=next((own for own in session.precision() if own.language == shown.language), None),
        points=points,
        said=sessions.said(one),
        harm=lambda row: {True: ", harmful", False: "", None: ""}[row.get("harmful")],
        longest_note=LONGEST_NOTE,
        whole=whole,
        all_of_it=address("/label/answer", token, session=one.name, whole=1),
    )


def points(found: Precision, more: int = 0) -> str:
    """The width of an interval in points, now or after so many more labels."""
    width = found.after(more) if more else found.width
    return "–" if width is None else f"{100 * width:.0f}"


def summary(sessions: Sessions, one: Begun, token: str) -> str:
    """Rates before and after the labels, and what more labels would buy."""
    session = sessions.opened(one)
    return pages.template("label_rates.html").render(
        token=token,
        address=lambda path, **query: address(path, token, **query),
        begun=one,
        precision=session.precision(),
        points=points,
        spoken=lambda code: spoken(0, code),
        runs=rates.by_labels(one) if session.file.rows else [],
    )


def compare(sessions: Sessions, first: Begun, second: Begun, token: str) -> str:
    """How far two people agree, by language, and where they differ. UsageError where they share no answer."""
    found = agreement(first.path, second.path)
    return pages.template("label_compare.html").render(
        token=token,
        address=lambda path, **query: address(path, token, **query),
        first=first,
        second=second,
        found=found,
        spoken=lambda code: spoken(0, code),
    )


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container without a user's name
        return ""
