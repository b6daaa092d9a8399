"""`make rollback VERSION=v1.1.0`: release an earlier version of the model again."""

import os
import sys

from fer_tasks.errors import UserError
from fer_tasks.settings import load_settings
from flows.command import ready_for_prefect
from flows.git_commands import git
from flows.registry import ARTIFACT, STAGE, find_release, read_registry, release


def roll_back(version: str) -> str:
    """Put a version in STAGE and push the tag, if versions.remote is set; returns what to say.

    Raises:
        UserError: there is no such version, it is released already, or git refuses.
    """
    registry, versions = read_registry(), load_settings().versions
    chosen = find_release(registry, version.removeprefix(f"{ARTIFACT}@"))
    if chosen == registry.champion:
        raise UserError(f"{chosen.version} is released already: `make models` lists the others")
    before = registry.champion.version if registry.champion else "no version"
    why = f"{chosen.version} in place of {before}, by hand"
    tags = release(registry, chosen.version, chosen.commit, why, versions.author)
    if versions.remote:
        unknown = f"{chosen.version} is released here, and {versions.remote} does not know it yet"
        git("push", "--quiet", versions.remote, *(f"refs/tags/{tag}" for tag in tags), failing=unknown)
    return (
        f"{chosen.version} is released, in place of {before} ({tags[0]})\n"
        f"get it     dvc artifacts get . {ARTIFACT} --stage {STAGE}\n"
        f"its data   git checkout {ARTIFACT}@{chosen.version} -- dvc.lock params.yaml && dvc checkout\n"
    )


if __name__ == "__main__":
    with ready_for_prefect():
        sys.stdout.write(roll_back(os.environ.get("VERSION", "")))
