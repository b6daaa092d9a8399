"""Choose the main face of a photo, or give the reason why none is good enough."""

import json
from typing import Any

import cv2
import numpy as np

from fer_tasks.faces.detector import LANDMARKS, Faces
from fer_tasks.faces.signals import areas, pose_signals, scene_signals

TIMES = 4  # what pictures of faces are enlarged to before the face is searched in them


def main_face(faces: Faces, image_shape: tuple[int, ...], min_score: float, min_face: int) -> dict[str, Any]:
    """The manifest's columns for a photo's main face, or `reason` and `detail` if no face is good enough.

    `min_score`: of MTCNN's confidence, 0..1. `min_face`: px of the box's shorter side. Columns: rank (by
    area, 0 for the largest face), box_row, box_col, box_height, box_width (px), score, landmarks (JSON, five
    [row, column] in px), and those of `pose_signals` and `scene_signals`.
    """
    if not len(faces.scores):
        return {"reason": "no_face", "detail": "MTCNN found no face"}
    confident = select(faces, faces.scores >= min_score)
    if not len(confident.scores):
        return {"reason": "low_score", "detail": f"best score {faces.scores.max():.3f} < {min_score}"}
    chosen = choose_face(confident, image_shape)
    side = float(shorter_sides(confident)[chosen])
    if side < min_face:
        return {"reason": "face_too_small", "detail": f"{side:.0f} px < {min_face} px"}
    return _columns(confident, chosen, image_shape)


def whole_picture(shape: tuple[int, ...]) -> dict[str, Any]:
    """The columns of `main_face` for a picture that is already a face: without landmarks, with NaN for score
    and pose."""
    return _columns(as_face(shape), 0, shape)


def as_face(shape: tuple[int, ...]) -> Faces:
    """A whole picture as a face; its landmarks and its score are NaN."""
    box = np.array([[0, 0, shape[0], shape[1]]], float)
    return Faces(box, np.full((1, len(LANDMARKS), 2), np.nan), np.array([np.nan]))


def enlarged(picture: np.ndarray) -> np.ndarray:
    """A picture of a face, (M, N, 3) uint8, TIMES as large: MTCNN finds few faces that fill 48 px."""
    return cv2.resize(picture, None, fx=TIMES, fy=TIMES, interpolation=cv2.INTER_CUBIC)


def select(faces: Faces, rows: np.ndarray) -> Faces:
    """The faces of these rows: (k,) int, or (n,) bool."""
    return Faces(*(values[rows] for values in faces))


def shorter_sides(faces: Faces) -> np.ndarray:
    """The shorter sides of the faces' boxes, px: (n,) float64."""
    return faces.boxes[:, 2:].round(2).min(axis=1)


def outline(faces: Faces, chosen: int) -> dict[str, Any]:
    """The columns of `main_face` that say where a face is: box_row, box_col, box_height, box_width, score and
    landmarks, "" if there are none."""
    box, landmarks = faces.boxes[chosen].round(2), faces.landmarks[chosen].round(2)
    return {
        **dict(zip(("box_row", "box_col", "box_height", "box_width"), map(float, box), strict=True)),
        "score": round(float(faces.scores[chosen]), 4),
        "landmarks": "" if np.isnan(landmarks).any() else json.dumps(landmarks.tolist()),
    }


def _columns(faces: Faces, chosen: int, image_shape: tuple[int, ...]) -> dict[str, Any]:
    return {
        "rank": int((areas(faces.boxes) > areas(faces.boxes)[chosen]).sum()),
        **outline(faces, chosen),
        **pose_signals(faces.landmarks[chosen].round(2)),
        **scene_signals(faces, chosen, image_shape),
    }


def choose_face(faces: Faces, image_shape: tuple[int, ...]) -> int:
    """The index of the face with the largest weighted area; the weight is 1 in the centre, 0.5 in a corner.

    Raises:
        ValueError: there is no face.
    """
    if not len(faces.scores):
        raise ValueError("no face to choose from")
    middle = np.array(image_shape[:2]) / 2
    centres = faces.boxes[:, :2] + faces.boxes[:, 2:] / 2
    distance = np.linalg.norm((centres - middle) / middle, axis=1) / np.sqrt(2)  # 0 centre, 1 corner
    return int(np.argmax(areas(faces.boxes) * (1 - distance.clip(0, 1) / 2)))
