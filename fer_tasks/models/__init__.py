"""The models by name. To add one, write its module and one line in BUILDERS."""

import inspect
from collections.abc import Callable
from typing import Any

import keras

from fer_tasks.models.alizadeh_fazel import alizadeh_fazel
from fer_tasks.models.errors import BadModel
from fer_tasks.models.transfer import transfer

BUILDERS: dict[str, Callable[..., keras.Model]] = {"alizadeh_fazel": alizadeh_fazel, "transfer": transfer}


def build_model(name: str, input_shape: tuple[int, ...], n_classes: int, **options: Any) -> keras.Model:
    """Build a model: inputs of `input_shape`, (M, N, C); outputs (n, n_classes) float32 probabilities.

    Raises BadModel for an unknown name or option, or a shape that the model cannot take.
    """
    check_model(name, options)
    if len(input_shape) != 3:
        raise BadModel(f"{name} takes images (M, N, C); this recipe gives vectors of shape {input_shape}")
    try:
        return BUILDERS[name](input_shape, n_classes, **options)
    except ValueError as error:
        raise BadModel(f"{name} cannot take inputs of shape {input_shape}: {error}") from None


def check_model(name: str, options: dict[str, Any]) -> None:
    """Check a model's name and the names of its options. Raises BadModel, listing what there is."""
    if name not in BUILDERS:
        raise BadModel(f"no model {name!r}; choose one of {sorted(BUILDERS)}")
    try:
        inspect.signature(BUILDERS[name]).bind(None, None, **options)
    except TypeError as error:
        known = list(inspect.signature(BUILDERS[name]).parameters)[2:]
        raise BadModel(f"model {name!r}: {error}; its options: {known}") from None
