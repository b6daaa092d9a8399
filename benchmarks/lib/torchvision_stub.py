"""What facenet-pytorch's MTCNN calls of torchvision, where no torchvision fits the torch that is there.

`write_stub(folder)` makes a package `torchvision` of this file, to be put on PYTHONPATH.
"""

import shutil
from pathlib import Path
from typing import Any


def write_stub(folder: Path) -> None:
    """Make folder/torchvision, with `ops.boxes.batched_nms` and `transforms.functional`."""
    for package in ("", "ops", "transforms"):
        (folder / "torchvision" / package).mkdir(parents=True, exist_ok=True)
        (folder / "torchvision" / package / "__init__.py").touch()
    (folder / "torchvision" / "transforms" / "functional.py").touch()
    shutil.copyfile(__file__, folder / "torchvision" / "ops" / "boxes.py")


def batched_nms(boxes: Any, scores: Any, groups: Any, threshold: float) -> Any:
    """Greedy suppression within each group: the indices of the (n, 4) boxes to keep, by falling score."""
    import numpy as np
    import torch

    order = scores.argsort(descending=True).numpy()
    corners, group = boxes.numpy()[order], groups.numpy()[order]
    low = np.maximum(corners[:, None, :2], corners[:, :2])
    high = np.minimum(corners[:, None, 2:], corners[:, 2:])
    common = (high - low).clip(0).prod(axis=2)
    area = (corners[:, 2:] - corners[:, :2]).prod(axis=1)
    overlaps = common / (area[:, None] + area - common) > threshold
    overlaps &= group[:, None] == group
    kept = np.ones(len(order), bool)
    for i in range(len(order)):
        if kept[i]:
            kept[i + 1 :] &= ~overlaps[i, i + 1 :]
    return torch.as_tensor(order[kept])
