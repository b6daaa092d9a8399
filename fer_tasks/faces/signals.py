"""Measure a face for the rules of cleaning: size, pose, neighbours, light, sharpness."""

import cv2
import numpy as np

from fer_tasks.faces.detector import LANDMARKS, Faces

# px of the crop that light is measured on, whatever size crops have: thresholds were chosen for this size.
SIDE = 150


def pose_signals(landmarks: np.ndarray) -> dict[str, float]:
    """`eye_distance` in px, `roll` in degrees and `yaw` from (5, 2) landmarks [row, column] in px.

    yaw = 2 (nose - eye centre)·u / eye distance, with u the unit vector between the eyes: 0 is frontal,
    beyond ±0.6 a profile.
    """
    left, right, nose = (landmarks[LANDMARKS.index(name)] for name in ("left_eye", "right_eye", "nose"))
    distance = float(np.linalg.norm(right - left))
    along = (right - left) / max(distance, 1e-6)
    yaw = 2 * float((nose - (left + right) / 2) @ along) / max(distance, 1.0)
    return {"eye_distance": round(distance, 2), "roll": round(roll(landmarks), 2), "yaw": round(yaw, 3)}


def scene_signals(faces: Faces, chosen: int, image_shape: tuple[int, ...]) -> dict[str, float]:
    """`n_faces`, `second_face` (the area of the largest other face / that of the chosen one) and `face_share`
    (the area of the chosen face / that of the photo)."""
    area = areas(faces.boxes)
    others = np.delete(area, chosen)
    return {
        "n_faces": len(area),
        "second_face": round(float(others.max(initial=0) / area[chosen]), 4),
        "face_share": round(float(area[chosen] / (image_shape[0] * image_shape[1])), 4),
    }


def light_signals(crop: np.ndarray) -> dict[str, float]:
    """Measures of the light on a face, from an (M, N, 3) uint8 crop; comparable only for crops of SIDE px.

    Of the whole crop: `sharpness`, the variance of the Laplacian (Pech-Pacheco et al. 2000); `brightness`,
    the mean grey value, 0..255. Of its middle, without background: `contrast`, the standard deviation of the
    grey values; `flatness`, the share, 0..1, of 3 x 3 px squares with a standard deviation below 1, which
    drawings have but skin in a photo hardly ever has.
    """
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    sharpness = float(cv2.Laplacian(grey, cv2.CV_64F).var())
    height, width = grey.shape
    middle = grey[height // 8 : height - height // 8, width // 8 : width - width // 8].astype(np.float32)
    mean = cv2.blur(middle, (3, 3))
    variance = cv2.blur(middle * middle, (3, 3)) - mean * mean
    return {
        "sharpness": round(sharpness, 2),
        "brightness": round(float(grey.mean()), 2),
        "contrast": round(float(middle.std()), 2),
        "flatness": round(float((variance < 1).mean()), 4),
    }


def areas(boxes: np.ndarray) -> np.ndarray:
    """Areas of (n, 4) boxes (row, column, height, width), in px²: (n,) float64."""
    return boxes[:, 2] * boxes[:, 3]


def roll(landmarks: np.ndarray) -> float:
    """The angle of the line between the eyes in degrees, positive if the right eye lies lower.

    `landmarks`: (5, 2), [row, column] of LANDMARKS.
    """
    down, right = landmarks[LANDMARKS.index("right_eye")] - landmarks[LANDMARKS.index("left_eye")]
    return float(np.degrees(np.arctan2(down, right)))
