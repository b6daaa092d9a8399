"""Runs of `predict` that end early, by Ctrl-C, a power cut or a full disk: rows are whole, and the same
command goes on."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import chdir
from itertools import groupby

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.predict.__main__ import STOPPED
from apps.predict.tables import COLUMNS, Row
from apps.predict.writers import TableFile, table_file
from fer_tasks.errors import DiskError
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.video.frames import video_frames
from testing import films
from tests.predicting import COMMAND, ROOT, ask, rows_of, wait_for_rows

LAST = 15


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("films")


@pytest.fixture(scope="module")
def brief(folder):
    """A small film in which two cross, of LAST + 1 frames."""
    small = (frame[::2, ::2] for frame in films.crossing(LAST + 1))
    return films.write(folder / "brief.avi", small)


@pytest.fixture(scope="module")
def whole(model, brief, folder):
    """Its rows."""
    assert ask(model, brief, "--out", folder / "whole.csv", "--smooth", 0.5) == 0
    return rows_of((folder / "whole.csv").read_text())


@pytest.fixture(scope="module")
def interrupted(model, brief, folder):
    """The part that a run leaves that is stopped at the last frame: its name for a.csv, and its bytes."""

    def stop(self, rows):
        if rows[0].frame == LAST:
            raise KeyboardInterrupt
        return append(self, rows)

    append = TableFile.append
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TableFile, "append", stop)
        patch.chdir(folder)
        status = ask(model, brief, "--out", "a.csv", "--smooth", 0.5, "--annotated", ".")
    assert status == STOPPED
    (part,) = folder.glob("a.csv.*.part")
    return part.name, part.read_bytes(), (folder / "brief.avi.webm").read_bytes()


@pytest.mark.slow
@given(st.floats(0, 1))
@settings(deadline=None, max_examples=4)
def test_a_run_that_was_cut_off_anywhere_goes_on(model, brief, whole, interrupted, tmp_path_factory, share):
    out = tmp_path_factory.mktemp("resumed") / "a.csv"
    name, rows, copy = interrupted
    kept = rows[: int(share * len(rows))]
    (out.parent / name).write_bytes(kept)
    (out.parent / ".brief.avi.webm.partial").write_bytes(copy[: int(share * len(copy))])
    with chdir(out.parent):
        assert ask(model, brief, "--out", "a.csv", "--smooth", 0.5, "--annotated", ".") == 0
    told = rows_of(out.read_text())
    assert [number for number, _ in groupby(row["frame"] for row in told)] == [
        str(i) for i in range(LAST + 1)
    ]
    for _, faces in groupby(told, lambda row: row["frame"]):
        tracks = [row["track"] for row in faces]
        assert len(tracks) == len(set(tracks))
    assert {row["track"] for row in told} == {"0", "1"}, "faces keep their tracks"
    same = max(kept.count(b"\n") - 3, 0)  # without the head, and without the last frame
    assert told[:same] == whole[:same]
    times = [frame.time for frame in video_frames(out.parent / "brief.avi.webm")]
    assert len(times) >= LAST - 2 and times[-1] == pytest.approx(LAST / 25, abs=0.13)
    assert not list(out.parent.glob("*.part*"))


def test_what_an_earlier_run_has_finished_is_not_read_again(model, moving, nobody, tmp_path, capfd):
    out = tmp_path / "a.jsonl"
    append = TableFile.append

    def stop(self, rows):
        if rows[0].file == str(nobody) and rows[0].frame == 3:
            raise KeyboardInterrupt
        return append(self, rows)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TableFile, "append", stop)
        assert ask(model, moving, nobody, "--out", out) == STOPPED
    assert ask(model, moving, nobody, "--out", out) == 0
    assert "31 frames: 26 faces (0 uncertain), 5 without a face" in capfd.readouterr().err
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(row["file"], row["frame"]) for row in rows] == [
        *((str(moving), i) for i in range(26)),
        *((str(nobody), i) for i in range(5)),
    ]


def some_rows(pictures: list[int]) -> list[list[Row]]:
    """Pictures with so many faces each; their names have what CSV must quote."""
    values = dict.fromkeys(COLUMNS) | dict.fromkeys(EXPRESSIONS, 1 / 7)
    values |= {"status": "ok", "expression": "angry", "confidence": 1 / 7, "model": "m"}
    return [
        [Row(**{**values, "file": f'{i}, "x"', "face": face}) for face in range(faces)]
        for i, faces in enumerate(pictures)
    ]


@given(
    st.lists(st.integers(1, 3), min_size=1, max_size=5),
    st.integers(0, 10**6),
    st.sampled_from([".csv", ".jsonl"]),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_a_file_cut_off_anywhere_goes_on_with_whole_pictures(tmp_path, pictures, at, suffix):
    folder = tmp_path / f"{time.monotonic_ns()}"
    out, rows = folder / f"rows{suffix}", some_rows(pictures)
    with table_file(out, COLUMNS, "") as table:
        for one in rows:
            table.append(one)
        part, whole = table.part, table.part.read_bytes()
    assert out.read_bytes() == whole
    out.unlink()
    part.write_bytes(whole[: at % (len(whole) + 1)])
    with table_file(out, COLUMNS, "") as table:
        for one in rows:
            if one[0].file not in table.done:
                table.append(one)
    assert out.read_bytes() == whole


def test_other_settings_begin_anew(tmp_path):
    [[one]] = some_rows([1])
    with pytest.raises(RuntimeError), table_file(tmp_path / "a.csv", COLUMNS, "x") as table:
        table.append([one])
        table.append([one._replace(file="next")])
        raise RuntimeError
    with table_file(tmp_path / "a.csv", COLUMNS, "x") as table:
        assert {*table.done} == {one.file}
    with pytest.raises(RuntimeError), table_file(tmp_path / "a.csv", COLUMNS, "y") as table:
        assert table.done == {}
        table.append([one])
        table.append([one._replace(file="next")])
        raise RuntimeError
    with table_file(tmp_path / "a.csv", COLUMNS, "y", go_on=False) as table:
        assert table.done == {}
    assert [file.name for file in tmp_path.iterdir()] == ["a.csv"]


@pytest.mark.slow
def test_ctrl_c_leaves_whole_rows_and_the_same_command_goes_on(model, photos, tmp_path):
    for i in range(60):
        os.link(photos / "b ü 顔.png", photos / f"x{i:03}.png")
    out = tmp_path / "rows.csv"
    command = [*COMMAND, str(photos), "--model", str(model), "--out", str(out)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (parts := [*tmp_path.glob("rows.csv.*.part")]) or len(parts[0].read_bytes()) < 3000:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130 and not out.exists()
    assert "has the rows so far: the same command goes on there" in process.stderr.read()
    before = parts[0].read_bytes()
    assert before.endswith(b"\n") and all(len(row) == 22 for row in csv.reader(io.StringIO(before.decode())))
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == "63 pictures: 123 faces (0 uncertain), 1 without a face\n"
    rows = rows_of(out.read_text())
    assert len(rows) == 124 and len({(row["file"], row["face"]) for row in rows}) == 124
    assert out.read_bytes().startswith(before) and [*tmp_path.glob("*.part")] == []


@pytest.mark.slow
def test_ctrl_c_leaves_whole_rows_and_a_video_that_plays(model, folder, tmp_path):
    file = films.write(folder / "long.avi", list(films.moving(films.astronaut(), 25)) * 6)
    command = [sys.executable, "-m", "apps.predict", str(file), "--model", str(model)]
    options = ["--out", str(tmp_path / "a.csv"), "--annotated", str(tmp_path)]
    run = subprocess.Popen([*command, *options], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    part = wait_for_rows(run, tmp_path)
    run.send_signal(signal.SIGINT)
    told = run.communicate(timeout=60)[1]
    assert run.returncode == STOPPED and "the same command goes on there" in told
    content = part.read_text()
    rows = rows_of(content)
    assert content.endswith("\n") and [row["frame"] for row in rows] == [str(i) for i in range(len(rows))]
    assert abs(sum(1 for _ in video_frames(tmp_path / "long.avi.webm")) - len(rows)) <= 1


def test_a_full_disk_is_told_in_one_line(model, moving, small_disk, capfd):
    assert ask(model, moving, "--annotated", small_disk, "--out", small_disk / "a.csv") == 1
    told = capfd.readouterr().err.splitlines()
    assert len(told) == 1 and f"no room in {small_disk}" in told[0]
    (part,) = small_disk.iterdir()
    assert part.read_text().endswith("\n") and len(rows_of(part.read_text())) > 0


def test_a_full_disk_is_told(model, photos, small_disk, capsys):
    (small_disk / "large").write_bytes(bytes(120_000))
    assert ask(model, *[photos / "a.jpg"] * 60, "--whole", "--out", small_disk / "rows.csv") == 1
    told = capsys.readouterr().err
    assert f"no room in {small_disk}" in told and told.count("\n") == 1
    assert ask(model, photos / "a.jpg", "--annotated", small_disk / "seen") == 1
    assert f"no room in {small_disk / 'seen'}" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_on_a_full_disk_the_rows_of_a_picture_are_written_whole_or_not_at_all(small_disk, suffix):
    pictures = some_rows([3] * 800)
    with pytest.raises(DiskError), table_file(small_disk / f"rows{suffix}", COLUMNS, "") as table:
        for rows in pictures:
            table.append(rows)
    [part] = small_disk.iterdir()
    lines = part.read_text().splitlines()[suffix == ".csv" :]
    assert len(lines) % 3 == 0 and 100 < len(lines) < 2400 and part.read_bytes().endswith(b"\n")
    assert all("angry" in line and line.rstrip("}").rstrip('"').endswith("m") for line in lines)
