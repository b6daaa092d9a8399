"""A released model and the manifest of its data, from DVC's cache or else its remote, as files of a folder.

It runs in a process of its own (`python -m flows.fetch_release COMMIT FOLDER`): DVC takes over its process'
logging and streams.
"""

import subprocess
import sys
from pathlib import Path

from fer_tasks.errors import UserError

MODEL, CLEAN = Path("models/best"), Path("data/clean")


def fetch_release(commit: str, folder: Path) -> tuple[Path, Path]:
    """Fetch what a commit names; returns the paths of the model's folder and of the manifest.

    Raises:
        UserError: with what DVC, or a remote's library, says.
    """
    command = [sys.executable, "-m", "flows.fetch_release", commit, str(folder)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise UserError(f"its files are in neither DVC's cache nor its remote ({said[-1]})")
    return folder / MODEL.name, folder / "manifest.csv"


if __name__ == "__main__":
    from dvc.api import DVCFileSystem

    files = DVCFileSystem(rev=sys.argv[1])
    files.get(MODEL.as_posix(), f"{sys.argv[2]}/{MODEL.name}", recursive=True)
    files.get(f"{CLEAN.as_posix()}/manifest.csv", f"{sys.argv[2]}/manifest.csv")
