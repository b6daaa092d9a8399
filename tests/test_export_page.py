"""The exported page in a real browser, from a plain file server, with no network."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from selenium.webdriver import Chrome
from selenium.webdriver.support.wait import WebDriverWait
from skimage import data

from apps.export.__main__ import main
from apps.predict.predictor import Predictor
from apps.predict.tables import rounded
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.storage.model_folder import PRETRAINED
from testing.browser import CHROMIUM, DRIVER, MISSING, browser
from testing.exported_page import NO_NETWORK, PATIENCE_S, ask_page, message, open_page, plain_server
from tests.exporting import onnxruntime_web
from tests.predicting import ONE, TWO, group, saved, write_photo

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=MISSING)]

CAMERA = ("use-fake-device-for-media-stream", "use-fake-ui-for-media-stream")
REQUESTS = "return performance.getEntriesByType('resource').map((one) => one.name)"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the pretrained model."""
    if not shutil.which("node"):
        pytest.skip("needs Node.js")
    where = tmp_path_factory.mktemp("exported")
    runtime = onnxruntime_web(where / "runtime")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(where)  # where no data are: faces are drawn
        given = ["--to", "web", "--model", str(PRETRAINED), "--onnxruntime-web", str(runtime)]
        assert main(given) == 0
    return where / "export" / "web"


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(PRETRAINED)


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with plain_server(folder) as address:
        yield address


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the camera sees: the astronaut, who moves a little."""
    path = tmp_path_factory.mktemp("camera") / "film.mjpeg"
    photo = cv2.resize(data.astronaut(), (640, 480))
    frames = [np.roll(photo, 2 * i, axis=1) for i in range(5)]
    path.write_bytes(b"".join(saved(frame, "JPEG", quality=92) for frame in frames))
    return path


@pytest.fixture(scope="module")
def chrome(film: Path) -> Iterator[Chrome]:
    switches = (*NO_NETWORK, *CAMERA, f"use-file-for-fake-video-capture={film}")
    with browser(switches=switches) as driver:
        yield driver


@pytest.fixture
def page(chrome: Chrome, url: str) -> Iterator[Chrome]:
    """The page with its model, in which nothing may go wrong, and which asks its own server only."""
    open_page(chrome, url)
    yield chrome
    assert [entry["message"] for entry in chrome.get_log("browser") if entry["level"] != "INFO"] == []
    assert all(name.startswith((url, "blob:")) for name in chrome.execute_script(REQUESTS))


def check(answer: dict, photo: Path, predictor: Predictor) -> None:
    """The page says what the command says, to half a percent and half a pixel."""
    rows = predictor.predict(photo)
    assert len(answer["faces"]) == len(rows) and answer["model"] == predictor.model
    for row, face in zip(map(rounded, rows), answer["faces"], strict=True):
        for name in ("face", "status", "expression", "set"):
            assert face[name] == row[name]
        for name in ("x", "y", "width", "height"):
            assert face[name] == pytest.approx(row[name], abs=0.5)
        for name in ("confidence", "face_score", *EXPRESSIONS):
            assert face[name] == pytest.approx(row[name], abs=0.005)
        assert sum(face[name] for name in EXPRESSIONS) == pytest.approx(1, abs=1e-9)


def test_a_chosen_file_is_answered_as_by_the_command(page, predictor, tmp_path):
    photo = tmp_path / "astronaut.png"
    Image.fromarray(data.astronaut()).save(photo)
    page.find_element("id", "file").send_keys(str(photo))
    assert message(page, "1 face") == "1 face: happy."
    (row,) = predictor.predict(photo)
    card = page.find_element("css selector", "#faces .face")
    assert f"happy {100 * row.confidence:.1f} %" in card.text
    bars = [bar.text for bar in card.find_elements("css selector", ".share")]
    assert bars == [f"{100 * share:.1f} %" for share in [rounded(row)[name] for name in EXPRESSIONS]]
    assert page.find_element("id", "model").text == f"model {predictor.model}"


def test_photos_of_all_kinds_are_answered_as_by_the_command(page, predictor, tmp_path):
    turned, large = Image.fromarray(data.astronaut()).rotate(90, expand=True), group(ONE, TWO)
    exif = Image.Exif()
    exif[274] = 6  # to be turned by 90 degrees
    turned.save(tmp_path / "turned.png", exif=exif)
    write_photo(tmp_path / "group.png", large)
    Image.fromarray(cv2.resize(data.astronaut(), (1500, 1300))).save(tmp_path / "large.png")
    Image.fromarray(np.dstack([data.astronaut(), np.full((512, 512), 128, np.uint8)])).save(
        tmp_path / "alpha.png"
    )
    Image.fromarray(data.astronaut()).convert("L").save(tmp_path / "grey.png")
    for photo in sorted(tmp_path.glob("*.png")):
        check(ask_page(page, photo.read_bytes()), photo, predictor)
    nothing = ask_page(page, saved(np.zeros((90, 120, 3), np.uint8)))
    assert nothing["faces"] == [] and (nothing["width"], nothing["height"]) == (120, 90)
    (face,) = ask_page(page, (tmp_path / "grey.png").read_bytes(), crops=True)["faces"]
    assert face["crop"].startswith("data:image/png;base64,")


def test_what_is_no_picture_is_told_in_a_sentence_and_the_next_is_answered(page):
    for wrong in (b"", b"no picture", saved(data.astronaut())[:5000]):
        told = ask_page(page, wrong)
        assert told.get("error", "").startswith("This browser cannot read the picture") or told["faces"] == []
    assert len(ask_page(page, saved(data.astronaut()))["faces"]) == 1


def test_the_camera_is_answered_live(page):
    page.find_element("id", "camera").click()
    shown = lambda driver: "happy" in driver.find_element("id", "faces").text  # noqa: E731
    WebDriverWait(page, PATIENCE_S, 0.1).until(shown)
    rate = lambda driver: "pictures a second" in driver.find_element("id", "rate").text  # noqa: E731
    WebDriverWait(page, PATIENCE_S, 0.1).until(rate)
    page.find_element("id", "camera").click()
    message(page, "The camera is off")


def test_a_browser_without_simd_is_told_so(chrome, url):
    script = {"source": "WebAssembly.validate = () => false"}
    mark = chrome.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", script)
    chrome.get(url)
    assert message(chrome, "This browser") == (
        "This browser cannot run the model: it has no WebAssembly with SIMD. Use a newer browser."
    )
    chrome.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", mark)


@pytest.mark.parametrize("missing", ["model/rnet.onnx", "model/worker.mjs"])
def test_a_folder_with_a_file_missing_is_told_so(chrome, folder, tmp_path, missing):
    copy = shutil.copytree(folder, tmp_path / "web")
    (copy / missing).unlink()
    with plain_server(copy) as url:
        chrome.get(url)
        assert "Copy the whole" in message(chrome, "The page is incomplete")
    chrome.get("about:blank")
    chrome.get_log("browser")  # which has the missing file
