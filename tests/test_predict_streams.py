"""Streams, over HTTP and RTSP: frames at their times, one that breaks off is opened again, and a password
stays between the user and the camera."""

import signal
import socket
import subprocess
import time
from itertools import islice

import pytest

from apps.predict.pictures import UnreadablePicture
from fer_tasks.video.frames import LIMITS, BadVideo, video_frames
from testing import films, matroska
from testing.loopback import serving_files
from testing.mjpeg_server import mjpeg_camera
from testing.rtsp_server import rtsp_camera
from tests.predicting import COMMAND, ROOT, ask, rows_of, wait_for_rows

CAMERAS = {"http": mjpeg_camera, "rtsp": rtsp_camera}
LOGIN = "me:se@cret"
HLS = """#EXTM3U
#EXT-X-VERSION:3
#EXT-X-TARGETDURATION:1
#EXT-X-MEDIA-SEQUENCE:0
#EXTINF:1.0,
0.ts
#EXTINF:1.0,
1.ts
"""


@pytest.fixture(scope="module")
def jpegs():
    return [matroska.encoded(frame, ".jpg") for frame in films.moving(films.astronaut(), 10)]


@pytest.mark.slow
@pytest.mark.parametrize("scheme", CAMERAS)
def test_a_stream_that_breaks_off_and_returns_goes_on(model, jpegs, tmp_path, monkeypatch, capfd, scheme):
    monkeypatch.setattr("fer_tasks.video.frames.PATIENCE", 1)
    with CAMERAS[scheme](jpegs, [8, 6], login=LOGIN) as camera:
        address = camera.url.replace("://", f"://{LOGIN}@")
        assert ask(model, address, "--out", tmp_path / "a.csv", "--annotated", tmp_path) == 1
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.csv", "stream.webm"]
    rows = rows_of((tmp_path / "a.csv").read_text())
    assert [row["frame"] for row in rows] == [str(i) for i in range(15)]
    assert [row["status"] == "unreadable" for row in rows] == [False] * 14 + [True]
    times = [float(row["time"]) for row in rows[:14]]
    assert times == sorted(times) and {row["file"] for row in rows} == {camera.url}
    told = capfd.readouterr().err.splitlines()
    broke = f"{camera.url} broke off; it is opened again for up to 1 s"
    assert told[:2] == [broke, broke] and "cret" not in "".join(told)
    assert told[2].startswith(f"{camera.url} broke off after ")
    assert told[2].endswith(" s and did not come back within 1 s")


def test_over_rtsp_frames_have_the_times_of_the_camera(jpegs):
    with rtsp_camera(jpegs, [30, 3], pause=0.04) as camera:
        began = time.monotonic()
        times = [frame.time for frame in islice(video_frames(camera.url), 33)]
        took = time.monotonic() - began
    assert times[:30] == pytest.approx([0.04 * i for i in range(30)], abs=0.002)
    assert times[31] - times[30] == pytest.approx(0.04, abs=0.002)
    assert 1.2 <= times[30] <= took


def test_over_http_jpegs_have_the_times_at_which_they_arrive(jpegs):
    with mjpeg_camera(jpegs, [6], pause=0.2) as camera:
        times = [frame.time for frame in islice(video_frames(camera.url), 6)]
    assert times == sorted(times) and times[5] > 0.6, "25 a second would be made up"


def test_frames_of_hls_that_come_at_once_have_their_own_times(tmp_path, monkeypatch):
    monkeypatch.setitem(films.CODECS, ".ts", "mp4v")
    film = films.write(tmp_path / "film.ts", films.moving(films.astronaut(), 50)).read_bytes()
    half = len(film) // 2 // 188 * 188  # bytes: packets are whole
    (tmp_path / "0.ts").write_bytes(film[:half])
    (tmp_path / "1.ts").write_bytes(film[half:])
    (tmp_path / "live.m3u8").write_text(HLS)
    with serving_files(tmp_path) as address:
        times = [frame.time for frame in islice(video_frames(f"{address}/live.m3u8"), 35)]
    assert times == pytest.approx([0.04 * i for i in range(35)], abs=0.002)


