"""Names of the project's own events on Prefect's server, and of the resources that they are about."""

CHANGED = "monday-fer.source.changed"  # starts a rebuild
SOURCE = "monday-fer.source"
MODEL = "monday-fer.model"  # of `.promoted` and `.refused`
