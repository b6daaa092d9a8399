"""What a student minimises, beside the formulas of Hinton et al. in NumPy; it learns from its teacher."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_tasks.settings.training import Distillation, FineTune
from fer_tasks.training import fit
from fer_tasks.training.augmentation import mixup
from fer_tasks.training.distillation import distillation_loss, soften, targets
from fer_tasks.training.optimization import LOSSES
from fer_tasks.training.state import Checkpoint
from tests.test_training import ALL_ON, ARRAYS, PLAN, X, same, tiny, with_backbone

pytestmark = pytest.mark.slow

CLASSES = 7
plans = st.builds(
    Distillation,
    teacher=st.just("any"),
    temperature=st.floats(1, 8),
    soft=st.floats(0.1, 1),
    hard=st.floats(0, 1),
)


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def drawn(seed: int, n: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, and the logits of a teacher and of a student."""
    rng = np.random.default_rng(seed)
    return np.eye(CLASSES)[rng.integers(0, CLASSES, n)], *rng.normal(0, 2, (2, n, CLASSES))


@settings(max_examples=30, deadline=None)
@given(plan=plans, seed=st.integers(0, 999))
def test_loss_and_gradient_are_those_of_the_paper(plan, seed):
    hard, teacher, student = drawn(seed)
    own = LOSSES["categorical_crossentropy"](0)
    y = targets(hard.astype(np.float32), softmax(teacher).astype(np.float32), plan.temperature)
    logits = tf.constant(student, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = distillation_loss(own, plan, CLASSES)(tf.constant(y), tf.nn.softmax(logits))
    q, s = softmax(teacher / plan.temperature), softmax(student / plan.temperature)
    divergence = (q * np.log(q / s)).sum(axis=1)
    crossentropy = -(hard * np.log(softmax(student))).sum(axis=1)
    expected = plan.soft * plan.temperature**2 * divergence + plan.hard * crossentropy
    assert loss.numpy() == pytest.approx(expected, rel=1e-3, abs=1e-4)
    gradient = plan.soft * plan.temperature * (s - q) + plan.hard * (softmax(student) - hard)
    assert tape.gradient(loss, logits).numpy() == pytest.approx(gradient, rel=1e-3, abs=1e-4)


@settings(max_examples=20, deadline=None)
@given(temperature=st.floats(1, 10), seed=st.integers(0, 999))
def test_softened_probabilities_are_the_softmax_of_logits_by_temperature(temperature, seed):
    _, logits, _ = drawn(seed)
    softened = np.asarray(soften(softmax(logits), temperature))
    assert softened == pytest.approx(softmax(logits / temperature), abs=1e-5)


def test_a_teacher_that_is_quite_sure_is_no_trouble():
    sure = np.eye(CLASSES, dtype=np.float32)
    y = targets(sure, sure, 1)
    plan = Distillation(teacher="any", temperature=1, soft=1, hard=1)
    loss = distillation_loss(LOSSES["categorical_crossentropy"](0), plan, CLASSES)
    assert np.isfinite(loss(tf.constant(y), tf.constant(sure[::-1].copy())).numpy()).all()
    assert loss(tf.constant(y), tf.constant(sure)).numpy() == pytest.approx(np.zeros(CLASSES), abs=1e-4)


@pytest.mark.parametrize(("name", "smoothing"), [("categorical_crossentropy", 0.1), ("categorical_hinge", 0)])
def test_where_there_is_no_teacher_the_loss_is_the_model_s_own(name, smoothing):
    hard, _, student = drawn(1)
    own, p = LOSSES[name](smoothing), tf.constant(softmax(student), tf.float32)
    loss = distillation_loss(own, Distillation(teacher="any", temperature=4, soft=0.9, hard=0.1), CLASSES)
    labels = tf.constant(hard, tf.float32)
    assert np.array_equal(loss(labels, p), own.call(labels, p))
    only_hard = distillation_loss(own, Distillation(teacher="any", temperature=4, soft=1e-9, hard=1), CLASSES)
    y = tf.constant(targets(hard.astype(np.float32), softmax(student), 4))
    assert only_hard(y, p).numpy() == pytest.approx(own.call(labels, p).numpy(), abs=1e-5)


def taught(teacher: np.ndarray, **changes: object) -> fit.Fitted:
    plan = PLAN.model_copy(
        update={"distil": Distillation(teacher="any", temperature=2, soft=1, hard=0), **changes}
    )
    return fit.fit(tiny, ARRAYS._replace(teacher=teacher), plan, 1, lambda row: None)


def test_a_student_says_what_its_teacher_says_not_what_the_labels_say():
    always_two = np.tile(np.float32([0.05, 0.05, 0.9]), (40, 1))
    model = taught(always_two, epochs=60).model
    said = fit.predict(model, X).argmax(axis=1)
    assert (said == 2).mean() > 0.9


def test_the_history_is_measured_by_the_labels():
    wrong = np.eye(3, dtype=np.float32)[(ARRAYS.y_train + 1) % 3] * 0.9 + 0.1 / 3
    result = taught(wrong, epochs=80, learning_rate=0.05)
    assert result.history["accuracy"].iloc[-1] < 0.3, "it learns the teacher's labels"
    best = result.history.iloc[result.best_epoch - 1]
    p = fit.predict(result.model, ARRAYS.x_val)
    assert best["val_accuracy"] == pytest.approx((p.argmax(axis=1) == ARRAYS.y_val).mean())
    assert best["val_loss"] == pytest.approx(-np.log(p[np.arange(20), ARRAYS.y_val]).mean(), rel=1e-4)


def test_a_student_goes_on_from_every_checkpoint_to_the_same_weights_to_the_bit():
    rng = np.random.default_rng(5)
    arrays = ARRAYS._replace(teacher=rng.dirichlet(np.ones(3), 40).astype(np.float32))
    plan = ALL_ON.model_copy(
        update={
            "distil": Distillation(teacher="any", temperature=4, soft=0.9, hard=0.1),
            "epochs": 2,
            "fine_tune": FineTune(learning_rate=0.001, epochs=2),
        }
    )
    saved: list[Checkpoint] = []
    whole = fit.fit(with_backbone, arrays, plan, 1, lambda row: None, save=saved.append)
    plain = fit.fit(with_backbone, arrays, plan.model_copy(update={"distil": None}), 1, lambda row: None)
    assert not same(whole.model, plain.model)
    for checkpoint in saved:
        again = fit.fit(with_backbone, arrays, plan, 1, lambda row: None, start=checkpoint)
        assert same(whole.model, again.model) and again.history.equals(whole.history)
        assert isinstance(fit.last_epoch(with_backbone, plan, checkpoint), keras.Model)


def test_mixup_mixes_a_teacher_s_answers_as_it_mixes_labels():
    y = targets(np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32), 3)
    _, mixed = mixup(np.zeros((3, 4, 4, 1), np.float32), y, 0.4, np.random.default_rng(1))
    assert mixed[:, :3].sum(axis=1) == pytest.approx(np.ones(3), abs=1e-6)
    assert mixed[:, 3:] == pytest.approx(mixed[:, :3] @ y[:, 3:], abs=1e-6)
