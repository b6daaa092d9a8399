"""Git repositories of tests, which know nothing of the user's own git."""

import os
import subprocess
from pathlib import Path

import pytest


def git(*arguments: str, folder: Path | None = None) -> str:
    """What git prints in a folder, by default the working folder, without the last line's end."""
    command = ["git", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def forget_own_git(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the user's git out of the environment: variables and settings."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)


def begin_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the working folder a repository of kim's, without a commit."""
    forget_own_git(monkeypatch)
    git("init", "--quiet", "--initial-branch=main")
    git("config", "user.name", "kim")
    git("config", "user.email", "kim@localhost")
