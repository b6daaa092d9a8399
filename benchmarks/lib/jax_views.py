"""`training.augmentation` and `training.test_time_augmentation` by JAX, for pictures on a GPU."""

import jax
import jax.numpy as jnp
import numpy as np

from fer_tasks.training.augmentation import ASPECT, ERASED, Augmentation
from fer_tasks.training.test_time_augmentation import VIEWS


def warp(pictures: jax.Array, matrices: jax.Array) -> jax.Array:
    """Warp each picture, (n, M, N) float32, by its affine matrix, with linear interpolation and a mirrored
    border.

    `matrices`: (n, 2, 3), from a pixel (column, row) of the result to one of the picture.
    """
    n, height, width = pictures.shape
    row, col = jnp.meshgrid(*(jnp.arange(side, dtype=jnp.float32) for side in (height, width)), indexing="ij")
    x, y = (m[:, 0] * col + m[:, 1] * row + m[:, 2] for m in jnp.moveaxis(matrices, 1, 0)[..., None, None])
    left, top = jnp.floor(x), jnp.floor(y)
    flat = pictures.reshape(n, -1)

    def at(row: jax.Array, col: jax.Array) -> jax.Array:
        place = _mirrored(row, height) * width + _mirrored(col, width)
        return jnp.take_along_axis(flat, place.reshape(n, -1), axis=1).reshape(n, height, width)

    across, down = x - left, y - top
    above = at(top, left) * (1 - across) + at(top, left + 1) * across
    below = at(top + 1, left) * (1 - across) + at(top + 1, left + 1) * across
    return above * (1 - down) + below * down


def _mirrored(place: jax.Array, side: int) -> jax.Array:
    """Map indices outside 0..side - 1 to those inside that mirror them, as OpenCV's BORDER_REFLECT_101."""
    place = jnp.abs(place.astype(jnp.int32)) % (2 * side - 2)
    return jnp.where(place >= side, 2 * side - 2 - place, place)


def augment(key: jax.Array, pictures: jax.Array, chosen: Augmentation) -> jax.Array:
    """An augmented copy of pictures (n, M, M) float32, 0..1, by all of `chosen` but contrast, blur
    and mixup."""
    n, side, _ = pictures.shape
    keys = iter(jax.random.split(key, 11))

    def draw(low: float, high: float, *shape: int) -> jax.Array:
        return jax.random.uniform(next(keys), (n, *shape), minval=low, maxval=high)

    angle = jnp.deg2rad(draw(-chosen.rotation, chosen.rotation))
    scale = 1 / draw(*chosen.scale)
    flip = jnp.where(draw(0, 1) < chosen.flip, -1.0, 1.0)
    shift = draw(-chosen.shift, chosen.shift, 2) * side
    cos, sin = jnp.cos(angle) * scale, jnp.sin(angle) * scale
    turn = jnp.stack([jnp.stack([cos * flip, -sin], -1), jnp.stack([sin * flip, cos], -1)], 1)
    centre = (side - 1) / 2
    moved = warp(pictures, _about(turn, centre, centre + shift))
    brighter = jnp.clip(moved + draw(-chosen.brightness, chosen.brightness)[:, None, None], 0, 1)
    area, aspect = draw(*ERASED) * side**2, jnp.exp(draw(*np.log(ASPECT)))
    height, width = (jnp.clip(jnp.round(jnp.sqrt(a)), 1, side) for a in (area * aspect, area / aspect))
    top, left = (jnp.floor(draw(0, 1) * (side + 1 - extent)) for extent in (height, width))
    erased = (draw(0, 1) < chosen.erasing)[:, None, None]
    for start, extent, axis in ((top, height, 2), (left, width, 1)):
        place = jnp.arange(side)
        within = (place >= start[:, None]) & (place < (start + extent)[:, None])
        erased &= jnp.expand_dims(within, axis)
    return jnp.where(erased, jax.random.uniform(next(keys), pictures.shape), brighter)


def _about(turn: jax.Array, centre: float, lands: jax.Array) -> jax.Array:
    """Affine matrices, (n, 2, 3), with the linear maps `turn`, (n, 2, 2), that move `lands`, (n, 2), to the
    centre."""
    return jnp.concatenate([turn, (centre - jnp.einsum("nij,nj->ni", turn, lands))[..., None]], 2)


def views_of(name: str, side: int) -> jax.Array:
    """Matrices for `warp`, (views, 2, 3): the unchanged picture, then each view of VIEWS under `name`."""
    centre = (side - 1) / 2
    shown = [(np.eye(2), (0.0, 0.0)), *VIEWS[name]]
    turns = jnp.asarray(np.stack([np.linalg.inv(matrix) for matrix, _ in shown]), jnp.float32)
    lands = jnp.asarray([centre + side * np.array(shift) for _, shift in shown], jnp.float32)
    return _about(turns, centre, lands)
