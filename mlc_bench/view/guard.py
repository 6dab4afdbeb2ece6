"""Who may ask: this machine's user alone, by a token, from a page of this server or from no page at all.

A page of somebody else that is open in the same browser can send requests to loopback, and a name that is pointed at
127.0.0.1 ("DNS rebinding") makes such a page look like ours. Both are refused, whatever they know.
"""

import secrets
from collections.abc import Collection
from urllib.parse import parse_qs

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOSTS = ("127.0.0.1", "localhost")
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
LARGEST_BODY = 1 << 18
"""Bytes of what a form sends."""
_HEADERS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Without a referrer at all, browsers would not say of our own forms that they are ours (`Origin: null`).
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """An ASGI application in front of another: it refuses, or lets through and sets the headers of every answer."""

    def __init__(self, app: ASGIApp, token: str, posts: Collection[str] = ()) -> None:
        """`posts`: the paths that forms are sent to."""
        self.app, self.token, self.posts = app, token, posts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = [(key.encode(), value.encode()) for key, value in _HEADERS.items()]
                message["headers"] = [*message["headers"], *ours]
            await send(message)

        if (why := self._refusal(scope)) is None:
            await self.app(scope, receive, with_headers)
        else:
            await PlainTextResponse(f"{why[1]}\n", why[0])(scope, receive, with_headers)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Status and reason; None for a request that may pass."""
        headers: dict[bytes, list[str]] = {}
        for key, value in scope["headers"]:
            headers.setdefault(key.lower(), []).append(value.decode("latin-1"))
        hosts = headers.get(b"host", [])
        # Any port: a tunnel (ssh -L) may have another one.
        if len(hosts) != 1 or hosts[0].partition(":")[0] not in HOSTS:
            return 403, "This server answers to 127.0.0.1 and localhost only."
        if any(origin != f"http://{hosts[0]}" for origin in headers.get(b"origin", [])):
            return 403, "This server answers to its own pages only."
        if any(site not in ("none", "same-origin") for site in headers.get(b"sec-fetch-site", [])):
            return 403, "This server answers to its own pages only. Paste the address into the browser's address line."
        if scope["method"] == "POST" and scope["path"] in self.posts:
            if not headers.get(b"origin"):
                return 403, "This server takes forms of its own pages only."
            length = headers.get(b"content-length", [""])[0]
            if b"transfer-encoding" in headers or not (length.isascii() and length.isdigit()):
                return 411, "The length of the form is missing."
            if len(length) > 9 or int(length) > LARGEST_BODY:
                return 413, f"A form has up to {LARGEST_BODY:,} bytes."
        elif scope["method"] not in ("GET", "HEAD"):
            return 405, "There is nothing to change here."
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
        if len(given) != 1 or not secrets.compare_digest(given[0].encode(), self.token.encode()):
            return 403, "The token is missing or wrong. Open the address that mlc-bench view prints."
        return None
