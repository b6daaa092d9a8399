"""The command `predict`: tables, exit statuses, faults."""

import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pytest
from PIL import Image

from apps.predict.__main__ import main
from apps.predict.tables import COLUMNS
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.storage.images import encode_png
from testing.tiny_model import write_tiny_model
from tests.predicting import COMMAND, PHOTO, ROOT, ask, rows_of, write_photo

NOT_NEEDED = {"tensorflow", "keras", "prefect", "dvc", "pandas", "scipy", "skimage", "matplotlib", "sklearn"}


def test_the_command_imports_little_and_answers(model, photos):
    script = (
        "import runpy, sys\n"
        f"sys.argv[:] = ['predict', {str(photos / 'a.jpg')!r}, '--model', {str(model)!r}]\n"
        "try: runpy.run_module('apps.predict', run_name='__main__')\n"
        "except SystemExit as end: code = end.code\n"
        "sys.stderr.write(' '.join({name.split('.')[0] for name in sys.modules}))\n"
        "sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and {"numpy", "openvino"} <= {*done.stderr.split()}
    assert NOT_NEEDED & {*done.stderr.split()} == set()
    [row] = rows_of(done.stdout)
    assert row["file"] == str(photos / "a.jpg") and row["status"] == "ok"


def test_output_that_is_no_terminal_is_csv(model, photos, capfd):
    assert ask(model, photos) == 0
    told = capfd.readouterr()
    rows = rows_of(told.out)
    assert tuple(rows[0]) == COLUMNS
    names = [Path(row["file"]).name for row in rows]
    assert names == ["a.jpg", "b ü 顔.png", "b ü 顔.png", "c.jpg"]
    assert [row["status"] for row in rows] == ["ok", "ok", "ok", "no_face"]
    assert [row["face"] for row in rows] == ["0", "0", "1", ""]
    for row in rows[:3]:
        assert sum(int(10_000 * float(row[name]) + 0.5) for name in EXPRESSIONS) == 10_000
    assert told.err == "3 pictures: 3 faces (0 uncertain), 1 without a face\n"


def test_a_terminal_gets_a_table(model, photos):
    ours, theirs = pty.openpty()
    command = [*COMMAND, str(photos / "a.jpg"), "--model", str(model)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=theirs, stderr=subprocess.DEVNULL)
    os.close(theirs)
    told = b""
    while block := _read(ours):
        told += block
    assert process.wait() == 0
    head, row = told.decode().splitlines()
    assert head.split() == ["file", "face", "status", "expression", "confidence", "set", "box"]
    assert row.startswith("…") and row[:28].endswith("phötos/a.jpg") and row[28:].split()[:2] == ["0", "ok"]


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # nobody has the other end any more
        return b""


def test_standard_input_is_a_picture(model, photos, capfd):
    command = [*COMMAND, "-", "--model", str(model)]
    done = subprocess.run(
        command, cwd=ROOT, input=(photos / "a.jpg").read_bytes(), capture_output=True, check=True
    )
    assert ask(model, photos / "a.jpg") == 0
    [row], [other] = rows_of(done.stdout.decode()), rows_of(capfd.readouterr().out)
    assert row["file"] == "-" and {**row, "file": other["file"]} == other


def test_patterns_and_several_sources(model, photos, capfd):
    assert ask(model, f"{photos}/*.png", photos / "a.jpg", f"{photos}/**/c.*") == 0
    names = [Path(row["file"]).name for row in rows_of(capfd.readouterr().out)]
    assert names == ["b ü 顔.png", "b ü 顔.png", "a.jpg", "c.jpg"]


def test_a_name_with_brackets_is_a_name_if_it_is_there(model, tmp_path, capfd):
    write_photo(tmp_path / "a[1].jpg")
    assert ask(model, tmp_path / "a[1].jpg") == 0
    assert rows_of(capfd.readouterr().out)[0]["file"] == str(tmp_path / "a[1].jpg")


def test_jsonl_has_the_rows_of_csv(model, photos, tmp_path):
    assert ask(model, photos, "--out", tmp_path / "rows.jsonl") == 0
    assert ask(model, photos, "--out", tmp_path / "rows.csv") == 0
    lines = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    rows = rows_of((tmp_path / "rows.csv").read_text())
    assert [
        {name: "" if value is None else str(value) for name, value in line.items()} for line in lines
    ] == rows
    assert {*os.listdir(tmp_path)} == {"rows.jsonl", "rows.csv", photos.name}


def test_parquet_has_types(model, photos, tmp_path):
    out = tmp_path / "it's.parquet"
    assert ask(model, photos, "--out", out) == 0
    table = duckdb.sql(f"SELECT * FROM read_parquet('{tmp_path}/it''s.parquet')")
    assert tuple(table.columns) == COLUMNS
    kinds = dict(zip(table.columns, map(str, table.types), strict=True))
    assert (kinds["face"], kinds["x"], kinds["set"]) == ("BIGINT", "DOUBLE", "VARCHAR")
    rows = table.fetchall()
    assert [row[3] for row in rows] == [0, 0, 1, None]
    assert sum(rows[0][13:20]) == pytest.approx(1, abs=1e-12)


WRONG = {
    "a table of another kind": (["a.jpg", "--out", "a.xlsx"], "name a file that ends in .csv, .jsonl"),
    "a gallery of another kind": (["a.jpg", "--gallery", "a.txt"], "a.txt: name a file that ends in .png"),
    "nothing": ([], "the following arguments are required: SOURCE"),
    "other faces": (["a.jpg", "--faces", "some"], "invalid choice: 'some'"),
    "coverage in words": (["a.jpg", "--coverage", "high"], "invalid float value"),
    "coverage of 2": (["a.jpg", "--coverage", "2"], "coverage is between 0 and 1"),
    "an empty folder": (["empty"], "empty: no picture and no video there"),
    "no model": (["a.jpg", "--model", "nowhere"], "there is no folder nowhere of a model"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_command_is_refused_with_status_2(model, tmp_path, monkeypatch, capsys, what):
    given, reason = WRONG[what]
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    given = given if "--model" in given else [*given, "--model", str(model)]
    try:
        status = main(given)
    except SystemExit as end:
        status = end.code
    assert status == 2 and reason in capsys.readouterr().err


def test_a_damaged_model_is_refused_in_one_line(tmp_path, capsys, photos):
    damaged = write_tiny_model(tmp_path / "damaged")
    (damaged / "model.onnx").write_bytes(b"x")
    assert ask(damaged, photos) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "model.onnx is damaged or of another network" in told
    info = json.loads((damaged / "model.json").read_text())
    (damaged / "model.json").write_text(json.dumps({**info, "schema": 99}))
    assert ask(damaged, photos) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "has schema 99, and this program knows 2" in told


def test_a_pipe_in_a_folder_costs_a_row_and_nobody_waits_for_it(model, photos, capfd):
    for name in ("a0.jpg", "a1.mp4"):
        os.mkfifo(photos / name)
    assert ask(model, photos) == 1
    told = capfd.readouterr()
    statuses = {Path(row["file"]).name: row["status"] for row in rows_of(told.out)}
    assert statuses["a0.jpg"] == statuses["a1.mp4"] == "unreadable" and statuses["a.jpg"] == "ok"
    assert told.err.count("a pipe, a socket or a device, not a file\n") == 2


def test_bad_files_cost_a_row_each_and_status_1(model, photos, capfd):
    (photos / "a0 empty.jpg").write_bytes(b"")
    (photos / "a1 half.jpg").write_bytes((photos / "a.jpg").read_bytes()[:4000])
    (photos / "a2 text.png").write_text("hello")
    shutil.copy(photos / "a.jpg", photos / "a3 wrong suffix.png")
    (photos / "a4 no target.jpg").symlink_to("nowhere")
    assert ask(model, photos, photos / "missing.jpg") == 1
    told = capfd.readouterr()
    rows = {Path(row["file"]).name: row["status"] for row in rows_of(told.out)}
    assert rows == {
        "a.jpg": "ok",
        "a0 empty.jpg": "unreadable",
        "a1 half.jpg": "unreadable",
        "a2 text.png": "unreadable",
        "a3 wrong suffix.png": "ok",
        "a4 no target.jpg": "unreadable",
        "b ü 顔.png": "ok",
        "c.jpg": "no_face",
        "missing.jpg": "unreadable",
    }
    assert "a0 empty.jpg: 0 bytes in none of the formats" in told.err
    assert "missing.jpg: No such file or directory" in told.err and told.err.count("\n") == 6
    assert told.err.endswith("9 pictures: 4 faces (0 uncertain), 1 without a face, 5 unreadable\n")


def test_names_that_no_text_can_hold_are_escaped(model, tmp_path, capfd):
    write_photo(folder := tmp_path / "photos" / "x.jpg")
    os.rename(os.fsencode(folder), os.fsencode(folder.parent) + b"/\xff\n.jpg")
    assert ask(model, folder.parent) == 0
    [row] = rows_of(capfd.readouterr().out)
    assert row["file"].endswith(r"/\xff\n.jpg")


def test_annotated_copies_and_a_gallery(model, photos, tmp_path, capfd):
    seen, faces = photos / "seen", tmp_path / "faces.png"
    for _ in range(2):  # the copies of the first time are not asked about
        assert ask(model, photos, "--annotated", seen, "--gallery", faces) == 0
        assert len(rows_of(capfd.readouterr().out)) == 4
    copies = {str(path.relative_to(seen)) for path in seen.rglob("*.*")}
    assert copies == {"a.jpg", "b ü 顔.jpg", "below/c.jpg"}
    with Image.open(seen / "a.jpg") as copy, Image.open(photos / "a.jpg") as photo:
        assert copy.size == (480, 360) and photo.size == (400, 300)  # labels want room
        difference = np.abs(np.asarray(copy).astype(int) - np.asarray(photo.resize(copy.size)))
    assert 0.01 < (difference.max(axis=2) > 40).mean() < 0.3
    with Image.open(faces) as sheet:
        assert sheet.width > sheet.height > 160


def test_a_picture_of_yours_is_never_replaced(model, photos, capsys):
    before = (photos / "a.jpg").read_bytes()
    assert ask(model, photos, "--annotated", photos) == 2
    assert "is a picture of yours; name another folder" in capsys.readouterr().err
    assert (photos / "a.jpg").read_bytes() == before


def test_copies_of_pictures_of_one_name_do_not_replace_each_other(model, photos, tmp_path):
    write_photo(tmp_path / "other" / "a.png")
    assert (
        ask(
            model,
            photos / "a.jpg",
            tmp_path / "other" / "a.png",
            "--annotated",
            tmp_path / "seen",
            "--out",
            tmp_path / "x.csv",
        )
        == 0
    )
    assert {path.name for path in (tmp_path / "seen").iterdir()} == {"a.jpg", "a-2.jpg"}


def test_a_reader_that_has_seen_enough_is_no_fault(model, photos):
    command = f"{sys.executable} -m apps.predict '{photos}' --model '{model}' | head -n 1"
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.startswith("file,frame") and "Traceback" not in done.stderr


@pytest.mark.slow
def test_many_pictures_one_of_them_bad(model, tmp_path):
    png = encode_png(PHOTO[::2, ::2])
    folder = tmp_path / "many"
    folder.mkdir()
    for i in range(40):
        (folder / f"{i:03}.png").write_bytes(png if i != 20 else png[:200])
    assert ask(model, folder, "--out", tmp_path / "rows.csv") == 1
    rows = rows_of((tmp_path / "rows.csv").read_text())
    assert [i for i, row in enumerate(rows) if row["status"] == "unreadable"] == [20] and len(rows) == 40
