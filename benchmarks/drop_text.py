"""Writing on faces: what OCR.space costs by sheets beside one call a face, and what the local engine finds.

python -m benchmarks.drop_text FOLDER     # FOLDER: photos in class folders

Each face is looked at with and without a caption planted on it. Thresholds are chosen on one half of the
photos, and the figures are of the other. Photos that a person saw writing on, by image id in
benchmarks/written_on.txt, are counted apart.
"""

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice, product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.captions import Caption, cut_faces, hangul_fonts, plant
from fer_tasks.settings import load_settings
from fer_tasks.text import sheets
from fer_tasks.text.lines import Line, judge
from fer_tasks.text.local import find_lines
from fer_tasks.text.sheets import Word

FACES, PER_DAY = 26_621, 500  # of the 2021 data set; free calls of OCR.space
SIZES = (150, 200, 224)
MAX_BYTES, MAX_SIDE = 1_000_000, 5000
SHEET_SIDE = 1984  # px; the local engine shrinks larger pictures …
BLOCK = 32  # … and resizes those whose sides are no multiples of this
CONFIDENCES = (0.4, 0.45, 0.5, 0.55, 0.6, 0.65)
ASPECTS, HEIGHTS, LETTERS = (1.1, 1.3, 1.5, 2.0), (0.25, 0.3, 0.35, 0.4), (1, 2, 3)
Found = Sequence[Sequence[Line]]


def cost_of_sheets(faces: Sequence[np.ndarray]) -> tuple[int, int]:
    """Calls and bytes for as many faces as the data set has, these over and over."""
    stream = islice(((str(i), face) for i, face in enumerate(cycle(faces))), FACES)
    sizes = [
        len(sheets.encode(sheets.draw(list(batch.values()))[0]))
        for batch in sheets.fill(stream, MAX_BYTES, MAX_SIDE, FACES)
    ]
    assert max(sizes) <= MAX_BYTES
    return len(sizes), sum(sizes)


def written_on(found: Found, size: int, rule: dict[str, Any]) -> np.ndarray:
    return np.array([judge(lines, (size, size), **rule)["has_text"] for lines in found])


