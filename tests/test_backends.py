"""Models, and FER2013 on a GPU, by Keras' JAX backend; what it trains opens on TensorFlow."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from benchmarks.lib.jax_views import views_of, warp
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.models import load_model
from fer_tasks.storage.images import encode_png
from fer_tasks.training.test_time_augmentation import VIEWS, views

SMALL = {
    "alizadeh_fazel": ((16, 16, 1), {"width": 0.25}),
    "yu_zhang": ((16, 16, 3), {"pooling": "stochastic"}),
}
STEP = """
import json, sys, keras, numpy as np
from fer_tasks.models import build_model
for name, (shape, options) in json.loads(sys.argv[1]).items():
    model = build_model(name, tuple(shape), 7, **options)
    model.compile("sgd", "categorical_crossentropy")
    rng = np.random.default_rng(0)
    x, y = rng.random((4, *shape), np.float32), np.eye(7, dtype=np.float32)[[0, 2, 4, 6]]
    loss = model.train_on_batch(x, y)
    assert keras.backend.backend() == "jax" and 0 < loss < 20, loss
    model.save(f"{name}.keras")
    np.save(f"{name}.npy", model.predict(x, verbose=0))
"""
LITTLE = """
from benchmarks import fer2013_gpu
fer2013_gpu.TEACHERS, fer2013_gpu.BATCH = 2, 8
fer2013_gpu.TEACHER, fer2013_gpu.STUDENT = {"filters": 2, "epochs": 1}, {"filters": 4, "epochs": 2}
fer2013_gpu.main()
"""
QUICKLY_COMPILED = (  # else compiling takes most of the time
    "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false "
    "--xla_llvm_disable_expensive_passes=true --xla_cpu_multi_thread_eigen=false"
)
ROOT = Path(__file__).parents[1]


def run_on_jax(code: str, folder: Path, *arguments: object) -> str:
    paths = {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    paths["XLA_FLAGS"] = QUICKLY_COMPILED
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.check_output(command, cwd=folder, env=os.environ | paths, text=True)


@pytest.mark.slow
def test_models_learn_on_jax_and_answer_the_same_on_tensorflow(tmp_path):
    run_on_jax(STEP, tmp_path, json.dumps(SMALL))
    for name, (shape, _) in SMALL.items():
        x = np.random.default_rng(0).random((4, *shape), np.float32)
        said = load_model(tmp_path / f"{name}.keras").predict(x, verbose=0)
        np.testing.assert_allclose(said, np.load(tmp_path / f"{name}.npy"), atol=1e-4)


@pytest.mark.parametrize("name", VIEWS)
def test_a_gpu_sees_the_views_that_opencv_sees(name):
    x = keras.ops.convert_to_numpy(keras.random.uniform((3, 48, 48, 1), seed=1))
    for matrix, seen in zip(views_of(name, 48), views(x, name), strict=True):
        ours = warp(x[..., 0], np.broadcast_to(matrix, (3, 2, 3)))
        np.testing.assert_allclose(ours, seen[..., 0], atol=0.05)  # OpenCV counts in 32nds of a pixel


@pytest.mark.slow
def test_fer2013_on_jax_tells_its_student_and_keeps_it(tmp_path):
    rng = np.random.default_rng(3)
    for split, usage, n in (("train", "Training", 20), ("test", "PublicTest", 8), ("test", "PrivateTest", 8)):
        for k in range(n):
            label = EXPRESSIONS[k % 7]
            file = tmp_path / "faces" / split / label / f"{usage}_{k}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(encode_png(rng.integers(0, 256, (48, 48), np.uint8)))
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    printed = run_on_jax(LITTLE, tmp_path, "faces")
    assert "20 training pictures, 8 test pictures, 8 of them without a copy" in printed
    figures = json.loads(printed.splitlines()[-1])
    assert figures["test_pictures"] == 8 and figures["student"] == figures["student_without_a_copy"]
    student = load_model(tmp_path / "fer2013_gpu.keras")
    assert student.output_shape == (None, 7) and np.isfinite(student.predict(np.ones((1, 48, 48, 1)))).all()
