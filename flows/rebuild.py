"""Rebuild if the source has changed: `dvc repro`, `dvc push`, a commit. `make schedule` schedules this."""

import json
import subprocess
import sys
from pathlib import Path

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.states import State

from fer_tasks.errors import UserError
from fer_tasks.settings import load_settings
from fer_tasks.storage.files import read_json, write_text
from flows.dvc_step import StagePaused, dvc_step
from flows.engine.parent_run import crash_orphans
from flows.engine.stage import paused
from flows.release import as_built, check_can_release, release_build
from flows.server.which_server import report_url
from flows.source_files import check_source, fingerprint

BUILT = Path(".cache/rebuild.json")  # {source: its fingerprint at the last successful rebuild}
UNPUSHED = Path(".cache/unpushed")  # there while the remote has not taken the data of the last build


def _up_to_date() -> bool:
    """Whether `dvc repro` has nothing to do, such as a stage that was paused."""
    return subprocess.run([sys.executable, "-m", "dvc", "status", "--quiet"]).returncode == 0


@flow(name="rebuild")
def rebuild(force: bool = False) -> bool | State:
    """Rebuild if the source's fingerprint is new, a stage is not up to date, or `force` is set.

    Pushes the data and commits dvc.lock and the metrics. Returns whether it rebuilt; if a stage was paused
    this run ends paused too, and the next one continues.

    Raises:
        UserError: no commit is possible (raised before anything is built), or a DVC command failed. If that
            was `dvc push` the build is committed here, and the next run begins with pushing it.
    """
    with get_client(sync_client=True) as client:
        crash_orphans(client)
    source = load_settings().download.source
    check_source(Path(source))
    # Before anything reads the source: later changes belong to the next run.
    now = fingerprint(Path(source))
    changed = force or read_json(BUILT) != {source: now}
    if not changed and _up_to_date():
        get_run_logger().info(f"{source} has not changed since the last rebuild ({now})")
        return False
    check_can_release()
    if UNPUSHED.exists() and (refused := _push()):
        raise UserError(f"{refused}. So the last build is not pushed, and no other begins: see to the remote")
    # DVC watches the files of a folder, but not the pictures that a table names or what a description points
    # to, so neither its "unchanged" nor its run cache can be relied on there.
    if not Path(source).is_dir():
        dvc_step("repro", "--single-item", "--force", "download")
    try:
        dvc_step("repro")
    except StagePaused as stage:
        return paused(str(stage))
    built = as_built()
    refused = _push()
    commit = release_build(f"Rebuild of {source} ({now})", built, push=not refused)
    get_run_logger().info(f"committed as {commit}" if commit else "git has this version already")
    _link(source, commit)
    if refused:
        raise UserError(f"{refused}. The build is committed here, see to the remote: the next run pushes it")
    write_text(BUILT, json.dumps({source: now}))
    return True


def _push() -> UserError | None:
    """Push the data of the build that lies here; returns why that is refused."""
    try:
        dvc_step("push")
    except UserError as refused:
        write_text(UNPUSHED, "")
        return refused
    UNPUSHED.unlink(missing_ok=True)
    return None


def _link(source: str, commit: str | None) -> None:
    """Show in Prefect's UI where the report and the commit of this build are."""
    rows = [f"[Report]({report_url('index.html')}), [data]({report_url('data.html')}) of {source}"]
    rows += [f"Commit {commit}: `git show {commit}`" if commit else "git had this version already"]
    create_markdown_artifact("\n\n".join(rows), key="build", description="What this build made")