def as_it_is(image: np.ndarray, confidence: float) -> list[Line]:
    """What the engine finds without resizing: it does to sides that are not of its blocks."""
    height, width = (-(-side // BLOCK) * BLOCK for side in image.shape[:2])
    padded = np.full((height, width, 3), sheets.GREY, np.uint8)
    padded[: image.shape[0], : image.shape[1]] = image
    return find_lines([padded], max(height, width), confidence)[0]


def on_sheets(faces: Sequence[np.ndarray], size: int, rule: dict[str, Any], confidence: float) -> np.ndarray:
    """Verdicts of the local engine on sheets of faces at their own size; where a word belongs to no face, on
    the faces around it by themselves."""
    verdicts: list[bool] = []
    for batch in sheets.fill(((str(i), f) for i, f in enumerate(faces)), MAX_BYTES, SHEET_SIDE, len(faces)):
        sheet, layout = sheets.draw(list(batch.values()))
        read = as_it_is(sheet, confidence)
        words = [Word(line.text, *line[1:], line=i) for i, line in enumerate(read)]
        lines, doubtful = sheets.assign(words, layout)
        for i, face in enumerate(batch.values()):
            own = as_it_is(face, confidence) if i in doubtful else lines[i]
            verdicts.append(judge(own, (size, size), **rule)["has_text"])
    return np.array(verdicts)


def choose(found: dict[float, dict[str, Found]], half: np.ndarray, size: int) -> tuple[float, dict[str, Any]]:
    """The confidence and the rule with the highest recall at 0.5 % false positives at most, on a half."""

    def score(confidence: float, rule: dict[str, Any]) -> tuple[bool, float]:
        false = written_on(found[confidence]["clean"], size, rule)[half].mean()
        return bool(false <= 0.005), written_on(found[confidence]["planted"], size, rule)[half].mean()

    rules = (
        {"min_aspect": a, "max_height": h, "min_letters": n} for a, h, n in product(ASPECTS, HEIGHTS, LETTERS)
    )
    return max(product(CONFIDENCES, rules), key=lambda choice: score(*choice))


def timed(function: Callable[[], Any]) -> tuple[Any, float]:
    start = time.process_time()
    return function(), time.process_time() - start


def captions(n: int, rng: np.random.Generator) -> Iterator[Caption]:
    """Latin and Hangul (where there is a font), plain and see-through, 8 to 32 px."""
    for _ in range(n):
        yield Caption(
            int(rng.integers(8, 33)), bool(hangul_fonts()) and rng.random() < 0.5, rng.random() < 0.5
        )


def main(photos: Path) -> None:
    wanted = load_settings().drop_text
    size, rng = 150, np.random.default_rng(2021)
    faces = cut_faces(photos, SIZES)
    known = set(Path(__file__).with_name("written_on.txt").read_text().split())
    clean = {i: each[size] for i, each in faces.items() if i not in known}
    marked = [each[size] for i, each in faces.items() if i in known]
    drawn = list(captions(len(clean), rng))
    planted = [plant(face, caption, rng) for face, caption in zip(clean.values(), drawn, strict=True)]
    first = np.array([int(i, 16) % 2 == 0 for i in clean])
    print(
        f"{len(faces)} faces, {len(marked)} with writing on them; thresholds chosen on {first.sum()} others"
    )

    result: dict[str, Any] = {"calls_by_size": {}, "bytes_by_size": {}}
    for side in SIZES:
        calls, size_in_all = cost_of_sheets([each[side] for each in faces.values()])
        result["calls_by_size"][side], result["bytes_by_size"][side] = calls, size_in_all
        print(
            f"{side} px: {calls} calls, {size_in_all:,} bytes; one a face: {FACES:,}, {FACES / calls:.0f} x"
        )
    result["calls"] = max(result["calls_by_size"].values())
    result["days"] = math.ceil(result["calls"] / PER_DAY)
    print(f"days at {PER_DAY} calls: {result['days']} in place of {math.ceil(FACES / PER_DAY)}")

    find_lines(planted[:2], wanted.local.side, wanted.local.min_confidence)  # what is loaded at first use
    found: dict[float, dict[str, Found]] = {}
    for confidence in sorted({*CONFIDENCES, wanted.local.min_confidence}):
        groups = {"clean": list(clean.values()), "planted": planted, "marked": marked}
        read, spent = timed(
            lambda g=groups, c=confidence: {k: find_lines(v, wanted.local.side, c) for k, v in g.items()}
        )
        found[confidence] = read
        if confidence == wanted.local.min_confidence:
            result["cpu_s_per_face"] = round(spent / sum(map(len, groups.values())), 4)
    chosen = choose(found, first, size)
    by_settings = (wanted.local.min_confidence, wanted.rule.model_dump())
    hangul, faint = (np.array([getattr(caption, name) for caption in drawn]) for name in ("hangul", "faint"))
    small = np.array([caption.size < 16 for caption in drawn])
    for name, (confidence, rule) in {"chosen": chosen, "params.yaml": by_settings}.items():
        hit, false, real = (
            written_on(found[confidence][g], size, rule) for g in ("planted", "clean", "marked")
        )
        figures = {
            "recall": hit[~first].mean(),
            "recall_hangul": hit[~first & hangul].mean() if hangul.any() else None,
            "recall_latin": hit[~first & ~hangul].mean(),
            "recall_faint": hit[~first & faint].mean(),
            "recall_below_16_px": hit[~first & small].mean(),
            "recall_of_real_writing": real.mean() if marked else None,
            "false_positive_rate": false[~first].mean(),
        }
        figures = {key: None if value is None else round(float(value), 4) for key, value in figures.items()}
        print(f"{name}: confidence {confidence}, {rule}\n  {figures}")
        if name == "chosen":
            result |= figures

    half = {i for i, face in enumerate(first) if not face}
    mixed = [picture for i in sorted(half) for picture in (planted[i], list(clean.values())[i])]
    confidence, rule = chosen
    alone = written_on([as_it_is(face, confidence) for face in mixed], size, rule)
    together = on_sheets(mixed, size, rule, confidence)
    result["sheet_agreement"] = round(float((alone == together).mean()), 4)
    result["recall_on_sheets"] = round(float(together[::2].mean()), 4)
    result["recall_alone_at_native_size"] = round(float(alone[::2].mean()), 4)
    result["false_positive_rate_on_sheets"] = round(float(together[1::2].mean()), 4)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drop_text", description=__doc__)
    parser.add_argument("folder", type=Path, help="photos in class folders")
    main(parser.parse_args().folder)
