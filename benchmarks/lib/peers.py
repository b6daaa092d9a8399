"""Ask other programs' networks what faces show: mini_XCEPTION as the package `fer` has it, and face-api.js.

Both are in one throwaway environment, a folder PEERS made so (Python below 3.13, Node):
  python3 -m venv PEERS; PEERS/bin/pip install --no-deps fer==25.10.3
  PEERS/bin/pip install tensorflow "opencv-contrib-python-headless<5" requests "setuptools<81"
  npm --prefix PEERS install @vladmandic/face-api@1.7.15 @tensorflow/tfjs@4.22.0 \
      @tensorflow/tfjs-backend-wasm@4.22.0
"""

import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.lib import fer_peer
from fer_tasks.labels import EXPRESSIONS

FACE_API = Path(__file__).with_name("face_api_peer.cjs")
SIDE = 112  # px of the faces that they are given: that of face-api.js' network; mini_XCEPTION's has 64
Ask = Callable[[np.ndarray], np.ndarray]  # (n, SIDE, SIDE, 3) uint8 RGB -> (n, 7) probabilities


def peers(folder: Path) -> Iterator[tuple[str, Ask]]:
    """The peers that the folder has, by name; it is said of one that is missing."""
    python, face_api = folder / "bin" / "python", folder / "node_modules" / "@vladmandic" / "face-api"
    commands = {
        "mini_XCEPTION of fer": (python, [python.absolute(), fer_peer.__file__, "faces"]),
        "face-api.js": (face_api, ["node", FACE_API, folder]),
    }
    for name, (needed, command) in commands.items():
        if needed.exists():
            yield name, partial(_ask, [*map(str, command)])
        else:
            print(f"{name} is left out: there is no {needed}")


def _ask(command: list[str], faces: np.ndarray) -> np.ndarray:
    with tempfile.NamedTemporaryFile(suffix=".rgb") as file:
        faces.tofile(file.name)
        done = subprocess.run([*command, str(SIDE), file.name], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    answered = json.loads(done.stdout.splitlines()[-1])
    return np.array([[answer[name] for name in EXPRESSIONS] for answer in answered])
