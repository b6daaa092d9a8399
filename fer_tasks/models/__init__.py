"""The models by name. To add one, write its module and one line in BUILDERS."""

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
    """Build a model: inputs of `input_shape`, (M, N, C); outputs (n, n_classes) float32 probabilities.

    Raises BadModel for an unknown name or option, a value that an option does not take, or a shape that the
    model cannot take.
    """
    check_model(name, options)
    if len(input_shape) != 3:
        raise BadModel(f"{name} takes images (M, N, C); this recipe gives vectors of shape {input_shape}")
    try:
        return BUILDERS[name](input_shape, n_classes, **options)
    except (TypeError, ValueError) as error:
        how = f" with {options}" if options else ""
        raise BadModel(f"{name} cannot be built{how} for inputs of shape {input_shape}: {error}") from None


def check_model(name: str, options: dict[str, Any]) -> None:
    """Check a model's name and the names of its options. Raises BadModel, listing what there is."""
    if name not in BUILDERS:
        raise BadModel(f"no model {name!r}; choose one of {sorted(BUILDERS)}")
    try:
        inspect.signature(BUILDERS[name]).bind(None, None, **options)
    except TypeError as error:
        known = list(inspect.signature(BUILDERS[name]).parameters)[2:]
        raise BadModel(f"model {name!r}: {error}; its options: {known}") from None


def load_model(file: Path) -> keras.Model:
    """A model from its .keras file, its layers of ours among them."""
    return keras.saving.load_model(file)
