"""Commit the files of a build that git keeps, and nothing else."""

import os
import re
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from fer_tasks.errors import UserError
from fer_tasks.settings import Versions
from fer_tasks.storage.ledger import LEDGER
from flows import git_commands
from flows.git_commands import run_git

OF_GIT = ("dvc.lock", str(LEDGER), "reports/metrics.json")  # what a build writes and DVC does not keep
IN_PROGRESS = {
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
}
git = partial(git_commands.git, failing="a build cannot be committed")


def check_can_commit(versions: Versions) -> None:
    """Raise UserError, with what to do, if a commit would fail, belong to no branch or to another one, or
    could not be pushed to any remote of that name."""
    git_folder = Path(git("rev-parse", "--absolute-git-dir"))
    if begun := next((name for file, name in IN_PROGRESS.items() if (git_folder / file).exists()), ""):
        raise UserError(
            f"a {begun} is in progress, so no build can be committed: finish or abort it (`git status`)"
        )
    branch = run_git("symbolic-ref", "--quiet", "--short", "HEAD").stdout.strip()
    if not branch:
        raise UserError("git is on no branch (detached HEAD), so a build would be lost: `git switch BRANCH`")
    if versions.branch not in ("", branch):
        fix = f"`git switch {versions.branch}`, with --create if there is none yet"
        raise UserError(f"versions.branch is {versions.branch}, but {branch} is checked out: {fix}")
    for who in ("GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"):
        if run_git("var", who, env=identity(versions.author)).returncode:
            fix = "`git config user.name NAME` and `git config user.email ADDRESS`, or set versions.author"
            raise UserError(f"git does not know who commits a build: {fix}")
    if versions.remote and run_git("remote", "get-url", versions.remote).returncode:
        fix = f"`git remote add {versions.remote} URL`"
        raise UserError(f"versions.remote is {versions.remote}, and git has no such remote: {fix}")


def identity(author: str, date: int | None = None) -> dict[str, str]:
    """The environment in which git commits and tags as `author`, NAME <ADDRESS>; "": as it would anyway.

    `date`: of a tag, in seconds since 1970.
    """
    environment = dict(os.environ)
    if named := re.fullmatch("(.+) <(.+)>", author):
        for who in ("AUTHOR", "COMMITTER"):
            environment |= {f"GIT_{who}_NAME": named[1], f"GIT_{who}_EMAIL": named[2]}
    if date is not None:
        environment["GIT_COMMITTER_DATE"] = f"{datetime.fromtimestamp(date, UTC):%Y-%m-%dT%H:%M:%S}+00:00"
    return environment


def commit_build(message: str, author: str = "") -> str | None:
    """Commit the files of OF_GIT. Every other change stays as it is, staged or not; the message names them.

    Returns the commit's short hash, or None if git has these files already. Raises UserError with git's own
    message if it refuses.
    """
    files = [file for file in OF_GIT if Path(file).exists()]
    git("add", "--", *files)
    if not git("status", "--porcelain", "--", *files):
        return None
    if changed := [file for file in git("diff", "--name-only", "HEAD").splitlines() if file not in OF_GIT]:
        message += f"\n\nBuilt with uncommitted changes of {', '.join(changed)}"
    git("commit", "--quiet", "--only", "--message", message, "--", *files, env=identity(author))
    return git("rev-parse", "--short", "HEAD")


def push_commits(remote: str, tags: list[str]) -> None:
    """Push the branch and these tags, all or none of them.

    Raises:
        UserError: the remote is away or refuses; nothing is lost here.
    """
    branch = git("symbolic-ref", "--short", "HEAD")
    refs = [f"refs/heads/{branch}", *(f"refs/tags/{tag}" for tag in tags)]
    fix = (
        f"the commit stays here: see to it (`git pull --rebase {remote} {branch}`?), and the next run pushes"
    )
    git_commands.git("push", "--atomic", remote, *refs, failing=f"{remote} has not taken the build; {fix}")
