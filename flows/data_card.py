"""data/ + review/decisions.csv -> reports/data.html: what the data hold, what was lost, what is doubted."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from prefect import flow, get_run_logger
from prefect.artifacts import create_link_artifact

from fer_tasks.cleaning.decisions import VERDICTS, Applied, apply_decisions, parse_decisions
from fer_tasks.cleaning.rules import LEAK, RULE_NAMES, RULES
from fer_tasks.reports import data_card_page
from fer_tasks.reports import data_card_parts as parts
from fer_tasks.reports import data_card_tables as tables
from fer_tasks.settings import DataCard, Settings
from fer_tasks.storage.dataset import STAGES, Dataset, image_files, read_dataset
from fer_tasks.storage.files import read_table, read_text, write_bytes
from fer_tasks.storage.images import encode_jpeg, read_image
from flows.engine.stage import run_stage
from flows.server.which_server import report_url

QUALITY = 80  # of the page's JPEGs, which are small and many


class _Inputs(NamedTuple):
    stages: dict[str, Dataset]
    measures: pd.DataFrame  # of the faces that came to clean, and face_side, the shorter side of their box
    doubted: pd.DataFrame  # clean's doubts, with the label that the face came with
    decisions: pd.DataFrame
    applied: Applied
    labels: dict[str, str]  # of pictures and faces, as they came
    rejected: pd.DataFrame
    pictures: parts.Pictures

    @property
    def clean(self) -> Dataset:
        return self.stages["clean"]

    @property
    def thresholds(self) -> dict[str, float]:
        return self.clean.info["settings"]["rules"]

    @property
    def rejecting(self) -> list[str]:
        """The rules that reject a face unless a person keeps it, and leaks."""
        return [*self.clean.info["settings"]["reject"], LEAK]


@flow(name="data_card")
def data_card(
    settings: Settings,
    data: Path = Path("data"),
    decisions: Path = Path("review/decisions.csv"),
    target: Path = Path("reports/data.html"),
) -> None:
    card = make_card(data, decisions, settings.data_card)
    write_bytes(target, data_card_page.render_data_card(card).encode())
    _log_summary(card, target)


def make_card(data: Path, decisions: Path, limits: DataCard) -> data_card_page.DataCardPage:
    """The content of the data card for the datasets in `data`."""
    inputs = _read(data, decisions, limits.side)
    pictures, measures, doubted = inputs.pictures, inputs.measures, inputs.doubted
    classes = tables.classes_by_split(inputs.clean.manifest)
    distributions = _distributions(inputs)
    copies = tables.copy_groups(measures, doubted[doubted["rule"] == LEAK]["image_id"])
    doubted_labels = doubted[doubted["rule"] == "label_doubt"]
    pairs = tables.label_pairs(doubted_labels)
    before, after = inputs.stages["textfree"].manifest, inputs.applied.faces
    suggestions = measures.set_index("image_id")["suggestion"]
    relabelled, as_suggested = tables.as_suggested(before, after, suggestions)
    source = inputs.stages["raw"].info["settings"]["source"]
    sources = before.set_index("image_id")["source"]
    asking = doubted[~doubted["rule"].isin({*inputs.rejecting, "near_copy"})]
    return data_card_page.DataCardPage(
        source=source,
        generated=source.endswith("sample.yaml"),
        stages=tables.stage_counts(stage.info for stage in inputs.stages.values()),
        classes=classes,
        imbalance=tables.imbalance(classes["all"]),
        losses=tables.losses(inputs.rejected, inputs.clean.manifest["image_id"].map(inputs.labels)),
        rejected=parts.rejected_montages(pictures, inputs.rejected, limits.examples),
        rules=_rules(inputs),
        doubted=parts.doubted_montages(pictures, asking, limits.examples),
        copies=copies,
        groups=parts.copy_montages(pictures, measures, copies.head(limits.groups), sources, limits.examples),
        histograms=[parts.histogram(one) for one in distributions if one.values.notna().any()],
        unmeasured=[one.name for one in distributions if one.values.isna().all()],
        medians=parts.compared_medians(measures, inputs.clean.manifest),
        pairs=pairs,
        pair_faces=parts.pair_montages(
            pictures, doubted_labels, tables.largest_pairs(pairs, limits.pairs), limits.examples
        ),
        people=_people(inputs.decisions),
        relabelled=relabelled,
        as_suggested=as_suggested,
        not_applied={name: len(getattr(inputs.applied, name)) for name in ("stale", "unknown", "disputed")},
        made=_made(inputs.stages),
    )


def _read(data: Path, decisions: Path, side: int) -> _Inputs:
    stages = {name: read_dataset(data / name) for name in STAGES}
    raw, faces, textfree, clean = stages.values()
    both = pd.concat([dataset.manifest[["image_id", "label"]] for dataset in (raw, faces)])
    labels = dict(both.itertuples(index=False, name=None))
    paths = {i: Path(path) for d in (raw, faces) for i, (_, path) in image_files(d).items()}
    doubted = read_table(clean.root / "doubts.csv")
    parsed = parse_decisions(read_text(decisions), str(decisions))
    boxes = textfree.manifest.set_index("image_id")[["box_height", "box_width"]].min(axis=1)
    measures = read_table(clean.root / "measures.csv")
    return _Inputs(
        stages=stages,
        measures=measures.assign(face_side=measures["image_id"].map(boxes)),
        doubted=doubted.assign(label=doubted["image_id"].map(labels)),
        decisions=parsed,
        applied=apply_decisions(textfree.manifest, parsed),
        labels=labels,
        rejected=tables.all_rejected({d.info["stage"]: d.rejected for d in stages.values()}, labels, doubted),
        pictures=parts.Pictures(paths, partial(_read_jpeg, side=side)),
    )


def _read_jpeg(path: Path, side: int) -> bytes:
    return encode_jpeg(read_image(path, enough=side), side, QUALITY)


def _distributions(inputs: _Inputs) -> list[tables.Distribution]:
    settings = {name: stage.info["settings"] for name, stage in inputs.stages.items()}
    photos, min_face = inputs.stages["raw"].manifest, settings["faces"]["min_face"]
    return parts.distributions(
        inputs.measures, photos, inputs.thresholds, min_face, settings["raw"]["min_side"]
    )


def _rules(inputs: _Inputs) -> pd.DataFrame:
    limits = dict.fromkeys(RULE_NAMES, "")
    for rule in RULES:
        sign = ">" if rule.threshold.startswith("max_") else "<"
        limit = f"{rule.measure} {sign} {inputs.thresholds[rule.threshold]:g}"
        limits[rule.name] = f"{limits[rule.name]} or {limit}".removeprefix(" or ")
    textfree, applied = inputs.stages["textfree"].manifest, inputs.applied
    verdicts = tables.verdicts(textfree, applied.faces, applied.rejected)
    return tables.rule_counts(limits, inputs.doubted, inputs.clean.rejected, inputs.rejecting, verdicts)


def _people(decisions: pd.DataFrame) -> pd.DataFrame:
    counts = pd.crosstab(decisions["reviewer"], decisions["verdict"])
    return counts.reindex(columns=list(VERDICTS), fill_value=0)


def _made(stages: Mapping[str, Dataset]) -> dict[str, str]:
    settings = {f"settings of {d.info['stage']}": json.dumps(d.info["settings"]) for d in stages.values()}
    fingerprints = {f"fingerprint of {d.root}": d.fingerprint for d in stages.values()}
    return {"again": "dvc repro data_card", **settings, **fingerprints}


def _log_summary(card: data_card_page.DataCardPage, target: Path) -> None:
    create_link_artifact(
        report_url(target.name), link_text="The data card", key="data-card", description=str(target)
    )
    kept, copies = card.stages["kept"].iloc[-1], card.copies
    get_run_logger().info(
        f"{kept} clean faces of {card.stages['came_in'].iloc[0]} pictures; {len(copies)} groups of copies, "
        f"{copies['leak'].sum()} with a leak; {card.rules['judged'].sum()} judgements of doubts; see {target}"
    )


if __name__ == "__main__":
    run_stage(data_card, stays_here=lambda settings: True)
