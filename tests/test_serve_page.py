"""The page of `serve` in a real browser: files, drops, pastes, the camera; keys only, a phone, two themes."""

import base64
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from apps.serve.app import make_app
from apps.serve.newest_model import NewestModel
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.storage.images import encode_jpeg
from testing import films
from testing.browser import CHROMIUM, DRIVER, MISSING, browser, look_like
from testing.tiny_model import write_tiny_model
from testing.web import running
from tests.predicting import PHOTO, saved, write_photo
from tests.serving import HOSTS, NOBODY, TWO_FACES, told_by_predict

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=MISSING)]

FAKE_CAMERA = ("use-fake-device-for-media-stream", "use-file-for-fake-video-capture={}")
GRANTED = "use-fake-ui-for-media-stream"
REFUSED = "deny-permission-prompts"
UNNAMED = """
return [...document.querySelectorAll("button, input:not([hidden]), img, video, section")]
    .filter((it) => it.checkVisibility())
    .filter((it) => !(it.ariaLabel || it.alt || it.innerText?.trim() || it.labels?.length))
    .map((it) => it.outerHTML)
"""
GIVE = """
const [data, kind, how] = arguments;
const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
const transfer = new DataTransfer();
if (kind) transfer.items.add(new File([bytes], "a picture", {type: kind}));
else transfer.setData("text/plain", "hello");
const event = how === "paste"
    ? new ClipboardEvent("paste", {clipboardData: transfer, bubbles: true})
    : new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true});
document.body.dispatchEvent(event);
"""
STRANGERS = """
return performance.getEntriesByType("resource").map((entry) => entry.name)
    .filter((name) => !name.startsWith(location.origin) && !/^(blob|data):/.test(name))
"""
WIDTH = "return document.documentElement.scrollWidth"
END = """
document.getElementById("video").srcObject.getTracks().forEach((track) => {
    track.stop();
    track.dispatchEvent(new Event("ended"));
});
"""


class Page:
    """The page in a browser."""

    def __init__(self, driver: Chrome, url: str):
        self.driver = driver
        driver.get("about:blank")
        driver.get(url)
        self.until(lambda: "Choose a picture" in self.message)

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        return [one.text for one in self.driver.find_elements(By.CSS_SELECTOR, selector)]

    def focused(self) -> str:
        return self.driver.switch_to.active_element.get_attribute("id")

    def until(self, holds: Callable[[], bool]) -> None:
        WebDriverWait(self.driver, 60, poll_frequency=0.05).until(lambda _: holds())

    @property
    def message(self) -> str:
        return self.find("#message").text

    def give(self, data: bytes, kind: str, how: str) -> None:
        """Drop or paste a file; without a kind, text."""
        self.driver.execute_script(GIVE, base64.b64encode(data).decode(), kind, how)

    def shows(self, faces: list[dict]) -> None:
        """It says of these faces what the command says."""
        n = f"{len(faces)} faces" if len(faces) > 1 else "1 face"
        self.until(lambda: self.message.startswith(f"{n}: "))
        told = [f"{face['expression']}{' (uncertain)' * (face['status'] != 'ok')}" for face in faces]
        assert self.message == f"{n}: {', '.join(told)}."
        heads = [f"{face['expression']} {percent(face['confidence'])}" for face in faces]
        assert [head.split(". ")[-1] for head in self.texts(".face h2")] == heads
        assert self.texts(".share") == [percent(face[name]) for face in faces for name in EXPRESSIONS]
        assert self.texts(".set") == [
            f"90 times in 100 the true one is among: {face['set'].replace('|', ', ')}." for face in faces
        ]
        assert [bool(text) for text in self.texts(".doubt")] == [face["status"] != "ok" for face in faces]
        assert len(self.texts(".box")) == len(faces)


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


@pytest.fixture(scope="module")
def url(model) -> Iterator[str]:
    with running(make_app(NewestModel(model), HOSTS)) as address:
        yield address


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    """What the fake camera sees, again and again: a face that stands still at the left, in MJPEG."""
    frames = [films.placed(films.astronaut(), 200, 240, 0.9)] * 3
    file = tmp_path_factory.mktemp("camera") / "face.mjpeg"
    file.write_bytes(b"".join(encode_jpeg(frame, 640, 92) for frame in frames))
    return file


@pytest.fixture(scope="module")
def chrome(film) -> Iterator[Chrome]:
    with browser(switches=[GRANTED, *(switch.format(film) for switch in FAKE_CAMERA)]) as driver:
        yield driver


@pytest.fixture
def page(chrome, url) -> Iterator[Page]:
    """The page, in which nothing may go wrong but what the server refuses."""
    page = Page(chrome, url)
    yield page
    check(page)


def check(page: Page) -> None:
    assert page.driver.execute_script(STRANGERS) == []
    assert page.driver.execute_script(UNNAMED) == []
    page.driver.get("about:blank")
    wrong = [entry["message"] for entry in page.driver.get_log("browser")]
    assert [message for message in wrong if " 415 " not in message] == []


def test_a_file_is_answered_as_the_command_answers(page, predictor, tmp_path):
    page.find("#file").send_keys(str(write_photo(tmp_path / "b ü 顔.jpg")))
    page.shows(told_by_predict(predictor, saved(PHOTO, "JPEG")))
    assert page.find("#model").text == f"model {predictor.model}"
    assert page.find(".crop").get_attribute("naturalWidth") == "150"


@pytest.mark.parametrize("how", ["drop", "paste"])
def test_a_picture_is_dropped_or_pasted(page, predictor, how):
    page.give(TWO_FACES, "image/png", how)
    page.shows(told_by_predict(predictor, TWO_FACES))
    assert [text.split()[0] for text in page.texts(".box")] == ["1", "2"]
    page.give(NOBODY, "image/png", how)
    page.until(lambda: page.message == "No face was found.")
    assert page.texts(".face") == page.texts(".box") == []


