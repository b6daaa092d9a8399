"""What processes of the line write to standard error when they import TensorFlow."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def imported(code: str, path: Path) -> subprocess.CompletedProcess[str]:
    """Run code where a package named tensorflow in `path` would be found first."""
    line = f"import sys; sys.path.insert(0, {str(path)!r}); import flows; {code}"
    return subprocess.run([sys.executable, "-c", line], cwd=ROOT, capture_output=True, text=True)


def package(path: Path, code: str) -> Path:
    (path / "tensorflow").mkdir()
    (path / "tensorflow/__init__.py").write_text(f"import os\nos.write(2, b'held back')\n{code}\n")
    return path


def test_tensorflow_is_imported_without_a_word(tmp_path):
    done = imported("import keras, tensorflow; print(tensorflow.reduce_sum([1, 2]).numpy())", tmp_path)
    assert (done.stdout, done.returncode) == ("3\n", 0)
    assert "port.cc" not in done.stderr and "cudart" not in done.stderr


def test_what_was_held_back_is_written_where_it_cannot_be_imported(tmp_path):
    done = imported("import tensorflow", package(tmp_path, "raise ImportError('a library is missing')"))
    assert done.stderr.startswith("held back") and "ImportError: a library is missing" in done.stderr


def test_a_crash_says_where(tmp_path):
    done = imported("import tensorflow", package(tmp_path, "os.abort()"))
    assert done.returncode < 0 and "tensorflow/__init__.py" in done.stderr


@pytest.mark.parametrize("after", ["", "os.write(2, b'of another import'); "])
def test_what_comes_after_is_written(tmp_path, after):
    done = imported(f"import os, tensorflow; {after}", package(tmp_path, ""))
    assert done.stderr == ("of another import" if after else "")
