"""The data's remote is away, refuses or is full: what a rebuild says, and that nothing is lost. By DVC's own
client, git, a full disk and an S3 server."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from fer_tasks.errors import UserError
from flows.rebuild import rebuild
from testing.git_repository import forget_own_git, git
from testing.project_copy import change_params
from testing.registry_project import make_registry_project
from tests.project import free_port

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect")]
COPY = {"cmd": "mkdir models && cp -r photos models/best", "deps": ["photos"], "outs": ["models"]}
KEPT = ".*The build is committed here, see to the remote: the next run pushes it"


def dvc(*arguments: str) -> str:
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def make(folder: Path, remote: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project whose one stage copies the photos, as the working folder."""
    forget_own_git(monkeypatch)
    monkeypatch.chdir(make_registry_project(folder / "project", remote, folder / "origin.git"))
    content = yaml.safe_load(Path("dvc.yaml").read_text())
    Path("dvc.yaml").write_text(yaml.safe_dump(content | {"stages": {"copy": COPY}}))
    change_params(Path(), download={"source": "photos"})
    git("commit", "--quiet", "--all", "--message", "a stage")


def take_photo(seed: int) -> bytes:
    """Put a picture of 200 KB into the source, in place of the one before; returns it."""
    photo = np.random.default_rng(seed).bytes(200_000)
    Path("photos").mkdir(exist_ok=True)
    Path("photos", "0.png").write_bytes(photo)
    return photo


def commits(where: str = ".") -> int:
    return int(git("-C", where, "rev-list", "--count", "main"))


def test_a_remote_that_is_full(tmp_path, small_disk, monkeypatch):
    make(tmp_path, str(small_disk / "remote"), monkeypatch)
    take_photo(1)
    with pytest.raises(UserError, match=f"No space left on device{KEPT}"):
        rebuild()
    assert commits() == 3
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    assert rebuild() and "in sync" in dvc("status", "--cloud") and commits("../origin.git") == 3


def test_an_s3_remote_that_is_away_then_refuses_then_takes_all_for_a_clone_that_has_nothing(
    tmp_path, monkeypatch
):
    for package in ("dvc_s3", "moto"):
        pytest.importorskip(package, reason="wants dvc-s3 and moto: `make test` sets them up")
    from testing.s3_server import s3_server

    port = int(free_port())
    make(tmp_path, "s3://faces/monday-fer", monkeypatch)
    dvc("remote", "modify", "shared", "endpointurl", f"http://127.0.0.1:{port}")
    git("commit", "--quiet", "--all", "--message", "a remote")
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "else")

    first = take_photo(1)
    with pytest.raises(UserError, match=f"Could not connect{KEPT}"):
        rebuild()
    second = take_photo(2)
    with s3_server(port, "faces") as key:
        with pytest.raises(UserError, match="Forbidden.* the last build is not pushed, and no other begins"):
            rebuild()
        assert commits() == 4 and git("ls-remote", "origin") == "", "a commit without its data helps nobody"
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key.id)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key.secret)
        assert rebuild() and commits() == commits("../origin.git") == 5

        git("clone", "--quiet", "../origin.git", "../clone")
        monkeypatch.chdir("../clone")
        for photo in (second, first):
            dvc("pull")
            assert Path("models", "best", "0.png").read_bytes() == photo
            git("checkout", "--quiet", "HEAD~1")
