"""What every process of `isolation` needs, imported once: that takes seven seconds, and a fork none.

TensorFlow writes lines about CUDA while it is imported, whatever its log level is
(https://github.com/tensorflow/tensorflow/issues/100442). Nothing else runs in the process that imports this.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def stderr_kept_back() -> Iterator[None]:
    """Show what the process writes to standard error, C++ included, only if the block fails.

    For a process with one thread: what others write meanwhile is kept back, too.
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            kept.seek(0)
            os.write(stderr, kept.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


with stderr_kept_back():
    import cv2  # noqa: F401
    import keras  # noqa: F401
    import tensorflow  # noqa: F401
