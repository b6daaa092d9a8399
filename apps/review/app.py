"""The review page's server: what the page asks for, and the one request that writes."""

from collections.abc import Callable, Collection
from importlib.resources import files
from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from pydantic import ValidationError
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from apps.review.decision_log import DecisionLog
from apps.review.decisions_api import (
    DecisionRequest,
    conflicts,
    missing,
    not_applied,
    rows_of,
    state_of,
    states_json,
)
from apps.review.import_export import review_list
from apps.review.request_guard import SameOrigin, bounded_body
from apps.review.review_queue import ReviewQueue, details, listing
from fer_tasks.errors import UserError
from fer_tasks.storage.images import encode_jpeg, read_image

PHOTO_SIDE = 1600  # px at most, of a whole photo as it is shown
STATIC = Path(str(files("apps.review").joinpath("static")))


def make_app(
    newest: Callable[[], ReviewQueue], log: DecisionLog, hosts: Collection[str], reviewer: str = ""
) -> FastAPI:
    """The page and its requests.

    `newest`: of `open_queue`. `hosts`: names that a Host header may have. `reviewer`: whom the page takes its
    user for until told otherwise.
    """
    app = FastAPI(
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        middleware=[
            Middleware(SameOrigin),
            Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False),
            Middleware(GZipMiddleware, compresslevel=5),
        ],
        exception_handlers={UserError: _told_to_the_user},
    )

    @app.get("/api/faces")
    def all_faces() -> Response:
        return Response(listing(newest(), reviewer), media_type="application/json")

    @app.get("/api/faces/{image_id}")
    def one_face(image_id: str) -> dict:
        queue = _having(newest(), image_id)
        with log.locked():
            return {**details(queue, image_id), "decisions": state_of(queue, log, image_id).rows}

    @app.get("/api/changes")
    def changes(since: str = "") -> dict:
        queue = newest()
        with log.locked():
            changed = log.changes_since(since)
            faces = states_json(queue, log, log.faces() if changed is None else changed)
            return {
                "cursor": log.cursor,
                "made": queue.made,
                "all": changed is None,
                "faces": faces,
                "not_applied": not_applied(queue, log),
            }

    @app.post("/api/decisions")
    def decide(body: Annotated[bytes, Depends(bounded_body)]) -> Response:
        words, queue = _words(body), newest()
        if gone := missing(queue, words):
            raise HTTPException(410, f"{len(gone)} faces have changed since: load the page anew")
        with log.locked():
            if others := conflicts(queue, log, words):
                said = {"detail": "somebody else was faster", "faces": states_json(queue, log, others)}
                return JSONResponse(said, 409)
            log.add(rows_of(words))
            return JSONResponse(
                {"faces": states_json(queue, log, [word.image_id for word in words.decisions])}
            )

    @app.get("/faces/{image_id}/{pixels}")
    def face(image_id: str, pixels: str, request: Request) -> Response:
        found = _having(newest(), image_id).faces[image_id]
        if pixels != found["pixels"]:
            raise HTTPException(404, "the face has other pixels now")
        return _for_good(request, pixels, "image/png", lambda: Path(found["file"]).read_bytes())

    @app.get("/photos/{image_id}")
    def photo(image_id: str, request: Request) -> Response:
        found = _having(newest(), image_id).faces[image_id]
        return _for_good(request, found["parent_id"], "image/jpeg", lambda: _shown(Path(found["photo"])))

    @app.get("/review.csv")
    def export() -> Response:
        queue = newest()
        with log.locked():
            table = review_list(queue, log)
        attached = {"Content-Disposition": 'attachment; filename="review.csv"'}
        return Response(table.to_csv(index=False, lineterminator="\n"), 200, attached, "text/csv")

    app.mount("/", StaticFiles(directory=STATIC, html=True))
    return app


def _told_to_the_user(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 503)


def _having(queue: ReviewQueue, image_id: str) -> ReviewQueue:
    if image_id not in queue.faces:
        raise HTTPException(404, "no such face")
    return queue


def _words(body: bytes) -> DecisionRequest:
    try:
        return DecisionRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        raise HTTPException(422, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _for_good(request: Request, name: str, media_type: str, read: Callable[[], bytes]) -> Response:
    """A picture that never changes under its address, `name` being made from its content."""
    headers = {"ETag": f'"{name}"', "Cache-Control": "private, max-age=31536000, immutable"}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(None, 304, headers)
    try:
        return Response(read(), 200, headers, media_type)
    except OSError:
        raise HTTPException(404, "its file is not here") from None


def _shown(path: Path) -> bytes:
    """A photo upright, as the stages see it, and small enough for a screen."""
    return encode_jpeg(read_image(path, enough=PHOTO_SIDE), PHOTO_SIDE, quality=88)
