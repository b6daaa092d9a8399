"""The review page's server: the requests that the page makes."""

from collections.abc import Callable, Collection
from importlib.resources import files
from pathlib import Path
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response
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
from apps.review.review_queue import Record, ReviewQueue, details, listing
from apps.web.request_guard import SameOrigin, bounded_body
from fer_tasks.errors import UserError
from fer_tasks.storage.images import encode_jpeg, read_image

MAX_BODY = 256 * 1024  # bytes: 500 decisions with long notes
PHOTO_SIDE = 1600  # px at most, of a whole photo as it is shown
STATIC = Path(str(files("apps.review").joinpath("static")))


class Review(NamedTuple):
    """The state that all requests share."""

    queue: Callable[[], ReviewQueue]  # of `open_queue`; returns the newest queue
    log: DecisionLog
    reviewer: str  # the page's first value for the reviewer's name


def make_app(
    queue: Callable[[], ReviewQueue], log: DecisionLog, hosts: Collection[str], reviewer: str = ""
) -> FastAPI:
    """Make the server. `queue`: of `open_queue`. `hosts`: the host names that a Host header may have.

    `reviewer`: the user's name, if it is known.
    """
    app = FastAPI(
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        middleware=[
            Middleware(SameOrigin, ["application/json"], "decisions must be application/json"),
            Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False),
            Middleware(GZipMiddleware, compresslevel=5),
        ],
        exception_handlers={UserError: _unavailable},
    )
    app.state.review = Review(queue, log, reviewer)
    app.include_router(router)
    app.mount("/", StaticFiles(directory=STATIC, html=True))
    return app


def _unavailable(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 503)


def _review(request: Request) -> Review:
    return request.app.state.review


async def _body(request: Request) -> bytes:
    return await bounded_body(request, MAX_BODY, "send fewer decisions at once")


router = APIRouter()
Reviewed = Annotated[Review, Depends(_review)]


@router.get("/api/faces")
def all_faces(review: Reviewed) -> Response:
    return Response(listing(review.queue(), review.reviewer), media_type="application/json")


@router.get("/api/faces/{image_id}")
def one_face(review: Reviewed, image_id: str) -> dict:
    queue = review.queue()
    _face(queue, image_id)
    with review.log.locked():
        return {**details(queue, image_id), "decisions": state_of(queue, review.log, image_id).rows}


@router.get("/api/changes")
def changes(review: Reviewed, since: str = "") -> dict:
    queue, log = review.queue(), review.log
    with log.locked():
        changed = log.changes_since(since)
        return {
            "cursor": log.cursor,
            "made": queue.made,
            "all": changed is None,
            "faces": states_json(queue, log, log.faces() if changed is None else changed),
            "not_applied": not_applied(queue, log),
        }


@router.post("/api/decisions")
def decide(review: Reviewed, body: Annotated[bytes, Depends(_body)]) -> Response:
    request, queue, log = _parse(body), review.queue(), review.log
    if gone := missing(queue, request):
        raise HTTPException(410, f"{len(gone)} faces have changed: reload the page")
    with log.locked():
        if others := conflicts(queue, log, request):
            states = {"detail": "somebody else decided first", "faces": states_json(queue, log, others)}
            return JSONResponse(states, 409)
        log.add(rows_of(request))
        decided = [decision.image_id for decision in request.decisions]
        return JSONResponse({"faces": states_json(queue, log, decided)})


@router.get("/faces/{image_id}/{pixels}")
def face(review: Reviewed, image_id: str, pixels: str, request: Request) -> Response:
    record = _face(review.queue(), image_id)
    if pixels != record["pixels"]:
        raise HTTPException(404, "the face's pixels have changed: reload the page")
    return _immutable(request, pixels, "image/png", lambda: Path(record["file"]).read_bytes())


@router.get("/photos/{image_id}")
def photo(review: Reviewed, image_id: str, request: Request) -> Response:
    record = _face(review.queue(), image_id)
    return _immutable(request, record["parent_id"], "image/jpeg", lambda: _on_screen(Path(record["photo"])))


@router.get("/review.csv")
def export(review: Reviewed) -> Response:
    queue = review.queue()
    with review.log.locked():
        table = review_list(queue, review.log)
    attached = {"Content-Disposition": 'attachment; filename="review.csv"'}
    return Response(table.to_csv(index=False, lineterminator="\n"), 200, attached, "text/csv")


def _face(queue: ReviewQueue, image_id: str) -> Record:
    if image_id not in queue.faces:
        raise HTTPException(404, "no such face")
    return queue.faces[image_id]


def _parse(body: bytes) -> DecisionRequest:
    try:
        return DecisionRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        raise HTTPException(422, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _immutable(request: Request, name: str, media_type: str, read: Callable[[], bytes]) -> Response:
    """A reply with a picture that never changes at its address; `name` is a hash of its content."""
    headers = {"ETag": f'"{name}"', "Cache-Control": "private, max-age=31536000, immutable"}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(None, 304, headers)
    try:
        return Response(read(), 200, headers, media_type)
    except OSError:
        raise HTTPException(404, "its file is missing") from None


def _on_screen(path: Path) -> bytes:
    """JPEG bytes of a photo, upright as the stages read it, and shrunk to PHOTO_SIDE."""
    return encode_jpeg(read_image(path, enough=PHOTO_SIDE), PHOTO_SIDE, quality=88)
