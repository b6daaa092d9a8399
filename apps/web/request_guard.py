"""Allow only same-origin requests, with bodies of bounded size."""

from collections.abc import Collection, Mapping

from fastapi import HTTPException, Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class SameOrigin:
    """Refuse requests from other origins (403), and POSTs that a plain HTML form could make (415).

    `takes`: the content types that may be posted, in lower case; `image/` stands for all that begin so, ""
    for none. `refusal`: what is said of others. `needs_origin`: what writes must say that it comes from the
    page; else a program may write that names no origin. `headers`: of each reply, beside or in place of
    HEADERS.
    """

    def __init__(
        self,
        app: ASGIApp,
        takes: Collection[str],
        refusal: str,
        needs_origin: bool = True,
        headers: Mapping[str, str] | None = None,
    ):
        self.app = app
        self._takes, self._refusal, self._needs_origin = takes, refusal, needs_origin
        self._headers = {**HEADERS, **(headers or {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(self._headers)
                headers.setdefault("Cache-Control", "no-cache")
            await send(message)

        refused = self._refused(scope["method"], Headers(scope=scope))
        await (refused or self.app)(scope, receive, send_guarded)

    def _refused(self, method: str, headers: Headers) -> JSONResponse | None:
        writes = method not in ("GET", "HEAD")
        origin = headers.get("origin", "none" if writes and self._needs_origin else None)
        if origin not in (None, f"http://{headers.get('host')}"):
            return JSONResponse({"detail": f"requests from origin {origin} are refused"}, 403)
        if writes and not self._is_taken(headers.get("content-type", "")):
            return JSONResponse({"detail": self._refusal}, 415)
        return None

    def _is_taken(self, content_type: str) -> bool:
        kind = content_type.partition(";")[0].strip().lower()
        return kind in self._takes or f"{kind.partition('/')[0]}/" in self._takes


async def bounded_body(request: Request, most: int, fix: str) -> bytes:
    """The request's body.

    Raises:
        HTTPException: 413, it has more than `most` bytes, whatever length it declares; `fix` says what to do.
        ClientDisconnect: the client has gone.
    """
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise HTTPException(413, f"the request has more than {most:,} bytes; {fix}")
    return bytes(body)
