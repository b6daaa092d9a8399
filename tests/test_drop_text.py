"""The stage with OCR.space for real: killed, paused, and by a schedule."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from fer_tasks.storage import images
from fer_tasks.storage.dataset import read_dataset, write_dataset, write_image
from testing.ocr_server import OcrSpace
from testing.project_copy import change_params, copy_project, environment
from tests.project import run, shrink
from tests.test_ocr_space_runs import N, picture, wanted

pytestmark = pytest.mark.slow

KILLED = """
import os, signal, sys
from flows import ocr_space
def die(*args):
    os.killpg(0, signal.SIGKILL)
keep_reply, left = ocr_space.keep_reply, [int(sys.argv[1])]
def keep(*args):
    left[0] -= 1
    keep_reply(*args) if left[0] else die()
ocr_space.keep_reply = keep
from flows.drop_text import drop_text
from flows.engine.stage import run_stage
run_stage(drop_text)
"""


def project_with_faces(root: Path, ocr: OcrSpace, database: Path, **changes) -> Path:
    project = copy_project(root / "project", database)
    rows = []
    for i in range(N):
        png = images.encode_png(picture(i))
        file = write_image(project / "data" / "faces", f"{i:016x}-0", png)
        rows.append({"image_id": f"{i:016x}-0", "file": file, "pixels": images.pixel_hash(picture(i))})
    write_dataset(project / "data" / "faces", pd.DataFrame(rows), pd.DataFrame(columns=["image_id"]), {}, {})
    asked = {**wanted(ocr).model_dump(), "sheet": False, **changes}
    change_params(project, drop_text={"engine": "ocr_space", "ocr_space": asked})
    return project


def test_kill_9_between_reply_and_record_loses_nothing_and_asks_once_more(tmp_path, ocr, database, server):
    project = project_with_faces(tmp_path, ocr, database)
    env = environment(project, OCR_SPACE_API_KEY=ocr.key, **server)
    command = [sys.executable, "-c", KILLED, "4"]
    killed = subprocess.run(command, cwd=project, env=env, stderr=subprocess.DEVNULL, start_new_session=True)
    assert killed.returncode == -signal.SIGKILL
    assert ocr.calls == 4 and len(list(project.rglob("reply.json"))) == 3
    done = run(project, "flows.drop_text", OCR_SPACE_API_KEY=ocr.key, **server)
    assert done.returncode == 0, done.stderr[-3000:]
    assert ocr.calls == N + 1 and len(set(ocr.pictures)) == N
    textfree = read_dataset(project / "data" / "textfree")
    assert len(textfree.manifest) == N - 2 and set(textfree.manifest["engine"]) == {"ocr_space"}
    assert dict(zip(textfree.rejected["image_id"].str[15], textfree.rejected["reason"], strict=True)) == {
        "3": "has_text",
        "8": "has_text",
    }


def test_a_stage_without_quota_is_paused_and_the_key_is_nowhere(tmp_path, ocr, database):
    project = project_with_faces(tmp_path, ocr, database, per_day=4)
    paused = run(project, "flows.drop_text", OCR_SPACE_API_KEY=ocr.key)
    assert paused.returncode == os.EX_TEMPFAIL
    assert "drop_text is paused: the quota is spent: 6 of 10 faces" in paused.stderr
    assert "Traceback" not in paused.stderr and not (project / "data" / "textfree").exists()
    change_params(project, drop_text={"ocr_space": {**wanted(ocr).model_dump(), "sheet": True}})
    done = run(project, "flows.drop_text", OCR_SPACE_API_KEY=ocr.key)
    assert done.returncode == 0 and ocr.calls == 5, "four by themselves, the rest on one sheet"
    everything = b"".join(path.read_bytes() for path in project.rglob("*") if path.is_file())
    said = (paused.stdout + paused.stderr + done.stdout + done.stderr).encode()
    assert ocr.key.encode() not in everything + said
    assert len(list(project.rglob("reply.json"))) == 5
    assert all((reply.parent / "sheet.jpg").exists() for reply in project.rglob("reply.json"))


def test_a_schedule_that_met_the_end_of_the_quota_goes_on_by_itself(tmp_path, ocr, server):
    project = shrink(copy_project(tmp_path / "project"))
    graph = yaml.safe_load((project / "dvc.yaml").read_text())
    stages = {name: graph["stages"][name] for name in ("download", "crop_faces", "drop_text")}
    (project / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    scheduled = "from flows.rebuild import rebuild; print('ended', rebuild(return_state=True).name)"
    env = environment(project, OCR_SPACE_API_KEY=ocr.key, **server)

    def night(per_day: int) -> str:
        asked = wanted(ocr, max_bytes=100_000, per_day=per_day).model_dump()
        change_params(project, drop_text={"engine": "ocr_space", "ocr_space": asked})
        done = subprocess.run(
            [sys.executable, "-c", scheduled], cwd=project, env=env, capture_output=True, text=True
        )
        return done.stdout + done.stderr

    assert "ended Paused" in (said := night(2)) and "faces are still to be asked about" in said
    assert ocr.calls == 2
    assert "ended Completed" in night(50)
    assert len(set(ocr.pictures)) == len(ocr.pictures) == ocr.calls
    assert len(read_dataset(project / "data" / "textfree").rejected) >= 3
    assert "has not changed" in night(50)


def test_without_an_engine_every_face_is_kept_and_nobody_is_asked(tmp_path, ocr, database, server):
    project = project_with_faces(tmp_path, ocr, database)
    change_params(project, drop_text={"engine": "none"})
    done = run(project, "flows.drop_text", **server)
    assert done.returncode == 0, done.stderr[-3000:]
    textfree = read_dataset(project / "data" / "textfree")
    assert len(textfree.manifest) == N and textfree.rejected.empty and ocr.calls == 0
    assert textfree.info["settings"]["engine"] == "none"
