"""TensorFlow is imported without the six lines about oneDNN and CUDA that it writes whatever its log level is
(https://github.com/tensorflow/tensorflow/issues/100442)."""

import faulthandler
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType


class Finder(PathFinder):
    """Finds TensorFlow where it is, and leaves it to Loader."""

    @classmethod
    def find_spec(cls, fullname: str, *arguments: object) -> ModuleSpec | None:
        spec = super().find_spec(fullname, *arguments) if fullname == "tensorflow" else None
        if spec and spec.origin:
            spec.loader = Loader(fullname, spec.origin)
        return spec


class Loader(SourceFileLoader):
    """Runs a module while standard error is held back."""

    def exec_module(self, module: ModuleType) -> None:
        with held_back():
            super().exec_module(module)


@contextmanager
def held_back() -> Iterator[None]:
    """Keep back what the process writes to standard error, C++ included; it is written where an error is
    raised. Of a process that crashes its traceback is."""
    sys.stderr.flush()
    before, watched = os.dup(2), faulthandler.is_enabled()
    with tempfile.TemporaryFile() as written:
        faulthandler.enable(before)
        os.dup2(written.fileno(), 2)
        try:
            yield
        except BaseException:
            written.seek(0)
            os.write(before, written.read())
            raise
        finally:
            os.dup2(before, 2)
            faulthandler.enable(2) if watched else faulthandler.disable()
            os.close(before)


def install() -> None:
    """From here on, once a process."""
    sys.meta_path.insert(0, Finder)
