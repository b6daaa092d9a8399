"""Writing on faces: calls of OCR.space with sheets and with one call per face, and the local engine's recall.

python -m benchmarks.drop_text FOLDER     # FOLDER: photos in class folders

Each face is read with and without a planted caption. Thresholds are chosen on one half of the photos, and the
figures are for the other half. Photos on which a person saw writing, by their ids in
benchmarks/lib/written_on.txt, are counted separately.
"""

import argparse
import json
import math
import time
from collections.abc import Sequence
from itertools import cycle, islice, product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.lib.captions import Caption, cut_faces, hangul_fonts, plant
from fer_tasks.settings import load_settings
from fer_tasks.text import sheets
from fer_tasks.text.lines import Line, apply_writing_rule
from fer_tasks.text.local import find_lines
from fer_tasks.text.sheets import OcrWord

FACES, PER_DAY = 26_621, 500  # faces of the 2021 data set; free calls of OCR.space
SIZES = (150, 200, 224)  # px
SIDE = SIZES[0]  # px; of the faces that the local engine reads
MAX_BYTES, MAX_SIDE = 1_000_000, 5000
SHEET_SIDE = 1984  # px; the local engine shrinks larger pictures …
BLOCK = 32  # … and resizes those whose sides are not multiples of this
CONFIDENCES = (0.4, 0.45, 0.5, 0.55, 0.6, 0.65)
ASPECTS, HEIGHTS, LETTERS = (1.1, 1.3, 1.5, 2.0), (0.25, 0.3, 0.35, 0.4), (1, 2, 3)
LinesOfFaces = Sequence[Sequence[Line]]
Choice = tuple[float, dict[str, Any]]  # the detector's confidence and the rule


class Pictures(NamedTuple):
    """Faces of `SIDE` px by group, and those to choose thresholds on."""

    groups: dict[str, list[np.ndarray]]  # clean; planted: the same with captions; marked: real writing
    first_half: dict[str, np.ndarray]
    captions: list[Caption]  # of the planted


def prepare(faces: dict[str, dict[int, np.ndarray]]) -> Pictures:
    """Plant captions, in Latin and (with a font for it) Hangul letters, opaque or half transparent, 8 to 32
    px high."""
    rng, korean = np.random.default_rng(2021), bool(hangul_fonts())
    written_ids = set(Path(__file__).with_name("lib").joinpath("written_on.txt").read_text().split())
    clean = {i: sizes[SIDE] for i, sizes in faces.items() if i not in written_ids}
    marked = {i: sizes[SIDE] for i, sizes in faces.items() if i in written_ids}
    drawn = [
        Caption(int(rng.integers(8, 33)), bool(korean and rng.random() < 0.5), bool(rng.random() < 0.5))
        for _ in clean
    ]
    planted = [plant(face, caption, rng) for face, caption in zip(clean.values(), drawn, strict=True)]
    halves = {
        name: np.array([int(i, 16) % 2 == 0 for i in ids], bool)
        for name, ids in (("clean", clean), ("marked", marked))
    }
    groups = {"clean": list(clean.values()), "planted": planted, "marked": list(marked.values())}
    return Pictures(groups, {**halves, "planted": halves["clean"]}, drawn)


def cost_of_sheets(faces: Sequence[np.ndarray]) -> tuple[int, int]:
    """Calls and bytes for as many faces as the 2021 data set has; `faces` are repeated."""
    stream = islice(((str(i), face) for i, face in enumerate(cycle(faces))), FACES)
    sizes = [
        len(sheets.encode(sheets.lay_out(list(batch.values()))[0]))
        for batch in sheets.fill(stream, MAX_BYTES, MAX_SIDE, FACES)
    ]
    assert max(sizes) <= MAX_BYTES
    return len(sizes), sum(sizes)


def written_on(lines_of_faces: LinesOfFaces, rule: dict[str, Any]) -> np.ndarray:
    """Which faces have writing on them by the rule: (n,) bool."""
    return np.array([apply_writing_rule(lines, (SIDE, SIDE), **rule)["has_text"] for lines in lines_of_faces])


