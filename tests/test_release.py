"""From a build to `dvc artifacts get` in another clone: git, DVC and gto for real, but nothing is trained."""

import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from prefect import flow

from apps.predict.predictor import Predictor
from fer_tasks.errors import UserError
from flows.models import versions_table
from flows.registry import ledger_at, read_registry
from flows.release import as_built, check_can_release, release_build
from flows.rollback import roll_back
from testing.git_repository import forget_own_git, git
from testing.registry_project import answers, draw_faces, make_registry_project, write_build
from tests.project import asked

pytestmark = pytest.mark.slow
KEEP = "from dvc.repo import Repo; repo = Repo(); repo.commit(force=True); repo.push()"
A, B = 2021, 7  # seeds of two networks


@flow(name="end-of-a-rebuild")
def end(built: bool = True, meanwhile: str = "") -> str | None:
    """What `rebuild` does after `dvc repro`; `built`: DVC does not know these files yet; `meanwhile`: another
    build's model.json, which somebody's `dvc repro` has put there."""
    check_can_release()
    if built:
        subprocess.run([sys.executable, "-c", KEEP], check=True, capture_output=True)
    found = as_built()
    if meanwhile:
        Path("models/best/model.json").write_text(meanwhile)
    return release_build("Rebuild of photos", found)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    forget_own_git(monkeypatch)
    project = make_registry_project(tmp_path / "project", tmp_path / "remote", tmp_path / "origin.git")
    monkeypatch.chdir(project)
    return project


@pytest.mark.usefixtures("prefect")
def test_from_builds_to_the_released_folder(project, server, tmp_path):
    began, faces = datetime.now(UTC), draw_faces(80)
    of_a, of_b = answers(faces, A), answers(faces, B)
    differ = of_a != of_b

    def build(model: str, seed: int, right_of_b: int) -> tuple[str, str]:
        """A night: a model, and labels that are B's answers for so many faces where A's are others."""
        labels = of_a.copy()
        changed = np.flatnonzero(differ)[:right_of_b]
        labels[changed] = of_b[changed]
        write_build(faces, labels, model, seed)
        assert end() and git("status", "--porcelain") == ""
        last = ledger_at("HEAD")[-1]
        return last["outcome"], last["version"]

    assert build("one", A, 10) == ("first", "v1.0.0")
    assert git("log", "-1", "--format=%an %ae") == "nightly nightly@example.org"
    assert end(built=False) is None and git("rev-list", "--count", "HEAD") == "2", "nothing new: no commit"
    assert build("two", B, 60) == ("better", "v1.1.0"), "people gave faces other labels"

    head, mine = git("rev-parse", "HEAD"), Path("models/best/model.json").read_text()
    with pytest.raises(UserError, match="somebody's `dvc repro` has changed the model"):
        end(built=False, meanwhile=mine.replace("two", "untested"))
    assert git("rev-parse", "HEAD") == head
    Path("models/best/model.json").write_text(mine)
    roll_back("v1.0.0")
    assert "refs/tags/best#prod#3" in git("ls-remote", "--tags", "origin")
    assert build("two", B, 61)[0] == "released_before"
    clone, origin = tmp_path / "clone", tmp_path / "origin.git"
    git("clone", "--quiet", str(origin), str(clone))
    for command in (("commit", "--allow-empty", "--message", "a person's"), ("push", "origin", "main")):
        git("-C", str(clone), "-c", "user.name=kim", "-c", "user.email=kim@localhost", *command)
    with pytest.raises(UserError, match="origin has not taken the build; the commit stays here"):
        build("three", B, 62)
    git("pull", "--quiet", "--rebase", "origin", "main")
    assert end(built=False) is None, "the commit is there already"
    assert git("ls-remote", "origin", "main").split()[0] == git("rev-parse", "HEAD")
    assert ledger_at("HEAD")[-1]["outcome"] == "taken_back", "new, but no better than what was taken back"
    stages = versions_table(read_registry()).set_index("version")["stage"].to_dict()
    assert stages == {"v1.1.0": "was prod", "v1.0.0": "prod"}

    command = [
        "dvc",
        "artifacts",
        "get",
        str(clone),
        "best",
        "--stage",
        "prod",
        "--out",
        str(tmp_path / "got"),
    ]
    subprocess.run([sys.executable, "-m", *command], check=True, capture_output=True, cwd=tmp_path)
    predictor = Predictor(tmp_path / "got", whole=True)
    assert predictor.info["name"] == "one" and predictor.predict(faces[0])[0].status != "no_face"

    shown = asked(server["PREFECT_API_URL"], "/artifacts/filter", {"artifacts": {"key": {"any_": ["gate"]}}})
    pages = [page["data"] for page in shown.json()]
    takes_over = "# best@v1.1.0 takes over from v1.0.0\n\nbetter than v1.0.0: "
    assert len(pages) >= 4, "other tests use the server, too"
    assert any(page.startswith(takes_over) for page in pages)
    wait_until_told(server, began)

    shutil.rmtree(tmp_path / "remote")
    shutil.rmtree(project / ".dvc" / "cache")
    end(built=False)
    assert ledger_at("HEAD")[-1]["outcome"] == "champion_unusable"
    shutil.rmtree(origin)
    with pytest.raises(UserError, match="versions of the model cannot be fetched"):
        end()
    with pytest.raises(
        UserError, match="v1.1.0 is released here, and origin does not know it yet, .*git push"
    ):
        roll_back("v1.1.0")


def wait_until_told(server: dict[str, str], since: datetime) -> None:
    """Events said of two models that they were promoted, and of two that they were refused; they reach the
    server a moment later, and other tests send some, too."""
    of_models = {"event": {"prefix": ["monday-fer.model."]}, "occurred": {"since": since.isoformat()}}
    for _ in range(100):
        events = asked(server["PREFECT_API_URL"], "/events/filter", {"filter": of_models}).json()["events"]
        names = [event["event"].rpartition(".")[2] for event in events]
        if min(names.count("promoted"), names.count("refused")) >= 2:
            return
        time.sleep(0.2)
    raise AssertionError(f"told: {names}")
