"""The frames of files: all of them, at their true times; and what is said of files that have none."""

import math
from itertools import accumulate, groupby, islice

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_tasks.video.addresses import without_password
from fer_tasks.video.frames import BadVideo, video_frames
from testing import films, matroska
from testing.loopback import serving_files

SMALL = matroska.encoded(np.zeros((16, 16, 3), np.uint8), ".jpg")
VARYING = [0, 40, 80, 500, 540, 2000]  # ms


@pytest.fixture(scope="module")
def pictures():
    return [matroska.encoded(frame, ".jpg") for frame in films.moving(films.astronaut(), len(VARYING))]


@pytest.fixture
def varying(tmp_path, pictures):
    file = tmp_path / "varying.mkv"
    file.write_bytes(matroska.video(pictures, VARYING, "MJPG"))
    return file


def times(frames):
    return [round(1000 * frame.time) for frame in frames]


@pytest.mark.parametrize("suffix", films.CODECS)
def test_frames_at_a_constant_rate(tmp_path, suffix):
    drawn = list(films.moving(films.astronaut(), 12))
    frames = list(video_frames(films.write(tmp_path / f"ä 1:2 %d{suffix}", drawn, 25)))
    assert [frame.number for frame in frames] == list(range(12))
    assert times(frames) == [40 * i for i in range(12)]
    for frame, image in zip(frames, drawn, strict=True):
        limit = 0 if suffix == ".mkv" else 8
        assert frame.image.shape == image.shape and frame.image.dtype == np.uint8
        assert np.abs(frame.image.astype(float) - image).mean() <= limit


def test_times_are_true_where_the_rate_varies(varying):
    assert times(video_frames(varying)) == VARYING


def test_a_lower_rate_takes_the_frames_next_to_even_steps(varying):
    frames = list(video_frames(varying, fps=2))
    assert times(frames) == [0, 500, 2000] and [frame.number for frame in frames] == [0, 3, 5]
    assert times(video_frames(varying, fps=1000)) == VARYING


def test_from_start_to_before_end(varying):
    assert times(video_frames(varying, start=0.08, end=0.54)) == [80, 500]
    assert times(video_frames(varying, fps=2, start=0.04)) == [40, 540, 2000]
    assert times(video_frames(varying, fps=2, start=0.04, first=4)) == [540, 2000]
    with pytest.raises(BadVideo, match=r"varying.mkv has no frame from 3 s on: its last one is at 2.00 s"):
        list(video_frames(varying, start=3))


@given(
    st.lists(st.integers(1, 900), min_size=1, max_size=20),
    st.sampled_from([None, 0.7, 1, 3, 25, 30000 / 1001]),
    st.floats(0, 2),
)
@settings(deadline=None, max_examples=40)
def test_each_step_of_time_gives_its_first_frame(tmp_path_factory, pauses, fps, start):
    moments = [0, *accumulate(pauses)]
    file = tmp_path_factory.mktemp("steps") / "a.mkv"
    file.write_bytes(matroska.video([SMALL] * len(moments), moments, "MJPG", (16, 16)))
    wanted = [ms for ms in moments if ms / 1000 >= start - 1e-6]
    if fps:
        steps = groupby(wanted, lambda ms: math.floor((ms / 1000 - start) * fps + 1e-6))
        wanted = [next(frames) for _, frames in steps]
    frames = []
    try:
        frames += video_frames(file, fps=fps, start=start)
    except BadVideo as bad:
        assert "has no frame from" in str(bad)
    assert times(frames) == wanted and [moments[frame.number] for frame in frames] == wanted


def test_a_frame_that_cannot_be_decoded_is_told_in_its_place(varying, monkeypatch):
    class Damaged:  # not of cv2.VideoCapture: Python would crash
        def __init__(self, *given, opened=cv2.VideoCapture):
            self.capture = opened(*given)

        def __getattr__(self, name):
            return getattr(self.capture, name)

        def retrieve(self):
            whole = self.capture.get(cv2.CAP_PROP_POS_MSEC) != 80
            return self.capture.retrieve() if whole else (False, None)

    monkeypatch.setattr(cv2, "VideoCapture", Damaged)
    frames = list(video_frames(varying))
    assert times(frames) == VARYING and [frame.image is None for frame in frames] == [
        time == 80 for time in VARYING
    ]


def test_frames_are_read_as_they_are_taken(tmp_path):
    file = films.write(tmp_path / "a.avi", films.moving(films.astronaut(), 5))
    assert len(list(islice(video_frames(file), 2))) == 2


def test_a_video_of_a_telephone_is_turned_upright(tmp_path):
    file = films.write(tmp_path / "a.mp4", films.moving(films.astronaut(), 2))
    upright = next(video_frames(file)).image
    file.write_bytes(films.turned(file.read_bytes()))
    turned = next(video_frames(file)).image
    assert turned.shape == (640, 480, 3)
    assert np.abs(turned.astype(float) - np.rot90(upright, -1)).mean() < 5


def test_frames_that_change_size_are_scaled_to_the_first(tmp_path):
    frames = [films.astronaut(), films.astronaut()[:300], films.admiral()]
    file = tmp_path / "a.mkv"
    jpegs = [matroska.encoded(frame, ".jpg") for frame in frames]
    file.write_bytes(matroska.video(jpegs, [0, 40, 80], "MJPG", (512, 512)))
    assert [frame.image.shape for frame in video_frames(file)] == [(512, 512, 3)] * 3


