"""data/features -> models/<cell>, reports/live: trains the grid, each cell in its own process, and fits the
ensembles of cells. A student waits for its teacher, an ensemble for its members."""

import base64
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from prefect import flow, get_run_logger
from prefect.artifacts import create_image_artifact, create_table_artifact
from prefect.futures import PrefectFuture

from fer_tasks.errors import UserError
from fer_tasks.settings import Cell, Ensemble, Grid, Settings, Train, cells_of_size, load_grid
from fer_tasks.storage import cells
from fer_tasks.storage.backbone_features import drop_other_features
from fer_tasks.storage.checkpoints import drop_checkpoint, drop_partial_checkpoints
from fer_tasks.storage.dataset import Dataset, read_dataset
from flows.engine.cluster import result_of
from flows.engine.in_order import in_order
from flows.engine.own_process import call_in_own_process, ending_together
from flows.engine.stage import run_stage
from flows.grid.best_model import Provenance, read_provenance, write_best
from flows.grid.cell_task import artifact_key, train_cell
from flows.grid.choose_grid import with_chosen_grid
from flows.grid.dvclive_board import show_grid
from flows.grid.ensembles import EnsembleFit, fit_ensemble
from flows.grid.fingerprints import features_group, grid_fingerprints
from flows.grid.in_own_process import CHECK_CELLS
from flows.grid.jobs import Job, Outcome
from flows.grid.predictions import PredictedSplit, shared_manifest


@dataclass(frozen=True)
class Folders:
    """Where the stage reads and writes."""

    raw: Path = Path("data/raw")
    faces: Path = Path("data/faces")
    clean: Path = Path("data/clean")
    features: Path = Path("data/features")
    models: Path = Path("models")
    live: Path = Path("reports/live")
    checkpoints: Path = Path(".cache/checkpoints")
    backbone_features: Path = Path(".cache/features")
    cell_archive: Path = Path(".cache/cells")  # trained cells of other grids and settings


FOLDERS = Folders()


class RunPlan(NamedTuple):
    """The grid as it is to be trained."""

    grid: Grid
    settings: Train
    folders: Folders
    cells: dict[str, Cell]  # by id, at the size that the settings say
    ensembles: dict[str, Ensemble]  # by id
    data: dict[str, Dataset]  # features, by recipe
    fingerprints: dict[str, str]  # of each row of the leaderboard
    provenance: Provenance


@flow(name="train")
def train(settings: Settings, folders: Folders = FOLDERS) -> None:
    plan = plan_run(with_chosen_grid(settings, folders.clean), folders)
    _restore_archived(plan)
    jobs = _plan_jobs(plan)
    show = partial(
        show_grid, folders.live, folders.checkpoints.with_name("live.lock"), folders.models, [*plan.cells]
    )
    for name in jobs:
        cells.clear_cell(folders.models / name)
    show()
    _run(plan, jobs, show)
    show()
    _choose_best(plan)


def plan_run(settings: Settings, folders: Folders) -> RunPlan:
    """Read the grid and its features, and fingerprint every cell and ensemble."""
    grid = load_grid(settings.train.grid)
    chosen = {cell.id: cell for cell in cells_of_size(grid, settings.train.size)}
    recipes = sorted({cell.recipe for cell in chosen.values()})
    data = {recipe: read_dataset(folders.features / recipe) for recipe in recipes}
    fingerprints = grid_fingerprints(grid, chosen, data, settings.train.threads)
    shared_manifest([*data.values()])  # students, teachers and members must see the same pictures
    for ensemble in grid.ensembles:
        fingerprints |= dict.fromkeys(ensemble.ids.values(), fingerprints[ensemble.id])
    ensembles = {ensemble.id: ensemble for ensemble in grid.ensembles}
    provenance = read_provenance(folders.raw, folders.faces)
    return RunPlan(grid, settings.train, folders, chosen, ensembles, data, fingerprints, provenance)


def _restore_archived(plan: RunPlan) -> None:
    """Archive trained cells that the grid does not have, and restore archived ones that it has."""
    models, archive = plan.folders.models, plan.folders.cell_archive
    if archived := cells.archive_cells(models, archive, plan.fingerprints):
        get_run_logger().info(f"not in this grid, moved to {archive}: {', '.join(archived)}")
    if restored := cells.restore_cells(models, archive, plan.fingerprints):
        get_run_logger().info(f"trained before, restored from {archive}: {', '.join(restored)}")


def _plan_jobs(plan: RunPlan) -> dict[str, Job]:
    """A job for each cell that is not trained yet, by id. Clears what no job can use any more.

    Raises:
        UserError: some of the cells cannot be trained.
    """
    folders, threads = plan.folders, plan.settings.threads
    drop_partial_checkpoints(folders.checkpoints)
    jobs = {
        name: Job(
            cell=cell,
            fingerprint=plan.fingerprints[name],
            features=folders.features,
            checkpoint=folders.checkpoints / f"{name}.npz",
            backbone_features=folders.backbone_features
            / features_group(cell, plan.data[cell.recipe], threads),
        )
        for name, cell in plan.cells.items()
        if not cells.is_trained(folders.models / name, plan.fingerprints[name])
    }
    n, trained = len(plan.cells), len(plan.cells) - len(jobs)
    get_run_logger().info(f"grid {plan.settings.grid}: {n} cells, {trained} of them trained already")
    untrained = [job.cell for job in jobs.values()]
    if untrained and (faults := call_in_own_process(CHECK_CELLS, untrained, folders.features, threads=1)):
        raise UserError("\n".join(faults))
    _keep_features_of(jobs.values(), folders)
    return jobs


