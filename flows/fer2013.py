"""`make fer2013 SOURCE=…`: the pipeline on FER2013; `dvc exp run -S` writes its settings to params.yaml."""

import os
import subprocess
import sys
from pathlib import Path

from hydra.core.override_parser.types import Quote, QuotedString

from fer_tasks.errors import UserError
from fer_tasks.sources.folder import fingerprint
from flows.command import ready_for_prefect

SETTINGS = (
    "crop_faces.mode=whole",
    "crop_faces.size=48",
    "drop_text.engine=none",
    "clean.reject=[]",
    "clean.label_model=hog",  # the network of pretrained/ has learnt from these faces
    # Faces are measured at 150 px: enlarged from 48, they look blurred or drawn.
    "clean.rules.min_sharpness=0",
    "clean.rules.max_flatness=1",
    "train.workers=1",
    "train.threads=2",
)


def run(source: str, grid: str = "fer2013") -> int:
    """Run all stages on a folder or table, whose name may hold any characters; returns DVC's exit status.

    `grid` is the target of make, too.

    Raises:
        UserError: no source is named, or it does not exist.
    """
    if not source:
        usage = f"make {grid} SOURCE=folder, one with Kaggle's fer2013.csv or with its train/ and test/"
        raise UserError(f"no source is named: {usage}")
    source = os.path.expanduser(source)
    fingerprint(Path(source))
    overrides = [f"download.source={_quoted(source)}", f"train.grid={grid}", *SETTINGS]
    command = [sys.executable, "-m", "dvc", "exp", "run"]
    return subprocess.run([*command, *(word for one in overrides for word in ("-S", one))]).returncode


def _quoted(text: str) -> str:
    """Quote a string for Hydra, which parses `-S`; OmegaConf would replace `${…}`."""
    return QuotedString(text.replace("${", r"\${"), Quote.single).with_quotes()


if __name__ == "__main__":
    with ready_for_prefect():
        sys.exit(run(os.environ.get("SOURCE", "")))
