"""Write a WebM file of VP8 key frames, which browsers play, each frame at its own time.

OpenCV's writer knows a constant rate only, takes 0.2 s for a VP9 frame of 640 x 480 px, and does not say that
the disk is full. Pillow encodes a frame in 7 ms: a lossy WebP picture is one VP8 key frame (RFC 9649). A file
that is cut off plays as far as it goes, and can be gone on with.
"""

import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from fer_tasks.errors import DiskError, writing_to
from fer_tasks.video import matroska
from fer_tasks.video.matroska import Cluster

QUALITY, METHOD = 60, 0  # of WebP: a frame of 640 x 480 px has about 30 KB; the quickest method
CHUNK = 20  # bytes of a WebP file before the VP8 frame, whose size is in the last four
INDEXED = 1000  # ms between the frames that players can jump to
PROGRAM = b"monday-fer"


class WebM:
    """A file that frames are added to. It appears under its name when it is closed; until then it lies
    beside, as `.<name>.partial`. Without a frame there is none.

    `resume_at`: s; may be set before the first frame is added: the frames before it that an earlier run wrote
    are kept.
    """

    def __init__(self, path: Path):
        self._path, self.resume_at = path, 0.0
        self._partial = path.with_name(f".{path.name}.partial")
        self._size: tuple[int, int] | None = None

    def add(self, frame: np.ndarray, time: float) -> None:
        """Add a frame, (M, N, 3) uint8 RGB, at a time in s after the last one's. Frames are scaled to the
        size of the first one.

        Raises:
            DiskError: the disk is full or cannot be written; the file is then removed.
        """
        image = Image.fromarray(frame)
        if self._size is None:
            self._begin(image.size)
        buffer = io.BytesIO()
        image.resize(self._size).save(buffer, "WEBP", quality=QUALITY, method=METHOD)
        with self._writing():
            self._file.write(matroska.cluster(round(1000 * time), _vp8(buffer.getvalue())))
            self._file.flush()

    def _begin(self, size: tuple[int, int]) -> None:
        with self._writing():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self.resume_at and not self._partial.exists() and self._path.exists():
                os.replace(self._path, self._partial)
            self._file = self._partial.open("r+b" if self.resume_at and self._partial.exists() else "w+b")
            self._size, self._start = size, len(_head(size))
            goes_on = self._file.read(self._start).endswith(_track(size))
            kept = (
                [one.end for one in self._clusters() if one.time < 1000 * self.resume_at] if goes_on else []
            )
            self._file.seek(0)
            self._file.write(_head(size))
            self._file.truncate(self._file.seek(max(kept, default=self._start)))

    def _clusters(self) -> Iterator[Cluster]:
        return matroska.clusters(self._file, self._start)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            with writing_to(self._path.parent):
                yield
        except DiskError:
            self._size = None
            self._partial.unlink(missing_ok=True)
            raise

    def close(self) -> None:
        """Finish the file: add the index, and to the head what was not known before. Raises DiskError."""
        if self._size is None:
            return
        with self._writing():
            at = len(matroska.beginning(b"webm")) + len(matroska.segment(None))  # where places count from
            end = self._file.seek(0, os.SEEK_END)
            index = matroska.cues((time, start - at) for time, start in _indexed(self._clusters()))
            last = max((one.time for one in self._clusters()), default=0)
            self._file.seek(end)
            self._file.write(index)
            self._file.seek(0)
            self._file.write(_head(self._size, end + len(index) - at, last, end - at))
            self._file.close()
            os.replace(self._partial, self._path)


def _head(size: tuple[int, int], length: int | None = None, duration: int = 0, index: int = 0) -> bytes:
    """All before the frames; of the same length whatever is known of the file."""
    known = matroska.seek_head(index) + matroska.info(PROGRAM, duration) + _track(size)
    return matroska.beginning(b"webm") + matroska.segment(length) + known


def _track(size: tuple[int, int]) -> bytes:
    return matroska.track(1, b"V_VP8", matroska.video_size(*size))


def _indexed(clusters: Iterable[Cluster]) -> Iterator[tuple[int, int]]:
    """Time in ms and first byte of one frame every INDEXED ms."""
    due = 0
    for one in clusters:
        if one.time >= due:
            due = one.time + INDEXED
            yield one.time, one.start


def _vp8(webp: bytes) -> bytes:
    """The VP8 frame of a lossy WebP file without alpha."""
    return webp[CHUNK : CHUNK + int.from_bytes(webp[CHUNK - 4 : CHUNK], "little")]
