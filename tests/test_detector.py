"""MTCNN on pages: the package's answers, whatever else is looked at together."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from benchmarks.lib.detector_agreement import agreement
from fer_tasks.faces import detector
from fer_tasks.faces.boxes import crops, of_smaller, of_union, square, suppress
from fer_tasks.faces.detector import Faces, detect_faces, detect_files
from fer_tasks.faces.networks import networks
from fer_tasks.faces.pyramid import CELL, PAGE, pack, pieces, scales
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.sources.sample.portraits import PARTS, Look, draw_face
from flows.engine.own_process import call_in_own_process

SIDES = st.integers(1, 900)


def group(height: int, width: int, *places: tuple[int, int, int]) -> np.ndarray:
    """A photo with a face at each (row, column, size)."""
    photo = cv2.resize(data.coffee(), (width, height))
    for i, (row, column, size) in enumerate(places):
        tile, _ = draw_face(EXPRESSIONS[i % 7], Look(i % 3 / 2, 1.0, 0.0, np.zeros((len(PARTS), 2))))
        photo[row : row + size, column : column + size] = cv2.resize(tile, (size, size))
    return photo


PHOTOS = [
    group(301, 407, (20, 30, 180), (60, 250, 90)),
    group(480, 640, (100, 50, 100), (100, 200, 150), (90, 400, 200)),
    group(233, 150, (40, 10, 130)),
    group(1203, 1501, (100, 100, 1000)),
    np.zeros((90, 70, 3), np.uint8),
    data.astronaut(),
]


def same(one: Faces, other: Faces) -> bool:
    return all(a.shape == b.shape and np.allclose(a, b, atol=1e-3) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(("mode", "found"), [("exact", [2, 3, 1]), ("fast", [2, 2, 1])])
def test_photos_do_not_disturb_each_other(mode, found):
    """`fast` leaves out the second photo's small face."""
    together = list(detect_faces(PHOTOS, 4000, mode))
    assert [len(faces.scores) for faces in together[:3]] == found and not len(together[4].scores)
    for photo, faces in zip(PHOTOS, together, strict=True):
        assert same(next(iter(detect_faces([photo], 4000, mode))), faces)


def test_photos_are_taken_as_they_are_needed():
    taken = []
    photos = (taken.append(i) or np.zeros((1000, 1500, 3), np.uint8) for i in range(20))
    found = detect_faces(photos, 4000)
    next(found)
    assert len(taken) < 8


def by_the_package(photos: list[np.ndarray], send) -> list[Faces]:
    """Runs in a process of its own: it sets TensorFlow's threads, which one that has computed refuses."""
    from benchmarks.crop_faces import package

    return list(package(iter(photos)))


@pytest.mark.slow
def test_the_answers_are_those_of_the_package():
    reference = call_in_own_process(f"{__name__}:by_the_package", PHOTOS, threads=1)
    exact = agreement(reference, list(detect_faces(PHOTOS, 4000, "exact")))
    assert exact["same_count"] == exact["matched_boxes"] == exact["same_main_face"] == 1
    assert exact["landmarks_px"] <= 1
    fast = agreement(reference, list(detect_faces(PHOTOS, 4000, "fast")))
    assert fast["same_main_face"] == 1 and fast["landmarks_px"] <= 1


def test_files_that_are_read_smaller_have_boxes_of_the_whole_photo():
    photo = data.astronaut()
    small = cv2.resize(photo, (256, 256), interpolation=cv2.INTER_AREA)
    one, other = detect_files(
        lambda path, enough: photo if path == "a" else small, {"a": (512, 512), "b": (512, 512)}, 640, "exact"
    )
    assert np.abs(one.boxes - other.boxes).max() < 12 and np.abs(one.landmarks - other.landmarks).max() < 8


