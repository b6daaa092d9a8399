"""What did each rule of cleaning earn? One small model is trained on the raw faces, then on what each rule
leaves, and all are tested on the same faces: `make ablation`. Not a stage of the line."""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from functools import partial
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
from fer_tasks.models import build_model, check_model
from fer_tasks.recipes import make_transform
from fer_tasks.reports import ablation_page, plots
from fer_tasks.reports.render import Picture
from fer_tasks.settings import Settings, Training
from fer_tasks.storage.dataset import Dataset, image_files, read_dataset
from fer_tasks.storage.files import read_array, read_table, read_text, write_array, write_bytes, write_table
from fer_tasks.training import fit
from fer_tasks.training.feeding import Rows
from flows.engine import own_process
from flows.engine.caching import same_inputs_and_code, weights_digest
from flows.engine.code import code_digest
from flows.engine.progress import Progress
from flows.engine.stage import run_stage
from flows.grid.entries import entries
from flows.recipe_arrays import transform, transform_files

OF_2021 = {"2021 before cleaning": (0.487, 0.489), "2021 after cleaning": (0.56, 0.57)}  # test accuracy


class Parts(NamedTuple):
    """Rows of the array of all faces, and the expressions of those that are learnt from."""

    train: np.ndarray  # (n,) int
    val: np.ndarray
    test: np.ndarray
    y_train: np.ndarray  # (n,) int, indices into EXPRESSIONS
    y_val: np.ndarray


class Known(NamedTuple):
    """What the stages and people know of the faces."""

    faces: pd.DataFrame  # image_id, pixels, file, label, split: all faces, whatever became of them
    sets: dict[str, pd.DataFrame]  # `training_sets`
    tested: pd.DataFrame  # `faces_to_test`
    rejecting: list[str]  # the rules that reject in clean
    fingerprints: dict[Path, str]  # of the datasets


@task(
    task_run_name="{step}, seed {seed}",
    cache_policy=same_inputs_and_code(
        but=["step", "parts", "array"], only=lambda inputs: entries(inputs["wanted"].model_dump())
    ),
)
def predict(
    step: str, seed: int, content: str, wanted: Training, threads: int, parts: Parts, array: Path
) -> np.ndarray:
    """What a model says of the test split: (n, 7). `content` says what `parts` of `array` hold."""
    return own_process.call_in_own_process(fit_and_predict, wanted, seed, parts, array, threads=threads)


def fit_and_predict(
    wanted: Training, seed: int, parts: Parts, array: Path, send: Callable[[Any], None]
) -> np.ndarray:
    """What the training process does."""
    x = read_array(array)
    build = partial(build_model, wanted.model, x.shape[1:], len(EXPRESSIONS), **wanted.options)
    arrays = fit.Arrays(Rows(x, parts.train), parts.y_train, Rows(x, parts.val), parts.y_val)
    return fit.predict(fit.fit(build, arrays, wanted, seed, send).model, x[parts.test])


@flow(name="ablation")
def ablation(
    settings: Settings,
    data: Path = Path("data"),
    decisions: Path = Path("review/decisions.csv"),
    target: Path = Path("reports"),
    cache: Path = Path(".cache/ablation"),
) -> None:
    steps = _steps_of_recipe(settings)
    known = _read(data, decisions, settings.ablation.min_judged)
    array = cache / f"{settings.ablation.training.recipe}.npy"
    files = image_files(known.faces, data / "faces")
    write_array(array, len(files), transform_files(files, steps))
    table = changes(known.sets)
    learnable = table[table["reason"] == ""]["step"]
    answers = _fan_out({step: known.sets[step] for step in learnable}, known, array, settings)
    failed = {step: str(said) for step, said in answers.items() if isinstance(said, Exception)}
    table = table.assign(
        reason=[failed.get(row.step, row.reason) for row in table.itertuples()],
        rejects=[_verdict(step, known.rejecting) for step in table["step"]],
    )
    answers = {step: said for step, said in answers.items() if step not in failed}
    if not answers:
        raise UserError(f"nothing could be trained; the first reason: {table['reason'].iloc[0]}")
    compared = _compare(answers, known, settings)
    _write(_page(table.merge(compared, on="step", how="left"), known, settings), target)


