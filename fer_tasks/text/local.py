"""Writing on faces, found and read by RapidOCR (PP-OCRv4 on ONNX Runtime), which carries its models."""

import json
import threading
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import pandas as pd

MIN_CONFIDENCE = 0.6  # of a reading; below it the letters are guesses
_OF_THREAD = threading.local()


def find_text(faces: Sequence[np.ndarray], side: int, min_aspect: float, max_height: float) -> pd.DataFrame:
    """Look for writing on face crops, (M, N, 3) uint8 RGB, each shown to the detector with its longer side at
    `side` px.

    A box counts as writing when it is at least `min_aspect` times as wide as high and its height is at most
    `max_height` of the crop's: the detector boxes mouths and eyes too, and geometry tells them apart. Returns
    one row a face: has_text, text (what was read, or empty), text_boxes (JSON list of [row, column, height,
    width] in px of the crop), text_share (of the crop's area, 0..1), engine ("local").
    """
    rows = [_find(face, side, min_aspect, max_height) for face in faces]
    return pd.DataFrame(rows, columns=["has_text", "text", "text_boxes", "text_share", "engine"])


def _find(face: np.ndarray, side: int, min_aspect: float, max_height: float) -> tuple[Any, ...]:
    scale = side / max(face.shape[:2])
    image = cv2.cvtColor(cv2.resize(face, None, fx=scale, fy=scale), cv2.COLOR_RGB2BGR)
    boxes = [
        box for box in _detect(image, side) if box[3] >= min_aspect * box[2] and box[2] <= max_height * side
    ]
    text = " ".join(filter(None, (_recognise(image, box, side) for box in boxes)))
    found = np.array(boxes, float).reshape(-1, 4) / scale
    share = float(found[:, 2] @ found[:, 3]) / (face.shape[0] * face.shape[1])
    return bool(boxes), text, json.dumps(found.round(1).tolist()), round(min(share, 1.0), 4), "local"


def _detect(image: np.ndarray, side: int) -> list[tuple[int, int, int, int]]:
    """Upright boxes (row, column, height, width) of what the detector takes for lines of text."""
    found = _engine(side)(image, use_det=True, use_cls=False, use_rec=False)
    corners = found[0] if isinstance(found, tuple) else found.boxes
    boxes = []
    for points in [] if corners is None else corners:
        left, top = np.floor(np.min(points, axis=0).clip(0)).astype(int)
        right, bottom = np.ceil(np.max(points, axis=0)).astype(int)
        boxes.append((int(top), int(left), int(bottom - top), int(right - left)))
    return boxes


def _recognise(image: np.ndarray, box: tuple[int, int, int, int], side: int) -> str:
    row, column, height, width = box
    line = image[row : row + height, column : column + width]
    read = _engine(side)(line, use_det=False, use_cls=False, use_rec=True)
    text, score = read[0][0] if isinstance(read, tuple) else (read.txts[0], read.scores[0])
    return text.strip() if score >= MIN_CONFIDENCE else ""


def _engine(side: int) -> Any:
    if getattr(_OF_THREAD, "side", None) != side:
        _OF_THREAD.engine, _OF_THREAD.side = _build_engine(side), side
    return _OF_THREAD.engine


def _build_engine(side: int) -> Any:
    try:
        from rapidocr_onnxruntime import RapidOCR
    except ImportError:  # it refuses Python 3.13; its successor answers with objects instead of tuples
        from rapidocr import RapidOCR

        threads = {f"EngineConfig.onnxruntime.{kind}_op_num_threads": 1 for kind in ("intra", "inter")}
        limit = {"Det.limit_side_len": side, "Det.limit_type": "max", "Global.log_level": "error"}
        return RapidOCR(params={**threads, **limit})
    limit = {"det_limit_side_len": side, "det_limit_type": "max"}
    return RapidOCR(intra_op_num_threads=1, inter_op_num_threads=1, **limit)