@given(st.lists(st.tuples(SIDES, SIDES), max_size=8), st.sampled_from([20, 40]))
@settings(deadline=None)
def test_pieces_lie_on_pages_without_touching(sizes, smallest):
    images = [np.zeros((*size, 3), np.float32) for size in sizes]
    found = [piece for i, image in enumerate(images) for piece in pieces(i, image, smallest)]
    pages = pack(found)
    assert sum(len(page) for page in pages) == len(found)
    for page in pages:
        taken = np.zeros((PAGE, PAGE), int)
        for piece, top, left in page:
            height, width = piece.pixels.shape[:2]
            assert top % 2 == left % 2 == 0 and top + height <= PAGE and left + width <= PAGE
            assert min(height, width) >= CELL
            taken[top : top + height, left : left + width] += 1
        assert taken.max(initial=0) <= 1


@given(st.integers(1, 3000))
def test_levels_are_those_of_the_package(side):
    found = scales(side, 20)
    assert len(found) == max(0, round(-((np.log(side / 12) / np.log(0.709)) + 1)))
    assert all(int(side * scale) >= CELL for scale in found)
    assert set(scales(side, 40)) == {scale for scale in found if scale <= 12 / 40}


@given(
    st.integers(0, 30),
    st.sampled_from([of_union, of_smaller]),
    st.floats(0.1, 0.9),
    st.sampled_from([1, 70, 10**6]),
)
def test_a_box_goes_where_any_better_one_overlaps_it(n, overlap, threshold, pairs):
    """However many are compared at a time."""
    rng = np.random.default_rng(n)
    boxes = np.concatenate(
        [corner := rng.uniform(0, 50, (n, 2)), corner + rng.uniform(5, 40, (n, 2))], axis=1
    )
    scores = rng.permutation(n) / 30

    def beyond(i: int, j: int) -> bool:
        low, high = np.maximum(boxes[i, :2], boxes[j, :2]), np.minimum(boxes[i, 2:], boxes[j, 2:])
        areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (boxes[i], boxes[j])]
        return overlap((high - low).clip(0).prod(), *areas) > threshold

    expected = [i for i in range(n) if not any(scores[j] > scores[i] and beyond(i, j) for j in range(n))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fer_tasks.faces.boxes.PAIRS", pairs)
        found = suppress(boxes, scores, threshold, overlap)
    assert found.tolist() == sorted(expected, key=lambda i: -scores[i])


def test_squares_keep_their_centre():
    assert square(np.array([[0.0, 10, 20, 20]])).tolist() == [[0, 5, 20, 25]]


@pytest.mark.slow
def test_crops_are_those_of_tensorflow():
    import tensorflow as tf

    image = data.astronaut().astype(np.float32)[:300]
    boxes = np.array([[10, 20, 110, 130], [-20, -30, 60, 70], [450, 250, 530, 330.0]])
    shares = boxes[:, [1, 0, 3, 2]] / [300, 512, 300, 512]
    expected = tf.image.crop_and_resize(image[None], shares, np.zeros(3, int), (24, 24)).numpy()
    assert np.abs(crops(image, boxes, 24) - expected).mean() < 0.5
    assert ((crops(image, boxes, 24) == 0) == (expected == 0)).mean() > 0.99


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="threads are bound to cores on Linux")
def test_networks_run_on_whichever_core_is_free():
    """OpenVINO would bind each to the first core, where all threads and processes would meet."""
    with ThreadPoolExecutor(1) as pool:
        thread = pool.submit(threading.get_native_id).result()
        pool.submit(lambda: list(detect_faces(PHOTOS[:1], 640, "exact"))).result()  # compiles them
        busy = pool.submit(lambda: [*detect_faces(PHOTOS[:1] * 8, 640, "exact")])
        cores = set()
        while not busy.done():
            cores.add(frozenset(os.sched_getaffinity(thread)))
    assert cores == {frozenset(os.sched_getaffinity(0))}


def test_a_thread_takes_over_the_networks_of_one_that_has_ended(monkeypatch):
    made = []
    monkeypatch.setattr(detector, "networks", lambda: made.append(networks()) or made[-1])
    found = []
    for _ in range(3):
        thread = threading.Thread(target=lambda: found.extend(detect_faces(PHOTOS[:1], 640)))
        thread.start()
        thread.join()
    assert len(made) <= 1 and same(found[0], found[1]) and same(found[0], found[2])
