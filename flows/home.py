"""Runs without a writable home folder, as in containers and for users of services."""

import os
from pathlib import Path

OWN = Path(".cache/home")


def use_project_if_home_is_read_only() -> None:
    """If the home folder is not writable, let Prefect, Keras, Matplotlib and download caches keep their files
    in the project: for this process and those that it starts, unless their variables are set already.

    DVC fails if it cannot read the global settings of DVC and git, so these are looked for there, too.
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
