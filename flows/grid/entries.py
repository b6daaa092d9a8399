"""The registry entries (BUILDERS, OPTIMIZERS …) that a cell uses: a new entry changes no other cell."""

from collections.abc import Mapping
from typing import Any

from flows.engine.code import Only

# Registry: the setting that names its entry.
NAMED_BY = {
    "BUILDERS": "model",
    "LOSSES": "loss",
    "OPTIMIZERS": "optimizer",
    "SCHEDULES": "schedule",
    "SETS": "augmentation",
}


def entries(settings: Mapping[str, Any]) -> Only:
    """The entries that a cell with these settings (as in its cell.json) uses, by registry."""
    used = {registry: [settings[key]] for registry, key in NAMED_BY.items()}
    used["SETS"].append("none")  # features are augmented already
    if backbone := settings["options"].get("backbone"):
        used["BACKBONES"] = [backbone]
    return used
