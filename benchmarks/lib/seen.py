"""What the network in pretrained/ sees in faces, as `clean` shows them to it; faces that it has not learnt
from."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.lib.faces import listed, unzipped
from fer_tasks.cleaning.network_features import see
from fer_tasks.labels import VOTES
from fer_tasks.recipes import make_transform
from fer_tasks.settings import load_settings
from fer_tasks.sources import fer2013
from fer_tasks.storage.images import perceptual_hash, read_image
from fer_tasks.storage.model_folder import PRETRAINED, read_model_folder


def seen(faces: Iterable[np.ndarray], detected: bool) -> np.ndarray:
    """`network_features.see` for crops of faces, (M, M, 3) uint8 each: (n, d) float32.

    `detected`: they were cut out of photos with `crop_faces.margin`; else they are whole pictures.
    """
    onnx, info = read_model_folder(PRETRAINED)
    share = (1 + info["crop"]["margin"]) / (1 + load_settings().crop_faces.margin) if detected else 1
    transform = make_transform(info["recipe"])
    return np.stack([see(face, share * len(face), transform, onnx) for face in faces])


def voted_faces(source: Path, votes: Path, split: str, work: Path) -> tuple[pd.DataFrame, list[np.ndarray]]:
    """Pictures of FER2013 that FER+'s taggers have seen: a table with path, label, VOTES and copies (a hash
    that copies share), and the pictures, (48, 48, 3) uint8.

    `source`: a folder or a zip of class folders. `split`: val or test, the public or the private test
    pictures. `work`: a folder to unpack a zip in.
    """
    table = fer2013.add_votes(listed(unzipped(source, work)), [votes])
    table = table[(table["source_split"] == split) & table[VOTES[0]].notna()].reset_index(drop=True)
    images = [read_image(Path(path)) for path in table["path"]]
    return table.assign(copies=list(map(perceptual_hash, images))), images
