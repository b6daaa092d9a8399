"""End a server that nobody uses any more."""

import time
from threading import Thread

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send


class Activity:
    """An ASGI app that knows how long no request and no websocket has been open."""

    def __init__(self, app: ASGIApp):
        self._app = app
        self._open = 0
        self._last = time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._open += scope["type"] != "lifespan"
        try:
            await self._app(scope, receive, send)
        finally:
            self._open -= scope["type"] != "lifespan"
            self._last = time.monotonic()

    def idle_seconds(self) -> float:
        return 0.0 if self._open else time.monotonic() - self._last


def end_when_idle(server: uvicorn.Server, activity: Activity, seconds: float) -> None:
    """Let the server exit after `seconds` without a request, its start aside. Returns at once: a thread
    watches."""

    def watch() -> None:
        began = time.monotonic()
        while min(activity.idle_seconds(), time.monotonic() - began) < seconds:
            time.sleep(min(1.0, seconds / 10))
            if not server.started:
                began = time.monotonic()
        server.should_exit = True

    Thread(target=watch, daemon=True).start()
