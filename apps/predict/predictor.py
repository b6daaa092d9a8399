"""Ask a model from Python: `Predictor("models/best").predict("photo.jpg")`."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from apps.predict import faces as faces_of
from apps.predict.network import compile_network
from apps.predict.on_all_cores import on_all_cores
from apps.predict.pictures import Picture, Source, UnreadablePicture, of_array, open_picture
from apps.predict.tables import NO_FACE, OK, UNCERTAIN, UNREADABLE, Row, empty_row
from fer_tasks.errors import UserError
from fer_tasks.evaluation.calibration import (
    ConformalScores,
    balanced,
    calibrated,
    conformal_quantile,
    prediction_sets,
    unlearnt,
)
from fer_tasks.faces.choose import as_face
from fer_tasks.faces.detector import Faces, follow_faces
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.recipes import make_transform
from fer_tasks.sources.names import shown
from fer_tasks.storage.model_folder import PRETRAINED, read_model_folder
from fer_tasks.video.addresses import without_password

MODEL = Path("models/best")
Prior = Literal["training", "balanced"]


class Predictor:
    """A trained model, ready to be asked. Threads may share one.

    `folder`: of the model; None: models/best, or the pretrained one that this program has where there is
    none.
    `faces`: all of a picture, or the largest, where one in the middle counts up to twice as much as one in a
    corner: the one that training would have taken. `whole`: pictures are faces already, nothing is searched.
    `coverage`: with which probability the expressions of `Row.set` hold the true one, 0..1. `prior`: how
    frequent the expressions are taken to be: as in what the model learnt from (training), which is right most
    often, or one like the other (balanced), which names rare ones more often. `unlearnt`: the expressions of
    which the model has seen none; their probability is 0.

    Raises:
        BadModelFolder: the folder is no model that can be used.
        BadNetwork: its network cannot be run.
    """

    def __init__(
        self,
        folder: str | Path | None = None,
        *,
        faces: faces_of.Which = "all",
        whole: bool = False,
        coverage: float = 0.9,
        prior: Prior = "training",
    ):
        if not 0 < coverage < 1:
            raise UserError(f"coverage is between 0 and 1, such as 0.9, not {coverage}")
        if prior not in get_args(Prior):
            raise UserError(f"prior is training or balanced, not {prior}")
        onnx, info = read_model_folder(Path(folder or default_model()))
        self.info = info  # of model.json
        self.coverage = coverage
        self.model = f"{info['name']}@{info['fingerprint'][:8]}"
        self._which, self._whole, self._crop = faces, whole, info["crop"]
        self._network = compile_network(onnx, info["input"]["shape"])
        self._transform = make_transform(info["recipe"])
        self.unlearnt = unlearnt(info["prior"])
        self._balanced = prior == "balanced"
        fitted = info["balanced"] if prior == "balanced" else info
        self.doubt = fitted["doubt"]["threshold"]  # an answer of less confidence is uncertain
        self._quantile = conformal_quantile(ConformalScores(**fitted["conformal"]), coverage)

    def predict(self, source: Source, *, bgr: bool | None = None, name: str | None = None) -> list[Row]:
        """What each face of a picture shows, the largest face first; one row of status no_face if there is
        none.

        `source`: a path, the bytes of a file, a PIL image, or an (M, N, 3) uint8 array: RGB, or with
        `bgr=True` as OpenCV reads it. An array whose faces are bluer than skin is refused; `bgr=False` takes
        it as it is. `name`: what `Row.file` says (default: the path).

        Raises:
            UnreadablePicture: there is no such file, it is no picture or damaged, or the array has another
                shape, dtype or order of colours.
        """
        picture = open_picture(source, bool(bgr), name)
        return self.answer(picture, check_colours=bgr is None and isinstance(source, np.ndarray))

    def answer(self, picture: Picture, check_colours: bool = False) -> list[Row]:
        """`predict` for a picture that is opened. Raises UnreadablePicture: its pixels are damaged."""
        faces = self._find(picture)
        if check_colours:
            self._check_colours(picture, faces)
        return self.rows(picture.name, faces, self._probabilities(picture, faces))

    def answer_with_crops(self, picture: Picture) -> tuple[list[Row], list[np.ndarray]]:
        """`answer`, and for each face what the model was shown of it: (size, size, 3) uint8 RGB."""
        faces = self._find(picture)
        crops = self._crops(picture, faces)
        return self.rows(picture.name, faces, self._ask(crops)), crops

    def predict_many(self, sources: Iterable[Source], *, bgr: bool | None = None) -> Iterator[list[Row]]:
        """`predict` for each of many pictures, in their order, on all cores; one that cannot be read gives
        one row of status unreadable. A few more are read than have been taken."""

        def one(source: Source) -> list[Row]:
            try:
                return self.predict(source, bgr=bgr)
            except UnreadablePicture:
                name = shown(without_password(source)) if isinstance(source, str | Path) else ""
                return [self.unreadable(name)]

        return on_all_cores(one, sources)

    def video(
        self,
        source: int | str | Path,
        *,
        fps: float | None = None,
        start: float = 0.0,
        end: float | None = None,
        smooth: float = 0.0,
    ) -> Iterator[list[Row]]:
        """Yield the rows of each frame of a video, in order and with one frame in memory.

        `source`: a path, the number of a camera, or the address of a stream (rtsp://, http://). `fps`: at
        most so many frames a second; None: all. `start`, `end`: s. `smooth`: s over which the columns
        `expression_smooth` and `confidence_smooth` are smoothed; 0: they are None.

        Raises:
            BadVideo: nothing can be read; or, after the rows that could be: the file is cut off, the camera
                or the stream broke off and did not come back within 30 s.
            UserError: a number is out of its range.
        """
        from apps.predict.video_reader import Span, VideoReader  # here: who asks about a photo needs neither

        reader = VideoReader(self, source, Span(fps, start, end), smooth)
        return (rows for _, rows in reader.answers())

    def unreadable(self, file: str) -> Row:
        """The row of a picture that cannot be read."""
        return empty_row(file, UNREADABLE, self.model)

    def detect(self, images: Sequence[np.ndarray]) -> list[Faces]:
        """The faces of each of many (M, N, 3) uint8 RGB images, the largest first, in px of the image."""
        return [self._find(of_array(image, "")) for image in images]

    def follow(self, image: np.ndarray, faces: Faces) -> Faces:
        """`detect` for a frame, (M, N, 3) uint8 RGB, but only about where `faces` were in the frame before,
        at a quarter of the cost: what is gone is missing, and what is new too."""
        if self._whole or not len(faces.scores):
            return faces
        near = follow_faces(image, faces.boxes, self._crop["max_side"])
        return faces_of.choose(near, image.shape[:2], self._crop, self._which)

    def read_faces(self, image: np.ndarray, faces: Faces) -> np.ndarray:
        """(n, 7) float64 probabilities, after the temperature, of n faces of an (M, N, 3) uint8 RGB image."""
        return self._probabilities(of_array(image, ""), faces)

    def rows(
        self,
        file: str,
        faces: Faces,
        probabilities: np.ndarray,
        frame: int | None = None,
        time: float | None = None,
        tracks: Sequence[int] | None = None,
    ) -> list[Row]:
        """The rows of a picture's n faces, in their order; one of status no_face where n is 0.

        `probabilities`: (n, 7). `frame`, `time` (s) and the ids `tracks` are those of a video.
        """
        if not len(probabilities):
            return [empty_row(file, NO_FACE, self.model, frame, time)]
        sets = prediction_sets(probabilities, self._quantile)
        return [
            Row(
                file,
                frame,
                None if time is None else round(time, 3),
                i,
                None if tracks is None else int(tracks[i]),
                OK if shares.max() >= self.doubt else UNCERTAIN,
                *_place(faces, i),
                EXPRESSIONS[shares.argmax()],
                float(shares.max()),
                *map(float, shares),
                "|".join(EXPRESSIONS[k] for k in np.argsort(-shares, kind="stable") if sets[i, k]),
                self.model,
            )
            for i, shares in enumerate(probabilities)
        ]

    def _find(self, picture: Picture) -> Faces:
        if self._whole:
            return as_face(picture.shape)
        return faces_of.find([picture], self._crop, self._which)[0]

    def _probabilities(self, picture: Picture, faces: Faces) -> np.ndarray:
        return self._ask(self._crops(picture, faces))

    def _crops(self, picture: Picture, faces: Faces) -> list[np.ndarray]:
        margin = 0.0 if self._whole else self._crop["margin"]
        return [faces_of.cut(picture, faces, i, margin, self._crop["size"]) for i in range(len(faces.scores))]

    def _ask(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        """(n, 7) float64 probabilities of n crops."""
        if not crops:
            return np.empty((0, len(EXPRESSIONS)))
        answers = np.array([self._network(self._transform(crop).astype(np.float32)) for crop in crops])
        answers = calibrated(answers, self.info["temperature"], self.info["prior"])
        return balanced(answers, self.info["prior"]) if self._balanced else answers

    def _check_colours(self, picture: Picture, faces: Faces) -> None:
        image = picture.read(max(picture.shape))
        if not self._whole and len(faces.scores) and faces_of.is_bgr(image, faces):
            reason = "its faces are bluer than skin: an array is RGB"
            fix = "pass bgr=True for one that OpenCV has read, or bgr=False if it is RGB all the same"
            raise UnreadablePicture(f"{reason}; {fix}")


def _place(faces: Faces, i: int) -> list[float | None]:
    """x, y, width, height and face_score of a row."""
    row, column, height, width = faces.boxes[i]
    box = [round(float(value), 1) for value in (column, row, width, height)]
    score = faces.scores[i]
    return [*box, None if np.isnan(score) else round(float(score), 4)]


def default_model() -> Path:
    """The folder of the model that is asked where none is named."""
    return PRETRAINED if not MODEL.is_dir() and PRETRAINED.is_dir() else MODEL
