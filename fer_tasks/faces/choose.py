"""Choose the main face of a photo, or the reason why none is good enough."""

import json
from typing import Any

import numpy as np

from fer_tasks.faces.detector import Faces
from fer_tasks.faces.signals import areas, pose_signals, scene_signals


def main_face(faces: Faces, image_shape: tuple[int, ...], min_score: float, min_face: int) -> dict[str, Any]:
    """The manifest's columns of a photo's main face, or `reason` and `detail` if none is good enough.

    `min_score`: MTCNN's confidence, 0..1. `min_face`: px of the box's shorter side. Columns: rank (0 the
    largest by area), box_row, box_col, box_height, box_width, score, landmarks (JSON, five [row, column]),
    and the signals of pose and scene.
    """
    if not len(faces.scores):
        return {"reason": "no_face", "detail": "MTCNN found no face"}
    sure = Faces(*(values[faces.scores >= min_score] for values in faces))
    if not len(sure.scores):
        return {"reason": "low_score", "detail": f"best score {faces.scores.max():.3f} < {min_score}"}
    chosen = choose_face(sure, image_shape)
    box, landmarks = sure.boxes[chosen].round(2), sure.landmarks[chosen].round(2)
    if min(box[2:]) < min_face:
        return {"reason": "face_too_small", "detail": f"{min(box[2:]):.0f} px < {min_face} px"}
    return {
        "rank": int((areas(sure.boxes) > areas(sure.boxes)[chosen]).sum()),
        **dict(zip(("box_row", "box_col", "box_height", "box_width"), map(float, box), strict=True)),
        "score": round(float(sure.scores[chosen]), 4),
        "landmarks": json.dumps(landmarks.tolist()),
        **pose_signals(landmarks),
        **scene_signals(sure, chosen, image_shape),
    }


def whole_picture(shape: tuple[int, ...]) -> dict[str, Any]:
    """The columns of `main_face` for a picture that already is a face; its pose is unknown."""
    box = {"box_row": 0.0, "box_col": 0.0, "box_height": float(shape[0]), "box_width": float(shape[1])}
    pose = dict.fromkeys(("score", "eye_distance", "roll", "yaw"), float("nan"))
    return {"rank": 0, **box, "landmarks": "", **pose, "n_faces": 1, "second_face": 0.0, "face_share": 1.0}


def choose_face(faces: Faces, image_shape: tuple[int, ...]) -> int:
    """The index of the largest face, weighted by how central it is: half as much in a corner.

    Raises ValueError without faces.
    """
    if not len(faces.scores):
        raise ValueError("no face to choose from")
    middle = np.array(image_shape[:2]) / 2
    centres = faces.boxes[:, :2] + faces.boxes[:, 2:] / 2
    away = np.linalg.norm((centres - middle) / middle, axis=1) / np.sqrt(2)  # 0 in the centre, 1 in a corner
    return int(np.argmax(areas(faces.boxes) * (1 - away.clip(0, 1) / 2)))