def test_one_lossless_frame(tmp_path):
    file = tmp_path / "one.mkv"
    file.write_bytes(matroska.video([matroska.encoded(films.astronaut(), ".png")], [0], "MPNG", (512, 512)))
    (frame,) = video_frames(file)
    assert frame.number == frame.time == 0 and np.array_equal(frame.image, films.astronaut())


BAD = {
    "nothing.mp4": (b"", "it is empty"),
    "text.mp4": (b"hello " * 99, "it is no video, or of a format that is not supported"),
    "sound.mkv": (matroska.sound_only(2), "it has sound only, no video"),
    "sound.mp3": (b"ID3\4\0\0\0\0\0\0" + bytes(99), "it has sound only, no video"),
    "sound.wav": (b"RIFF\x24\0\0\0WAVEfmt " + bytes(99), "it has sound only, no video"),
    "no frame.mkv": (matroska.video([], [], "MJPG"), "it has no frame, or is of a codec"),
    "codec.mkv": (matroska.video([b"x" * 99], [0], "ZZZZ"), "it has no frame, or is of a codec"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_without_a_frame_is_refused_with_the_reason(tmp_path, name, capfd):
    content, reason = BAD[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadVideo) as caught:
        list(video_frames(tmp_path / name))
    assert str(caught.value).startswith(f"{tmp_path / name}: {reason}") and "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", ""), "OpenCV and FFmpeg say nothing beside"


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(BadVideo, match="none.mp4: No such file or directory"):
        list(video_frames(tmp_path / "none.mp4"))
    with pytest.raises(BadVideo, match="Is a directory"):
        list(video_frames(tmp_path))


@pytest.mark.parametrize("suffix", [".avi", ".mkv", ".webm"])
def test_a_file_that_is_cut_off_gives_what_it_has_and_then_says_so(tmp_path, suffix, pictures):
    file = tmp_path / f"cut{suffix}"
    if suffix == ".avi":
        films.write(file, films.moving(films.astronaut(), 20))
    else:
        file.write_bytes(matroska.video(pictures, VARYING, "MJPG"))
    file.write_bytes(file.read_bytes()[: 2 * file.stat().st_size // 3])
    frames = video_frames(file)
    with pytest.raises(BadVideo, match=rf"cut{suffix} is cut off: it ends at \d.\d\d s; copy it again"):
        for number, frame in enumerate(frames):
            assert frame.number == number
    assert number > 1


def test_an_mp4_without_its_end_cannot_be_read_at_all(tmp_path):
    file = films.write(tmp_path / "cut.mp4", films.moving(films.astronaut(), 20))
    file.write_bytes(file.read_bytes()[:-900])
    with pytest.raises(BadVideo, match="cut.mp4: it is cut off before its first frame, or its index"):
        list(video_frames(file))


def test_no_camera():
    with pytest.raises(BadVideo, match="camera 99 cannot be opened; (none is connected|numbers here: )"):
        list(video_frames(99))


def test_a_camera_that_is_pulled_out_ends_after_the_stated_while(tmp_path, monkeypatch):
    """A file stands in for the camera: there is none here."""
    file = films.write(tmp_path / "a.avi", films.moving(films.astronaut(), 3))
    opened, capture = [], cv2.VideoCapture

    def camera(number):
        opened.append(number)
        return capture(str(file) if len(opened) == 1 else "", cv2.CAP_FFMPEG)

    monkeypatch.setattr(cv2, "VideoCapture", camera)
    monkeypatch.setattr("fer_tasks.video.frames.PATIENCE", 0.2)
    told, frames = [], []
    with pytest.raises(BadVideo, match="^camera 0 broke off after .* s and did not come back within 0.2 s$"):
        for frame in video_frames(0, tell=told.append):
            frames.append(frame)
    assert len(frames) == 3 and told == ["camera 0 broke off; it is opened again for up to 0.2 s"]


@pytest.mark.parametrize(
    "given, shown",
    [
        ("rtsp://me:secret@127.0.0.1/live", "rtsp://127.0.0.1/live"),
        ("RTSP://me:s@c:r@t@127.0.0.1:554/@me", "RTSP://127.0.0.1:554/@me"),
        ("rtsp://me:se/cr?e@t@127.0.0.1/live", "rtsp://127.0.0.1/live"),
        ("http://127.0.0.1:8080/@me/a.mp4", "http://127.0.0.1:8080/@me/a.mp4"),
        ("http://[::1]:80/@me", "http://[::1]:80/@me"),
        (
            "http://a/x.cgi?loginuse=me&loginpas=1&channel=2",
            "http://a/x.cgi?loginuse=***&loginpas=***&channel=2",
        ),
        ("https://a/b.mp4?X-Amz-Signature=0f#t=2", "https://a/b.mp4?X-Amz-Signature=***#t=2"),
        ("rtsp://a/user=me_password=1_channel=2.sdp", "rtsp://a/user=***"),
        ("a@b.mp4", "a@b.mp4"),
        ("key=1.mp4", "key=1.mp4"),
        (0, "0"),
    ],
)
def test_an_address_is_shown_without_its_password(given, shown):
    assert without_password(given) == shown


def test_a_file_on_a_server_has_its_own_times(tmp_path):
    films.write(tmp_path / "a.avi", films.moving(films.astronaut(), 5))
    with serving_files(tmp_path) as address:
        assert times(video_frames(f"{address}/a.avi")) == [0, 40, 80, 120, 160]
        with pytest.raises(BadVideo, match="none.avi sends no video; is the address right"):
            next(video_frames(f"{address}/none.avi"))