@pytest.mark.parametrize("scheme", [*CAMERAS, "rtps"])
def test_a_password_is_not_told(model, jpegs, tmp_path, capfd, monkeypatch, scheme):
    """A wrong one, one with a slash, one in the parameters, and where the protocol is misspelt."""
    monkeypatch.chdir(tmp_path)
    with CAMERAS.get(scheme, mjpeg_camera)(jpegs, [5], login=LOGIN) as camera:
        url = camera.url.replace("http", scheme) if scheme not in CAMERAS else camera.url
        addresses = [url.replace("://", f"://{login}@") for login in ("me:secret", "me:secr/secret")]
        addresses.append(f"{url}?channel=1&user=me&pwd=secret")
        assert ask(model, *addresses, "--out", "a.csv", "--annotated", "seen", "--timeline", "times") == 1
    told = capfd.readouterr()
    assert [line.split(" sends")[0] for line in told.err.splitlines()[:3]] == [
        url,
        url,
        f"{url}?channel=1&user=***&pwd=***",
    ]
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert tmp_path / "a.csv" in files
    assert "secr" not in told.err + told.out + " ".join(map(str, files))
    assert not any(b"secr" in file.read_bytes() for file in files)


def test_who_asks_for_a_picture_by_its_address_is_told_what_to_pass(predictor):
    address = "http://me:secret@127.0.0.1:9/a.jpg"
    with pytest.raises(UnreadablePicture, match="^http://127.0.0.1:9/a.jpg is an address, not a file"):
        predictor.predict(address)
    [[row]] = predictor.predict_many([address])
    assert row.file == "http://127.0.0.1:9/a.jpg" and row.status == "unreadable"


@pytest.mark.parametrize("scheme", CAMERAS)
def test_a_server_that_does_not_answer_is_given_up(monkeypatch, scheme):
    assert LIMITS[1::2] == [10_000, 10_000]
    monkeypatch.setattr("fer_tasks.video.frames.LIMITS", [*LIMITS[:1], 300, *LIMITS[2:3], 300])
    began = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/live"
        with pytest.raises(BadVideo, match=f"^{address} sends no video; is the address right"):
            next(video_frames(address))
    assert 0.3 <= time.monotonic() - began < 5


def test_a_stream_that_is_not_there_is_told_at_once(model, tmp_path, capfd):
    began = time.monotonic()
    assert ask(model, "http://127.0.0.1:9/live") == 1
    assert time.monotonic() - began < 5
    assert capfd.readouterr().err.splitlines()[0].startswith("http://127.0.0.1:9/live sends no video")


@pytest.mark.slow
def test_ctrl_c_ends_a_stream_like_a_file_that_is_over(model, jpegs, tmp_path):
    with mjpeg_camera(jpegs, [100_000]) as camera:
        command = [*COMMAND, camera.url, "--model", str(model)]
        run = subprocess.Popen([*command, "--out", str(tmp_path / "a.csv")], cwd=ROOT, stderr=subprocess.PIPE)
        wait_for_rows(run, tmp_path)
        run.send_signal(signal.SIGINT)
        told = run.communicate(timeout=60)[1].decode()
    rows = rows_of((tmp_path / "a.csv").read_text())
    assert run.returncode == 0 and f"{len(rows)} frames" in told
    assert [row["frame"] for row in rows] == [str(i) for i in range(len(rows))]


def test_an_end_ends_a_stream(model, jpegs, tmp_path):
    with mjpeg_camera(jpegs, [2000]) as camera:
        assert ask(model, camera.url, "--end", 1, "--fps", 20, "--out", tmp_path / "a.csv") == 0
    assert 2 <= len(rows_of((tmp_path / "a.csv").read_text())) <= 20
