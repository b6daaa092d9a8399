"""WebM files: true times, whole at any moment, gone on with, played by a browser."""

import io
import tempfile
from contextlib import closing
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fer_tasks.errors import DiskError
from fer_tasks.video.frames import BadVideo, video_frames
from fer_tasks.video.matroska import clusters
from fer_tasks.video.webm import WebM
from testing import films
from testing.browser import CHROMIUM, DRIVER, MISSING, browser

FRAMES = [cv2.resize(frame, (160, 120)) for frame in films.moving(films.astronaut(), 6)]
CLUSTER = b"\x1f\x43\xb6\x75"
TIMES = [0.0, 0.04, 0.5, 1.7, 1.75, 3.25]


def written(path, times=TIMES, frames=FRAMES, resume_at=0.0):
    with closing(WebM(path)) as file:
        file.resume_at = resume_at
        for time, frame in zip(times, frames, strict=True):
            file.add(frame, time)
    return path


@cache
def content():
    with tempfile.TemporaryDirectory() as folder:
        return written(Path(folder) / "a.webm").read_bytes()


def test_frames_come_back_at_their_times(tmp_path):
    frames = list(video_frames(written(tmp_path / "a" / "ü.webm")))
    assert [frame.time for frame in frames] == TIMES
    for frame, drawn in zip(frames, FRAMES, strict=True):
        assert np.abs(frame.image.astype(float) - drawn).mean() < 8
    assert [file.name for file in (tmp_path / "a").iterdir()] == ["ü.webm"]


def test_a_frame_of_another_size_is_scaled(tmp_path):
    frames = video_frames(written(tmp_path / "a.webm", [0, 1], [FRAMES[0], FRAMES[1][:90, :91]]))
    assert {frame.image.shape for frame in frames} == {(120, 160, 3)}


def test_no_frame_leaves_no_file(tmp_path):
    written(tmp_path / "a.webm", [], [])
    assert not list(tmp_path.iterdir())


def test_an_interrupted_run_leaves_a_whole_file(tmp_path):
    with pytest.raises(KeyboardInterrupt), closing(WebM(tmp_path / "a.webm")) as file:
        file.add(FRAMES[0], 0)
        file.add(FRAMES[1], 1)
        raise KeyboardInterrupt
    assert [frame.time for frame in video_frames(tmp_path / "a.webm")] == [0, 1]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_finished_file_is_gone_on_with(tmp_path):
    path = written(tmp_path / "a.webm")
    whole = path.read_bytes()
    written(path, TIMES[3:], FRAMES[3:], resume_at=1.0)
    assert path.read_bytes() == whole
    written(path, [0.6], FRAMES[:1], resume_at=0.55)
    assert [frame.time for frame in video_frames(path)] == [0, 0.04, 0.5, 0.6]


def test_a_file_of_another_size_is_begun_anew(tmp_path):
    path = written(tmp_path / "a.webm")
    written(path, [9, 10], [films.astronaut()] * 2, resume_at=5)
    assert [frame.image.shape for frame in video_frames(path)] == [(512, 512, 3)] * 2


@given(st.floats(0, 1), st.sampled_from(TIMES))
@settings(deadline=None, max_examples=20)
def test_a_file_that_is_cut_off_anywhere_plays_and_is_gone_on_with(tmp_path_factory, share, at):
    folder = tmp_path_factory.mktemp("cut")
    cut = content()[: int(share * len(content()))]
    ends = [one.end for one in clusters(io.BytesIO(content()), content().index(CLUSTER))]
    whole = TIMES[: sum(end <= len(cut) for end in ends)]
    (folder / ".a.webm.partial").write_bytes(cut)
    (folder / "cut.webm").write_bytes(cut)
    played = []
    try:
        for frame in video_frames(folder / "cut.webm"):
            played.append(frame.time)
    except BadVideo:
        assert len(cut) < len(content())
    assert played[: len(whole)] == whole
    written(folder / "a.webm", [9, 10], FRAMES[:2], resume_at=at + 0.01)
    kept = [time for time in whole if time <= at]
    times = [frame.time for frame in video_frames(folder / "a.webm")]
    assert times == ([*kept, 9, 10] if kept else [0, 1]), "a video's first frame is at 0 s"


def test_a_full_disk_is_told_and_leaves_nothing(small_disk):
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    with (
        pytest.raises(DiskError, match=f"no room in {small_disk}"),
        closing(WebM(small_disk / "a.webm")) as file,
    ):
        for i in range(9):
            file.add(noise, i)
    assert not list(small_disk.iterdir())


@pytest.mark.slow
@pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=MISSING)
def test_a_browser_plays_it_and_jumps_in_it(tmp_path):
    written(tmp_path / "a.webm", [i / 10 for i in range(60)], 10 * FRAMES)
    (tmp_path / "a.html").write_text("<video muted src=a.webm></video>")
    script = """
        const done = arguments[0], video = document.querySelector('video');
        video.onerror = () => done([video.error.message]);
        const seen = () => {
            const canvas = document.createElement('canvas');
            [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
            canvas.getContext('2d').drawImage(video, 0, 0);
            return [video.videoWidth, video.videoHeight, video.duration, video.currentTime];
        };
        video.onseeked = async () => { await video.play(); setTimeout(() => done(seen()), 300); };
        if (video.readyState > 0) video.currentTime = 4.15;
        else video.onloadedmetadata = () => { video.currentTime = 4.15; };
    """
    with browser() as driver:
        driver.get((tmp_path / "a.html").as_uri())
        width, height, duration, time = driver.execute_async_script(script)
        picture = driver.find_element("tag name", "video").screenshot_as_png
    assert (width, height) == (160, 120) and duration == pytest.approx(5.9, abs=0.11) and 4.15 < time < 5.5
    assert np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).std() > 20
