"""A home folder that cannot be written, as a service's user or a container may have, does not stop a run."""

import os
from pathlib import Path

OWN = Path(".cache/home")


def use_project_if_home_is_read_only() -> None:
    """Let Prefect, Keras, Matplotlib and caches of downloads keep their files in the project if they cannot
    in the home folder: for this process and those that it starts, unless their variables are set already.

    DVC fails where it may not look for settings of all projects, git's among them: it is told to look there.
    """
    home = os.path.expanduser("~")
    if not os.access(home, os.W_OK | os.X_OK):
        _keep_here("PREFECT_HOME", "KERAS_HOME", "MPLCONFIGDIR", "XDG_CACHE_HOME")
    if not os.access(home, os.X_OK):
        _keep_here("DVC_GLOBAL_CONFIG_DIR", "GIT_CONFIG_GLOBAL")


def _keep_here(*variables: str) -> None:
    OWN.mkdir(parents=True, exist_ok=True)
    for name in variables:
        os.environ.setdefault(name, str(OWN.resolve() / name.lower()))
