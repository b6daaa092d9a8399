"""What a build wrote is committed, and the user's other changes stay as they are: git for real."""

import subprocess
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from fer_tasks.errors import UserError
from fer_tasks.settings import Versions
from flows.versions import OF_GIT, check_can_commit, commit_build, push_commits
from testing.git_repository import begin_repository

ROOT = Path(__file__).parents[1]
ANY = Versions(author="", branch="", remote="")


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout


def write(**files: str) -> None:
    for name, text in files.items():
        path = Path(name.replace("__", "/").replace("_", "."))
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit, a user's changes of every kind, and a build's files, new to git."""
    monkeypatch.chdir(tmp_path)
    begin_repository(monkeypatch)
    write(params_yaml="a", both_py="a", staged_py="a", gone_py="a")
    git("add", "--all")
    git("commit", "--quiet", "--message", "first")
    write(both_py="staged", staged_py="staged", new_py="new")
    git("rm", "--quiet", "gone.py")
    git("add", "both.py", "staged.py", "new.py")
    write(params_yaml="changed", both_py="changed again", untracked_txt="u")
    write(dvc_lock="build 1", reports__metrics_json="{}", registry__ledger_csv="time")
    return tmp_path


def changes() -> list[str]:
    """The user's own: git's two letters for each file, and what is staged of it."""
    return [line for line in git("status", "--porcelain").splitlines() if "dvc.lock" not in line] + [
        git("diff", "--cached", "--", ".", ":!dvc.lock", ":!reports", ":!registry")
    ]


def test_what_a_build_wrote_is_committed_and_all_else_stays_as_it_is(repository):
    before = [line for line in changes() if "reports" not in line and "registry" not in line]
    assert len(before) == 7
    check_can_commit(ANY)
    commit = commit_build("Rebuild of photos")
    assert git("log", "-1", "--format=%h %s").strip() == f"{commit} Rebuild of photos"
    body = git("log", "-1", "--format=%b").strip()
    assert body == "Built with uncommitted changes of both.py, gone.py, new.py, params.yaml, staged.py"
    assert git("show", "--format=", "--name-only").split() == list(OF_GIT)
    assert changes() == before
    assert commit_build("again") is None and git("rev-list", "--count", "HEAD") == "2\n"
    write(dvc_lock="build 2")
    assert commit_build("Rebuild of photos") and git("show", "HEAD:dvc.lock") == "build 2"
    assert git("show", "--format=", "--name-only").split() == ["dvc.lock"] and changes() == before


def begin_a_merge():
    git("stash", "--all")
    for branch in ("other", "main"):
        git("switch", "--quiet", *(["--create"] if branch == "other" else []), branch)
        write(params_yaml=branch)
        git("commit", "--quiet", "--all", "--message", branch)
    subprocess.run(["git", "merge", "other"], capture_output=True)


def begin_a_rebase():
    begin_a_merge()
    git("merge", "--abort")
    subprocess.run(["git", "rebase", "other"], capture_output=True)


def forget_who_commits():
    git("config", "--unset", "user.name")
    git("config", "--unset", "user.email")
    git("config", "user.useConfigOnly", "true")


@pytest.mark.parametrize(
    ("happened", "says"),
    [
        (begin_a_merge, "a merge is in progress, .*finish or abort it"),
        (begin_a_rebase, "a rebase is in progress, .*finish or abort it"),
        (lambda: git("checkout", "--quiet", "--detach"), r"on no branch .*`git switch BRANCH`"),
        (forget_who_commits, "does not know who commits a build: `git config user.name NAME`"),
        (lambda: Path(".git").rename("elsewhere"), "cannot be committed, .*not a git repository"),
    ],
)
def test_a_build_that_could_not_be_committed_is_told_before_it_begins(repository, happened, says):
    happened()
    with pytest.raises(UserError, match=says):
        check_can_commit(ANY)


def test_a_hook_that_refuses_is_told_with_its_words(repository):
    hook = repository / ".git" / "hooks" / "pre-commit"
    hook.write_text("#!/bin/sh\necho no commits after midnight\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(UserError, match="no commits after midnight"):
        commit_build("Rebuild of photos")


def test_author_and_branch_are_settings(repository):
    nightly = ANY.model_copy(update={"author": "nightly <nightly@example.org>", "branch": "main"})
    forget_who_commits()
    check_can_commit(nightly)
    commit_build("Rebuild of photos", nightly.author)
    assert git("log", "-1", "--format=%an %ae %cn").strip() == "nightly nightly@example.org nightly"
    with pytest.raises(UserError, match="versions.branch is builds, but main is .*`git switch builds`"):
        check_can_commit(nightly.model_copy(update={"branch": "builds"}))
    for author in ("nightly", "<nightly@example.org>", "a <b> <c>", "a <b c>"):
        with pytest.raises(ValidationError):
            Versions(author=author, branch="", remote="")


def test_a_push_takes_the_branch_and_the_tags_or_nothing(repository):
    pushing = ANY.model_copy(update={"remote": "origin"})
    with pytest.raises(UserError, match="git has no such remote: `git remote add origin URL`"):
        check_can_commit(pushing)
    git("init", "--quiet", "--bare", "../origin")
    git("remote", "add", "origin", "../origin")
    check_can_commit(pushing)
    git("tag", "one")
    push_commits("origin", ["one"])
    assert git("ls-remote", "origin").split()[1::2] == ["refs/heads/main", "refs/tags/one"]
    git("commit", "--quiet", "--amend", "--message", "another first")
    git("tag", "two")
    with pytest.raises(UserError, match="origin has not taken the build; .*rejected"):
        push_commits("origin", ["two"])
    assert "two" not in git("ls-remote", "origin")


def test_git_keeps_what_dvc_does_not():
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].values()
    written = [
        entry for stage in stages for kind in ("outs", "metrics", "plots") for entry in stage.get(kind, [])
    ]
    uncached = {
        name for entry in written if isinstance(entry, dict) for name, how in entry.items() if "cache" in how
    }
    assert {"dvc.lock", "registry/ledger.csv", *uncached} == set(OF_GIT)
