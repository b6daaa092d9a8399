"""A thin HTTP wrapper around the package `fer`. A Python of its own runs this file, without our packages.

fer_server.py haar|mtcnn     prints its address; POST a picture's bytes, and get JSON

`fer` is asked by one thread at a time: its networks are not made for more.
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np


class Server(ThreadingHTTPServer):
    request_queue_size = 512
    daemon_threads = True


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        with self.server.turn:
            faces = self.server.detector.detect_emotions(picture)
        body = json.dumps(faces, default=lambda value: value.tolist()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


def main() -> None:
    from fer.fer import FER

    server = Server(("127.0.0.1", 0), Handler)
    server.detector, server.turn = FER(mtcnn=sys.argv[1] == "mtcnn"), threading.Lock()
    server.detector.detect_emotions(np.zeros((480, 640, 3), np.uint8))
    print(f"fer at http://127.0.0.1:{server.server_port}/ (ready)", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
