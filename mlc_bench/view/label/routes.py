"""The addresses of the pages for labelling and of what their forms send, and of marks of wrong translations."""

from collections.abc import Awaitable, Callable, Collection
from urllib.parse import parse_qsl, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from mlc_bench.core.errors import UsageError, UserError, unknown
from mlc_bench.core.names import check_name
from mlc_bench.judges.labels.session import KEYS
from mlc_bench.judges.labels.take import LONGEST_NOTE
from mlc_bench.view import selection
from mlc_bench.view.label import forms, wrong
from mlc_bench.view.label import pages as label_pages
from mlc_bench.view.label.forms import Fields
from mlc_bench.view.label.sessions import Sessions
from mlc_bench.view.queries import Queries

BEGIN, SAY, SETTLE, WRONG = "/label/begin", "/label/say", "/label/settle", "/wrong"
POSTS = frozenset((BEGIN, SAY, SETTLE, WRONG))
_LONGEST_SAMPLE = 100_000
Told = Callable[[Callable[[Request], Response]], Callable[[Request], Response]]


def routes(queries: Queries, token: str, told: Told) -> list[Route]:
    """`told`: makes an error that a user can fix a page that says it."""
    sessions = Sessions(queries.contents)
    contents = queries.contents

    def chosen(request: Request) -> selection.Selection:
        return selection.of(parse_qsl(request.url.query, max_num_fields=1000), contents)

    def locked(answer: Callable[[Request], Response]) -> Callable[[Request], Response]:
        def alone(request: Request) -> Response:
            with sessions.lock:
                return answer(request)

        return told(alone)

    def to(path: str, **query: str) -> Response:
        return RedirectResponse(label_pages.address(path, token, **query), 303)

    def posted(
        handle: Callable[[Request, Fields], Response], known: Collection[str]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            given = await request.body()
            answer = locked(lambda asked: handle(asked, forms.read(asked, given, known)))
            return await run_in_threadpool(answer, request)

        return endpoint

    def start(request: Request) -> Response:
        return HTMLResponse(label_pages.start(sessions, chosen(request), token))

    def answer(request: Request) -> Response:
        one = sessions.named(request.query_params.get("session", ""))
        return HTMLResponse(label_pages.answer(sessions, one, "whole" in request.query_params, token))

    def rates(request: Request) -> Response:
        one = sessions.named(request.query_params.get("session", ""))
        return HTMLResponse(label_pages.summary(sessions, one, token))

    def compare(request: Request) -> Response:
        first, second = (sessions.named(request.query_params.get(key, "")) for key in ("session", "with"))
        return HTMLResponse(label_pages.compare(sessions, first, second, token))

    def begin(request: Request, fields: Fields) -> Response:
        annotator = check_name(fields.text("annotator", 80), "annotator", "your name")
        if same := fields.text("same", 20):
            made = sessions.join(sessions.named(same), annotator)
        else:
            runs = [contents.runs[fields_run] for fields_run in _known(fields.every("run"), contents.runs, "model")]
            tasks = _known(fields.every("task"), contents.tasks, "task")
            made = sessions.begin(
                runs,
                annotator,
                sample=fields.number("sample", _LONGEST_SAMPLE),
                languages=_known(fields.every("lang"), contents.languages, "language"),
                tasks=[contents.tasks[name].task for name in tasks],
            )
        return to("/label/answer", session=made.name)

    def say(request: Request, fields: Fields) -> Response:
        one = sessions.named(fields.text("session", 20))
        session = sessions.opened(one)
        shown = session.shown
        try:
            if fields.text("key", 1) == "u":
                session.undo()
            # A form of an answer that is no longer shown, sent twice or from an old page, says nothing.
            elif shown and (fields.number("place", 1 << 30), fields.text("question", 10)) == (
                session.place,
                shown.question,
            ):
                key = fields.word("key", KEYS[shown.question])
                session.note(fields.text("note", LONGEST_NOTE))
                session.say(key)
        except (UserError, OSError):
            sessions.close(one.name)  # the file was changed by another program, or the disk is full
            raise
        return to("/label/answer", session=one.name)

    def settle(request: Request, fields: Fields) -> Response:
        made = sessions.settle(*(sessions.named(fields.text(key, 20)) for key in ("session", "with")))
        return to("/label/answer", session=made.name)

    def mark_wrong(request: Request, fields: Fields) -> Response:
        wrong.mark(queries, request.query_params.get("answer", ""), fields)
        back = [(key, value) for key, value in parse_qsl(request.url.query, max_num_fields=1000) if key != "token"]
        return RedirectResponse(f"/answer?{urlencode([*back, ('token', token)])}#wrong", 303)

    names = ("annotator", "same", "run", "task", "lang", "sample")
    return [
        Route("/label", locked(start)),
        Route("/label/answer", locked(answer)),
        Route("/label/rates", locked(rates)),
        Route("/label/compare", locked(compare)),
        Route(BEGIN, posted(begin, names), methods=["POST"]),
        Route(SAY, posted(say, ("session", "place", "question", "key", "note")), methods=["POST"]),
        Route(SETTLE, posted(settle, ("session", "with")), methods=["POST"]),
        Route(WRONG, posted(mark_wrong, wrong.FIELDS), methods=["POST"]),
    ]


def _known(names: list[str], known: Collection[str], what: str) -> list[str]:
    if not names:
        raise UsageError(f"choose at least one {what}")
    for name in names:
        if name not in known:
            raise unknown(what, name[:60], known)
    return names
