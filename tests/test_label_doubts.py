"""Wrong labels are doubted more than right ones, by models that never saw the face."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_tasks.cleaning.label_doubts import MODELS, label_doubt, out_of_fold
from fer_tasks.labels import EXPRESSIONS

N = 210
both_models = pytest.mark.parametrize("label_model", MODELS)


def looks(labels: np.ndarray, spread: float) -> np.ndarray:
    """A point near its expression's own for each label: (n, 40) float16."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(len(EXPRESSIONS), 40))
    return (centres[labels] + spread * rng.normal(size=(len(labels), 40))).astype(np.float16)


@both_models
def test_flipped_labels_are_the_most_doubted_and_the_right_one_is_suggested(label_model):
    true = np.arange(N) % len(EXPRESSIONS)
    given = true.copy()
    given[:20] = (true[:20] + 1) % len(EXPRESSIONS)
    said = out_of_fold(looks(true, 0.7), given, np.arange(N), label_model)
    assert said.sum(axis=1) == pytest.approx(np.ones(N))
    doubt = label_doubt(given, said)
    assert ((doubt >= 0) & (doubt <= 1)).all()
    assert set(np.argsort(-doubt)[:20]) == set(range(20))
    assert (said[:20].argmax(axis=1) == true[:20]).all()


@pytest.mark.slow
def test_a_face_s_copies_do_not_vouch_for_it():
    labels = np.arange(N) % len(EXPRESSIONS)
    noise = looks(np.zeros(N, int), 5.0)
    twins, twice = np.concatenate([noise, noise]), np.concatenate([labels, labels])
    apart = label_doubt(twice, out_of_fold(twins, twice, np.arange(2 * N), "hog"))
    together = label_doubt(twice, out_of_fold(twins, twice, np.tile(np.arange(N), 2), "hog"))
    assert apart.mean() < 0.6 and together.mean() > 0.8


@pytest.mark.slow
@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 8)), max_size=24),
    st.sampled_from([0.0, 0.5, 1e4]),
    st.sampled_from([*MODELS]),
)
@settings(max_examples=60, deadline=None)
def test_any_few_faces_are_answered_or_left_open(faces, spread, label_model):
    labels, groups = (np.array(column, int) for column in zip(*faces, strict=True)) if faces else ([], [])
    labels, groups = np.array(labels, int), np.array(groups, int)
    said = out_of_fold(looks(labels, spread), labels, groups, label_model)
    known = np.isfinite(said).all(axis=1)
    assert said.shape == (len(labels), 7) and np.allclose(said[known].sum(axis=1), 1)
    assert (np.isnan(label_doubt(labels, said)) == ~known).all()


@both_models
@pytest.mark.parametrize("labels", [[0, 1, 2], [3] * 30, [], [*range(7)] * 4])
def test_too_little_to_learn_from_leaves_the_doubt_open(labels, label_model):
    labels = np.array(labels, int)
    said = out_of_fold(looks(labels, 0.5), labels, np.arange(len(labels)), label_model)
    assert np.isnan(said).all() and np.isnan(label_doubt(labels, said)).all()


@both_models
def test_a_class_of_one_face_is_no_obstacle(label_model):
    labels = np.array([0, 1] * 20 + [2])
    said = out_of_fold(looks(labels, 0.5), labels, np.arange(len(labels)), label_model)
    assert np.isfinite(said).all() and (said[:40].argmax(axis=1) == labels[:40]).mean() > 0.9