def _keep_features_of(jobs: Iterable[Job], folders: Folders) -> None:
    """Drop the backbone features that no waiting job shares."""
    drop_other_features(folders.backbone_features, [job.backbone_features.name for job in jobs])


def _run(plan: RunPlan, jobs: dict[str, Job], show: Callable[[], None]) -> None:
    """Train the jobs and fit the ensembles, each as soon as what it needs is there; keep every outcome."""
    models, waiting = plan.folders.models, dict(jobs)

    def begin(name: str) -> PrefectFuture | None:
        if name in jobs:
            return train_cell.submit(jobs[name], models, plan.settings, show)
        if name in plan.cells or _is_fitted(plan, plan.ensembles[name]):
            return None
        memory = max(plan.cells[member].memory for member in plan.ensembles[name].members)
        split = PredictedSplit("val", models, plan.folders.features, plan.settings.threads)
        return fit_ensemble.submit(plan.ensembles[name], split, memory, plan.settings.memory)

    # A run that is told to end (Ctrl-C, SIGTERM, the UI) or that cannot continue waits for no cell: the next
    # run resumes the cells in training from their last epoch.
    with ending_together():
        for name, future in in_order(plan.grid.needs, begin):
            outcome = result_of(future, raise_on_failure=False)
            if name in jobs:
                _keep_cell(outcome, jobs[name], models)
                del waiting[name]
                _keep_features_of(waiting.values(), plan.folders)
            else:
                _keep_ensemble(outcome, plan.ensembles[name], plan.fingerprints[name], models)
            _show_leaderboard(plan)


def _is_fitted(plan: RunPlan, ensemble: Ensemble) -> bool:
    """Whether the ensemble is fitted to its members as they are, all of them trained."""
    rows = [*ensemble.ids.values(), *ensemble.members]
    return all(cells.is_trained(plan.folders.models / row, plan.fingerprints[row]) for row in rows)


def _keep_cell(outcome: Outcome | Exception, job: Job, models: Path) -> None:
    cell, folder = job.cell, models / job.cell.id
    if isinstance(outcome, Exception):
        outcome = None, {"status": "failed", "reason": str(outcome)}
    trained, result = outcome
    identity = {"cell": cell.id, "settings": cell.model_dump(), "fingerprint": job.fingerprint}
    cells.write_cell(folder, {**identity, **result}, trained)
    if result["status"] == "failed":
        get_run_logger().error(f"cell {cell.id} failed: {result['reason']}")
        cells.log(folder, f"failed: {result['reason']}")
        return
    drop_checkpoint(job.checkpoint)
    figures = f"validation accuracy {result['val_accuracy']:.4f} (epoch {result['best_epoch']})"
    summary = f"{figures}, {result['train_seconds']:.0f} s"
    get_run_logger().info(f"cell {cell.id}: {summary}")
    cells.log(folder, f"trained: {summary}")
    from fer_tasks.reports import plots  # here: a run that trains nothing need not wait for matplotlib

    picture = base64.b64encode(plots.learning_curves({cell.id: trained.history})).decode()
    url = f"data:image/png;base64,{picture}"
    create_image_artifact(url, key=artifact_key(f"curves-{cell.id}"), description=f"{cell.id}: {figures}")


def _keep_ensemble(
    outcome: EnsembleFit | Exception, ensemble: Ensemble, fingerprint: str, models: Path
) -> None:
    if isinstance(outcome, Exception):
        get_run_logger().error(f"ensemble {ensemble.id} failed: {outcome}")
        outcome = dict.fromkeys(ensemble.ids, {"status": "failed", "reason": str(outcome)})
    for weighting, name in ensemble.ids.items():
        result = outcome[weighting]
        identity = {"cell": name, "settings": ensemble.model_dump(), "fingerprint": fingerprint}
        cells.write_cell(models / name, {**identity, **result}, None)
        if result["status"] == "trained":
            figures = "validation accuracy {val_accuracy:.4f}, {note}".format(**result)
            get_run_logger().info(f"ensemble {name}: {figures}")


def _show_leaderboard(plan: RunPlan) -> None:
    board = cells.leaderboard(plan.folders.models, plan.grid.ids)
    create_table_artifact(board.astype(object).where(board.notna(), "").to_dict("records"), key="leaderboard")


def _choose_best(plan: RunPlan) -> None:
    """Make models/best of the best cell: a single network, so one file and as fast as a cell."""
    board = cells.networks(cells.leaderboard(plan.folders.models, plan.grid.ids))
    trained = board[board["status"] == "trained"]
    failed = len(board) - len(trained)
    if trained.empty:
        raise UserError(f"all {failed} cells failed; the first: {board['reason'].iloc[0]}")
    if failed:
        fix = "`dvc repro --force --single-item train` tries them again"
        get_run_logger().warning(f"{failed} of {len(board)} cells failed; {fix}")
    best = trained["cell"].iloc[0]
    get_run_logger().info(f"best on validation: {best}, {trained['val_accuracy'].iloc[0]:.4f}")
    folders, threads = plan.folders, plan.settings.threads
    write_best(best, plan.provenance, folders.models, folders.features, threads)


if __name__ == "__main__":
    run_stage(train, workers=lambda settings: settings.train.workers)
