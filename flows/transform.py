"""Faces -> what a model sees of them: a recipe over the pictures of a dataset, a shard at a time."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fer_tasks import features, images
from flows.fan_out import map_items, shard_task


@shard_task
def transform(shard: dict[str, tuple[str, str]], steps: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    faces = [images.read_image(Path(path)) for _, path in shard.values()]
    return dict(zip(shard, features.transform_all(faces, steps), strict=True))


def transform_files(
    files: Mapping[str, tuple[str, str]], steps: Sequence[Mapping[str, Any]]
) -> Iterator[np.ndarray]:
    """Blocks of one row, in the order of `files` (`dataset.image_files`), as `dataset.write_array` takes
    them."""
    return (row[None] for _, row in map_items(transform, files, [features, images], steps=steps))
