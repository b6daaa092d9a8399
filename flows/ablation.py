"""The gain of each cleaning rule: one small model is trained on the raw faces, then on the faces that each
rule leaves, and all are tested on the same faces. `make ablation`, not a stage of the line."""

import base64
import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_image_artifact, create_table_artifact
from prefect.futures import PrefectFuture, as_completed

from fer_tasks.cleaning.ablation import CLEAN, RAW, WRITING, changes, faces_to_test, training_sets
from fer_tasks.cleaning.decisions import apply_decisions, parse_decisions
from fer_tasks.cleaning.rules import LEAK, RULE_NAMES
from fer_tasks.cleaning.split import assign_splits
from fer_tasks.errors import UserError
from fer_tasks.evaluation.bootstrap import compare
from fer_tasks.labels import EXPRESSIONS
from fer_tasks.recipes import make_transform
from fer_tasks.reports import ablation_page, plots
from fer_tasks.reports.render import Picture
from fer_tasks.settings import Settings, Training
from fer_tasks.storage.dataset import Dataset, image_files, read_dataset
from fer_tasks.storage.files import read_table, read_text, write_array, write_bytes, write_table
from flows.engine import own_process
from flows.engine.caching import same_inputs_and_code
from flows.engine.code import code_digest
from flows.engine.progress import Progress
from flows.engine.stage import run_stage
from flows.grid.entries import entries
from flows.grid.fingerprints import weights_digest
from flows.grid.in_own_process import CHECK_TRAINING, FIT_AND_PREDICT
from flows.grid.jobs import TrainingRows
from flows.recipe_arrays import transform, transform_files

ACCURACY_2021 = {"2021 before cleaning": (0.487, 0.489), "2021 after cleaning": (0.56, 0.57)}  # on test


class _Inputs(NamedTuple):
    faces: pd.DataFrame  # image_id, pixels, file, label, split: all faces, whatever became of them
    files: dict[str, tuple[str, str]]  # theirs, as of `image_files`
    sets: dict[str, pd.DataFrame]  # `training_sets`, by step
    tested: pd.DataFrame  # `faces_to_test`
    rejecting: list[str]  # the rules that reject in clean
    fingerprints: dict[Path, str]  # of the datasets


@task(
    task_run_name="{step}, seed {seed}",
    cache_policy=same_inputs_and_code(
        but=["step", "rows", "array"], only=lambda inputs: entries(inputs["training"].model_dump())
    ),
)
def predict(
    step: str, seed: int, content: str, training: Training, threads: int, rows: TrainingRows, array: Path
) -> np.ndarray:
    """Train a model and predict the test split: (n, 7). `content` identifies the `rows` of `array`."""
    return own_process.call_in_own_process(FIT_AND_PREDICT, training, seed, rows, array, threads=threads)


@flow(name="ablation")
def ablation(
    settings: Settings,
    data: Path = Path("data"),
    decisions: Path = Path("review/decisions.csv"),
    target: Path = Path("reports"),
    cache: Path = Path(".cache/ablation"),
) -> None:
    recipe = _recipe(settings)
    inputs = _read(data, decisions, settings.ablation.min_judged)
    array = cache / f"{settings.ablation.training.recipe}.npy"
    write_array(array, len(inputs.files), transform_files(inputs.files, recipe))
    own_process.call_in_own_process(CHECK_TRAINING, settings.ablation.training, array, threads=1)
    table = changes(inputs.sets)
    trainable = table[table["reason"] == ""]["step"]
    outcomes = _train_and_predict({step: inputs.sets[step] for step in trainable}, inputs, array, settings)
    failed = {step: str(outcome) for step, outcome in outcomes.items() if isinstance(outcome, Exception)}
    table = table.assign(
        reason=[failed.get(row.step, row.reason) for row in table.itertuples()],
        rejects=[_role(step, inputs.rejecting) for step in table["step"]],
    )
    predictions = {step: outcome for step, outcome in outcomes.items() if step not in failed}
    if not predictions:
        raise UserError(f"no step could be trained; the first reason: {table['reason'].iloc[0]}")
    compared = _compare(predictions, inputs, settings)
    _write(_page(table.merge(compared, on="step", how="left"), inputs, settings), target)


