"""A rebuild sees what DVC does not, ends with a commit, and takes nothing of the user's along: for real."""

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from fer_tasks.errors import UserError
from fer_tasks.storage.dataset import image_id
from fer_tasks.storage.files import write_bytes
from fer_tasks.storage.images import encode_png
from flows.rebuild import rebuild
from flows.registry import ledger_at
from flows.run import run
from flows.versions import OF_GIT
from testing.project_copy import change_params, copy_project, environment
from tests.project import commit, ended, succeeds

pytestmark = pytest.mark.slow
REBUILD = "import sys; from flows.rebuild import rebuild; sys.exit(10 + rebuild())"
COUNT = """python -c "from pathlib import Path; rows = len(Path('data/raw/manifest.csv').read_text().split());
Path('reports').mkdir(exist_ok=True); Path('reports/metrics.json').write_text(f'[{rows}]')" """


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Four photos that a table names, and a line of two stages, the last of which writes the metrics."""
    project = copy_project(tmp_path / "ß päth (1)")
    rng = np.random.default_rng(0)
    rows = [(f"photos/{n}.png", label) for n, label in enumerate(["happy", "sad", "fear", "angry"])]
    for file, _ in rows:
        write_bytes(project / file, encode_png(rng.integers(0, 256, (48, 48, 3), np.uint8)))
    pd.DataFrame(rows, columns=["file", "label"]).to_csv(project / "labels.csv", index=False)
    download = yaml.safe_load((project / "dvc.yaml").read_text())["stages"]["download"]
    metrics = [{"reports/metrics.json": {"cache": False}}]
    count = {"cmd": COUNT.replace("\n", " "), "deps": ["data/raw"], "metrics": metrics}
    (project / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"download": download, "count": count}}))
    change_params(project, download={"source": "labels.csv"})
    commit(project)
    (project / ".dvc" / "config.local").unlink()  # so it is the remote that every clone has
    return project


def begin(project: Path, **extra: str) -> subprocess.Popen:
    command = [sys.executable, "-c", REBUILD]
    return subprocess.Popen(
        command, cwd=project, env=environment(project, **extra), stderr=subprocess.DEVNULL
    )


def git(folder: Path, *arguments: str) -> str:
    return subprocess.check_output(["git", *arguments], cwd=folder, text=True)


def downloaded(project: Path) -> set[str]:
    """The ids of the pictures in data/raw; none while a download writes it."""
    with suppress(FileNotFoundError):
        return set(pd.read_csv(project / "data" / "raw" / "manifest.csv")["image_id"])
    return set()


def add_a_byte(photo: Path) -> str:
    write_bytes(photo, photo.read_bytes() + b"\0")
    return image_id(photo.read_bytes())


@pytest.mark.usefixtures("prefect")
def test_nights(project, server, tmp_path, monkeypatch, capfd):
    env = {**server, "HOME": str(tmp_path / "home")}
    for name, value in {**env, "PATH": environment(project)["PATH"]}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(project)
    for name, text in {"README.md": "staged", "Makefile": "changed", "notes.txt": "new"}.items():
        (project / name).write_text(text)
    git(project, "add", "README.md")

    def changes() -> str:
        return git(project, "status", "--porcelain", "--", ".", ":!photos")

    own = changes()

    def commits() -> int:
        return int(git(project, "rev-list", "--count", "HEAD"))

    assert rebuild() and commits() == 3
    assert git(project, "show", "--format=", "--name-only").split() == list(OF_GIT)
    assert changes() == own
    (row,) = ledger_at("HEAD")
    assert (row["decision"], row["outcome"]) == ("kept", "challenger_unusable"), "these stages train nothing"
    assert "in sync" in succeeds(project, "dvc", "status", "--cloud", **env), "pushed what the commit names"
    assert list((tmp_path / "home").rglob("monday-fer/versions/files"))
    assert not rebuild() and commits() == 3, "unchanged: nothing to do"

    new = add_a_byte(project / "photos" / "0.png")
    running = begin(project, **env)
    deadline = time.monotonic() + 240
    while new not in downloaded(project):
        assert not ended(running) and time.monotonic() < deadline
    newer = add_a_byte(project / "photos" / "1.png")
    assert running.wait() == 11 and newer not in downloaded(project) and commits() == 4
    assert rebuild() and newer in downloaded(project), "what changed during a rebuild is the next one's"
    assert commits() == 5 and changes() == own

    new = add_a_byte(project / "photos" / "3.png")
    capfd.readouterr()
    assert run() == 0
    assert "'count' didn't change" not in "".join(capfd.readouterr()) and new in downloaded(project)
    stale = project / "data" / "raw" / "images" / "00" / "stale.png"
    write_bytes(stale, b"of a picture that the source has no more")
    (project / ".cache" / "source.json").write_text("")  # as after a power cut
    assert run() == 0
    assert "'count' didn't change" in "".join(capfd.readouterr()) and not stale.exists()
    git(project, "checkout", "--quiet", "--detach")
    os.utime(project / "photos" / "2.png")
    with pytest.raises(UserError, match="on no branch"):
        rebuild()
    assert commits() == 5, "a build that no branch would hold is not begun"
