"""Allow requests to the Prefect server from its own pages and this machine's programs only.

A browser sends what any page asks for, and a worker runs what the server is told. So the server answers under
its own names only (else a page's own name could be made to lead here), refuses what comes from another
origin, WebSockets too, and lets no other site's page show what is here or read pictures from it.
"""

from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost")
HEADERS = {
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


def guarded(app: ASGIApp, hosts: Collection[str]) -> ASGIApp:
    """The app behind both checks. `hosts`: names that a Host header may have beside those of this machine.

    The app itself stays open: Prefect's automations ask it within the server's process, under another name.
    """
    return OwnOrigin(TrustedHostMiddleware(app, allowed_hosts=[*LOOPBACK, *hosts], www_redirect=False))


class OwnOrigin:
    """Refuse requests and WebSockets of another origin (403); programs send no Origin and pass."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin in (None, f"http://{headers.get('host')}"):
            await self.app(scope, receive, send_guarded)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            refused = JSONResponse({"detail": f"origin {origin} may not ask here"}, 403)
            await refused(scope, receive, send_guarded)
