"""What tests of `monday-fer export` share."""

from pathlib import Path

import pytest

from apps.export.onnxruntime_web import runtime_files
from apps.export.parity import ExportRefused
from fer_tasks.storage.files import write_bytes


def onnxruntime_web(folder: Path) -> Path:
    """A folder with onnxruntime-web's files; without npm or its registry the test is skipped."""
    try:
        for name, content in runtime_files(None).items():
            write_bytes(folder / name, content)
    except ExportRefused as refused:
        pytest.skip(f"needs onnxruntime-web: {refused}")
    return folder
