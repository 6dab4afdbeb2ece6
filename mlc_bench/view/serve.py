"""The viewer on loopback: the index brought up to date, a socket, and the address with its token."""

import secrets
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mlc_bench.core.errors import PrerequisiteError, UsageError
from mlc_bench.view import index, selection
from mlc_bench.view.contents import Contents
from mlc_bench.view.queries import Queries, count

INSTALL = "pip install 'mlc-bench[view]'"
_HOST = "127.0.0.1"


def queries(paths: Sequence[Path]) -> Queries:
    """The answers of all runs at or under the paths. Raises as `index.update`."""
    db = index.update(paths)
    return Queries(db, Contents(db))


def server(found: Queries, chosen: str = "", port: int = 0) -> tuple[str, Callable[[], None]]:
    """The address of the page that shows a selection, and what serves it until the process is ended.

    port 0: a free one. PrerequisiteError where Starlette or uvicorn is absent, UsageError for a wrong selection and a
    port that is taken.
    """
    try:
        import uvicorn

        from mlc_bench.view.app import application
    except ModuleNotFoundError as error:
        raise PrerequisiteError(
            f"the page needs '{error.name}'; run: {INSTALL}, or write a file: --static FILE"
        ) from None
    query = selection.parsed(chosen, found.contents).query()
    count(1, 2)  # what intervals are made with takes a moment to import
    token = secrets.token_urlsafe(24)
    listener = _listener(port)
    address = f"http://{_HOST}:{listener.getsockname()[1]}/?{query}{'&' if query else ''}token={token}"
    # Addresses hold the token: they are in no log.
    settings: dict[str, Any] = {"log_config": None, "access_log": False, "server_header": False, "lifespan": "off"}
    running = uvicorn.Server(uvicorn.Config(application(found, token), ws="none", **settings))
    return address, lambda: running.run(sockets=[listener])


def _listener(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((_HOST, port))
        listener.listen(64)  # from now on a request waits for the server, where it would be refused
    except (OSError, OverflowError) as error:
        listener.close()
        raise UsageError(f"port {port} cannot be used ({error}); name another --port, or none") from None
    return listener
