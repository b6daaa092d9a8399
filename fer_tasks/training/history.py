"""The history of a training: one row for each epoch."""

import pandas as pd

COLUMNS = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]


def history(rows: list[dict[str, float]]) -> pd.DataFrame:
    """The rows as a table: epoch (from 1), loss, accuracy, val_loss, val_accuracy."""
    return pd.DataFrame(rows, columns=COLUMNS)