def _recipe(settings: Settings) -> list[dict[str, Any]]:
    """The recipe that the ablation names. Raises UserError if it is not valid."""
    training, recipes = settings.ablation.training, settings.make_features.recipes
    if training.recipe not in recipes:
        problem = f"params.yaml: ablation.training.recipe: no recipe {training.recipe!r}"
        raise UserError(f"{problem}; choose one of {sorted(recipes)}")
    make_transform(recipes[training.recipe])
    return recipes[training.recipe]


def _read(data: Path, decisions: Path, min_judged: int) -> _Inputs:
    clean, textfree, faces = (read_dataset(data / name) for name in ("clean", "textfree", "faces"))
    for later, earlier in ((clean, textfree), (textfree, faces)):
        if not later.is_made_from(earlier):
            raise UserError(
                f"{later.root} was made from another {earlier.root}; `dvc repro clean` makes it anew"
            )
    table = _with_splits(faces, clean)
    doubted = read_table(clean.root / "doubts.csv")
    applied = apply_decisions(textfree.manifest, parse_decisions(read_text(decisions), str(decisions)))
    rejecting = clean.info["settings"]["reject"]
    sets = training_sets(table, textfree.rejected["image_id"].tolist(), doubted, applied, rejecting)
    test_ids = table[table["split"] == "test"]["image_id"].tolist()
    tested = faces_to_test(test_ids, doubted, applied, min_judged)
    _check_test_faces(tested, min_judged)
    fingerprints = {dataset.root: dataset.fingerprint for dataset in (faces, textfree, clean)}
    return _Inputs(table, image_files(faces, table), sets, tested, rejecting, fingerprints)


def _with_splits(faces: Dataset, clean: Dataset) -> pd.DataFrame:
    """All faces with the split that clean gave them, or would have given those with writing."""
    table, shares = faces.manifest.sort_values("image_id", ignore_index=True), clean.info["settings"]
    groups = read_table(clean.root / "measures.csv").set_index("image_id")["group_id"]
    grouped = table.assign(group_id=table["image_id"].map(groups).fillna(table["image_id"]))
    return table.assign(split=assign_splits(grouped, shares["test_share"], shares["val_share"]))


def _check_test_faces(tested: pd.DataFrame, min_judged: int) -> None:
    """Log how many test faces people have judged; refuse to go without any test face."""
    judged = int(tested["judged"].sum())
    if tested.empty:
        raise UserError(
            "no test face is judged or beyond doubt: judge some (`make review`), or add test pictures"
        )
    get_run_logger().info(f"{len(tested)} test faces, {judged} of them kept or relabelled by people")
    if judged < len(tested):
        get_run_logger().warning(
            f"NOT JUDGED BY PEOPLE: {len(tested) - judged} of {len(tested)} test faces. Fewer than "
            f"ablation.min_judged ({min_judged}) are judged, so undoubted faces are added; see `make review`"
        )


def _role(step: str, rejecting: list[str]) -> str:
    """What a step does in clean: "rejects", "asks", or "" if it is not a rule."""
    if step in {WRITING, LEAK, *rejecting}:
        return "rejects"
    return "asks" if step in RULE_NAMES else ""


def _train_and_predict(
    sets: Mapping[str, pd.DataFrame], inputs: _Inputs, array: Path, settings: Settings
) -> dict[str, np.ndarray | Exception]:
    """{step: what its models predict for the test split, (seeds, n, 7), or why one of them failed}.

    Steps with the same training set share their models.
    """
    training, seeds, futures = settings.ablation.training, settings.ablation.seeds, {}
    contents = {step: _content(faces, inputs.faces, settings) for step, faces in sets.items()}
    for step, content in contents.items():
        rows = _training_rows(sets[step], inputs.faces)
        for seed in seeds:
            if (content, seed) not in futures:
                arguments = (content, training, settings.train.threads, rows, array)
                futures[content, seed] = predict.submit(step, seed, *arguments)
    with Progress("ablation-trainings", len(futures)) as progress:
        for future in as_completed(list(futures.values())):
            future.wait()  # a future of as_completed may not know its final state yet
            progress.update(1)
    cached = sum(future.state.name == "Cached" for future in futures.values())
    get_run_logger().info(
        f"{len(sets)} steps, {len(set(contents.values()))} different training sets, {len(seeds)} seeds: "
        f"{len(futures) - cached} models trained, {cached} from the cache"
    )
    return {step: _stack([futures[content, seed] for seed in seeds]) for step, content in contents.items()}


