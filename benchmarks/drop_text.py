"""Writing on faces: what OCR.space costs by sheets beside one call a face, and what the local engine finds.

python -m benchmarks.drop_text FOLDER     # FOLDER: photos in class folders

Each face is looked at with and without a caption planted on it. Thresholds are chosen on one half of the
photos, and the figures are of the other. Photos that a person saw writing on, by image id in
benchmarks/lib/written_on.txt, are counted apart.
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

FACES, PER_DAY = 26_621, 500  # of the 2021 data set; free calls of OCR.space
SIZES = (150, 200, 224)
SIDE = SIZES[0]  # px; what is read
MAX_BYTES, MAX_SIDE = 1_000_000, 5000
SHEET_SIDE = 1984  # px; the local engine shrinks larger pictures …
BLOCK = 32  # … and resizes those whose sides are no multiples of this
CONFIDENCES = (0.4, 0.45, 0.5, 0.55, 0.6, 0.65)
ASPECTS, HEIGHTS, LETTERS = (1.1, 1.3, 1.5, 2.0), (0.25, 0.3, 0.35, 0.4), (1, 2, 3)
Found = Sequence[Sequence[Line]]
Choice = tuple[float, dict[str, Any]]  # the detector's confidence and the rule


class Pictures(NamedTuple):
    """Faces of `SIDE` px by group, and which of them thresholds may be chosen on."""

    groups: dict[str, list[np.ndarray]]  # clean; planted: the same with captions; marked: real writing
    first_half: dict[str, np.ndarray]
    captions: list[Caption]  # of the planted


def prepare(faces: dict[str, dict[int, np.ndarray]]) -> Pictures:
    """Captions are Latin and Hangul (where there is a font), plain and see-through, 8 to 32 px."""
    rng, korean = np.random.default_rng(2021), bool(hangul_fonts())
    known = set(Path(__file__).with_name("lib").joinpath("written_on.txt").read_text().split())
    clean = {i: sizes[SIDE] for i, sizes in faces.items() if i not in known}
    marked = {i: sizes[SIDE] for i, sizes in faces.items() if i in known}
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
    """Calls and bytes for as many faces as the data set has, these over and over."""
    stream = islice(((str(i), face) for i, face in enumerate(cycle(faces))), FACES)
    sizes = [
        len(sheets.encode(sheets.lay_out(list(batch.values()))[0]))
        for batch in sheets.fill(stream, MAX_BYTES, MAX_SIDE, FACES)
    ]
    assert max(sizes) <= MAX_BYTES
    return len(sizes), sum(sizes)


def written_on(found: Found, rule: dict[str, Any]) -> np.ndarray:
    return np.array([apply_writing_rule(lines, (SIDE, SIDE), **rule)["has_text"] for lines in found])


def as_it_is(image: np.ndarray, confidence: float) -> list[Line]:
    """What the engine finds without resizing: it does to sides that are not of its blocks."""
    height, width = (-(-side // BLOCK) * BLOCK for side in image.shape[:2])
    padded = np.full((height, width, 3), sheets.GREY, np.uint8)
    padded[: image.shape[0], : image.shape[1]] = image
    return find_lines([padded], max(height, width), confidence)[0]


def on_sheets(faces: Sequence[np.ndarray], confidence: float, rule: dict[str, Any]) -> np.ndarray:
    """Verdicts of the local engine on sheets of faces at their own size; where a word belongs to no face, on
    the faces around it by themselves."""
    found: list[Sequence[Line]] = []
    for batch in sheets.fill(((str(i), f) for i, f in enumerate(faces)), MAX_BYTES, SHEET_SIDE, len(faces)):
        sheet, layout = sheets.lay_out(list(batch.values()))
        read = as_it_is(sheet, confidence)
        words = [OcrWord(line.text, *line[1:], line=i) for i, line in enumerate(read)]
        lines, doubtful = sheets.assign(words, layout)
        for i, face in enumerate(batch.values()):
            found.append(as_it_is(face, confidence) if i in doubtful else lines[i])
    return written_on(found, rule)


def choose(found: dict[float, dict[str, Found]], pictures: Pictures) -> Choice:
    """The highest recall on the first half, at 0.5 % false positives there at most."""

    def score(choice: Choice) -> tuple[bool, float]:
        confidence, rule = choice
        verdicts = {
            group: written_on(lines, rule)[pictures.first_half[group]]
            for group, lines in found[confidence].items()
        }
        hits = np.concatenate([verdicts["planted"], verdicts["marked"]])
        return bool(verdicts["clean"].mean() <= 0.005), float(hits.mean())

    rules = [
        {"min_aspect": a, "max_height": h, "min_letters": n} for a, h, n in product(ASPECTS, HEIGHTS, LETTERS)
    ]
    return max(product(CONFIDENCES, rules), key=score)


def figures(found: dict[str, Found], rule: dict[str, Any], pictures: Pictures) -> dict[str, float | None]:
    """Recall and false positives on the second half."""
    verdicts = {group: written_on(lines, rule) for group, lines in found.items()}
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
    """What it finds at the best settings of the first half, and at those of params.yaml."""
    wanted = load_settings().drop_text
    by_settings: Choice = (wanted.local.min_confidence, wanted.rule.model_dump())
    find_lines(pictures.groups["planted"][:2], wanted.local.side, 0.5)  # what is loaded at first use
    found, start = {}, time.process_time()
    confidences = sorted({*CONFIDENCES, wanted.local.min_confidence})
    for confidence in confidences:
        found[confidence] = {
            group: find_lines(faces, wanted.local.side, confidence)
            for group, faces in pictures.groups.items()
        }
    n = len(confidences) * sum(map(len, pictures.groups.values()))
    cpu = {"cpu_s_per_face": round((time.process_time() - start) / n, 4)}
    chosen = choose(found, pictures)
    for name, (confidence, rule) in {"params.yaml": by_settings, "chosen": chosen}.items():
        result = figures(found[confidence], rule, pictures)
        print(f"{name}: confidence {confidence}, {rule}\n  {result}")
    return chosen, cpu | result


def sheets_beside_single_faces(pictures: Pictures, choice: Choice) -> dict[str, float]:
    """The local engine on sheets and on each face by itself, at its own size: the second half, with captions
    and without."""
    second = np.flatnonzero(~pictures.first_half["clean"])
    faces = [pictures.groups[group][i] for i in second for group in ("planted", "clean")]
    confidence, rule = choice
    alone = written_on([as_it_is(face, confidence) for face in faces], rule)
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
        print(f"{side} px: {calls} calls, {size:,} bytes; one a face: {FACES:,}, {FACES / calls:.0f} x")
    calls = max(calls for calls, _ in cost.values())
    days = math.ceil(calls / PER_DAY)
    print(f"days at {PER_DAY} calls: {days} in place of {math.ceil(FACES / PER_DAY)}")
    pictures = prepare(faces)
    print({group: len(of) for group, of in pictures.groups.items()}, "faces")
    chosen, found = local_engine(pictures)
    agreement = sheets_beside_single_faces(pictures, chosen)
    print(json.dumps({"calls": calls, "days": days, **found, **agreement}, indent=2))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drop_text", description=__doc__)
    parser.add_argument("folder", type=Path, help="photos in class folders")
    main(parser.parse_args().folder)
