"""A camera on 127.0.0.1 that sends JPEG pictures, as multipart/x-mixed-replace, and breaks off."""

import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress

from testing.loopback import Handler, serving

BOUNDARY = "picture"


class Camera:
    """What the camera shows, and for how long."""

    def __init__(self, address: str, pictures: Sequence[bytes], each: Sequence[int]):
        self.url = f"{address}/live"
        self.pictures = pictures
        self.each = each  # how many pictures are sent on the first, the second … connection; then it is gone
        self.connections = 0
        self.closing = threading.Event()


class _Stream(Handler):
    def do_GET(self) -> None:
        camera = self.server.state
        camera.connections += 1
        if camera.connections > len(camera.each):
            self.reply(503, b"")
            return
        self.send_response(200)
        self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={BOUNDARY}")
        self.end_headers()
        self.close_connection = True
        with suppress(OSError):  # the other side has gone
            for number in range(camera.each[camera.connections - 1]):
                picture = camera.pictures[number % len(camera.pictures)]
                head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                self.wfile.write(head.encode() + picture + b"\r\n")
                time.sleep(0.01)


def mjpeg_camera(pictures: Sequence[bytes], each: Sequence[int]) -> AbstractContextManager[Camera]:
    """A camera, until the context ends."""
    return serving(_Stream, lambda address: Camera(address, pictures, each))