def _content(learnt: pd.DataFrame, faces: pd.DataFrame, settings: Settings) -> str:
    """A digest of all that can change what the models of a step predict, but seed and training settings."""
    training = settings.ablation.training
    pixels = faces[["image_id", "pixels"]]
    tables = [learnt.merge(pixels), pixels[faces["split"] == "test"]]
    steps = settings.make_features.recipes[training.recipe]
    code = code_digest(transform, only={"TRANSFORMS": {step["op"] for step in steps}})
    recipe = [steps, code, weights_digest(training.options)]
    parts = [*(table.to_csv(index=False) for table in tables), json.dumps(recipe, sort_keys=True)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _training_rows(learnt: pd.DataFrame, faces: pd.DataFrame) -> TrainingRows:
    row = pd.Series(faces.index, index=faces["image_id"])
    train, val = (learnt[learnt["split"] == split] for split in ("train", "val"))
    rows = (row[part["image_id"]].to_numpy() for part in (train, val, faces[faces["split"] == "test"]))
    return TrainingRows(*rows, *(part["label"].map(EXPRESSIONS.index).to_numpy() for part in (train, val)))


def _stack(futures: list[PrefectFuture]) -> np.ndarray | Exception:
    """The results, stacked, or the first error."""
    outcomes = [future.result(raise_on_failure=False) for future in futures]
    errors = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    return errors[0] if errors else np.stack(outcomes)


def _compare(predictions: Mapping[str, np.ndarray], inputs: _Inputs, settings: Settings) -> pd.DataFrame:
    test_ids = pd.Index(inputs.faces[inputs.faces["split"] == "test"]["image_id"])
    rows = test_ids.get_indexer(inputs.tested["image_id"])
    y_true = inputs.tested["label"].map(EXPRESSIONS.index).to_numpy()
    guesses = {step: predicted[:, rows].argmax(axis=2) for step, predicted in predictions.items()}
    compared = compare(y_true, guesses, settings.report.bootstrap, settings.report.seed)
    totals = compared.columns[compared.columns.str.contains("_total")]
    return compared if RAW in predictions else compared.assign(**dict.fromkeys(totals, np.nan))


def _page(table: pd.DataFrame, inputs: _Inputs, settings: Settings) -> ablation_page.AblationPage:
    section, source = settings.ablation, settings.download.source
    names = [
        f"{'' if row.step in (RAW, CLEAN) else '+ '}{row.step}  {row.train:,}" for row in table.itertuples()
    ]
    packages = ", ".join(f"{name} {version(name)}" for name in ("tensorflow", "keras"))
    return ablation_page.AblationPage(
        source=source,
        generated=source.endswith("sample.yaml"),
        table=table,
        figure=Picture(plots.ablation(table, names, ACCURACY_2021), "Scores of each step, as in the table"),
        tested=len(inputs.tested),
        judged=int(inputs.tested["judged"].sum()),
        doubted=int(inputs.tested["doubted"].sum()),
        min_judged=section.min_judged,
        seeds=len(section.seeds),
        made={
            "again": "make ablation",
            "settings": json.dumps(section.model_dump()),
            "recipe": json.dumps(settings.make_features.recipes[section.training.recipe]),
            "intervals": f"{settings.report.bootstrap:,} draws of pictures and seeds, with replacement "
            "(the pigeonhole bootstrap, Owen 2007); differences on the same draws; percentiles 2.5 and 97.5",
            **{f"fingerprint of {root}": fingerprint for root, fingerprint in inputs.fingerprints.items()},
            "packages": packages,
        },
    )


def _write(page: ablation_page.AblationPage, target: Path) -> None:
    write_table(target / "ablation.csv", page.table.round(4))
    write_bytes(target / "ablation.html", ablation_page.render_ablation(page).encode())
    table = page.table.round(4).astype(object)
    create_table_artifact(table.where(table.notna(), "").to_dict("records"), key="ablation")
    url = f"data:image/png;base64,{base64.b64encode(page.figure.data).decode()}"
    create_image_artifact(url, key="ablation-steps", description="the gain of each cleaning rule")
    total, low, high = (100 * page.earned[f"accuracy_total{end}"] for end in ("", "_low", "_high"))
    interval = f"95 % interval {low:+.1f} to {high:+.1f}" if low < high else "no interval"
    get_run_logger().info(
        f"cleaning gained {total:+.1f} points of accuracy ({interval}, {page.tested} test faces); "
        f"see {target}/ablation.html"
    )


if __name__ == "__main__":
    run_stage(ablation, workers=lambda settings: settings.train.workers)
