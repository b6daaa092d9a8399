"""The units of docs/systemd/ are such as systemd takes."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = sorted((Path(__file__).parents[1] / "docs" / "systemd").glob("*.service"))


def verify(*units: Path, runtime: Path) -> list[str]:
    """What systemd finds wrong with units of a user, a line each."""
    command = ["systemd-analyze", "verify", "--user", "--man=no", *units]
    env = {**os.environ, "XDG_RUNTIME_DIR": str(runtime)}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    said = [line for line in done.stderr.splitlines() if "monday-fer" in line]
    assert said or done.returncode == 0, done.stderr
    return said


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="wants systemd")
def test_systemd_takes_the_units_and_would_tell_of_a_mistake(tmp_path):
    assert len(UNITS) == 2 and verify(*UNITS, runtime=tmp_path) == []
    broken = tmp_path / UNITS[0].name
    broken.write_text(UNITS[0].read_text().replace("Restart=", "Restarts="))
    assert "Unknown key" in verify(broken, runtime=tmp_path)[0]


def test_the_units_run_commands_of_the_makefile():
    started = [re.search(r"^ExecStart=/usr/bin/make (\w+)$", unit.read_text(), re.M)[1] for unit in UNITS]
    assert started == ["server", "schedule"]
