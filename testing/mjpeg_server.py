"""A camera on 127.0.0.1 that sends JPEG pictures, as multipart/x-mixed-replace, and breaks off."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress

from testing.camera import Camera
from testing.loopback import Handler, serving

BOUNDARY = "picture"


class _Stream(Handler):
    def do_GET(self) -> None:
        camera = self.server.state
        if not camera.lets_in(self.headers.get("Authorization")):
            self.reply(401, b"", {"WWW-Authenticate": 'Basic realm="camera"'})
            return
        pictures = camera.next_pictures()
        if not pictures:
            self.reply(503, b"")
            return
        self.send_response(200)
        self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={BOUNDARY}")
        self.end_headers()
        self.close_connection = True
        with suppress(OSError):  # the other side has gone
            for picture in pictures:
                head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                self.wfile.write(head.encode() + picture + b"\r\n")
                if camera.closing.wait(camera.pause):
                    return


def mjpeg_camera(
    pictures: Sequence[bytes], each: Sequence[int], pause: float = 0.01, login: str = ""
) -> AbstractContextManager[Camera]:
    """A camera, until the context ends."""
    return serving(_Stream, lambda address: Camera(f"{address}/live", pictures, each, pause, login))
