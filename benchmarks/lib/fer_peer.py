"""Ask the package `fer` what faces show. A Python of its own runs this file, without our packages.

fer_peer.py haar|mtcnn FILE...     prints JSON: for each file CPU seconds, wall seconds, faces
fer_peer.py faces SIDE FILE        prints JSON: for each face the probabilities by expression

The first of several files is asked once before: its time is that of a start. With `faces`, FILE holds faces
as raw RGB of SIDE x SIDE px, which are classified as they are.
"""

import json
import sys
import time

import cv2
import numpy as np


def main() -> None:
    from fer.fer import FER

    if sys.argv[1] == "faces":
        side, whole = int(sys.argv[2]), FER(offsets=(0, 0))
        faces = np.fromfile(sys.argv[3], np.uint8).reshape(-1, side, side, 3)
        asked = [whole.detect_emotions(face[:, :, ::-1].copy(), [(0, 0, side, side)]) for face in faces]
        print(json.dumps([answer[0]["emotions"] for answer in asked]))
        return
    detector, files, done = FER(mtcnn=sys.argv[1] == "mtcnn"), sys.argv[2:], []
    if len(files) > 1:
        detector.detect_emotions(cv2.imread(files[0]))
    for file in files:
        wall, cpu = time.perf_counter(), time.process_time()
        faces = detector.detect_emotions(cv2.imread(file))
        done.append((time.process_time() - cpu, time.perf_counter() - wall, len(faces)))
    print(json.dumps(done))


if __name__ == "__main__":
    main()
