"""Released models: gto's annotated tags, `best@v1.2.0` for a version, `best#prod#3` for what is released.

Plain git makes and reads them. gto sorts them by their seconds, so two within one, or a clock set back, would
undo what came last; and importing it closes all log handlers of the process, Prefect's among them. `gto` and
`dvc artifacts get` read these tags.
"""

import re
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

from fer_tasks.errors import UserError, did_you_mean
from fer_tasks.storage.ledger import LEDGER, PROMOTED, Row, parse_ledger
from flows import git_commands
from flows.git_commands import run_git
from flows.versions import identity

ARTIFACT = "best"  # of dvc.yaml
STAGE = "prod"
FIRST = "v1.0.0"
VERSION_TAG = re.compile(rf"{ARTIFACT}@(?P<version>v\d+\.\d+\.\d+)(?P<withdrawn>!?)(#\d+)?")
STAGE_TAG = re.compile(rf"{ARTIFACT}#{STAGE}(?P<withdrawn>!?)#\d+")
FORMAT = "%(refname:strip=2) %(objecttype) %(*objectname) %(taggerdate:unix)"
git = partial(git_commands.git, failing="there are no versions here")


class Release(NamedTuple):
    """A version of the model."""

    version: str
    commit: str
    registered: datetime
    row: Row  # of the ledger, what the gate said of it; {} if a person registered it


class Registry(NamedTuple):
    """All versions, the oldest first, and those that have been in STAGE, in that order; "" if none was."""

    releases: dict[str, Release]
    in_stage: list[str]
    models: dict[str, str]  # {version: model}, as the ledger names it, also of withdrawn versions
    tags: list[str]  # all of them
    newest: int  # seconds since 1970 of the last tag; 0 if there is none

    @property
    def named(self) -> set[str]:
        """All versions that there ever was a tag of, also withdrawn ones."""
        return {found["version"] for tag in self.tags if (found := VERSION_TAG.fullmatch(tag))}

    @property
    def champion(self) -> Release | None:
        """The released version."""
        return self.releases.get(self.in_stage[-1]) if self.in_stage else None

    @property
    def taken_back(self) -> list[Release]:
        """The versions above the champion's that were released once: people have gone back from them."""
        champion = self.champion
        once = [one for one in self.releases.values() if one.version in self.in_stage]
        return [one for one in once if champion and _number(one.version) > _number(champion.version)]

    @property
    def former_models(self) -> dict[str, str]:
        """{model: version} of all but the champion that were ever released, as the ledger names models."""
        champion = self.champion.version if self.champion else ""
        return {self.models[v]: v for v in self.in_stage if v in self.models and v != champion}


def read_registry() -> Registry:
    """Read the tags of this repository. Raises UserError if there is none."""
    git("rev-parse", "--git-dir")
    tags = sorted(_annotated_tags(), key=lambda tag: tag[2])
    releases, versions, models = {}, {}, {}
    for tag, commit, seconds in tags:
        if found := VERSION_TAG.fullmatch(tag):
            when = datetime.fromtimestamp(seconds, UTC)
            releases[found["version"]] = Release(found["version"], commit, when, ledger_row(commit))
            versions[commit], models[found["version"]] = found["version"], ledger_row(commit).get("model", "")
            if found["withdrawn"]:
                del releases[found["version"]]
    # Versions come first: gto makes both tags within a second.
    moves = [(found, commit) for tag, commit, _ in tags if (found := STAGE_TAG.fullmatch(tag))]
    in_stage = ["" if found["withdrawn"] else versions.get(commit, "") for found, commit in moves]
    newest = max((seconds for *_, seconds in tags), default=0)
    return Registry(releases, in_stage, models, [tag for tag, *_ in tags], newest)


def _annotated_tags() -> Iterator[tuple[str, str, int]]:
    """The name, the commit and the time in seconds since 1970 of each tag that gto reads."""
    patterns = [f"refs/tags/{ARTIFACT}{mark}*" for mark in "@#"]
    for line in git("for-each-ref", f"--format={FORMAT}", *patterns).splitlines():
        tag, kind, *rest = line.split(" ")
        if kind == "tag":
            yield tag, rest[0], int(rest[1])


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.removeprefix("v").split(".")))


def ledger_at(commit: str) -> list[Row]:
    """The ledger of a commit; empty if it has none."""
    return parse_ledger(run_git("show", f"{commit}:{LEDGER.as_posix()}").stdout)


def ledger_row(commit: str) -> Row:
    """What the gate said of the build that a commit holds; {} if it has seen none."""
    rows = ledger_at(commit)
    return rows[-1] if rows else {}


def next_version(registry: Registry) -> str:
    """The version of the next model that takes over."""
    if not registry.named:
        return FIRST
    major, minor, _ = max(map(_number, registry.named))
    return f"v{major}.{minor + 1}.0"


def release(registry: Registry, version: str, commit: str, why: str, author: str) -> list[str]:
    """Tag a commit as a version, unless it is one already, and put it in STAGE; returns the new tags."""
    tags = [] if version in registry.releases else [f"{ARTIFACT}@{version}"]
    tags.append(_stage_tag(registry))
    first = max(int(time.time()), registry.newest + 1)
    for date, tag in enumerate(tags, first):
        git("tag", "--annotate", "--message", why, tag, commit, env=identity(author, date))
    return tags


def _stage_tag(registry: Registry) -> str:
    numbers = [int(tag.rpartition("#")[2]) for tag in registry.tags if "#" in tag]
    return f"{ARTIFACT}#{STAGE}#{max(numbers, default=0) + 1}"


def unfinished(registry: Registry, rows: Sequence[Row]) -> Row | None:
    """The ledger's last row, if it promotes a version that never was released: that run was killed.

    Raises:
        UserError: more versions of the ledger have no tag: git has not fetched them.
    """
    promoted = [row["version"] for row in rows if row["decision"] == PROMOTED]
    missing = [version for version in promoted if version not in registry.named]
    last = rows[-1] if rows and rows[-1]["decision"] == PROMOTED else None
    if last and last["version"] not in registry.in_stage and missing in ([], [last["version"]]):
        return last
    if missing:
        fix = "`git fetch --tags` brings it; if it was deleted on purpose, delete that row, too"
        raise UserError(f"{LEDGER} names {ARTIFACT}@{missing[0]}, and git has no such tag: {fix}")
    return None


def check_released(registry: Registry) -> None:
    """Raise UserError if there is no version."""
    if not registry.releases:
        raise UserError("no version has been released yet: a rebuild releases the first (`make schedule`)")


def find_release(registry: Registry, version: str) -> Release:
    """A version by its name, such as v1.2.0. Raises UserError if there is none."""
    check_released(registry)
    known = [*registry.releases]
    if not version:
        raise UserError(f"which version? `make rollback VERSION={known[-1]}`; there are {', '.join(known)}")
    if version not in known:
        raise UserError(f"there is no version {version}: {did_you_mean(version, known, ', '.join(known))}")
    return registry.releases[version]
