"""How often two face detectors agree."""

from collections.abc import Sequence

import numpy as np

from fer_tasks.faces.detector import Faces


def agreement(reference: Sequence[Faces], other: Sequence[Faces]) -> dict[str, float]:
    """How often a detector agrees with the reference, over the same pictures in the same order.

    same_count: the share of pictures with as many faces. matched_boxes: the share of the reference's faces
    for which the other has a box with IoU >= 0.9. landmarks_px: the median over matched faces of the
    landmarks' largest difference. same_main_face: among pictures in which the reference has a face, the share
    where the largest faces have IoU >= 0.5.
    """
    same, main, ious, apart = [], [], [], []
    for one, two in zip(reference, other, strict=True):
        same.append(len(one.scores) == len(two.scores))
        if not len(one.scores):
            continue
        overlap = _iou(one.boxes, two.boxes)
        ious += overlap.max(axis=1, initial=0).tolist()
        main.append(len(two.scores) > 0 and overlap[_largest(one), _largest(two)] >= 0.5)
        for i, j in zip(*np.nonzero(overlap >= 0.9), strict=True):
            apart.append(np.linalg.norm(one.landmarks[i] - two.landmarks[j], axis=1).max())
    return {
        "same_count": float(np.mean(same)),
        "matched_boxes": float(np.mean(np.array(ious) >= 0.9)),
        "landmarks_px": float(np.median(apart)),
        "same_main_face": float(np.mean(main)),
    }


def _largest(faces: Faces) -> int:
    return int(np.argmax(faces.boxes[:, 2] * faces.boxes[:, 3]))


def _iou(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    corner, reach = one[:, None, :2], one[:, None, :2] + one[:, None, 2:]
    low, high = np.maximum(corner, two[None, :, :2]), np.minimum(reach, two[None, :, :2] + two[None, :, 2:])
    common = (high - low).clip(0).prod(axis=2)
    return common / (one[:, 2:].prod(axis=1)[:, None] + two[:, 2:].prod(axis=1)[None] - common)
