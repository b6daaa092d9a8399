"""Requests wait within bounds: their number, the memory of their bodies, the time that a body may take."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import TypeVar

from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect

from apps.predict.on_all_cores import THREADS
from apps.web.request_guard import bounded_body

MAX_BODY = 20_000_000  # bytes of a picture
MOST = 256  # requests that wait or are being answered
UNIT, UNITS = 1_000_000, 160  # bytes; so many units of bodies lie in memory at most
BODY_S = 20  # for a body to arrive
AGAIN_S = 2  # until a refused client may ask again

Result = TypeVar("Result")


class WaitingRoom:
    """Of one event loop. A request takes a `place`, then it has its body read, then a thread answers it."""

    def __init__(self) -> None:
        self.waiting = 0
        self.alone = asyncio.Lock()  # of a large picture: those that wait for it hold no thread
        self._turn = asyncio.Lock()  # hands out units in the order of arrival
        self._units = asyncio.Semaphore(UNITS)
        self._threads = asyncio.Semaphore(THREADS)
        self._pool = ThreadPoolExecutor(THREADS, "answer")

    @contextmanager
    def place(self) -> Iterator[None]:
        """Raises HTTPException: 503, MOST requests wait already."""
        if self.waiting >= MOST:
            reason = f"{MOST} requests are waiting; ask again in {AGAIN_S} s"
            raise HTTPException(503, reason, {"Retry-After": str(AGAIN_S)})
        self.waiting += 1
        try:
            yield
        finally:
            self.waiting -= 1

    @asynccontextmanager
    async def body(self, request: Request) -> AsyncIterator[bytes]:
        """The request's body, which counts as memory in use while the context lasts.

        Raises:
            HTTPException: 413, it is too large; 408, it does not arrive in time.
            ClientDisconnect: the client has gone.
        """
        wanted, taken = _units_of(request), 0
        try:
            async with self._turn:
                while taken < wanted:
                    await self._units.acquire()
                    taken += 1
            yield await _read(request)
        finally:
            for _ in range(taken):
                self._units.release()

    async def run(self, request: Request, work: Callable[[], Result]) -> Result:
        """Do work in a thread, in the order of arrival. Raises ClientDisconnect: nobody waits for it."""
        async with self._threads:
            if await request.is_disconnected():
                raise ClientDisconnect
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)


def _units_of(request: Request) -> int:
    """By what the request says of its length, which h11 holds it to; else the most."""
    length = int(request.headers.get("content-length", MAX_BODY))
    return -(-min(length, MAX_BODY) // UNIT)


async def _read(request: Request) -> bytes:
    try:
        async with asyncio.timeout(BODY_S):
            return await bounded_body(request, MAX_BODY, "send a smaller picture")
    except TimeoutError:
        late = f"the body did not arrive within {BODY_S} s; send it once more"
        raise HTTPException(408, late, {"Connection": "close"}) from None
