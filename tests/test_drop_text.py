"""The stage with OCR.space for real: killed, paused, and by a schedule."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from fer_tasks.settings import load_settings
from fer_tasks.storage import images
from fer_tasks.storage.dataset import read_dataset, write_dataset, write_image
from fer_tasks.storage.files import write_bytes
from flows.drop_text import drop_text
from flows.rebuild import rebuild
from testing.ocr_server import OcrSpace
from testing.project_copy import change_params, copy_project, environment
from tests.project import run
from tests.test_ocr_space_runs import N, picture, wanted

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect")]

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


@pytest.fixture
def project(tmp_path: Path, ocr: OcrSpace, server: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with ten faces, in which the tests work: flows that they call are as in a process there."""
    project = copy_project(tmp_path / "project")
    rows = []
    for i in range(N):
        png = images.encode_png(picture(i))
        file = write_image(project / "data" / "faces", f"{i:016x}-0", png)
        rows.append({"image_id": f"{i:016x}-0", "file": file, "pixels": images.pixel_hash(picture(i))})
    write_dataset(project / "data" / "faces", pd.DataFrame(rows), pd.DataFrame(columns=["image_id"]), {}, {})
    monkeypatch.chdir(project)
    monkeypatch.setenv("OCR_SPACE_API_KEY", ocr.key)
    monkeypatch.setenv("XDG_STATE_HOME", environment(project)["XDG_STATE_HOME"])
    monkeypatch.setenv("PREFECT_API_URL", server["PREFECT_API_URL"])
    return project


def ask_by(project: Path, ocr: OcrSpace, **changes) -> None:
    """Set the engine: a call a face, unless `changes` say otherwise."""
    asked = {**wanted(ocr).model_dump(), "sheet": False, **changes}
    change_params(project, drop_text={"engine": "ocr_space", "ocr_space": asked})


def test_kill_9_between_reply_and_record_loses_nothing_and_asks_once_more(project, ocr, server):
    ask_by(project, ocr)
    env = environment(project, **server)
    command = [sys.executable, "-c", KILLED, "4"]
    killed = subprocess.run(command, cwd=project, env=env, stderr=subprocess.DEVNULL, start_new_session=True)
    assert killed.returncode == -signal.SIGKILL
    assert ocr.calls == 4 and len(list(project.rglob("reply.json"))) == 3
    drop_text(load_settings())
    assert ocr.calls == N + 1 and len(set(ocr.pictures)) == N
    textfree = read_dataset(project / "data" / "textfree")
    assert len(textfree.manifest) == N - 2 and set(textfree.manifest["engine"]) == {"ocr_space"}
    assert dict(zip(textfree.rejected["image_id"].str[15], textfree.rejected["reason"], strict=True)) == {
        "3": "has_text",
        "8": "has_text",
    }


def test_a_stage_without_quota_is_paused_and_the_key_is_nowhere(project, ocr, server, shared):
    ask_by(project, ocr, per_day=4)
    paused = run(project, "flows.drop_text", **server)
    assert paused.returncode == os.EX_TEMPFAIL
    assert "drop_text is paused: the quota is spent: 6 of 10 faces" in paused.stderr
    assert "Traceback" not in paused.stderr and not (project / "data" / "textfree").exists()
    ask_by(project, ocr, sheet=True)
    done = run(project, "flows.drop_text", **server)
    assert done.returncode == 0 and ocr.calls == 5, "four by themselves, the rest on one sheet"
    database = (shared / "server" / ".cache" / "server").glob("prefect.db*")
    kept = [path for path in project.rglob("*") if path.is_file()]
    everything = b"".join(path.read_bytes() for path in [*kept, *database, shared / "server.log"])
    said = (paused.stdout + paused.stderr + done.stdout + done.stderr).encode()
    assert ocr.key.encode() not in everything + said
    assert b"the quota is spent: 6 of 10 faces" in everything, "what Prefect keeps has been searched"
    assert len(list(project.rglob("reply.json"))) == 5
    assert all((reply.parent / "sheet.jpg").exists() for reply in project.rglob("reply.json"))


def test_a_schedule_that_met_the_end_of_the_quota_goes_on_by_itself(project, ocr, caplog):
    graph = yaml.safe_load((project / "dvc.yaml").read_text())
    (project / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"drop_text": graph["stages"]["drop_text"]}}))
    write_bytes(project / "photos" / "happy" / "0.png", images.encode_png(picture(0)))
    change_params(project, download={"source": "photos"})

    def night(per_day: int) -> str:
        ask_by(project, ocr, per_day=per_day)
        caplog.clear()
        return f"ended {rebuild(return_state=True).name}: {caplog.text}"

    assert "ended Paused" in (said := night(2)) and "faces are still to be asked about" in said
    assert ocr.calls == 2
    assert "ended Completed" in night(50)
    assert len(set(ocr.pictures)) == len(ocr.pictures) == ocr.calls == N
    assert len(read_dataset(project / "data" / "textfree").rejected) == 2
    assert "has not changed" in night(50)


def test_without_an_engine_every_face_is_kept_and_nobody_is_asked(project, ocr):
    change_params(project, drop_text={"engine": "none"})
    drop_text(load_settings())
    textfree = read_dataset(project / "data" / "textfree")
    assert len(textfree.manifest) == N and textfree.rejected.empty and ocr.calls == 0
    assert textfree.info["settings"]["engine"] == "none"
