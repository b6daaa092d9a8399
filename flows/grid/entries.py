"""Which entries of the code's dictionaries a cell uses: a new model or optimizer changes no other cell."""

from collections.abc import Mapping
from typing import Any

from flows.engine.code import Only

# The dictionary, and the setting that names its entry.
NAMED_BY = {
    "BUILDERS": "model",
    "LOSSES": "loss",
    "OPTIMIZERS": "optimizer",
    "SCHEDULES": "schedule",
    "SETS": "augmentation",
}


def entries(settings: Mapping[str, Any]) -> Only:
    """By the settings of a cell, as its cell.json has them."""
    used = {dictionary: [settings[key]] for dictionary, key in NAMED_BY.items()}
    used["SETS"].append("none")  # of features, which are augmented already
    if backbone := settings["options"].get("backbone"):
        used["BACKBONES"] = [backbone]
    return used
