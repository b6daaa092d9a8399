"""Losses, schedules and optimizers: the names of a cell's settings, and what they stand for."""

from typing import get_args

import keras
import numpy as np
import pytest

from fer_tasks.settings import Cell
from fer_tasks.settings.training import FineTune, Plan
from fer_tasks.training.augmentation import SETS
from fer_tasks.training.optimization import LOSSES, OPTIMIZERS, SCHEDULES, compile_model
from fer_tasks.training.phases import phases

pytestmark = pytest.mark.slow

PLAN = Plan(optimizer="sgd", learning_rate=0.1, epochs=2, batch_size=8)


def compiled(plan: Plan, steps: int = 100) -> keras.Model:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, activation="softmax")])
    compile_model(model, plan, plan.learning_rate, steps)
    model.optimizer.build(model.trainable_variables)
    return model


def rates(schedule: str, steps: int = 100) -> np.ndarray:
    optimizer = compiled(PLAN.model_copy(update={"schedule": schedule}), steps).optimizer
    found = []
    for step in range(steps + 1):
        optimizer.iterations.assign(step)
        found.append(float(optimizer.learning_rate))
    return np.array(found)


@pytest.mark.parametrize(
    ("field", "names"),
    [("loss", LOSSES), ("optimizer", OPTIMIZERS), ("schedule", SCHEDULES), ("augmentation", SETS)],
)
def test_a_cell_may_name_what_there_is(field, names):
    assert set(get_args(Cell.model_fields[field].annotation)) == set(names)


def test_schedules():
    assert (rates("constant") == np.float32(0.1)).all()
    cosine, cycle = rates("cosine"), rates("one_cycle")
    assert cosine[[0, 50, 100]] == pytest.approx([0.1, 0.05, 0], abs=1e-6) and (np.diff(cosine) <= 0).all()
    assert cycle[[0, 30, 65, 100]] == pytest.approx([0.004, 0.1, 0.05, 0], abs=1e-6)
    assert (np.diff(cycle[:31]) > 0).all() and (np.diff(cycle[30:]) <= 0).all()
    assert np.isfinite(rates("one_cycle", 1)).all()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_weight_decay_is_of_the_kernels_alone(optimizer):
    model = compiled(PLAN.model_copy(update={"optimizer": optimizer, "weight_decay": 0.5}))
    model.set_weights([np.ones((3, 2)), np.ones(2)])
    nothing = [variable * 0 for variable in model.trainable_variables]
    model.optimizer.apply_gradients(zip(nothing, model.trainable_variables, strict=True))
    kernel, bias = model.get_weights()
    assert kernel == pytest.approx(1 - 0.1 * 0.5) and bias == pytest.approx(1)


def test_muon_steps_along_the_nearest_orthogonal_matrix_of_a_convolutions_gradient():
    optimizer = OPTIMIZERS["muon"](0.01, weight_decay=None)
    kernel, bias = keras.Variable(keras.ops.zeros((3, 3, 2, 8))), keras.Variable(keras.ops.zeros(8))
    gradient = np.random.default_rng(1).normal(size=(3, 3, 2, 8))
    optimizer.apply([keras.ops.convert_to_tensor(gradient, "float32"), keras.ops.ones(8)], [kernel, bias])
    left, _, right = np.linalg.svd(gradient.reshape(18, 8), full_matrices=False)
    step = -np.asarray(kernel).reshape(18, 8) / (0.01 * 0.2 * 18**0.5)
    assert np.linalg.svd(step, compute_uv=False) == pytest.approx(1, abs=0.35)
    assert step == pytest.approx(left @ right, abs=0.15)
    assert np.asarray(bias) == pytest.approx(-0.001, rel=1e-3)  # a tenth of the rate, by AdamW


def test_losses():
    y, p = np.array([[1.0, 0.0]]), np.array([[0.8, 0.2]])
    plain, smooth, hinge = (
        float(compiled(plan).compute_loss(y=y, y_pred=p))
        for plan in (
            PLAN,
            PLAN.model_copy(update={"label_smoothing": 0.1}),
            PLAN.model_copy(update={"loss": "categorical_hinge"}),
        )
    )
    assert plain == pytest.approx(-np.log(0.8))
    assert smooth == pytest.approx(-0.95 * np.log(0.8) - 0.05 * np.log(0.2))
    assert hinge == pytest.approx(0.2 - 0.8 + 1)


def test_phases_follow_each_other():
    assert [(p.first, p.end, p.fine_tuning) for p in phases(PLAN)] == [(0, 2, False)]
    both = phases(PLAN.model_copy(update={"fine_tune": FineTune(learning_rate=0.01, epochs=3)}))
    assert [(p.first, p.end, p.learning_rate, p.fine_tuning) for p in both] == [
        (0, 2, 0.1, False),
        (2, 5, 0.01, True),
    ]
