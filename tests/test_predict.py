"""A model asked from Python: one answer for a picture whatever it comes as, or one line why there is none."""

import math
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from skimage import data

from apps.predict.pictures import UnreadablePicture
from apps.predict.predictor import Predictor, Prior
from apps.predict.tables import COLUMNS, Row, rounded, rounded_shares
from fer_tasks.errors import UserError
from fer_tasks.evaluation.calibration import prediction_sets
from fer_tasks.labels import EXPRESSIONS
from testing.tiny_model import CROP, INFO, write_tiny_model
from tests.predicting import ONE, PHOTO, TWO, ask, bomb, group, saved

EMPTY = np.zeros((90, 120, 3), np.uint8)
PORTRAIT = data.astronaut()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_tiny_model(folder / "tiny")
    write_tiny_model(folder / "crowd", crop={**CROP, "mode": "exact", "max_side": 4000})
    return folder


@pytest.fixture(scope="module")
def predictor(models: Path) -> Predictor:
    return Predictor(models / "tiny")


def answers(rows: list[Row]) -> list[Row]:
    """The rows without the name of the file."""
    return [row._replace(file="") for row in rows]


def test_the_columns_are_those_that_are_promised():
    before = "file frame time face track status x y width height face_score expression confidence".split()
    assert COLUMNS == (*before, *EXPRESSIONS, "set", "model")


def test_a_photo_comes_as_anything(predictor, tmp_path):
    file = tmp_path / "Ümläut 顔.png"
    file.write_bytes(png := saved(PORTRAIT))
    by_path = predictor.predict(file)
    assert [row.file for row in by_path] == [str(file)]
    with Image.open(file) as opened:
        others = [str(file), png, opened, PORTRAIT, Image.fromarray(PORTRAIT)]
        assert all(answers(predictor.predict(other)) == answers(by_path) for other in others)
    bgr = np.ascontiguousarray(PORTRAIT[:, :, ::-1])
    assert answers(predictor.predict(bgr, bgr=True)) == answers(by_path)


def test_a_row_says_where_what_and_how_sure(predictor):
    [row] = predictor.predict(PORTRAIT, name="astronaut")
    assert (row.file, row.face, row.status, row.model) == ("astronaut", 0, "ok", "tiny@01234567")
    assert (row.frame, row.time, row.track) == (None, None, None)
    assert 170 < row.x < 190 and 50 < row.y < 65 and 80 < row.width < 95 and row.face_score > 0.99
    shares = [getattr(row, name) for name in EXPRESSIONS]
    assert math.isclose(sum(shares), 1) and row.confidence == max(shares)
    assert row.expression == EXPRESSIONS[shares.index(max(shares))] == row.set.split("|")[0]
    assert all(type(value) in (str, int, float, type(None)) for value in row)


def test_the_largest_face_comes_first_and_may_be_the_only_one(predictor, models):
    rows = predictor.predict(group(TWO, ONE))
    assert [row.face for row in rows] == [0, 1] and rows[0].width > rows[1].width
    largest = Predictor(models / "tiny", faces="largest").predict(group(TWO, ONE))
    assert largest == rows[:1]


def test_no_face_is_a_row(predictor):
    [row] = predictor.predict(EMPTY)
    assert row == Row(**dict.fromkeys(COLUMNS))._replace(file="", status="no_face", model=predictor.model)


def test_a_whole_picture_is_a_face(models):
    [row] = Predictor(models / "tiny", whole=True).predict(EMPTY)
    assert (row.x, row.y, row.width, row.height, row.face_score) == (0, 0, 120, 90, None)
    assert row.expression in EXPRESSIONS


@pytest.mark.slow
def test_a_thousand_faces(models):
    face = cv2.resize(PORTRAIT[30:210, 130:310], (60, 60), interpolation=cv2.INTER_AREA)
    rows = Predictor(models / "crowd").predict(np.tile(face, (25, 40, 1)))
    assert len(rows) == 1000 and [row.face for row in rows] == [*range(1000)]
    sizes = [row.width * row.height for row in rows]
    assert all(one >= other - 10 for one, other in zip(sizes, sizes[1:], strict=False))  # rounded to 0.1 px


def test_a_doubted_answer_is_told_all_the_same(models, tmp_path, predictor):
    unsure = Predictor(write_tiny_model(tmp_path / "unsure", doubt={"threshold": 0.99}))
    [doubted], [sure] = unsure.predict(PORTRAIT), predictor.predict(PORTRAIT)
    assert doubted.status == "uncertain" and doubted == sure._replace(status="uncertain")


