"""What the command takes for a film, and what for a picture: content decides, not the name."""

import numpy as np
import pytest
from PIL import Image

from apps.predict.sources import list_items
from fer_tasks.video.containers import ENOUGH, kind_of
from testing import films, matroska

GREY = np.full((48, 64, 3), 90, np.uint8)
JPEG = matroska.encoded(GREY, ".jpg")


@pytest.mark.parametrize("suffix", films.CODECS)
def test_a_film_is_one_whatever_it_is_called(tmp_path, suffix):
    film = films.write(tmp_path / f"a{suffix}", [GREY] * 3)
    assert kind_of(film.read_bytes()[:ENOUGH]) == {".mkv": "matroska"}.get(suffix, suffix[1:])
    named = film.rename(tmp_path / "a.jpg")
    assert [item.kind for item in list_items([str(named)])] == ["video"]


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "HEIF"])
def test_a_picture_is_one_though_it_is_called_a_film(tmp_path, form):
    from pillow_heif import register_heif_opener

    register_heif_opener()
    Image.fromarray(GREY).save(tmp_path / "a", form)
    named = (tmp_path / "a").rename(tmp_path / "a.mp4")
    assert [item.kind for item in list_items([str(named)])] == ["picture"]


def test_where_the_content_does_not_tell_the_name_does(tmp_path):
    for name, content in {"a.ts": b"G" * 188, "b.MPG": b"\0\0\1\xba", "c.mov": b"", "d.jpg": b"x"}.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "e.mjpeg").write_bytes(JPEG * 3)
    (tmp_path / "f.mp4").write_bytes(b"RIFF\x24\0\0\0WAVEfmt ")
    kinds = {item.place: item.kind for item in list_items([str(tmp_path)])}
    assert [name for name, kind in kinds.items() if kind == "video"] == [
        "a.ts",
        "b.MPG",
        "c.mov",
        "e.mjpeg",
        "f.mp4",
    ]
    assert kinds["d.jpg"] == "picture"


def test_copies_of_films_of_one_name_do_not_replace_each_other(tmp_path):
    for folder in "ab":
        (tmp_path / folder).mkdir()
        films.write(tmp_path / folder / "x.avi", [GREY])
    sources = [f"{tmp_path}/a/x.avi", f"{tmp_path}/b/x.avi", "rtsp://a/", "http://b/", "7", "7"]
    places = [item.place for item in list_items(sources)]
    assert places == ["x.avi", "x-2.avi", "stream", "stream-2", "camera-7", "camera-7-2"]