def _steps_of_recipe(settings: Settings) -> list[dict[str, Any]]:
    wanted, recipes = settings.ablation.training, settings.make_features.recipes
    check_model(wanted.model, wanted.options)
    if wanted.recipe not in recipes:
        where = f"params.yaml: ablation.training.recipe: no recipe {wanted.recipe!r}"
        raise UserError(f"{where}; choose one of {sorted(recipes)}")
    make_transform(recipes[wanted.recipe])
    return recipes[wanted.recipe]


def _read(data: Path, decisions: Path, enough: int) -> Known:
    clean, textfree, faces = (read_dataset(data / name) for name in ("clean", "textfree", "faces"))
    for later, earlier in ((clean, textfree), (textfree, faces)):
        if not later.is_made_from(earlier):
            raise UserError(
                f"{later.root} was made of another {earlier.root}; `dvc repro clean` makes it anew"
            )
    table = _with_splits(faces, clean)
    doubted = read_table(clean.root / "doubts.csv")
    decided = apply_decisions(textfree.manifest, parse_decisions(read_text(decisions), str(decisions)))
    rejecting = clean.info["settings"]["reject"]
    sets = training_sets(table, textfree.rejected["image_id"].tolist(), doubted, decided, rejecting)
    test_ids = table[table["split"] == "test"]["image_id"].tolist()
    tested = faces_to_test(test_ids, doubted, decided, enough)
    _tell_test(tested, enough)
    return Known(
        table, sets, tested, rejecting, {data.root: data.fingerprint for data in (faces, textfree, clean)}
    )


def _with_splits(faces: Dataset, clean: Dataset) -> pd.DataFrame:
    """All faces with the split that clean gave them, or would have given those with writing."""
    table, shares = faces.manifest.sort_values("image_id", ignore_index=True), clean.info["settings"]
    groups = read_table(clean.root / "measures.csv").set_index("image_id")["group_id"]
    grouped = table.assign(group_id=table["image_id"].map(groups).fillna(table["image_id"]))
    return table.assign(split=assign_splits(grouped, shares["test_share"], shares["val_share"]))


def _tell_test(tested: pd.DataFrame, enough: int) -> None:
    judged = int(tested["judged"].sum())
    if tested.empty:
        raise UserError(
            "no test face is judged or beyond doubt: judge some (`make review`), or add test pictures"
        )
    get_run_logger().info(f"{len(tested)} test faces, {judged} of them kept or relabelled by people")
    if judged < len(tested):
        get_run_logger().warning(
            f"NOT JUDGED BY PEOPLE: {len(tested) - judged} of {len(tested)} test faces. Fewer than "
            f"ablation.min_judged, {enough}, were: those that no rule doubts are added; see `make review`"
        )


def _verdict(step: str, rejecting: list[str]) -> str:
    """What a step does in the line: "rejects", "asks", or "" where it is no rule."""
    if step in {WRITING, LEAK, *rejecting}:
        return "rejects"
    return "asks" if step in RULE_NAMES else ""


def _fan_out(
    sets: Mapping[str, pd.DataFrame], known: Known, array: Path, settings: Settings
) -> dict[str, np.ndarray | Exception]:
    """What the models of each step say of the test split, (seeds, n, 7), or why one of them failed."""
    wanted, futures = settings.ablation, {}
    contents = {step: _content(learnt, known.faces, settings) for step, learnt in sets.items()}
    for step, content in contents.items():
        parts = _parts(sets[step], known.faces)
        for seed in wanted.seeds:
            if (content, seed) not in futures:
                same = (content, wanted.training, settings.train.threads, parts, array)
                futures[content, seed] = predict.submit(step, seed, *same)
    with Progress("ablation-trainings", len(futures)) as progress:
        for future in as_completed(list(futures.values())):
            future.wait()  # a future of as_completed may not know its final state yet
            progress.update(1)
    known_before = sum(future.state.name == "Cached" for future in futures.values())
    get_run_logger().info(
        f"{len(sets)} steps, {len(set(contents.values()))} different training sets, "
        f"{len(wanted.seeds)} seeds: {len(futures) - known_before} trainings made, {known_before} reused"
    )
    return {
        step: _stack([futures[content, seed] for seed in wanted.seeds]) for step, content in contents.items()
    }