def test_of_what_it_has_seen_none_a_model_says_0_and_the_others_sum_to_1(tmp_path, capfd):
    four = [0.25, 0, 0, 0.25, 0.25, 0, 0.25]
    folder = write_tiny_model(tmp_path / "four", prior=four)
    for prior in get_args(Prior):
        predictor = Predictor(folder, prior=prior, coverage=0.999)  # of sets that hold all that there is
        [row] = predictor.predict(PORTRAIT)
        shares = [getattr(row, name) for name in EXPRESSIONS]
        assert predictor.unlearnt == ["disgust", "fear", "sad"]
        assert [share > 0 for share in shares] == [share > 0 for share in four]
        assert sum(shares) == pytest.approx(1) and {*row.set.split("|")} == {
            "angry",
            "happy",
            "neutral",
            "surprise",
        }
    (tmp_path / "photo.png").write_bytes(saved(PORTRAIT))
    assert ask(folder, tmp_path / "photo.png") == 0
    assert "has seen no picture of disgust, fear, sad: it answers over the other 4" in capfd.readouterr().err


def test_with_a_balanced_prior_a_rare_expression_counts_as_much_as_a_frequent_one(models):
    [plain], [balanced] = (Predictor(models / "tiny", prior=p).predict(PORTRAIT) for p in get_args(Prior))
    odds = [
        getattr(balanced, name) / getattr(plain, name) * share
        for name, share in zip(EXPRESSIONS, INFO["prior"], strict=True)
    ]
    assert odds == pytest.approx([odds[0]] * 7), "p divided by the prior, and nothing else"
    shares = [getattr(balanced, name) for name in EXPRESSIONS]
    assert math.isclose(sum(shares), 1) and balanced.expression == EXPRESSIONS[shares.index(max(shares))]
    with pytest.raises(UserError, match="prior is training or balanced, not flat"):
        Predictor(models / "tiny", prior="flat")


def test_a_greater_coverage_takes_in_more_expressions(models):
    sets = [
        Predictor(models / "tiny", coverage=coverage).predict(PORTRAIT)[0].set.split("|")
        for coverage in (0.05, 0.5, 0.9, 0.995)
    ]
    assert len(sets[0]) == 1 and len(sets[-1]) == 7
    assert all(large[: len(small)] == small for small, large in zip(sets, sets[1:], strict=False))
    for coverage in (0, 1, 1.5, float("nan")):
        with pytest.raises(UserError, match="coverage is between 0 and 1"):
            Predictor(models / "tiny", coverage=coverage)


def test_sets_are_those_of_the_calibration(predictor):
    [row] = predictor.predict(PORTRAIT)
    shares = np.array([[getattr(row, name) for name in EXPRESSIONS]])
    in_set = prediction_sets(shares, 0.9)[0]  # 99 scores from 0.01 to 0.99: the 90th
    assert {*row.set.split("|")} == {name for name, there in zip(EXPRESSIONS, in_set, strict=True) if there}


