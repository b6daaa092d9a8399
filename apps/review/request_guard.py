"""Allow only same-origin requests."""

from fastapi import HTTPException, Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 256 * 1024  # bytes: 500 decisions with long notes
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class SameOrigin:
    """Refuse requests from other origins (403), and POSTs that a plain HTML form could make (415)."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("Cache-Control", "no-cache")
            await send(message)

        refused = _refused(scope["method"], Headers(scope=scope))
        await (refused or self.app)(scope, receive, send_guarded)


def _refused(method: str, headers: Headers) -> JSONResponse | None:
    writes = method not in ("GET", "HEAD")
    origin = headers.get("origin", "none" if writes else None)
    if origin not in (None, f"http://{headers.get('host')}"):
        return JSONResponse({"detail": f"requests from origin {origin} are refused"}, 403)
    if writes and headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return JSONResponse({"detail": "decisions must be application/json"}, 415)
    return None


async def bounded_body(request: Request) -> bytes:
    """The request's body.

    Raises:
        HTTPException: 413, it has more than MAX_BODY bytes, whatever length it declares.
    """
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            raise HTTPException(
                413, f"the request has more than {MAX_BODY} bytes; send fewer decisions at once"
            )
    return bytes(body)
