"""`make models`: the versions of the model, with figures, dates and which one is released."""

import sys

import pandas as pd

from flows.command import ready_for_prefect
from flows.registry import STAGE, Registry, check_released, read_registry


def versions_table(registry: Registry) -> pd.DataFrame:
    """A row a version, the newest first: what it is, how it did when the gate tested it, and why it is one.

    Raises:
        UserError: there is no version yet.
    """
    check_released(registry)
    rows = []
    for one in reversed(registry.releases.values()):
        once = f"was {STAGE}" if one.version in registry.in_stage else ""
        rows.append(
            {
                "version": one.version,
                "stage": STAGE if one == registry.champion else once,
                "date": f"{one.registered.astimezone():%Y-%m-%d %H:%M}",
                "accuracy": _percent(one.row.get("accuracy", "")),
                "gain": _points(one.row.get("gain", "")),
                "faces": one.row.get("faces", ""),
                "model": one.row.get("model", "").partition("@")[0],
                "commit": one.commit[:7],
                "outcome": one.row.get("outcome", "by hand"),
            }
        )
    return pd.DataFrame(rows)


def _percent(share: str) -> str:
    return f"{100 * float(share):.1f} %" if share else ""


def _points(share: str) -> str:
    return f"{100 * float(share):+.1f}" if share else ""


if __name__ == "__main__":
    with ready_for_prefect():
        sys.stdout.write(versions_table(read_registry()).to_string(index=False) + "\n")
