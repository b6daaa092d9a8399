"""data/ + review/decisions.csv -> reports/data.html: what is in the data, what was lost, what is doubted."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from prefect import flow, get_run_logger
from prefect.artifacts import create_link_artifact

from fer_tasks.cleaning.decisions import VERDICTS, Applied, apply_decisions, parse_decisions
from fer_tasks.cleaning.rules import LEAK, RULE_NAMES, RULES
from fer_tasks.reports import data_card_page, plots
from fer_tasks.reports import data_card_tables as tables
from fer_tasks.reports.data_card_tables import ABOUT, Distribution
from fer_tasks.reports.render import Picture
from fer_tasks.settings import DataCard, Settings
from fer_tasks.storage.dataset import STAGES, Dataset, read_dataset
from fer_tasks.storage.files import read_table, read_text, write_bytes
from fer_tasks.storage.images import encode_jpeg, read_image
from flows.engine.stage import run_stage
from flows.server.which_server import report_url

QUALITY = 80  # of the page's JPEGs, which are small and many
COMPARED = {
    "brightness": "brightness",
    "contrast": "contrast",
    "sharpness": "sharpness",
    "yaw": "yaw, either way",
    "face_side": "face in the photo, px",
    "label_doubt": "label doubt",
}


class _Read(NamedTuple):
    stages: dict[str, Dataset]
    measures: pd.DataFrame  # of the faces that came to clean, and face_side, the shorter side of their box
    doubted: pd.DataFrame  # clean's doubts, with the label that the face came with
    decisions: pd.DataFrame
    applied: Applied
    labels: dict[str, str]  # of pictures and faces, as they came
    rejected: pd.DataFrame
    paths: dict[str, Path]  # of pictures and faces
    side: int  # px, of a picture on the page

    @property
    def clean(self) -> Dataset:
        return self.stages["clean"]

    @property
    def thresholds(self) -> dict[str, float]:
        return self.clean.info["settings"]["rules"]


@flow(name="data_card")
def data_card(
    settings: Settings,
    data: Path = Path("data"),
    decisions: Path = Path("review/decisions.csv"),
    target: Path = Path("reports/data.html"),
) -> None:
    card = make_card(data, decisions, settings.data_card)
    write_bytes(target, data_card_page.render_data_card(card).encode())
    _tell(card, target)


def make_card(data: Path, decisions: Path, wanted: DataCard) -> data_card_page.DataCardPage:
    """What the page shows of the datasets in `data`."""
    read = _read(data, decisions, wanted.side)
    classes = tables.classes_by_split(read.clean.manifest)
    distributions = list(_distributions(read))
    leaks = read.doubted[read.doubted["rule"] == LEAK]["image_id"]
    copies = tables.copy_groups(read.measures, leaks)
    pairs = tables.label_pairs(read.doubted[read.doubted["rule"] == "label_doubt"])
    suggestions = read.measures.set_index("image_id")["suggestion"]
    before, after = read.stages["textfree"].manifest, read.applied.faces
    relabelled, as_suggested = tables.as_suggested(before, after, suggestions)
    return data_card_page.DataCardPage(
        source=(source := read.stages["raw"].info["settings"]["source"]),
        generated=source.endswith("sample.yaml"),
        stages=tables.stage_counts(stage.info for stage in read.stages.values()),
        classes=classes,
        imbalance=tables.imbalance(classes["all"]),
        losses=tables.losses(read.rejected, read.clean.manifest["image_id"].map(read.labels)),
        rejected=_rejected(read, wanted.examples),
        rules=_rules(read),
        doubted=_doubted(read, wanted.examples),
        copies=copies,
        groups=_groups(read, copies.head(wanted.groups), wanted.examples),
        histograms=[_histogram(found) for found in distributions if found.values.notna().any()],
        unmeasured=[found.name for found in distributions if found.values.isna().all()],
        medians=_medians(read),
        pairs=pairs,
        pair_faces=_pair_faces(read, pairs, wanted.pairs, wanted.examples),
        people=_people(read.decisions),
        relabelled=relabelled,
        as_suggested=as_suggested,
        not_applied={name: len(getattr(read.applied, name)) for name in ("stale", "unknown", "disputed")},
        made=_made(read.stages),
    )


def _read(data: Path, decisions: Path, side: int) -> _Read:
    stages = {name: read_dataset(data / name) for name in STAGES}
    raw, faces, textfree, clean = stages.values()
    both = pd.concat([dataset.manifest[["image_id", "label"]] for dataset in (raw, faces)])
    labels = dict(both.itertuples(index=False, name=None))
    paths = {row.image_id: d.root / row.file for d in (raw, faces) for row in d.manifest.itertuples()}
    doubted = read_table(clean.root / "doubts.csv")
    said = parse_decisions(read_text(decisions), str(decisions))
    boxes = textfree.manifest.set_index("image_id")[["box_height", "box_width"]].min(axis=1)
    measures = read_table(clean.root / "measures.csv")
    return _Read(
        stages=stages,
        measures=measures.assign(face_side=measures["image_id"].map(boxes)),
        doubted=doubted.assign(label=doubted["image_id"].map(labels)),
        decisions=said,
        applied=apply_decisions(textfree.manifest, said),
        labels=labels,
        rejected=tables.all_rejected({d.info["stage"]: d.rejected for d in stages.values()}, labels, doubted),
        paths=paths,
        side=side,
    )


def _rejected(read: _Read, n: int) -> dict[str, list[data_card_page.Montage]]:
    found: dict[str, list[data_card_page.Montage]] = {}
    for (stage, reason), rows in read.rejected.groupby(["stage", "reason"], sort=False):
        found.setdefault(stage, []).append(_montage(read, reason, rows, n))
    return found


def _doubted(read: _Read, n: int) -> list[data_card_page.Montage]:
    rejecting = {*read.clean.info["settings"]["reject"], LEAK}
    asks = read.doubted[~read.doubted["rule"].isin({*rejecting, "near_copy"})]
    return [_montage(read, rule, rows, n) for rule, rows in asks.groupby("rule")]


def _montage(read: _Read, reason: str, rows: pd.DataFrame, n: int) -> data_card_page.Montage:
    some = tables.examples(rows, n)
    seen = some["image_id"].isin(read.paths)
    told = some[~seen]["source"] + ": " + some[~seen]["detail"] if not seen.all() else ()
    pictures = [_picture(read, row.image_id, reason, _caption(row)) for row in some[seen].itertuples()]
    return data_card_page.Montage(reason, len(rows), ABOUT.get(reason, ""), pictures, list(told))


def _caption(row: tuple) -> str:
    suggestion = getattr(row, "suggestion", "")
    return f"{row.label}{f', or {suggestion}' if suggestion else ''}: {row.detail}"


def _picture(read: _Read, image_id: str, what: str, caption: str) -> Picture:
    photo = image_id.rsplit("-", 1)[0] if what == "several_faces" else image_id
    image = read_image(read.paths[photo], enough=read.side)
    return Picture(encode_jpeg(image, read.side, QUALITY), f"{what}, {caption}", caption, "jpeg")


def _rules(read: _Read) -> pd.DataFrame:
    limits = dict.fromkeys(RULE_NAMES, "")
    for rule in RULES:
        sign = ">" if rule.threshold.startswith("max_") else "<"
        limit = f"{rule.measure} {sign} {read.thresholds[rule.threshold]:g}"
        limits[rule.name] = f"{limits[rule.name]} or {limit}".removeprefix(" or ")
    verdicts = tables.verdicts(read.stages["textfree"].manifest, read.applied.faces, read.applied.rejected)
    rejecting = [*read.clean.info["settings"]["reject"], LEAK]
    return tables.rule_counts(limits, read.doubted, read.clean.rejected, rejecting, verdicts)


def _groups(read: _Read, copies: pd.DataFrame, n: int) -> list[data_card_page.Montage]:
    sources = read.stages["textfree"].manifest.set_index("image_id")["source"]
    shown = []
    for group in copies.itertuples():
        faces = read.measures[read.measures["group_id"] == group.group_id]
        captions = faces["split"] + ", " + faces["label"] + ": " + faces["image_id"].map(sources)
        some = list(zip(faces["image_id"], captions, strict=True))[:n]
        marks = ["leak"] * group.leak + ["several labels"] * group.conflict
        pictures = [_picture(read, i, "near-copy", caption) for i, caption in some]
        shown.append(data_card_page.Montage(f"{group.size} copies", group.size, ", ".join(marks), pictures))
    return shown


def _distributions(read: _Read) -> Iterable[Distribution]:
    rules, faces, photos = read.thresholds, read.measures, read.stages["raw"].manifest
    of = {name: stage.info["settings"] for name, stage in read.stages.items()}
    yield Distribution(
        "brightness, mean grey", faces["brightness"], rules["min_brightness"], rules["max_brightness"]
    )
    yield Distribution("contrast, spread of the greys", faces["contrast"], rules["min_contrast"])
    sharpness = rules["min_sharpness"]
    yield Distribution("sharpness, variance of the Laplacian", faces["sharpness"], sharpness, log=True)
    yaw = rules["max_yaw"]
    yield Distribution("yaw, 0 is frontal", faces["yaw"], -yaw, yaw)
    yield Distribution("roll, degrees", faces["roll"], -rules["max_roll"], rules["max_roll"])
    smallest = of["faces"]["min_face"]
    yield Distribution("face in the photo, shorter side, px", faces["face_side"], smallest, log=True)
    sides = photos[["width", "height"]].min(axis=1)
    yield Distribution("photo, shorter side, px", sides, of["raw"]["min_side"], log=True)
    yield Distribution("covered, 0 to 1", faces["covered"], high=rules["max_covered"])
    yield Distribution("label doubt, 0 to 1", faces["label_doubt"], high=rules["max_label_doubt"])


def _histogram(found: Distribution) -> Picture:
    values = found.values.dropna().to_numpy(float)
    return Picture(plots.histogram(values, found.name, found.low, found.high, found.log), found.summary())


def _medians(read: _Read) -> pd.DataFrame:
    measured = read.measures.assign(yaw=read.measures["yaw"].abs()).set_index("image_id")[list(COMPARED)]
    faces = read.clean.manifest[["image_id", "label", "split"]].join(measured, on="image_id")
    return tables.medians(faces, list(COMPARED)).rename(columns=COMPARED)


def _pair_faces(read: _Read, pairs: pd.DataFrame, n_pairs: int, n: int) -> list[data_card_page.Montage]:
    rows = read.doubted[read.doubted["rule"] == "label_doubt"]
    found = []
    for label, suggestion in tables.largest_pairs(pairs, n_pairs):
        of_pair = rows[(rows["label"] == label) & (rows["suggestion"] == suggestion)]
        worst = of_pair.sort_values("score", ascending=False).head(n)
        pictures = [
            _picture(read, row.image_id, f"{label}, or {suggestion}?", f"doubt {row.value:.2f}")
            for row in worst.itertuples()
        ]
        found.append(data_card_page.Montage(f"{label}, or {suggestion}?", len(of_pair), "", pictures))
    return found


def _people(decisions: pd.DataFrame) -> pd.DataFrame:
    said = pd.crosstab(decisions["reviewer"], decisions["verdict"])
    return said.reindex(columns=list(VERDICTS), fill_value=0)


def _made(stages: Mapping[str, Dataset]) -> dict[str, str]:
    settings = {f"settings of {d.info['stage']}": json.dumps(d.info["settings"]) for d in stages.values()}
    prints = {f"fingerprint of {d.root}": d.fingerprint for d in stages.values()}
    return {"again": "dvc repro data_card", **settings, **prints}


def _tell(card: data_card_page.DataCardPage, target: Path) -> None:
    create_link_artifact(
        report_url(target.name), link_text="The data card", key="data-card", description=str(target)
    )
    kept, copies = card.stages["kept"].iloc[-1], card.copies
    get_run_logger().info(
        f"{kept} clean faces of {card.stages['came_in'].iloc[0]} pictures; {len(copies)} groups of copies, "
        f"{copies['leak'].sum()} with a leak; {card.rules['judged'].sum()} judgements of doubts; see {target}"
    )


if __name__ == "__main__":
    run_stage(data_card)
