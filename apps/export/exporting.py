"""Export a model to one runtime: written, run back, and only then put in its place."""

import json
import os
import platform
import shutil
from importlib.metadata import version
from pathlib import Path

from apps.export.onnxruntime_web import VERSION
from apps.export.parity import TOLERANCE, ExportRefused, Parity, compare
from apps.export.readme import readme
from apps.export.reference import Reference
from apps.export.source import Source
from apps.export.targets import TARGETS
from fer_tasks.errors import writing_to
from fer_tasks.storage.files import write_text

PARITY = "parity.json"  # which tells an export from another folder


def export(name: str, source: Source, reference: Reference, folder: Path, runtime: Path | None) -> Parity:
    """Make `folder` the export of a model to the target `name`. `runtime`: of onnxruntime-web, for `web`.

    Raises:
        ExportRefused: it cannot be exported or answers otherwise; the folder is as it was.
        DiskError: the disk is full or cannot be written.
    """
    target = TARGETS[name]
    if folder.exists() and not (folder / PARITY).is_file():
        raise ExportRefused(f"{folder} is there and no export; move it, or name another place with --out")
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    try:
        with writing_to(folder.parent):
            target.write(source, partial, runtime)
            answers, _ = target.run(partial, reference)
            parity = compare(reference.answers, answers)
            _describe(name, source, reference, parity, partial)
            _put(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return parity


def _describe(name: str, source: Source, reference: Reference, parity: Parity, folder: Path) -> None:
    if name != "web":  # where it stands beside the networks
        write_text(folder / "model.json", json.dumps(source.about, indent=2) + "\n")
    package = TARGETS[name].package
    compared = {
        "model": source.about["model"],
        "compared_on": reference.origin,
        **parity._asdict(),
        "tolerance": TOLERANCE,
        "versions": {
            "python": platform.python_version(),
            package: VERSION if name == "web" else version(package),
        },
    }
    write_text(folder / "README.md", readme(name, source.about))
    write_text(folder / PARITY, json.dumps(compared, indent=2) + "\n")


def _put(made: Path, folder: Path) -> None:
    """Put a folder in the place of another, if there is one."""
    former = made.with_suffix(".former")
    if folder.exists():
        folder.rename(former)
    made.rename(folder)
    shutil.rmtree(former, ignore_errors=True)
