"""The server of the page and the API."""

from collections.abc import Collection
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect

from apps.serve import answers, waiting
from apps.serve.answers import Answer, Health, Large, Problem
from apps.serve.newest_model import NewestModel
from apps.serve.waiting import WaitingRoom
from apps.web.request_guard import SameOrigin

STATIC = Path(str(files("apps.serve").joinpath("static")))
KINDS = ("image/", "application/octet-stream", "")  # content types; the bytes decide what it is
NO_KIND = "send a picture as image/jpeg, image/png or another image type, or as application/octet-stream"
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Permissions-Policy": "camera=(self)",
}
GONE = 499  # which nobody reads: the client has gone
ABOUT = """Ask a trained model what faces show. The names and digits are those of `monday-fer predict`.

Pictures are looked at in memory and not kept. Send them as the raw body:

    curl --data-binary @photo.jpg -H "Content-Type: image/jpeg" http://127.0.0.1:8322/predict
"""
PICTURE: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
BODY = {
    "requestBody": {"required": True, "content": {"image/*": PICTURE, "application/octet-stream": PICTURE}}
}
RETRY = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}
GUARDED: dict[int | str, dict[str, Any]] = {
    400: {"description": "Another Host name than this server's", "content": {"text/plain": {}}},
    403: {"description": "Another origin than this server's", "model": Problem},
    500: {"description": "An error of this program; its log has more", "model": Problem},
}
REFUSALS: dict[int | str, dict[str, Any]] = {
    **GUARDED,
    408: {"description": f"The body did not arrive within {waiting.BODY_S} s", "model": Problem},
    413: {"description": "Too many bytes or pixels", "model": Problem},
    415: {"description": "No picture, or of an unknown type", "model": Problem},
    422: {"description": "A damaged picture, or a wrong parameter", "model": Problem},
    503: {"description": "Too many requests are waiting", "model": Problem, "headers": RETRY},
}


class Serving(NamedTuple):
    """The state that all requests share."""

    model: NewestModel
    room: WaitingRoom


def make_app(model: NewestModel, hosts: Collection[str]) -> FastAPI:
    """Make the server. `hosts`: the host names that a Host header may have."""
    app = FastAPI(
        title="Monday FER",
        version="1",
        description=ABOUT,
        docs_url=None,  # Swagger's page would load its code from elsewhere
        redoc_url=None,
        middleware=[
            Middleware(SameOrigin, KINDS, NO_KIND, needs_origin=False, headers=HEADERS),
            Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False),
        ],
        exception_handlers={
            RequestValidationError: _wrong_parameter,
            ClientDisconnect: lambda request, error: Response(status_code=GONE),
            Exception: _own_error,
        },
    )
    app.state.serving = Serving(model, WaitingRoom())
    app.include_router(router)
    app.router.default = StaticFiles(directory=STATIC, html=True)  # after all routes: another method is 405
    return app


def _serving(request: Request) -> Serving:
    return request.app.state.serving


def _wrong_parameter(request: Request, error: RequestValidationError) -> JSONResponse:
    first = error.errors()[0]
    return JSONResponse({"detail": f"{first['loc'][-1]}: {first['msg']}"}, 422)


def _own_error(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": "an error of this program; its log has more"}, 500)


router = APIRouter()
Shared = Annotated[Serving, Depends(_serving)]
Crops = Annotated[bool, Query(description="answer with what the model was shown of each face, too")]


@router.post(
    "/predict",
    operation_id="predict",
    summary="What the faces of a picture show",
    response_model=Answer,
    responses=REFUSALS,
    openapi_extra=BODY,
)
async def predict(request: Request, serving: Shared, crops: Crops = False) -> Response:
    """The body is a picture: JPEG, PNG, WebP, HEIC, AVIF, GIF, TIFF, BMP, JPEG 2000 or PPM. Its bytes decide
    which. A picture without a face has an empty list of faces."""
    room = serving.room
    with room.place():
        async with room.body(request) as data:
            model = await serving.model.newest()
            work = partial(answers.answer, model, data, crops)
            try:
                told = await room.run(request, work)
            except Large:
                async with room.alone:
                    told = await room.run(request, partial(work, alone=True))
    return Response(told, headers={"Cache-Control": "no-store"}, media_type="application/json")


@router.get(
    "/health",
    operation_id="health",
    summary="Which model answers, and within which bounds",
    responses=GUARDED,
)
async def health(serving: Shared) -> Health:
    model = await serving.model.newest()
    return Health(
        status="outdated" if serving.model.fault else "ok",
        fault=serving.model.fault,
        model=model.model,
        labels=model.info["labels"],
        temperature=model.info["temperature"],
        coverage=model.coverage,
        doubt=model.doubt,
        max_bytes=waiting.MAX_BODY,
        max_pixels_jpeg=answers.MAX_PIXELS_JPEG,
        max_pixels=answers.MAX_PIXELS,
        waiting=serving.room.waiting,
    )
