"""Find and read writing with RapidOCR (PP-OCRv4 on ONNX Runtime), whose models are part of the package."""

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np

from fer_tasks.text.lines import Line

MIN_CONFIDENCE_READ = 0.6  # of the recognised text, 0..1; below it the letters are guesses
_OF_THREAD = threading.local()


def find_lines(images: Sequence[np.ndarray], side: int, min_confidence: float) -> list[list[Line]]:
    """Find the lines of writing on each picture, (M, N, 3) uint8 RGB; boxes are in px of the picture.

    `side`: px to which the longer side is resized for the detector. `min_confidence`: of a box, 0..1.
    """
    return [list(_find(image, side, min_confidence)) for image in images]


def _find(picture: np.ndarray, side: int, min_confidence: float) -> Iterator[Line]:
    scale = side / max(picture.shape[:2])
    image = cv2.cvtColor(cv2.resize(picture, None, fx=scale, fy=scale), cv2.COLOR_RGB2BGR)
    engine = _engine_of_thread(min_confidence)
    detected = engine(image, use_det=True, use_cls=False, use_rec=False)
    corners = detected[0] if isinstance(detected, tuple) else detected.boxes
    for points in [] if corners is None else corners:
        left, top = np.floor(np.min(points, axis=0).clip(0)).astype(int)
        right, bottom = np.ceil(np.max(points, axis=0)).astype(int)
        text = _read(engine, image[top:bottom, left:right])
        yield Line(text, *(float(x) / scale for x in (top, left, bottom - top, right - left)))


def _read(engine: Any, line: np.ndarray) -> str:
    result = engine(line, use_det=False, use_cls=False, use_rec=True)
    text, score = result[0][0] if isinstance(result, tuple) else (result.txts[0], result.scores[0])
    return text.strip() if score >= MIN_CONFIDENCE_READ else ""


def _engine_of_thread(min_confidence: float) -> Any:
    if getattr(_OF_THREAD, "min_confidence", None) != min_confidence:
        _OF_THREAD.engine, _OF_THREAD.min_confidence = _build_engine(min_confidence), min_confidence
    return _OF_THREAD.engine


def _build_engine(min_confidence: float) -> Any:
    try:
        from rapidocr_onnxruntime import RapidOCR
    except ImportError:  # it does not support Python 3.13; its successor returns objects instead of tuples
        from rapidocr import RapidOCR

        threads = {f"EngineConfig.onnxruntime.{kind}_op_num_threads": 1 for kind in ("intra", "inter")}
        options = {"Det.limit_type": "max", "Det.box_thresh": min_confidence, "Global.log_level": "error"}
        return RapidOCR(params={**threads, **options})
    options = {"det_limit_type": "max", "det_box_thresh": min_confidence}
    return RapidOCR(intra_op_num_threads=1, inter_op_num_threads=1, **options)
