"""The model of a folder, and another one when that lies there."""

import asyncio
import logging
from pathlib import Path

from apps.predict.predictor import Predictor
from fer_tasks.errors import UserError
from fer_tasks.storage.model_folder import INFO, KERAS, ONNX

Mark = tuple[tuple[int, ...], ...]
LOG = logging.getLogger("monday-fer serve")


class NewestModel:
    """Asks a folder at each request whether it has another model than before. One that cannot be used, such
    as a folder that is being copied, is logged once, and the former model goes on.

    Raises:
        BadModelFolder: at the start, the folder is no model that can be used.
        BadNetwork: at the start, its network cannot be run.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._mark = _mark(folder)
        self._predictor = Predictor(folder)
        self._loading = asyncio.Lock()
        self.fault: str | None = None  # why what lies in the folder now cannot be used

    @property
    def name(self) -> str:
        return self._predictor.model

    async def newest(self) -> Predictor:
        """The model, whole: the one that lies in the folder now, else the former one."""
        if _mark(self._folder) != self._mark:
            async with self._loading:
                mark = _mark(self._folder)
                if mark != self._mark:
                    await asyncio.to_thread(self._load)
                    self._mark = mark
        return self._predictor

    def _load(self) -> None:
        try:
            self._predictor = Predictor(self._folder)
        except UserError as error:
            self.fault = str(error)
            LOG.warning("%s; %s goes on answering", error, self.name)
        else:
            self.fault = None
            LOG.warning("%s now has %s", self._folder, self.name)


def _mark(folder: Path) -> Mark:
    """What differs when a file of the folder was written or replaced."""
    return tuple(_stat(folder / name) for name in (INFO, ONNX, KERAS))


def _stat(file: Path) -> tuple[int, ...]:
    try:
        about = file.stat()
    except OSError:
        return ()
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns
