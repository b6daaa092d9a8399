"""What kind of file it is, by its first bytes."""

from typing import Literal

Kind = Literal["mp4", "matroska", "avi", "sound", "picture"]
MATROSKA = b"\x1a\x45\xdf\xa3"
MP4 = {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"}  # the boxes that may come first
PICTURES = {b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif", b"avis", b"heim", b"heis"}  # in such boxes
RIFF: dict[bytes, Kind] = {b"AVI ": "avi", b"WEBP": "picture"}
STARTS: dict[bytes, Kind] = {MATROSKA: "matroska"}
STARTS |= dict.fromkeys([b"ID3", b"\xff\xfb", b"fLaC", b"OggS", b"\xff\xf1"], "sound")
STARTS |= dict.fromkeys([b"\xff\xd8", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*"], "picture")
ENOUGH = 16  # bytes


def kind_of(start: bytes) -> Kind | None:
    """The kind of a file that starts so; None if these bytes do not tell. QuickTime is "mp4", WebM
    "matroska". `start`: the first ENOUGH bytes or more."""
    if start[4:8] in MP4:
        return "picture" if start[8:12] in PICTURES else "mp4"
    if start.startswith(b"RIFF"):
        return RIFF.get(start[8:12], "sound")
    return next((kind for magic, kind in STARTS.items() if start.startswith(magic)), None)