def test_what_is_no_picture_is_said_in_one_sentence(page):
    page.give(b"hello", "text/plain", "drop")
    page.until(lambda: page.message.startswith("The body: 5 bytes in none of the formats"))
    assert "cannot show" in page.find("#invitation").text
    page.give(b"", "", "drop")
    assert page.message == "That was no file: save the picture, then drop its file."
    page.give(b"", "", "paste")
    assert page.message == "The clipboard has no picture."
    page.driver.execute_script(
        "const transfer = new DataTransfer(); transfer.items.add(new File([new Uint8Array(20000001)], 'x'));"
        "document.body.dispatchEvent(new DragEvent('drop', {dataTransfer: transfer, bubbles: true}))"
    )
    assert page.message == "The picture has more than 20 MB: choose a smaller one."


def test_an_uncertain_answer_is_said_to_be_so(chrome, tmp_path):
    folder = write_tiny_model(tmp_path / "unsure", doubt={"threshold": 0.9999, "answered": 0, "accuracy": 0})
    with running(make_app(NewestModel(folder), HOSTS)) as url:
        page = Page(chrome, url)
        page.give(saved(PHOTO), "image/png", "drop")
        page.until(lambda: "(uncertain)" in page.message)
        assert page.texts(".doubt") == [
            "Uncertain: so unsure, the model is wrong at least as often as right."
        ]
        assert "uncertain" in page.find(".box").get_attribute("class")
        check(page)


def test_the_camera_is_followed_mirrored_and_stopped(page):
    page.find("#camera").click()
    page.until(lambda: len(page.texts(".box")) == 1 and page.message == "The camera is on.")
    page.until(lambda: "pictures a second" in page.find("#rate").text)
    box, video = (page.find(selector).rect for selector in (".box", "#video"))
    middle = (box["x"] + box["width"] / 2 - video["x"]) / video["width"]
    assert 0.55 < middle < 0.95, "the face is at the left of the picture, and so at the right of a mirror"
    assert page.texts(".face h2")[0].split()[0] in EXPRESSIONS and len(page.texts(".share")) == 7
    slider = page.find("#smoothing")
    slider.send_keys(Keys.HOME)
    assert page.find("#seconds").text == "none"
    slider.send_keys(Keys.END)
    assert page.find("#seconds").text == "2.0 s"
    page.find("#camera").click()
    page.until(lambda: page.message == "The camera is off.")
    assert not page.find("#video").is_displayed() and page.texts(".face") == []


def test_a_picture_ends_the_camera(page, predictor):
    page.find("#camera").click()
    page.until(lambda: len(page.texts(".box")) == 1)
    page.give(TWO_FACES, "image/png", "paste")
    page.shows(told_by_predict(predictor, TWO_FACES))
    assert not page.find("#video").is_displayed()


def test_a_camera_that_stops_is_said_in_one_sentence(page):
    page.find("#camera").click()
    page.until(lambda: len(page.texts(".box")) == 1)
    page.driver.execute_script(END)
    page.until(lambda: page.message == "The camera has stopped: connect it again, then press Camera.")
    assert page.find("#camera").text == "Camera" and page.texts(".box") == []


def test_no_camera_and_a_refused_one_are_said_in_one_sentence(url):
    for switches, sentence in (
        ([REFUSED, "use-fake-device-for-media-stream"], "The camera was refused: allow it in"),
        ([GRANTED], "There is no camera: connect one, or choose a picture."),
    ):
        with browser(switches=switches) as driver:
            page = Page(driver, url)
            page.find("#camera").click()
            page.until(lambda page=page, sentence=sentence: page.message.startswith(sentence))
            check(page)


@pytest.fixture
def phone(chrome) -> Iterator[Callable[[bool], None]]:
    yield lambda dark: look_like(chrome, 375, 700, dark)
    look_like(chrome, 1280, 860, False)


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_with_keys_only(phone, page, predictor, tmp_path, dark):
    phone(dark)
    driver, keys = page.driver, ActionChains(page.driver)
    background = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, background[4:-1].split(","))) < 3 * 60) == dark
    keys.send_keys(Keys.TAB).perform()
    assert page.focused() == "choose"
    page.find("#file").send_keys(str(write_photo(tmp_path / "a.png")))
    page.shows(told_by_predict(predictor, saved(PHOTO)))
    assert driver.execute_script(WIDTH) == 375
    keys.send_keys(Keys.TAB).perform()
    assert page.focused() == "camera"
    keys.send_keys(Keys.ENTER).perform()
    page.until(lambda: page.message.startswith("The camera is on") and len(page.texts(".box")) == 1)
    keys.send_keys(Keys.TAB).perform()
    assert page.focused() == "smoothing"
    keys.send_keys(Keys.ARROW_RIGHT).perform()
    assert page.find("#seconds").text == "0.6 s" and driver.execute_script(WIDTH) == 375
    keys.key_down(Keys.SHIFT).send_keys(Keys.TAB).key_up(Keys.SHIFT).send_keys(Keys.SPACE).perform()
    page.until(lambda: page.message == "The camera is off.")


def test_without_the_server_the_page_says_so(chrome, model):
    with running(make_app(NewestModel(model), HOSTS)) as url:
        page = Page(chrome, url)
    page.give(NOBODY, "image/png", "drop")
    page.until(lambda: page.message == "The server does not answer; is `monday-fer serve` still running?")
    page.driver.get("about:blank")
    page.driver.get_log("browser")