def _content(learnt: pd.DataFrame, faces: pd.DataFrame, settings: Settings) -> str:
    """Changes with whatever the models of a step could see."""
    wanted = settings.ablation.training
    pixels = faces[["image_id", "pixels"]]
    seen = [learnt.merge(pixels), pixels[faces["split"] == "test"]]
    steps = settings.make_features.recipes[wanted.recipe]
    code = code_digest(transform, only={"TRANSFORMS": {step["op"] for step in steps}})
    recipe = [steps, code, weights_digest(wanted.options)]
    parts = [*(table.to_csv(index=False) for table in seen), json.dumps(recipe, sort_keys=True)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _parts(learnt: pd.DataFrame, faces: pd.DataFrame) -> Parts:
    row = pd.Series(faces.index, index=faces["image_id"])
    train, val = (learnt[learnt["split"] == split] for split in ("train", "val"))
    rows = (row[part["image_id"]].to_numpy() for part in (train, val, faces[faces["split"] == "test"]))
    return Parts(*rows, *(part["label"].map(EXPRESSIONS.index).to_numpy() for part in (train, val)))


def _stack(futures: list[PrefectFuture]) -> np.ndarray | Exception:
    said = [future.result(raise_on_failure=False) for future in futures]
    return next((one for one in said if isinstance(one, Exception)), None) or np.stack(said)


def _compare(answers: Mapping[str, np.ndarray], known: Known, settings: Settings) -> pd.DataFrame:
    asked = pd.Index(known.faces[known.faces["split"] == "test"]["image_id"])
    rows = asked.get_indexer(known.tested["image_id"])
    y_true = known.tested["label"].map(EXPRESSIONS.index).to_numpy()
    guesses = {step: said[:, rows].argmax(axis=2) for step, said in answers.items()}
    compared = compare(y_true, guesses, settings.report.bootstrap, settings.report.seed)
    totals = compared.columns[compared.columns.str.contains("_total")]
    return compared if RAW in answers else compared.assign(**dict.fromkeys(totals, np.nan))


def _page(table: pd.DataFrame, known: Known, settings: Settings) -> ablation_page.AblationPage:
    wanted, source = settings.ablation, settings.download.source
    names = [
        f"{'' if row.step in (RAW, CLEAN) else '+ '}{row.step}  {row.train:,}" for row in table.itertuples()
    ]
    packages = ", ".join(f"{name} {version(name)}" for name in ("tensorflow", "keras"))
    return ablation_page.AblationPage(
        source=source,
        generated=source.endswith("sample.yaml"),
        table=table,
        figure=Picture(plots.ablation(table, names, OF_2021), "Scores of each step, as in the table"),
        tested=len(known.tested),
        judged=int(known.tested["judged"].sum()),
        doubted=int(known.tested["doubted"].sum()),
        min_judged=wanted.min_judged,
        seeds=len(wanted.seeds),
        made={
            "again": "make ablation",
            "settings": json.dumps(wanted.model_dump()),
            "recipe": json.dumps(settings.make_features.recipes[wanted.training.recipe]),
            "intervals": f"{settings.report.bootstrap:,} draws of pictures and seeds, with replacement "
            "(the pigeonhole bootstrap, Owen 2007); differences on the same draws; percentiles 2.5 and 97.5",
            **{f"fingerprint of {root}": fingerprint for root, fingerprint in known.fingerprints.items()},
            "packages": packages,
        },
    )


def _write(made: ablation_page.AblationPage, target: Path) -> None:
    write_table(target / "ablation.csv", made.table.round(4))
    write_bytes(target / "ablation.html", ablation_page.render_ablation(made).encode())
    told = made.table.round(4).astype(object)
    create_table_artifact(told.where(told.notna(), "").to_dict("records"), key="ablation")
    url = f"data:image/png;base64,{base64.b64encode(made.figure.data).decode()}"
    create_image_artifact(url, key="ablation-steps", description="what each rule of cleaning earned")
    total, low, high = (100 * made.earned[f"accuracy_total{end}"] for end in ("", "_low", "_high"))
    interval = f"95 % interval {low:+.1f} to {high:+.1f}" if low < high else "no interval"
    get_run_logger().info(
        f"cleaning earned {total:+.1f} points of accuracy ({interval}, {made.tested} test faces); "
        f"see {target}/ablation.html"
    )


if __name__ == "__main__":
    run_stage(ablation, workers=lambda settings: settings.train.workers)
