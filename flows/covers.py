"""Teach the network that looks for covered eyes and mouths; it goes to pretrained/covers.onnx.

python -m flows.covers    # after `make pretrained` or `make fer2013`: on the training faces of data/clean

`make pretrained` ends with it. It takes three minutes of CPU.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import onnx
from skimage import data
from sklearn.datasets import load_sample_images

from fer_tasks.cleaning.cover_training import teach
from fer_tasks.cleaning.covers import NETWORK, SIDE, align
from fer_tasks.cleaning.planting.canvas import LARGER
from fer_tasks.errors import UserError
from fer_tasks.faces.choose import choose_face
from fer_tasks.faces.detector import detect_faces
from fer_tasks.storage.dataset import image_files, read_dataset
from fer_tasks.storage.files import write_bytes
from fer_tasks.storage.images import read_image
from flows.command import ready_for_prefect
from flows.grid.model_export import to_onnx

SEED, FEWEST = 2021, 2000  # faces to learn from
MOST = 12000  # pictures to search for them; one is found in five of six
SEARCHED = 192  # px that a face's picture is enlarged to before it is searched


def run(clean: Path, target: Path) -> None:
    """Teach the network on the training faces of `clean` and write it to `target`.

    Raises:
        UserError: MTCNN finds fewer than FEWEST faces in them.
    """
    dataset = read_dataset(clean)
    learnt = dataset.manifest[dataset.manifest["split"] == "train"].sort_values("image_id")
    chosen = learnt.sample(min(MOST, len(learnt)), random_state=SEED)
    pictures = [read_image(Path(path)) for _, path in image_files(dataset, chosen).values()]
    faces = [
        align(picture, landmarks, LARGER * SIDE)
        for picture, landmarks in zip(pictures, find_landmarks(pictures), strict=True)
        if landmarks is not None
    ]
    if len(faces) < FEWEST:
        fix = "run `make fer2013 SOURCE=…` first"
        raise UserError(f"MTCNN finds {len(faces)} training faces in {clean}, fewer than {FEWEST}: {fix}")
    write_bytes(target, halved(to_onnx(teach(np.stack(faces), photos(), SEED))))


def find_landmarks(pictures: Sequence[np.ndarray]) -> Iterator[np.ndarray | None]:
    """The landmarks of each picture's face, (5, 2) float, (x, y) px; None where MTCNN finds none."""
    size = (SEARCHED, SEARCHED)
    larger = (cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC) for picture in pictures)
    for picture, faces in zip(pictures, detect_faces(larger, SEARCHED, "fast"), strict=True):
        scale = np.array(picture.shape[1::-1]) / SEARCHED
        found = len(faces.scores) > 0
        yield (faces.landmarks[choose_face(faces, size)][:, ::-1] + 0.5) * scale - 0.5 if found else None


def halved(network: bytes) -> bytes:
    """An ONNX file with its weights in half precision, in half the bytes; it computes in float32 still."""
    model = onnx.load_from_string(network)
    for weights in model.graph.initializer:
        if weights.data_type == onnx.TensorProto.FLOAT:
            name, values = weights.name, onnx.numpy_helper.to_array(weights)
            weights.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
            cast = onnx.helper.make_node("Cast", [weights.name], [name], to=onnx.TensorProto.FLOAT)
            model.graph.node.insert(0, cast)
    return model.SerializeToString(deterministic=True)


def photos() -> list[np.ndarray]:
    """Photos that come with scikit-image and scikit-learn: (M, N) uint8 grey, to cut covers out of."""
    coloured = [data.coffee(), data.chelsea(), data.rocket(), *load_sample_images().images]
    return [cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY) for photo in coloured] + [
        data.brick(),
        data.grass(),
        data.gravel(),
    ]


if __name__ == "__main__":
    with ready_for_prefect():
        sys.exit(run(Path("data/clean"), NETWORK))
