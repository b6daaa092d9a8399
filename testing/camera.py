"""What a camera on 127.0.0.1 shows, whatever the protocol, and who may see it."""

import base64
import threading
from collections.abc import Sequence


class Camera:
    """What the camera shows, and for how long.

    `each`: how many pictures are sent on the first, the second … connection; then it is gone. `pause`: s
    between two pictures. `login`: the `user:password` that it asks for, or "".
    """

    def __init__(self, url: str, pictures: Sequence[bytes], each: Sequence[int], pause: float, login: str):
        self.url, self.pictures, self.each, self.pause = url, pictures, each, pause
        self.connections = 0  # on which pictures were sent
        self.closing = threading.Event()
        self._login = f"Basic {base64.b64encode(login.encode()).decode()}" if login else None

    def lets_in(self, authorization: str | None) -> bool:
        """Whether this header of a request is what the camera asks for."""
        return self._login is None or authorization == self._login

    def next_pictures(self) -> list[bytes]:
        """What is sent on the next connection; nothing when the camera is gone."""
        self.connections += 1
        n = self.each[self.connections - 1] if self.connections <= len(self.each) else 0
        return [self.pictures[i % len(self.pictures)] for i in range(n)]
