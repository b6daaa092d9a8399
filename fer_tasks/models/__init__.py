"""Build models by name. To add a model, write its module and a line in BUILDERS."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from fer_tasks.models.alizadeh_fazel import alizadeh_fazel
from fer_tasks.models.baseline import baseline
from fer_tasks.models.errors import BadModel
from fer_tasks.models.khaireddin_chen import khaireddin_chen
from fer_tasks.models.mlcnn import mlcnn
from fer_tasks.models.resnet import resnet
from fer_tasks.models.teacher import teacher
from fer_tasks.models.transfer import transfer
from fer_tasks.models.yu_zhang import yu_zhang

BUILDERS: dict[str, Callable[..., keras.Model]] = {
    "alizadeh_fazel": alizadeh_fazel,
    "baseline": baseline,
    "khaireddin_chen": khaireddin_chen,
    "mlcnn": mlcnn,
    "resnet": resnet,
    "teacher": teacher,
    "transfer": transfer,
    "yu_zhang": yu_zhang,
}


def build_model(name: str, input_shape: tuple[int, ...], n_classes: int, **options: Any) -> keras.Model:
    """Build a model: images (n, *input_shape) in, probabilities (n, n_classes) float32 out.

    `input_shape`: (M, N, C).

    Raises:
        BadModel: the name, an option or its value is unknown, or the model cannot take this shape.
    """
    check_model(name, options)
    if len(input_shape) != 3:
        raise BadModel(f"{name} takes images (M, N, C); this recipe gives vectors of shape {input_shape}")
    try:
        return BUILDERS[name](input_shape, n_classes, **options)
    except (TypeError, ValueError) as error:
        with_options = f" with {options}" if options else ""
        raise BadModel(
            f"{name} cannot be built{with_options} for inputs of shape {input_shape}: {error}"
        ) from None


def check_model(name: str, options: dict[str, Any]) -> None:
    """Check a model's name and the names of its options.

    Raises:
        BadModel: one of them is unknown; the message lists the valid ones.
    """
    if name not in BUILDERS:
        raise BadModel(f"no model {name!r}; choose one of {sorted(BUILDERS)}")
    try:
        inspect.signature(BUILDERS[name]).bind(None, None, **options)
    except TypeError as error:
        names = list(inspect.signature(BUILDERS[name]).parameters)[2:]
        raise BadModel(f"model {name!r}: {error}; its options: {names}") from None


def load_model(file: Path) -> keras.Model:
    """Load a model from a .keras file; importing this package registers the custom layers that it needs."""
    return keras.saving.load_model(file)
