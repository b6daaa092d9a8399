"""Videos, from the file to the rows: each frame has a row, faces keep their tracks."""

import io
import json
import os
import subprocess
import sys
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from apps.predict.tables import COLUMNS
from fer_tasks.errors import UserError
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.video.frames import BadVideo, video_frames
from fer_tasks.video.tracking import overlaps
from testing import films, matroska
from tests.predicting import ROOT, ask, rows_of

FACE = films.draw_face("happy", films.STILL)


@pytest.fixture(scope="module")
def crossing(tmp_path_factory):
    return films.write(tmp_path_factory.mktemp("films") / "crossing.avi", films.crossing(30))


def test_each_frame_has_a_row_and_a_face_one_track(predictor, moving):
    seen = list(predictor.video(moving))
    assert [[row.frame for row in rows] for rows in seen] == [[i] for i in range(26)]
    assert [rows[0].time for rows in seen] == [round(i / 25, 3) for i in range(26)]
    assert {(rows[0].track, rows[0].face, rows[0].file) for rows in seen} == {(0, 0, str(moving))}
    assert {rows[0].status for rows in seen} <= {"ok", "uncertain"}
    for (row,) in seen:
        assert sum(getattr(row, name) for name in EXPRESSIONS) == pytest.approx(1)


@pytest.mark.slow
def test_faces_that_are_followed_lie_where_a_search_finds_them(predictor, moving):
    for frame, rows in zip(video_frames(moving), predictor.video(moving), strict=True):
        found = predictor.detect([frame.image])[0].boxes
        told = np.array([[row.y, row.x, row.height, row.width] for row in rows])
        assert len(told) == len(found) and (overlaps(told, found).max(axis=1) > 0.75).all()


@pytest.mark.slow
def test_two_who_cross_keep_their_tracks(predictor, crossing):
    seen = list(predictor.video(crossing))
    assert len(seen) == 30
    rows = [row for rows in seen for row in rows]
    assert {row.track for row in rows} == {0, 1}
    for track, side in ((0, -1), (1, 1)):
        across = [row.x for row in rows if row.track == track]
        assert len(across) > 20 and side * (across[-1] - across[0]) > 200
        assert all(abs(one - other) < 60 for one, other in pairwise(across))
    for one in seen:
        assert [row.face for row in one] == list(range(len(one)))
        assert [row.width * row.height for row in one] == sorted(
            (r.width * r.height for r in one), reverse=True
        )


def test_after_a_cut_the_face_is_another_one(predictor, tmp_path):
    scenes = chain(films.moving(films.astronaut(), 10), films.moving(films.admiral(), 10))
    seen = list(predictor.video(films.write(tmp_path / "cut.avi", scenes)))
    assert [rows[0].track for rows in seen] == [0] * 10 + [1] * 10


def test_a_face_that_comes_in_is_seen_soon(predictor, tmp_path):
    empty = [films.set_in(np.full((480, 640, 3), 120, np.uint8), FACE, 900, 200, 60)] * 10
    scene = [films.set_in(empty[0], FACE, 320, 200, 60)] * 10
    rows = list(predictor.video(films.write(tmp_path / "in.avi", [*empty, *scene])))
    assert [row[0].status == "no_face" for row in rows] == [True] * 10 + [False] * 10


def test_frames_without_a_face_have_rows(predictor, nobody):
    rows = [row for rows in predictor.video(nobody) for row in rows]
    assert [(row.frame, row.status, row.track, row.x, row.set) for row in rows] == [
        (i, "no_face", None, None, None) for i in range(5)
    ]


def test_times_are_true_and_frames_are_chosen_by_them(predictor, tmp_path):
    times = [0, 40, 80, 500, 540, 2000]
    pictures = [matroska.encoded(frame, ".jpg") for frame in films.moving(films.astronaut(), 6)]
    file = tmp_path / "varying.mkv"
    file.write_bytes(matroska.video(pictures, times, "MJPG"))
    assert [rows[0].time for rows in predictor.video(file)] == [0, 0.04, 0.08, 0.5, 0.54, 2]
    chosen = list(predictor.video(file, fps=2, start=0.1))
    assert [(rows[0].frame, rows[0].time) for rows in chosen] == [(3, 0.5), (5, 2)]
    assert [rows[0].frame for rows in predictor.video(str(file), end=0.5)] == [0, 1, 2]


def test_smoothed_columns_stand_beside_the_raw_ones(predictor, tmp_path):
    file = films.write(tmp_path / "acting.avi", films.acting(EXPRESSIONS, 4))
    raw = [row for rows in predictor.video(file) for row in rows]
    smooth = [row for rows in predictor.video(file, smooth=0.5) for row in rows]
    assert [row._replace(expression_smooth=None, confidence_smooth=None) for row in smooth] == raw
    assert all(row.expression_smooth is None for row in raw)
    seen = [row for row in smooth if row.expression]
    steps = [np.diff([getattr(row, name) for row in seen]) for name in ("confidence", "confidence_smooth")]
    assert np.abs(steps[1]).sum() < 0.7 * np.abs(steps[0]).sum()
    assert seen[0].expression_smooth == seen[0].expression


@pytest.mark.parametrize(
    "wrong", [{"fps": 0}, {"fps": -1}, {"start": -1}, {"smooth": -1}, {"start": 2, "end": 2}]
)
def test_numbers_out_of_range_are_refused(predictor, moving, wrong):
    with pytest.raises(
        UserError, match="fps is above 0, not|start and smooth are 0 s or later, and end is after"
    ):
        predictor.video(moving, **wrong)