def at_native_size(image: np.ndarray, confidence: float) -> list[Line]:
    """The lines that the engine finds without resizing; the image is padded, as its blocks require."""
    height, width = (-(-side // BLOCK) * BLOCK for side in image.shape[:2])
    padded = np.full((height, width, 3), sheets.GREY, np.uint8)
    padded[: image.shape[0], : image.shape[1]] = image
    return find_lines([padded], max(height, width), confidence)[0]


def on_sheets(faces: Sequence[np.ndarray], confidence: float, rule: dict[str, Any]) -> np.ndarray:
    """Which faces have writing by the local engine on sheets, with faces at their own size: (n,) bool. Faces
    around a word that belongs to no face are read by themselves."""
    lines_of_faces: list[Sequence[Line]] = []
    for batch in sheets.fill(((str(i), f) for i, f in enumerate(faces)), MAX_BYTES, SHEET_SIDE, len(faces)):
        sheet, layout = sheets.lay_out(list(batch.values()))
        sheet_lines = at_native_size(sheet, confidence)
        words = [OcrWord(line.text, *line[1:], line=i) for i, line in enumerate(sheet_lines)]
        lines, doubtful = sheets.assign(words, layout)
        for i, face in enumerate(batch.values()):
            lines_of_faces.append(at_native_size(face, confidence) if i in doubtful else lines[i])
    return written_on(lines_of_faces, rule)


def choose(lines: dict[float, dict[str, LinesOfFaces]], pictures: Pictures) -> Choice:
    """The settings with the highest recall on the first half, at no more than 0.5 % false positives there.

    `lines`: by the detector's confidence and the group of faces.
    """

    def score(choice: Choice) -> tuple[bool, float]:
        confidence, rule = choice
        verdicts = {
            group: written_on(of_group, rule)[pictures.first_half[group]]
            for group, of_group in lines[confidence].items()
        }
        hits = np.concatenate([verdicts["planted"], verdicts["marked"]])
        return bool(verdicts["clean"].mean() <= 0.005), float(hits.mean())

    rules = [
        {"min_aspect": a, "max_height": h, "min_letters": n} for a, h, n in product(ASPECTS, HEIGHTS, LETTERS)
    ]
    return max(product(CONFIDENCES, rules), key=score)


def figures(
    lines: dict[str, LinesOfFaces], rule: dict[str, Any], pictures: Pictures
) -> dict[str, float | None]:
    """Recall and false positives on the second half; `lines`: by the group of faces."""
    verdicts = {group: written_on(of_group, rule) for group, of_group in lines.items()}
    hit, second = verdicts["planted"], ~pictures.first_half["planted"]
    hangul, faint, small = (
        np.array(kind)
        for kind in zip(*((c.hangul, c.faint, c.size < 16) for c in pictures.captions), strict=True)
    )
    shares = {
        "recall": hit[second],
        "recall_hangul": hit[second & hangul],
        "recall_latin": hit[second & ~hangul],
        "recall_faint": hit[second & faint],
        "recall_below_16_px": hit[second & small],
        "recall_of_real_writing": verdicts["marked"][~pictures.first_half["marked"]],
        "false_positive_rate": verdicts["clean"][second],
    }
    return {name: round(float(of.mean()), 4) if len(of) else None for name, of in shares.items()}


def local_engine(pictures: Pictures) -> tuple[Choice, dict[str, float | None]]:
    """Measure the local engine at the settings of params.yaml and at the best ones of the first half; return
    the latter and their figures."""
    settings = load_settings().drop_text
    by_settings: Choice = (settings.local.min_confidence, settings.rule.model_dump())
    find_lines(pictures.groups["planted"][:2], settings.local.side, 0.5)  # loads what is loaded at first use
    lines, start = {}, time.process_time()
    confidences = sorted({*CONFIDENCES, settings.local.min_confidence})
    for confidence in confidences:
        lines[confidence] = {
            group: find_lines(faces, settings.local.side, confidence)
            for group, faces in pictures.groups.items()
        }
    n = len(confidences) * sum(map(len, pictures.groups.values()))
    cpu = {"cpu_s_per_face": round((time.process_time() - start) / n, 4)}
    chosen = choose(lines, pictures)
    for name, (confidence, rule) in {"params.yaml": by_settings, "chosen": chosen}.items():
        result = figures(lines[confidence], rule, pictures)
        print(f"{name}: confidence {confidence}, {rule}\n  {result}")
    return chosen, cpu | result


def sheets_beside_single_faces(pictures: Pictures, choice: Choice) -> dict[str, float]:
    """Compare the local engine on sheets and on each face by itself, at its own size: for the second half,
    with and without captions."""
    second = np.flatnonzero(~pictures.first_half["clean"])
    faces = [pictures.groups[group][i] for i in second for group in ("planted", "clean")]
    confidence, rule = choice
    alone = written_on([at_native_size(face, confidence) for face in faces], rule)
    together = on_sheets(faces, confidence, rule)
    shares = {
        "sheet_agreement": alone == together,
        "recall_on_sheets": together[::2],
        "recall_alone_at_native_size": alone[::2],
        "false_positive_rate_on_sheets": together[1::2],
    }
    return {name: round(float(of.mean()), 4) for name, of in shares.items()}


def main(photos: Path) -> None:
    faces = cut_faces(photos, SIZES)
    cost = {side: cost_of_sheets([sizes[side] for sizes in faces.values()]) for side in SIZES}
    for side, (calls, size) in cost.items():
        print(f"{side} px: {calls} calls, {size:,} bytes; a call per face: {FACES:,}, {FACES / calls:.0f} x")
    calls = max(calls for calls, _ in cost.values())
    days = math.ceil(calls / PER_DAY)
    print(f"days at {PER_DAY} calls: {days} instead of {math.ceil(FACES / PER_DAY)}")
    pictures = prepare(faces)
    print({group: len(of) for group, of in pictures.groups.items()}, "faces")
    chosen, recall = local_engine(pictures)
    agreement = sheets_beside_single_faces(pictures, chosen)
    print(json.dumps({"calls": calls, "days": days, **recall, **agreement}, indent=2))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drop_text", description=__doc__)
    parser.add_argument("folder", type=Path, help="photos in class folders")
    main(parser.parse_args().folder)
