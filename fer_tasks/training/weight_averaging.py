"""Replace a model's weights by their moving average (EMA), with batch norm statistics that fit it."""

from collections.abc import Iterable
from typing import Any

import keras

BATCHES = 25  # to compute the statistics for the averaged weights from


def swap_in_ema_weights(model: keras.Model, batches: Iterable[tuple[Any, Any]]) -> None:
    """Replace a model's trainable weights by their moving averages, which its optimizer keeps.

    Its batch norms get the mean statistics of `batches`, (pictures, labels), at these weights: the statistics
    of the raw weights belong to another network and can destroy the accuracy (Izmailov et al. 2018,
    "Averaging Weights Leads to Wider Optima and Better Generalization", section 3.2).
    """
    model.optimizer.finalize_variable_values(model.trainable_variables)
    norms = _norms(model)
    momenta = [norm.momentum for norm in norms]
    for k, (x, _) in enumerate(batches if norms else ()):
        for norm in norms:
            norm.momentum = k / (k + 1)
        model(x, training=True)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def statistics(model: keras.Model) -> list[keras.Variable]:
    """The moving means and variances that change while a model trains."""
    return [variable for norm in _norms(model) for variable in (norm.moving_mean, norm.moving_variance)]


def _norms(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    layers = model._flatten_layers()
    return [one for one in layers if isinstance(one, keras.layers.BatchNormalization) and one.trainable]
