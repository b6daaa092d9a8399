"""A copy of the project in a temporary folder, for benchmarks and tests that really run `dvc`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
BUILT = (
    "dvc.lock",
    "registry/ledger.csv",
    "reports/metrics.json",
)  # these belong to the user's build and are not copied


def copy_project(target: Path, database: Path | None = None) -> Path:
    """Copy what git tracks or would track into `target`, as a git repository with one commit.

    Nothing is built there, and `dvc push` pushes to a folder beside it. `database`: an empty one of a Prefect
    server; without it the copy's own server takes 16 s of CPU to make one.
    """
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    for file in subprocess.check_output(listed, cwd=ROOT, text=True).splitlines():
        if file not in BUILT and (ROOT / file).exists():
            (target / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / file, target / file)
    if database:
        (target / ".cache" / "server").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(database, target / ".cache" / "server" / "prefect.db")
    params = target / "params.yaml"  # a server that the copy starts must not outlive it by much
    params.write_text(params.read_text().replace("idle_minutes: 15", "idle_minutes: 3"))
    (target / ".dvc" / "config.local").write_text("['remote \"local\"']\n    url = ../.dvc-remote\n")
    name, address = ["config", "user.name", "copy"], ["config", "user.email", "copy@localhost"]
    for command in (["init", "-q"], name, address, ["add", "-A"], ["commit", "-q", "-m", "copy"]):
        subprocess.run(["git", *command], cwd=target, check=True)
    return target


def content(folder: Path) -> dict[str, bytes]:
    """The files below a folder: {name: bytes}."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def change_params(project: Path, **sections: dict) -> None:
    """Set values of params.yaml, such as `change_params(project, download={"source": "photos"})`."""
    params = yaml.safe_load((project / "params.yaml").read_text())
    for section, values in sections.items():
        params[section].update(values)
    (project / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def environment(project: Path, **extra: str) -> dict[str, str]:
    """The environment for a command in the copy: this Python comes first in PATH, the copy has its own
    Prefect server, and byte code is written, as by default."""
    left_out = ("PREFECT_", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    return {
        **kept,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PREFECT_HOME": str(project / ".cache" / "prefect-home"),
        "XDG_STATE_HOME": str(project / ".cache" / "state"),  # where the ledger of calls is
        "DO_NOT_TRACK": "1",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        **extra,
    }
