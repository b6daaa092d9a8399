"""The end of a rebuild: the gate decides, the build is committed, and a model that takes over is tagged."""

from pathlib import Path

from prefect import get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.events import emit_event

from fer_tasks.errors import UserError
from fer_tasks.settings import Gate, load_settings
from fer_tasks.storage.ledger import LEDGER, PROMOTED, UNCHANGED, Row, is_news, write_ledger
from flows import fetch_release
from flows.event_names import MODEL
from flows.gate import Verdict, judge
from flows.git_commands import git
from flows.registry import ARTIFACT, ledger_at, read_registry, release, unfinished
from flows.versions import check_can_commit, commit_build, push_commits

# Files that tell builds apart; a stage removes its own before it writes, and writes it last.
MARKS = (Path("dvc.lock"), fetch_release.MODEL / "model.json", fetch_release.CLEAN / "dataset.json")
NO_TAGS = "the versions of the model cannot be fetched, so no build can be judged"


def check_can_release() -> None:
    """Raise UserError, with what to do, if the end of a rebuild would fail: before it begins."""
    versions = load_settings().versions
    check_can_commit(versions)
    if versions.remote:
        git("fetch", "--quiet", "--tags", versions.remote, failing=NO_TAGS)
    unfinished(read_registry(), ledger_at("HEAD"))


def as_built() -> list[bytes]:
    """What says which build lies in the folder."""
    return [file.read_bytes() if file.exists() else b"" for file in MARKS]


def release_build(message: str, built: list[bytes], push: bool = True) -> str | None:
    """Let the gate decide on the model of this build, commit the build with the decision, tag a model that
    takes over, and push commit and tags. A run that was killed within this is finished by the next one.
    `push`: whether the data is where others can get it; if not, commit and tags stay here, too.

    `built`: what `as_built` said when `dvc repro` had ended. Returns the commit's short hash, or None if git
    has this build and this decision already.

    Raises:
        UserError: git refuses, or another build lies here by now; the next run tries again.
    """
    versions = load_settings().versions
    if versions.remote:  # people may have gone back to another version while this was built
        git("fetch", "--quiet", "--tags", versions.remote, failing=NO_TAGS)
    rows = ledger_at("HEAD")
    if row := unfinished(read_registry(), rows):
        _tag(row, versions.author)
        _tell(row)
    verdict = _judge(load_settings().gate)
    if as_built() != built:
        why = "somebody's `dvc repro` has changed the model or its faces before this build was committed"
        raise UserError(f"{why}: nothing is released, and the next rebuild takes what is there then")
    row = verdict.row
    get_run_logger().info(_subject(row))
    if news := is_news(row, rows[-1] if rows else None):
        rows.append(row)
    write_ledger(LEDGER, rows)
    commit = commit_build(f"{message}\n\n{_subject(row)}", versions.author)
    if news and row["decision"] == PROMOTED:
        _tag(row, versions.author)
    if news:
        create_markdown_artifact(verdict.page, key="gate", description=_subject(row))
        _tell(row)
    if versions.remote and push:
        push_commits(versions.remote, read_registry().tags)
    return commit


def _judge(settings: Gate) -> Verdict:
    """The gate's verdict; a new one where people have gone back to another version meanwhile."""
    while True:
        registry = read_registry()
        verdict = judge(registry, settings)
        if read_registry().in_stage == registry.in_stage:
            return verdict


def _tag(row: Row, author: str) -> None:
    """Tag the commit that the ledger's last row came with."""
    commit = git("log", "-1", "--format=%H", "--", str(LEDGER), failing="the build cannot be tagged")
    release(read_registry(), row["version"], commit, row["reason"], author)


def _subject(row: Row) -> str:
    if row["decision"] == PROMOTED:
        return f"{ARTIFACT}@{row['version']} takes over: {row['reason']}"
    return f"{row['champion'] or 'no model'} stays released: {row['reason']}"


def _tell(row: Row) -> None:
    """Emit what notifications are made of; nothing where the model is the released one."""
    if row["outcome"] == UNCHANGED:
        return
    happened = "promoted" if row["decision"] == PROMOTED else "refused"
    emit_event(f"{MODEL}.{happened}", resource={"prefect.resource.id": MODEL}, payload={**row})
