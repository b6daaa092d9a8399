"""params.yaml, grids/ and sources/ as frozen, typed settings; an unknown key or a bad value stops the run."""

from fer_tasks.settings.grid import (
    AUTO,
    FEWER,
    LARGE,
    SMALL,
    Cell,
    Ensemble,
    Grid,
    cells_of_size,
    grid_for,
    load_grid,
)
from fer_tasks.settings.params import (
    Clean,
    CropFaces,
    DataCard,
    Download,
    DropText,
    OcrSpace,
    Report,
    Rules,
    Settings,
    Train,
    WritingRule,
    load_settings,
)
from fer_tasks.settings.source import Kaggle, Sample, load_source
from fer_tasks.settings.training import Training
from fer_tasks.settings.yaml_file import SettingsError

__all__ = [
    "AUTO",
    "FEWER",
    "LARGE",
    "SMALL",
    "Cell",
    "Clean",
    "CropFaces",
    "DataCard",
    "Download",
    "DropText",
    "Ensemble",
    "Grid",
    "Kaggle",
    "OcrSpace",
    "Report",
    "Rules",
    "Sample",
    "Settings",
    "SettingsError",
    "Train",
    "Training",
    "WritingRule",
    "cells_of_size",
    "grid_for",
    "load_grid",
    "load_settings",
    "load_source",
]
