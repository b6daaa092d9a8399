"""A small project whose builds nobody trains: faces and a model's folder are written, and DVC keeps them."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from fer_tasks.labels import EXPRESSIONS
from fer_tasks.recipes import transform_all
from fer_tasks.storage.dataset import image_id, write_dataset, write_image
from fer_tasks.storage.images import encode_png
from testing.project_copy import ROOT, change_params
from testing.tiny_model import CROP, RECIPE, SIDE, tiny_network, write_tiny_model

PERSISTENT = [{folder: {"persist": True}} for folder in ("data/raw", "data/faces", "data/clean", "models")]
NOTHING = pd.DataFrame(columns=["image_id", "reason", "detail"])


def make_registry_project(folder: Path, remote: Path, origin: Path) -> Path:
    """A git and DVC repository with a remote of each, one stage and no build."""
    folder.mkdir(parents=True)
    shutil.copyfile(ROOT / "params.yaml", folder / "params.yaml")
    shutil.copyfile(ROOT / ".gitignore", folder / ".gitignore")
    change_params(folder, versions={"author": "nightly <nightly@example.org>", "remote": "origin"})
    stages = {"build": {"cmd": "exit 1", "outs": PERSISTENT}}
    artifacts = yaml.safe_load((ROOT / "dvc.yaml").read_text())["artifacts"]
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages, "artifacts": artifacts}))
    (folder / ".dvc").mkdir()
    config = (
        f"[core]\n    analytics = false\n    remote = shared\n['remote \"shared\"']\n    url = {remote}\n"
    )
    (folder / ".dvc" / "config").write_text(config)
    shutil.copyfile(ROOT / ".dvc" / ".gitignore", folder / ".dvc" / ".gitignore")
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", str(origin)], check=True)
    for command in (
        ["init", "--quiet", "--initial-branch=main"],
        ["config", "user.name", "kim"],
        ["config", "user.email", "kim@localhost"],
        ["remote", "add", "origin", str(origin)],
        ["add", "--all"],
        ["commit", "--quiet", "--message", "settings"],
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


def answers(pictures: Sequence[np.ndarray], seed: int) -> np.ndarray:
    """(n,) int: what the tiny model of a seed answers for faces."""
    from onnxruntime import InferenceSession

    session = InferenceSession(tiny_network(seed), providers=["CPUExecutionProvider"])
    return session.run(None, {"faces": transform_all(pictures, RECIPE)})[0].argmax(axis=1)


def draw_faces(n: int) -> list[np.ndarray]:
    """Pictures of noise, (SIDE, SIDE, 3) uint8, whose squares differ."""
    drawn = np.random.default_rng(0)
    squares = drawn.integers(0, 256, (n, SIDE // 8, SIDE // 8, 3), np.uint8)
    return [np.kron(one, np.ones((8, 8, 1), np.uint8)) for one in squares]


def write_build(faces: Sequence[np.ndarray], labels: Sequence[int], model: str, seed: int) -> None:
    """Write the data and the model of a build into the working folder: all faces are test faces, whole
    pictures of SIDE px."""
    raw, cut, clean = (Path("data", name) for name in ("raw", "faces", "clean"))
    shutil.rmtree("data", ignore_errors=True)
    shutil.rmtree("models", ignore_errors=True)
    rows = []
    for face, label in zip(faces, labels, strict=True):
        photo = image_id(face.tobytes())
        file = write_image(clean, f"{photo}-0", encode_png(face))
        row = {"image_id": f"{photo}-0", "file": file, "parent_id": photo, "label": EXPRESSIONS[label]}
        rows.append({**row, "pixels": photo, "photo_phash": photo, "group_id": f"{photo}-0", "split": "test"})
    write_dataset(clean, pd.DataFrame(rows), NOTHING, {}, {})
    for folder in (raw, cut):
        write_dataset(folder, pd.DataFrame(columns=["image_id", "file"]), NOTHING, {}, CROP)
    write_tiny_model(Path("models/best"), seed=seed, name=model, fingerprint=f"{model}{seed}")
    shutil.rmtree("models/best-cell")
