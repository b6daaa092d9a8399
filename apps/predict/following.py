"""Find the faces of each frame of a video, and search all of a frame only as often as that is needed."""

import cv2
import numpy as np

from apps.predict.predictor import Predictor
from fer_tasks.faces.detector import Faces

PERIOD = 0.5  # s of the video in which all of a frame is searched once at least
VIEW = (16, 12)  # px; width and height of the small grey picture by which frames are compared
CHANGED = 12  # of 255, by which a pixel of the view differs from the last search's: a new face may be there
CUT = 30  # of 255, by which the view's pixels differ in the mean from those before: it is another scene


class Follower:
    """Looks for the faces of a frame where they were in the frame before. All of a frame is searched where
    one is lost, in the frame after, where the picture has changed, and at least once in each PERIOD of the
    video's time: in the first frame at or after each multiple of it."""

    def __init__(self, predictor: Predictor):
        self._predictor = predictor
        self._faces: Faces | None = None
        self._place: tuple[object, ...] = ()  # the period and the shape of the last frame that was searched
        self._view = self._searched = np.empty(0)

    def find(self, image: np.ndarray, time: float) -> tuple[Faces, bool]:
        """The faces of the next frame, largest first, and whether another scene begins with it.

        `image`: (M, N, 3) uint8 RGB. `time`: s.
        """
        view, before, place = _view(image), self._view, (int(time / PERIOD), image.shape)
        cut = self._faces is not None and np.abs(view - before).mean() > CUT
        self._view = view
        if place == self._place and np.abs(view - self._searched).max() <= CHANGED:
            near = self._predictor.follow(image, self._faces)
            if len(near.scores) == len(self._faces.scores):
                self._faces = near
                return near, cut
        former, self._faces = self._faces, self._predictor.detect([image])[0]
        is_lost = former is not None and len(self._faces.scores) < len(former.scores)
        self._place, self._searched = () if is_lost else place, view  # the next frame may show it again
        return self._faces, cut


def _view(image: np.ndarray) -> np.ndarray:
    small = cv2.resize(image, VIEW, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
