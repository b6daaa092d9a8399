"""Commit the files of a build that git keeps, and nothing else."""

import subprocess
from pathlib import Path

from fer_tasks.errors import UserError

OF_GIT = ("dvc.lock", "reports/metrics.json")  # what a build writes and DVC does not keep (see dvc.yaml)
IN_PROGRESS = {
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
}


def check_can_commit() -> None:
    """Raise UserError, with what to do, if a commit would fail or belong to no branch."""
    git_folder = Path(_git("rev-parse", "--absolute-git-dir"))
    if begun := next((name for file, name in IN_PROGRESS.items() if (git_folder / file).exists()), ""):
        raise UserError(
            f"a {begun} is in progress, so no build can be committed: finish or abort it (`git status`)"
        )
    if _run("symbolic-ref", "--quiet", "HEAD").returncode:
        raise UserError("git is on no branch (detached HEAD), so a build would be lost: `git switch BRANCH`")
    for who in ("GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"):
        if _run("var", who).returncode:
            fix = "`git config user.name NAME` and `git config user.email ADDRESS`"
            raise UserError(f"git does not know who commits a build: {fix}")


def commit_build(message: str) -> str | None:
    """Commit the files of OF_GIT. Every other change stays as it is, staged or not; the message names them.

    Returns the commit's short hash, or None if git has these files already. Raises UserError with git's own
    message if it refuses.
    """
    files = [file for file in OF_GIT if Path(file).exists()]
    _git("add", "--", *files)
    if not _git("status", "--porcelain", "--", *files):
        return None
    if changed := [file for file in _git("diff", "--name-only", "HEAD").splitlines() if file not in OF_GIT]:
        message += f"\n\nBuilt with uncommitted changes of {', '.join(changed)}"
    _git("commit", "--quiet", "--only", "--message", message, "--", *files)
    return _git("rev-parse", "--short", "HEAD")


def _git(*arguments: str) -> str:
    done = _run(*arguments)
    if done.returncode:
        message = (done.stderr or done.stdout).strip()
        raise UserError(f"a build cannot be committed, `git {' '.join(arguments)}` says: {message}")
    return done.stdout.strip()


def _run(*arguments: str) -> subprocess.CompletedProcess:
    try:
        return subprocess.run(
            ["git", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
        )
    except FileNotFoundError:
        raise UserError("git is not installed, and versions of data are commits: install it") from None
