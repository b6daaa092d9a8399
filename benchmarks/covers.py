"""How many people in real sunglasses, and real hands on mouths and eyes, the rule `covered` doubts.

python -m benchmarks.covers FER2013 FOLDER    # a folder or a zip of class folders; photos in class folders

FER2013's test faces and the web photos were looked through by eye: benchmarks/lib/real_covers.csv names those
that are covered, and as `unsure` those of which one can be of two minds, which do not count. The network
learns from FER2013's training faces. `chosen on` are PublicTest and the web photos whose id is even: they
were looked at while the network was made, and the threshold of params.yaml was chosen on them. `told of` are
the others. `false` is the share of all other faces that are doubted, an upper bound, since some are covered
a little.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from benchmarks.lib.faces import cut_faces, listed, unzipped
from fer_tasks.cleaning.covers import NETWORK, align, covered
from fer_tasks.settings import load_settings
from fer_tasks.storage.files import read_table
from fer_tasks.storage.images import read_image
from flows.covers import find_landmarks

REAL = Path(__file__).parent / "lib" / "real_covers.csv"
CHOSEN, TOLD = "chosen on", "told of"


def test_faces(source: Path) -> pd.DataFrame:
    """FER2013's test faces that MTCNN finds: set, half, picture, aligned."""
    with tempfile.TemporaryDirectory() as folder:
        pictures = map(Path, listed(unzipped(source, Path(folder)))["path"])
        paths = [path for path in pictures if not path.stem.startswith("Training")]
        pictures = [read_image(path) for path in paths]
    rows = [
        {
            "set": "FER2013",
            "half": CHOSEN if path.stem.startswith("PublicTest") else TOLD,
            "picture": path.stem,
            "aligned": align(picture, landmarks),
        }
        for path, picture, landmarks in zip(paths, pictures, find_landmarks(pictures), strict=True)
        if landmarks is not None
    ]
    return pd.DataFrame(rows)


def web_faces(folder: Path) -> pd.DataFrame:
    """The main faces of photos: set, half, picture, aligned."""
    faces = cut_faces(map(Path, listed(folder)["path"]), load_settings().crop_faces.size)
    rows = [
        {
            "set": "web",
            "half": TOLD if int(face.image_id, 16) % 2 else CHOSEN,
            "picture": face.image_id,
            "aligned": align(face.image, face.landmarks),
        }
        for face in faces
    ]
    return pd.DataFrame(rows)


def shares(faces: pd.DataFrame, threshold: float) -> dict[str, Any]:
    """How many faces of each kind are doubted, as "k of n"."""
    doubted = faces["probability"] > threshold
    kinds = {"sunglasses": "sunglasses", "mouth": "mouth", "eyes": "other covers of eyes"}
    counts = {
        name: f"{doubted[faces['covered'] == kind].sum()} of {(faces['covered'] == kind).sum()}"
        for kind, name in kinds.items()
    }
    return counts | {"false": round(float(doubted[faces["covered"] == ""].mean()), 4)}


def real_faces(fer2013: Path, photos: Path) -> pd.DataFrame:
    """`test_faces` and `web_faces` with covered, by eye, and the probability of it."""
    faces = pd.concat([test_faces(fer2013), web_faces(photos)], ignore_index=True)
    faces["covered"] = faces["picture"].map(read_table(REAL).set_index("picture")["covered"]).fillna("")
    return faces.assign(probability=covered(NETWORK.read_bytes(), np.stack(faces["aligned"])))


def told_figures(faces: pd.DataFrame, threshold: float) -> dict[str, float]:
    """Of the faces that nothing was chosen on: the share of sunglasses found, and that of false doubts."""
    told = faces[faces["half"] == TOLD]
    doubted = told["probability"] > threshold
    return {
        "sunglasses_recall": float(doubted[told["covered"] == "sunglasses"].mean()),
        "covered_false": float(doubted[told["covered"] == ""].mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.covers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("fer2013", type=Path, help="a folder or a zip with train/ and test/")
    parser.add_argument("folder", type=Path, help="photos in class folders")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    faces = real_faces(arguments.fer2013, arguments.folder)
    threshold = load_settings().clean.rules.max_covered
    rows = [
        {"set": name, "half": half, "faces": len(group), **shares(group, threshold)}
        for (name, half), group in faces.groupby(["set", "half"])
    ]
    print(f"\nthreshold {threshold}\n{pd.DataFrame(rows).to_string(index=False)}", flush=True)
    print(json.dumps({"threshold": threshold, **told_figures(faces, threshold), "rows": rows}))


if __name__ == "__main__":
    main()
