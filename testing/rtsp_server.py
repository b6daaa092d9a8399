"""A camera on 127.0.0.1 that speaks RTSP (RFC 2326), and breaks off: JPEG pictures in RTP packets (RFC 2435)
on the connection of the requests, each with the time at which it was taken."""

import struct
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from socketserver import StreamRequestHandler

from testing.camera import Camera
from testing.loopback import serving

JPEG, CLOCK = 26, 90_000  # RTP's number for the format, and its ticks a second
VERSION, LAST, SENDER, FIRST_TICK = 0x80, 0x80, 1, 1000  # the last two are any numbers but 0
PACKET = 1400  # bytes of a picture that go into one packet
TABLES_FOLLOW = 255
SAMPLINGS = {0x21: 0, 0x22: 1}  # of a JPEG's brightness, 4:2:2 or 4:2:0, to RFC 2435's types
TABLES, FRAME, SCAN, END = 0xDB, 0xC0, 0xDA, b"\xff\xd9"
ABOUT = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=camera\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\na=range:npt=now-\r\n"
    f"m=video 0 RTP/AVP {JPEG}\r\na=control:track\r\n"
)
METHODS = "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN"


class _Session(StreamRequestHandler):
    def handle(self) -> None:
        with suppress(OSError):  # the other side has gone
            while lines := self._read():
                method, headers = lines[0].split()[0], dict(line.split(": ", 1) for line in lines[1:])
                status, more, body = self._answer(method, headers)
                head = [f"RTSP/1.0 {status}", f"CSeq: {headers['CSeq']}", "Session: 1", more]
                self._send("\r\n".join([*head, f"Content-Length: {len(body)}", "", body]).encode())
                if method == "PLAY":
                    return self._play()

    def _read(self) -> list[str]:
        """The lines of the next request; none at the end."""
        return [*iter(lambda: self.rfile.readline().decode().strip(), "")]

    def _answer(self, method: str, headers: dict[str, str]) -> tuple[str, str, str]:
        """The status, a header and the body."""
        camera = self.server.state
        if not camera.lets_in(headers.get("Authorization")):
            return "401 Unauthorized", 'WWW-Authenticate: Basic realm="camera"', ""
        match method:
            case "DESCRIBE" if camera.connections < len(camera.each):
                return "200 OK", "Content-Type: application/sdp", ABOUT
            case "DESCRIBE":
                return "503 Service Unavailable", METHODS, ""
            case "SETUP":
                return "200 OK", f"Transport: {headers['Transport']}", ""
        return "200 OK", METHODS, ""

    def _play(self) -> None:
        camera, number = self.server.state, 0
        for i, picture in enumerate(camera.next_pictures()):
            tick = FIRST_TICK + round(i * camera.pause * CLOCK)
            payloads = list(_payloads(picture))
            for payload in payloads:
                kind = JPEG | (LAST if payload is payloads[-1] else 0)
                packet = struct.pack(">BBHII", VERSION, kind, number, tick, SENDER) + payload
                self._send(struct.pack(">cBH", b"$", 0, len(packet)) + packet)
                number = (number + 1) % 65536
            if camera.closing.wait(camera.pause):
                return

    def _send(self, data: bytes) -> None:
        self.wfile.write(data)


def rtsp_camera(
    pictures: Sequence[bytes], each: Sequence[int], pause: float = 0.01, login: str = ""
) -> AbstractContextManager[Camera]:
    """A camera, until the context ends. `pictures`: baseline JPEGs, as OpenCV writes them, whose sides are
    multiples of 16 px."""
    return serving(
        _Session,
        lambda address: Camera(address.replace("http", "rtsp", 1) + "/live", pictures, each, pause, login),
    )


def _payloads(jpeg: bytes) -> Iterator[bytes]:
    """What RTP packets hold of a picture."""
    segments = list(_segments(jpeg))
    tables = b"".join(content[1:] for kind, content in segments if kind == TABLES)
    height, width, sampling = struct.unpack_from(">xHHxxB", dict(segments)[FRAME])
    shape = (SAMPLINGS[sampling], TABLES_FOLLOW, width // 8, height // 8)
    scan = jpeg[2 + sum(4 + len(content) for _, content in segments) :].removesuffix(END)
    for at in range(0, len(scan), PACKET):
        head = struct.pack(">I4B", at, *shape) + (struct.pack(">HH", 0, len(tables)) + tables) * (not at)
        yield head + scan[at : at + PACKET]


def _segments(jpeg: bytes) -> Iterator[tuple[int, bytes]]:
    """The kind and the content of each segment of a JPEG up to its scan, whose head is the last one."""
    at, kind = 2, 0
    while kind != SCAN:
        kind, length = struct.unpack_from(">xBH", jpeg, at)
        yield kind, jpeg[at + 4 : at + 2 + length]
        at += 2 + length