def test_a_picture_is_answered_the_same_as_a_video_of_one_frame(
    model, predictor, tmp_path, capfd, monkeypatch
):
    image = next(films.moving(films.astronaut(), 1))
    png = matroska.encoded(image, ".png")
    (tmp_path / "a.png").write_bytes(png)
    (tmp_path / "a.mkv").write_bytes(matroska.video([png], [0], "MPNG"))
    films.write(tmp_path / "b.mkv", [image])  # FFV1
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(png)))
    assert ask(model, "-") == 0
    (piped,) = rows_of(capfd.readouterr().out)
    answers = [predictor.predict(one)[0] for one in (tmp_path / "a.png", png, image, Image.fromarray(image))]
    answers += [rows[0] for name in "ab" for rows in predictor.video(tmp_path / f"{name}.mkv")]
    assert len(answers) == 6
    of_picture = [row._replace(file="", frame=None, time=None, track=None) for row in answers]
    assert len(set(of_picture)) == 1
    assert [piped["x"], piped["expression"]] == [str(answers[0].x), answers[0].expression]


def test_the_command_writes_rows_a_video_and_a_timeline(model, moving, tmp_path, capfd):
    out = tmp_path / "out"
    options = ["--out", out / "a.csv", "--annotated", out, "--timeline", out, "--smooth", 0.5, "--fps", 5]
    assert ask(model, moving, *options) == 0
    rows = rows_of((out / "a.csv").read_text())
    assert [row["frame"] for row in rows] == [str(i) for i in range(0, 26, 5)]
    assert list(rows[0]) == [*COLUMNS[:-1], "expression_smooth", "confidence_smooth", "model"]
    drawn = list(video_frames(out / "moving.avi.webm"))
    assert [frame.time for frame in drawn] == [float(row["time"]) for row in rows]
    plain = next(video_frames(moving)).image.astype(int)
    assert 500 < (np.abs(drawn[0].image - plain).max(axis=2) > 90).sum() < 20_000
    with Image.open(out / "moving.avi.png") as timeline:
        assert timeline.width > 900
    assert "6 frames: 6 faces" in capfd.readouterr().err
    assert sorted(file.name for file in out.iterdir()) == ["a.csv", "moving.avi.png", "moving.avi.webm"]


def test_a_folder_that_holds_what_was_made_of_it_is_asked_about_once(model, moving, tmp_path, capfd):
    (tmp_path / "a.avi").write_bytes(moving.read_bytes())
    made = ["--annotated", tmp_path / "seen", "--timeline", tmp_path / "times", "--fps", 1]
    for _ in range(2):
        assert ask(model, tmp_path, *made) == 0
        assert [row["file"] for row in rows_of(capfd.readouterr().out)] == [str(tmp_path / "a.avi")] * 2


def test_bad_videos_cost_a_row_each_and_one_line_each(model, moving, tmp_path, capfd):
    files = {
        "none.mp4": b"",
        "sound.mkv": matroska.sound_only(1),
        "codec.mkv": matroska.video([b"x" * 99], [0], "ZZZZ"),
        "cut.avi": moving.read_bytes()[: moving.stat().st_size // 2],
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    assert ask(model, tmp_path, moving, 77) == 1
    told = capfd.readouterr()
    rows = rows_of(told.out)
    bad = [row for row in rows if row["status"] == "unreadable"]
    assert [Path(row["file"]).name for row in bad] == ["codec.mkv", "cut.avi", "none.mp4", "sound.mkv", "77"]
    assert [row["frame"] for row in rows if row["file"] == str(moving)] == [str(i) for i in range(26)]
    cut = [int(row["frame"]) for row in rows if row["file"].endswith("cut.avi")]
    assert cut == list(range(len(cut))) and 9 < len(cut) < 17
    lines = told.err.splitlines()
    assert len(lines) == 6 and "sound only" in told.err and "camera 77 cannot be opened" in told.err


MEMORY = """
import json, sys
import psutil
from apps.predict.predictor import Predictor

predictor, memory = Predictor(sys.argv[1]), []
for _ in range(20):
    for _rows in predictor.video(sys.argv[2]):
        pass
    memory.append(psutil.Process().memory_info().rss)
print(json.dumps(memory))
"""


@pytest.mark.slow
def test_memory_does_not_grow(model, tmp_path):
    """What the first five videos leave behind is all that is left behind: no frame, of 0.9 MB, of each of the
    others."""
    film = films.write(tmp_path / "a.avi", films.moving(films.astronaut(), 8))
    command = [sys.executable, "-c", MEMORY, str(model), str(film)]
    few_arenas = {**os.environ, "MALLOC_ARENA_MAX": "2"}  # else threads of a busy machine open some late
    memory = json.loads(subprocess.check_output(command, cwd=ROOT, text=True, env=few_arenas))
    assert max(memory[15:]) - max(memory[:5]) < 8_000_000


def test_nothing_is_kept_of_a_generator_that_is_left(predictor, moving):
    rows = predictor.video(moving)
    assert next(rows)[0].frame == 0
    rows.close()


def test_a_missing_video_raises(predictor, tmp_path):
    with pytest.raises(BadVideo, match="No such file"):
        next(predictor.video(tmp_path / "a.mp4"))


def test_a_pipe_or_a_folder_is_refused_and_nobody_waits_for_it(predictor, tmp_path):
    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(BadVideo, match="a.mp4: a pipe, a socket or a device, not a file$"):
        next(predictor.video(tmp_path / "a.mp4"))
    with pytest.raises(BadVideo, match=f"^{tmp_path}: a folder, not a file$"):
        next(predictor.video(tmp_path))
    with pytest.raises(BadVideo, match="^/dev/zero: a pipe, a socket or a device, not a file$"):
        next(predictor.video("/dev/zero"))
