"""The Makefile's own work, by real `make`: set-up, settings, and sources with names of any characters."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pandas as pd
import pytest
import yaml
from dvc.utils.hydra import apply_overrides

from testing.project_copy import copy_project, environment

ROOT = Path(__file__).parents[1]
HARD = "ß päth (1)"  # a folder's name that a shell, make and DVC could each trip over


def make(folder: Path, *arguments: str, **extra: str) -> subprocess.CompletedProcess:
    env = {**environment(folder, **extra), "GIT_CEILING_DIRECTORIES": str(folder.parent)}
    return subprocess.run(["make", *arguments], cwd=folder, env=env, capture_output=True, text=True)


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder with the Makefile, what the project's own package is made of, and a lock of no packages."""
    folder = tmp_path / HARD
    shutil.copytree(ROOT / "apps", folder / "apps")
    for name in ("Makefile", "pyproject.toml", "README.md", "LICENSE"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    (folder / "requirements.lock").touch()
    return folder


def test_without_git_nothing_is_set_up(bare):
    done = make(bare, ".venv/ready")
    assert done.returncode and "not a git repository" in done.stderr and "git clone" in done.stderr
    assert not (bare / ".venv").exists()


@pytest.mark.slow
def test_a_venv_whose_python_is_gone_is_made_again(bare, tmp_path):
    subprocess.run(["git", "init", "--quiet"], cwd=bare, check=True)
    set_up = [f"PYTHON={sys.executable}", ".venv/ready"]
    python, ready = bare / ".venv" / "bin" / "python", bare / ".venv" / "ready"
    packages = {"PYTHONPATH": sysconfig.get_path("purelib")}  # in the place of those that would be installed
    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')")
    without = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{packages['PYTHONPATH']}"}
    done = make(bare, *set_up, **without)
    assert (
        done.returncode
        and "libGL.so.1: cannot open shared object file. Debian, Ubuntu: apt install" in done.stderr
    )
    assert "setting up" in done.stdout and not ready.exists()

    ready.touch()
    assert "up to date" in make(bare, *set_up, **packages).stdout
    python.unlink()
    python.symlink_to("/usr/bin/python-of-before")
    done = make(bare, *set_up, **packages)
    assert done.returncode == 0, done.stderr
    assert "setting up" in done.stdout and ready.exists()
    assert "up to date" in make(bare, *set_up, **packages).stdout
    assert subprocess.run([python, "-c", "pass"]).returncode == 0
    command = [bare / ".venv" / "bin" / "monday-fer", "--help"]
    assert b"monday-fer predict SOURCE" in subprocess.check_output(command, cwd=tmp_path)


def test_what_is_set_for_a_run_changes_its_own_line_of_the_settings_and_no_other(tmp_path):
    """`dvc exp run -S` writes params.yaml anew, in a style of its own."""
    params = tmp_path / "params.yaml"
    before = (ROOT / "params.yaml").read_text()
    params.write_text(before)
    apply_overrides(params, ["train.grid=modern", "clean.rules.max_yaw=0.8"])
    after = params.read_text()
    assert after.replace("grid: modern ", "grid: auto   ").replace("max_yaw: 0.8 ", "max_yaw: 0.9 ") == before
    apply_overrides(params, ["clean.reject=[]"])
    start, end = before.index("  reject:\n"), before.index("  wait_for_review:")
    assert params.read_text() == after[:start] + "  reject: []\n" + after[end:]


def test_fer2013_without_a_source_says_what_to_name():
    done = make(ROOT, "-o", ".venv/ready", "fer2013", "SOURCE=")
    assert done.returncode and "no source is named: make fer2013 SOURCE=folder" in done.stderr


@pytest.mark.slow
def test_fer2013_takes_a_source_of_any_name_and_leaves_the_other_settings_alone(server, tmp_path):
    project = copy_project(tmp_path / HARD)
    stages = yaml.safe_load((project / "dvc.yaml").read_text())["stages"]
    (project / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"download": stages["download"]}}))
    source = tmp_path / "fer2013 (1) 한글 ~ & 'a' $HOME ${b} \"c\""
    source.mkdir()
    pixels = " ".join(str(i % 256) for i in range(48 * 48))
    (source / "fer2013.csv").write_text(f"emotion,pixels,Usage\n3,{pixels},Training\n")
    done = make(project, "-o", ".venv/ready", "fer2013", f"SOURCE={source}", **server)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert pd.read_csv(project / "data" / "raw" / "manifest.csv")["label"].tolist() == ["happy"]
    params = yaml.safe_load((project / "params.yaml").read_text())
    assert params["download"]["source"] == str(source) and params["clean"]["reject"] == []
    changed = ["git", "diff", "--numstat", "params.yaml"]
    removed = subprocess.check_output(changed, cwd=project, text=True).split()[1]
    assert removed == "21", "a line a setting, and the ten items of clean.reject"
