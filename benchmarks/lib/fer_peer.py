"""Ask the package `fer` what faces show. A Python of its own runs this file, without our packages.

fer_peer.py haar|mtcnn FILE...     prints JSON: for each file CPU seconds, wall seconds, faces

The first file is asked once before, unless it is the only one: its time is that of a start.
"""

import json
import sys
import time

import cv2


def main() -> None:
    from fer.fer import FER

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