REFUSED = {
    "shares": (PHOTO / 255, r"not \(300, 400, 3\) float64; multiply shares by 255"),
    "grey": (
        PHOTO[:, :, 0],
        r"an array is one picture of shape \(M, N, 3\) and uint8, not \(300, 400\)",
    ),
    "alpha": (np.zeros((9, 9, 4), np.uint8), r"not \(9, 9, 4\)"),
    "a batch": (PHOTO[None], r"not \(1, 300, 400, 3\)"),
    "channels first": (PHOTO.transpose(2, 0, 1), r"not \(3, 300, 400\)"),
    "nothing": (PHOTO[:0], r"not \(0, 400, 3\)"),
    "BGR": (PORTRAIT[:, :, ::-1], "its faces are bluer than skin: an array is RGB; pass bgr=True"),
    "a list": ([PHOTO], "a picture is a path, bytes, a PIL image or an array of .*, not list"),
    "no file": (Path("nowhere.jpg"), "nowhere.jpg: No such file or directory"),
    "a folder": (Path("/"), "/: Is a directory"),
    "no bytes": (b"", "0 bytes in none of the formats"),
    "a text": (b"hello", "these bytes: 5 bytes in none of the formats"),
    "half": (saved(PHOTO, "JPEG")[:5000], "these bytes: image file is truncated"),
    "a bomb": (bomb(), "30000 x 30000 px > 120000000 px"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_picture_is_refused_in_one_line(predictor, what):
    source, reason = REFUSED[what]
    with pytest.raises(UnreadablePicture, match=reason) as refused:
        predictor.predict(source)
    assert "\n" not in str(refused.value)


def test_an_image_in_memory_may_be_too_large(predictor):
    with pytest.raises(UnreadablePicture, match="30000 x 20000 px are more than 120,000,000"):
        predictor.predict(Image.new("1", (30_000, 20_000)))


def test_whoever_knows_better_may_say_that_it_is_rgb(predictor):
    blue = np.ascontiguousarray(PORTRAIT[:, :, ::-1])
    assert predictor.predict(blue, bgr=False)[0].expression


def turned(image: np.ndarray) -> bytes:
    """A JPEG that lies on its side, and says so."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(np.rot90(image), "JPEG", exif=exif, quality=95)


GREY = np.repeat(cv2.cvtColor(PORTRAIT, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2)
FORMS = {
    "turned by EXIF": (lambda: turned(PORTRAIT), PORTRAIT),
    "grey": (lambda: saved(GREY[:, :, 0]), GREY),
    "alpha": (lambda: saved(np.dstack([PORTRAIT, np.full((512, 512), 255, np.uint8)])), PORTRAIT),
    "16 bits": (lambda: saved(GREY[:, :, 0].astype(np.uint16) * 257), GREY),
    "CMYK": (lambda: saved(Image.fromarray(PORTRAIT).convert("CMYK"), "JPEG", quality=95), PORTRAIT),
    "animated": (
        lambda: saved(PORTRAIT, "WEBP", save_all=True, append_images=[Image.fromarray(GREY)], lossless=True),
        PORTRAIT,
    ),
    "HEIC": (lambda: saved(PORTRAIT, "HEIF", quality=95), PORTRAIT),
    "a GIF": (lambda: saved(PORTRAIT, "GIF"), PORTRAIT),
    "end of the JPEG cut off": (lambda: saved(PORTRAIT, "JPEG", quality=95)[:-2], PORTRAIT),
}


@pytest.mark.parametrize("what", FORMS)
def test_odd_files_are_the_upright_picture_all_the_same(predictor, what):
    encode, image = FORMS[what]
    [row], [expected] = predictor.predict(encode()), predictor.predict(image)
    places = [[one.x, one.y, one.width, one.height] for one in (row, expected)]
    assert np.abs(np.subtract(*places)).max() < 4 and row.face_score == pytest.approx(1, abs=0.01)
    for name in EXPRESSIONS:
        assert getattr(row, name) == pytest.approx(getattr(expected, name), abs=0.15)


@pytest.mark.parametrize("shape", [(1, 1), (1, 30_000), (30_000, 1), (12, 12), (200, 30_000)])
def test_pictures_of_odd_shapes_have_no_face(predictor, shape):
    [row] = predictor.predict(np.full((*shape, 3), 200, np.uint8))
    assert row.status == "no_face"


def test_many_pictures_in_their_order_and_a_bad_one_costs_one_row(predictor, tmp_path):
    sources = [PHOTO, b"hello", EMPTY, str(tmp_path / "none.jpg"), PORTRAIT] * 4
    rows = [*predictor.predict_many(sources)]
    assert [[row.status for row in one] for one in rows[:5]] == [
        ["ok"],
        ["unreadable"],
        ["no_face"],
        ["unreadable"],
        ["ok"],
    ]
    assert rows[3][0].file == str(tmp_path / "none.jpg") and rows[5:10] == rows[:5] == rows[15:]


def test_pictures_are_taken_as_they_are_needed(predictor):
    taken = []
    found = predictor.predict_many(taken.append(i) or EMPTY for i in range(100))
    next(found)
    assert len(taken) < 12
    found.close()


@given(st.lists(st.floats(0, 1), min_size=7, max_size=7).filter(lambda shares: sum(shares) > 1e-6))
def test_rounded_probabilities_sum_to_1_and_keep_the_guess(weights):
    shares = np.array(weights) / sum(weights)
    rounded = rounded_shares(shares.tolist())
    assert round(sum(rounded), 9) == 1 and all(0 <= share <= 1 for share in rounded)
    assert np.abs(shares - rounded).max() < 1e-4 + 1e-9
    assert rounded[int(shares.argmax())] == max(rounded)


def test_the_confidence_is_the_rounded_probability(predictor):
    [row] = predictor.predict(PORTRAIT)
    values = rounded(row)
    assert values["confidence"] == values[row.expression] == max(values[name] for name in EXPRESSIONS)
