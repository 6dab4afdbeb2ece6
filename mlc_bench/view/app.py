"""The addresses of the viewer: `/` the grid, `/answer` one answer, `/file` the selection as a file, and two assets.

Those of labelling, and all that forms are sent to, are in `label/routes.py`.
"""

from collections.abc import Callable
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from mlc_bench.core.errors import UserError
from mlc_bench.view import one_file, pages, selection
from mlc_bench.view.guard import Guard
from mlc_bench.view.label import routes as label_routes
from mlc_bench.view.queries import Queries


def application(queries: Queries, token: str) -> ASGIApp:
    """The viewer over an index; nothing is answered without the token."""

    def told(answer: Callable[[Request], Response]) -> Callable[[Request], Response]:
        """Say in one line what is wrong with an address."""

        def safe(request: Request) -> Response:
            try:
                return answer(request)
            except UserError as error:
                heading = {"heading": "Nothing was kept"} if request.method == "POST" else {}
                return HTMLResponse(pages.fault(str(error), token, **heading), 400)

        return safe

    def chosen(request: Request) -> selection.Selection:
        try:
            pairs = parse_qsl(request.url.query, max_num_fields=1000)
        except ValueError:
            pairs = [("many", "fields")]  # which no selection has
        return selection.of(pairs, queries.contents)

    def grid(request: Request) -> Response:
        return HTMLResponse(pages.grid(queries, chosen(request), token))

    def answer(request: Request) -> Response:
        name = request.query_params.get("answer", "")
        html = pages.answer(queries, chosen(request), name, "whole" in request.query_params, token)
        if html is None:
            return HTMLResponse(pages.fault("there is no such answer", token), 404)
        return HTMLResponse(html)

    def file(request: Request) -> Response:
        parts = one_file.document(queries, chosen(request), "with-answers" in request.query_params)
        headers = {"content-disposition": 'attachment; filename="answers.html"'}
        return StreamingResponse(parts, media_type="text/html; charset=utf-8", headers=headers)

    def asset(name: str, kind: str) -> Callable[[Request], Response]:
        text = pages.asset(name)
        return lambda request: Response(text, media_type=kind)

    def absent(request: Request, error: Exception) -> Response:
        return HTMLResponse(pages.fault("there is no such page", token), 404)

    routes = [
        Route("/", told(grid)),
        Route("/answer", told(answer)),
        Route("/file", told(file)),
        Route("/page.css", asset("page.css", "text/css")),
        Route("/page.js", asset("page.js", "text/javascript")),
    ]
    routes += label_routes.routes(queries, token, told)
    return Guard(Starlette(routes=routes, exception_handlers={404: absent}), token, label_routes.POSTS)
