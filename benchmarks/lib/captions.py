"""Cut faces out of a folder's photos, and plant captions on them."""

import subprocess
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.lib.faces import cut, listed, main_faces, readable
from fer_tasks.faces.crop import transform_of
from fer_tasks.settings import load_settings
from fer_tasks.storage.dataset import image_id

LATIN = [
    Path(matplotlib.get_data_path(), "fonts/ttf", f"DejaVu{name}.ttf")
    for name in ("Sans", "Sans-Bold", "Serif")
]
WORDS = "monday|LOL|when you see it|stock photo|that face|HAPPY|me on friday|SALE 50%|no way|why?|smile!"
HANGUL_WORDS = "안녕하세요|월요일|행복|웃음|사진|대박|오늘의 기분|화났다|정말?|놀람|친구들|좋은 아침"
COLOURS = [(255, 255, 255), (0, 0, 0), (255, 220, 0), (220, 30, 30)]


class Caption(NamedTuple):
    """How a caption is drawn."""

    size: int  # of the font, px
    hangul: bool  # Hangul letters, else Latin
    faint: bool  # half transparent


def cut_faces(photos: Path, sizes: tuple[int, ...]) -> dict[str, dict[int, np.ndarray]]:
    """The main face of each photo in each size, otherwise by params.yaml: {image id: {size in px: face}}."""
    shapes, margin = readable(map(Path, listed(photos)["path"])), load_settings().crop_faces.margin
    return {
        image_id(path.read_bytes()): {
            size: cut(path, shapes[path], transform_of(face, margin, size), size) for size in sizes
        }
        for path, face in main_faces(shapes).items()
    }


def hangul_fonts() -> list[Path]:
    """This machine's fonts with Hangul, such as those of Debian's fonts-nanum; none without fontconfig."""
    try:
        listed = subprocess.check_output(["fc-list", ":lang=ko", "file"], text=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    return sorted(Path(line.rstrip(": \n")) for line in listed.splitlines())


def plant(face: np.ndarray, caption: Caption, rng: np.random.Generator) -> np.ndarray:
    """Draw a caption at a random place on a face, (M, M, 3) uint8, shortened until it fits."""
    image = Image.fromarray(face)
    fonts, words = (hangul_fonts(), HANGUL_WORDS) if caption.hangul else (LATIN, WORDS)
    font = ImageFont.truetype(str(rng.choice([str(file) for file in fonts])), caption.size)
    text = str(rng.choice(words.split("|")))
    while (width := font.getlength(text)) > 0.98 * image.width and len(text) > 2:
        text = text[:-1]
    where = (rng.uniform(0, max(image.width - width, 1)), rng.uniform(0, image.height - 1.2 * caption.size))
    colour = COLOURS[rng.integers(len(COLOURS))]
    opaque = rng.uniform(0.35, 0.65) if caption.faint else 1.0
    outline = {}
    if not caption.faint and rng.random() < 0.5:
        other = (0, 0, 0, 255) if sum(colour) > 200 else (255, 255, 255, 255)
        outline = {"stroke_width": max(1, caption.size // 14), "stroke_fill": other}
    layer = Image.new("RGBA", image.size)
    ImageDraw.Draw(layer).text(where, text, (*colour, int(255 * opaque)), font, **outline)
    return np.asarray(Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB"))
