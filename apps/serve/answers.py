"""What the API says, and how a request's picture becomes that."""

import base64
from typing import Literal

import numpy as np
from fastapi import HTTPException
from pydantic import BaseModel, Field, create_model

from apps.predict.pictures import JPEG, UnreadablePicture, open_picture
from apps.predict.predictor import Predictor
from apps.predict.tables import NO_FACE, Row, rounded
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.storage.images import BadImage, decoded_shape, encode_png

# Of a picture; larger ones are refused before they are decoded. A JPEG need not be decoded at its full size,
# others take up to 28 bytes a pixel.
MAX_PIXELS_JPEG, MAX_PIXELS = 50_000_000, 25_000_000
LARGE = 8_000_000  # px from which a picture is answered alone: see `Large`
HELP = {  # by the reason of a BadImage: the status, and what to do
    "not_a_picture": (415, "send the bytes of a picture, as curl does with --data-binary @photo.jpg"),
    "too_many_pixels": (413, "send a smaller copy"),
}
BROKEN = (422, "send the whole file once more")
BODY = "the body"  # what messages call the picture

Share = Field(ge=0, le=1)


class _Face(BaseModel):
    """A face: what a row of `monday-fer predict` says of it, with the same digits."""

    face: int = Field(description="from 0, the largest face first")
    status: Literal["ok", "uncertain"] = Field(  # OK, UNCERTAIN
        description="uncertain: so unsure, the model is wrong at least as often as right"
    )
    x: float = Field(description="the left side of the face's box, in px of the upright picture")
    y: float = Field(description="its upper side, in px")
    width: float = Field(description="px")
    height: float = Field(description="px")
    face_score: float | None = Field(ge=0, le=1, description="MTCNN's confidence that this is a face")
    expression: Literal[EXPRESSIONS] = Field(description="the most probable one")
    confidence: float = Field(ge=0, le=1, description="its probability")


_SHARES = {
    name: (float, Field(ge=0, le=1, description="a probability; the seven sum to 1")) for name in EXPRESSIONS
}
Face = create_model(
    "Face",
    __base__=_Face,
    __doc__=_Face.__doc__,
    **_SHARES,
    set=(
        str,
        Field(description="expressions that hold the true one with the model's coverage, joined by |"),
    ),
    crop=(str, Field("", description="with crops=true: what the model was shown, a PNG as data URL")),
)


class Answer(BaseModel):
    """What the faces of a picture show."""

    model: str = Field(description="the model's name, @, the start of its fingerprint")
    width: int = Field(description="of the upright picture, in px")
    height: int
    faces: list[Face] = Field(description="the largest first; empty where none was found")


class Health(BaseModel):
    """What this server has and takes."""

    status: Literal["ok", "outdated"] = Field(description="outdated: see `fault`; the former model answers")
    fault: str | None = Field(description="why the model that now lies in the folder cannot be used")
    model: str
    labels: list[str]
    temperature: float
    coverage: float = Field(description="how often `set` holds the true expression")
    doubt: float = Field(description="an answer of less confidence is uncertain")
    max_bytes: int = Field(description="of a picture")
    max_pixels_jpeg: int = Field(description="of a JPEG")
    max_pixels: int = Field(description="of any other picture")
    waiting: int = Field(description="requests that are waiting or being answered")


class Problem(BaseModel):
    """Why a request was refused."""

    detail: str = Field(description="one sentence: what is wrong, and what to do")


class Large(Exception):
    """A picture of LARGE or more pixels, of which only one at a time may be decoded: it bounds the memory."""


def answer(predictor: Predictor, data: bytes, crops: bool, alone: bool = False) -> bytes:
    """An `Answer` as JSON; with `crops`, each face has one. `alone`: no other large picture is decoded.

    Raises:
        HTTPException: 413 too many pixels, 415 no picture, 422 a damaged one.
        Large: it is to be asked about alone.
    """
    limit = MAX_PIXELS_JPEG if data.startswith(JPEG) else MAX_PIXELS
    _check_header(data, limit, alone)
    try:
        picture = open_picture(data, bgr=False, name=BODY, max_pixels=limit)
        rows, shown = predictor.answer_with_crops(picture)
    except UnreadablePicture as unreadable:
        raise HTTPException(BROKEN[0], f"{unreadable}; {BROKEN[1]}") from None
    rows = [row for row in rows if row.status != NO_FACE]
    faces = [_face(row, crop if crops else None) for row, crop in zip(rows, shown, strict=True)]
    height, width = picture.shape
    told = Answer(model=predictor.model, width=width, height=height, faces=faces)
    return told.model_dump_json(exclude_unset=True).encode()


def _check_header(data: bytes, limit: int, alone: bool) -> None:
    try:
        height, width = decoded_shape(data, limit)
    except BadImage as bad:
        if bad.reason != "broken_picture":
            status, fix = HELP.get(bad.reason, BROKEN)
            raise HTTPException(status, f"{BODY}: {bad.detail}; {fix}") from None
        height = width = limit  # a damaged header may be repaired
    if height * width >= LARGE and not alone:
        raise Large


def _face(row: Row, crop: np.ndarray | None) -> BaseModel:
    values = {name: value for name, value in rounded(row).items() if name in Face.model_fields}
    if crop is not None:
        values["crop"] = f"data:image/png;base64,{base64.b64encode(encode_png(crop)).decode()}"
    return Face(**values)
