"""Versions of the model are annotated tags: who is released, who was taken back, what a killed run left."""

from pathlib import Path

import pytest

from fer_tasks.errors import UserError
from fer_tasks.storage.ledger import LEDGER, is_news, parse_ledger, write_ledger
from flows.models import versions_table
from flows.registry import ledger_at, next_version, read_registry, release, unfinished
from flows.rollback import roll_back
from testing.git_repository import begin_repository, git
from tests.project import link_settings

AUTHOR = "nightly <nightly@example.org>"


def row(model: str, version: str = "", **more: str) -> dict[str, str]:
    decision = "promoted" if version else "kept"
    figures = {"faces": "500", "accuracy": "0.7125", "gain": "0.0310"}
    return {"decision": decision, "version": version, "model": model, "outcome": "better", **figures, **more}


def decided(*rows: dict[str, str]) -> str:
    """Commit a ledger with more rows; returns the commit."""
    write_ledger(LEDGER, [*ledger_at("HEAD"), *rows])
    git("add", "--all")
    git("commit", "--quiet", "--message", "build")
    return git("rev-parse", "HEAD")


def promoted(model: str, version: str) -> None:
    release(read_registry(), version, decided(row(model, version)), "better", AUTHOR)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(link_settings(tmp_path))
    begin_repository(monkeypatch)
    decided(row("a@0"))
    return tmp_path


def test_versions_count_up_and_the_last_is_released(repository):
    assert read_registry().champion is None and next_version(read_registry()) == "v1.0.0"
    promoted("a@1", "v1.0.0")
    promoted("b@2", "v1.1.0")
    decided(row("c@3"))  # it was kept out
    registry = read_registry()
    assert registry.champion.version == "v1.1.0" and registry.champion.row["model"] == "b@2"
    assert registry.former_models == {"a@1": "v1.0.0"} and registry.taken_back == []
    assert next_version(registry) == "v1.2.0"
    tags = git("for-each-ref", "refs/tags", "--format=%(objecttype) %(refname:short) %(taggername)")
    assert tags.splitlines() == [
        f"tag best{name} nightly" for name in ("#prod#1", "#prod#2", "@v1.0.0", "@v1.1.0")
    ]


def test_an_earlier_version_comes_back(repository):
    promoted("a@1", "v1.0.0")
    promoted("b@2", "v1.1.0")
    said = roll_back("v1.0.0")
    assert said.startswith("v1.0.0 is released, in place of v1.1.0 (best#prod#3)\n")
    registry = read_registry()
    assert registry.champion.version == "v1.0.0" and next_version(registry) == "v1.2.0"
    assert [one.version for one in registry.taken_back] == ["v1.1.0"]
    assert registry.former_models == {"b@2": "v1.1.0"}
    shown = versions_table(registry).set_index("version")
    assert shown["stage"].to_dict() == {"v1.1.0": "was prod", "v1.0.0": "prod"}
    assert shown.loc["v1.0.0", ["accuracy", "gain", "faces", "model"]].tolist() == [
        "71.2 %",
        "+3.1",
        "500",
        "a",
    ]
    with pytest.raises(UserError, match="v1.0.0 is released already: `make models` lists the others"):
        roll_back("best@v1.0.0")
    roll_back("v1.1.0")
    assert read_registry().taken_back == [] and read_registry().champion.version == "v1.1.0"


def test_a_clock_that_was_set_back_changes_no_release(repository, monkeypatch):
    promoted("a@1", "v1.0.0")
    monkeypatch.setattr("time.time", lambda: 1_000_000_000.0)
    promoted("b@2", "v1.1.0")
    assert read_registry().champion.version == "v1.1.0"


def test_what_cannot_be_found_is_told(repository, monkeypatch):
    for ask in (lambda: roll_back("v1.0.0"), lambda: versions_table(read_registry())):
        with pytest.raises(UserError, match="no version has been released yet: a rebuild releases the first"):
            ask()
    promoted("a@1", "v1.0.0")
    with pytest.raises(UserError, match=r"there is no version v1.0.1: did you mean 'v1.0.0'\?"):
        roll_back("v1.0.1")
    with pytest.raises(UserError, match="which version.*VERSION=v1.0.0"):
        roll_back("")
    (repository / ".git").rename(repository / "elsewhere")
    with pytest.raises(UserError, match="there are no versions here, .*not a git repository"):
        read_registry()


def test_a_promotion_whose_run_was_killed_is_finished(repository):
    commit = decided(row("a@1", "v1.0.0"))

    def left() -> str | None:
        found = unfinished(read_registry(), ledger_at("HEAD"))
        return found and found["version"]

    assert left() == "v1.0.0"
    git("tag", "--annotate", "--message", "killed after this", "best@v1.0.0", commit)
    assert left() == "v1.0.0"
    release(read_registry(), "v1.0.0", commit, "better", "")
    assert left() is None and read_registry().champion.commit == commit
    decided(row("b@2", "v1.1.0"))
    assert left() == "v1.1.0"
    git("tag", "--delete", "best@v1.0.0", "best#prod#1")
    with pytest.raises(UserError, match="names best@v1.0.0, and git has no such tag: `git fetch --tags`"):
        left()  # a clone without tags must not begin to count anew


def test_a_version_that_was_withdrawn_stays_so(repository, monkeypatch):
    promoted("a@1", "v1.0.0")
    promoted("b@2", "v1.1.0")
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2099-01-01T00:00:00+00:00")
    git("tag", "--annotate", "--message", "withdrawn", "best@v1.1.0!", "best@v1.1.0^{}")
    registry = read_registry()
    assert [*registry.releases] == ["v1.0.0"] and registry.champion is None
    assert unfinished(registry, ledger_at("HEAD")) is None and next_version(registry) == "v1.2.0"
    assert registry.former_models == {"a@1": "v1.0.0", "b@2": "v1.1.0"}, "the gate brings neither back"


def test_a_ledger_takes_news_only(repository):
    write_ledger(LEDGER, [row("a@1", reason='x, "y"', time="now")])
    (last,) = parse_ledger(LEDGER.read_text())
    assert last["reason"] == 'x, "y"' and last["champion"] == ""
    assert not is_news({**last, "time": "later"}, last) and is_news({**last, "gain": "0"}, last)
    same = {**last, "outcome": "unchanged", "reason": "this is v1.0.0 itself"}
    assert not is_news(same, last) and is_news({**same, "data": "other"}, last) and is_news(last, None)
