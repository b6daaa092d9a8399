"""data/features -> models/<cell>, reports/live: the grid, each cell a task that trains in a process of its
own, and the ensembles of cells. What is made of others waits for them."""

import base64
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from prefect import flow, get_run_logger
from prefect.artifacts import create_image_artifact, create_table_artifact
from prefect.futures import PrefectFuture

from fer_tasks.errors import UserError
from fer_tasks.reports import plots
from fer_tasks.settings import Cell, Ensemble, Grid, Settings, cells_of_size, load_grid
from fer_tasks.storage import cells
from fer_tasks.storage.backbone_features import drop_other_features
from fer_tasks.storage.checkpoints import drop_checkpoint, drop_partial_checkpoints
from fer_tasks.storage.dataset import read_dataset
from flows.engine.in_order import in_order
from flows.engine.own_process import call_in_own_process, ending_together
from flows.engine.stage import run_stage
from flows.grid.cell_process import Job, Outcome
from flows.grid.cell_task import artifact_key, train_cell
from flows.grid.check_cells import check_cells
from flows.grid.dvclive_board import show_grid
from flows.grid.ensembles import Weighed, fit_ensemble
from flows.grid.fingerprints import features_group, fingerprints
from flows.grid.predictions import Split, shared_manifest


@flow(name="train")
def train(
    settings: Settings,
    source: Path = Path("data/features"),
    target: Path = Path("models"),
    checkpoints: Path = Path(".cache/checkpoints"),
    shared: Path = Path(".cache/features"),
    aside: Path = Path(".cache/cells"),
    watched: Path = Path("reports/live"),
) -> None:
    wanted, grid = settings.train, load_grid(settings.train.grid)
    chosen = {cell.id: cell for cell in cells_of_size(grid, wanted.size)}
    ensembles = {ensemble.id: ensemble for ensemble in grid.ensembles}
    recipes = sorted({cell.recipe for cell in chosen.values()})
    data = {recipe: read_dataset(source / recipe) for recipe in recipes}
    prints = fingerprints(grid, chosen, data, wanted.threads)
    shared_manifest([*data.values()])  # who learns of another sees the same
    prints |= {way: prints[one.id] for one in grid.ensembles for way in one.ids.values()}
    _exchange(target, aside, prints)
    drop_partial_checkpoints(checkpoints)
    done = {i for i in chosen if cells.is_trained(target / i, prints[i])}
    get_run_logger().info(f"grid {wanted.grid}: {len(chosen)} cells, {len(done)} of them trained already")
    jobs = {
        i: Job(
            cell,
            prints[i],
            source,
            checkpoints / f"{i}.npz",
            shared / features_group(cell, data[cell.recipe], wanted.threads),
        )
        for i, cell in chosen.items()
        if i not in done
    }
    _check([job.cell for job in jobs.values()], source)
    groups = {i: job.shared.name for i, job in jobs.items()}
    drop_other_features(shared, groups.values())
    show = partial(show_grid, watched, checkpoints.with_name("live.lock"), target, [*chosen])
    for i in jobs:
        cells.clear_cell(target / i)
    show()

    def begin(name: str) -> PrefectFuture | None:
        if name in jobs:
            return train_cell.submit(jobs[name], target, wanted, show)
        if name in done or _is_whole(ensembles[name], prints, target):
            return None
        memory = max(chosen[member].memory for member in ensembles[name].members)
        split = Split("val", target, source, wanted.threads)
        return fit_ensemble.submit(ensembles[name], split, memory, wanted.memory)

    # A run that is told to end, by Ctrl-C, SIGTERM or in the UI, or that cannot continue, waits for no cell:
    # the next run resumes those that are being trained from their last epoch.
    with ending_together():
        for name, future in in_order(grid.needs, begin):
            outcome = future.result(raise_on_failure=False)
            if name in jobs:
                _keep(outcome, jobs[name], target)
                del groups[name]
                drop_other_features(shared, groups.values())
            else:
                _keep_ensemble(outcome, ensembles[name], prints[name], target)
            _show_leaderboard(grid, target)
    show()
    _choose_best(grid, target)


def _exchange(target: Path, aside: Path, wanted: Mapping[str, str]) -> None:
    """Of the cells that were ever trained, have those of this grid, by their fingerprints, in `target`."""
    if moved := cells.archive_cells(target, aside, wanted):
        get_run_logger().info(f"not of this grid, set aside in {aside}: {', '.join(moved)}")
    if back := cells.restore_cells(target, aside, wanted):
        get_run_logger().info(f"trained before, brought back: {', '.join(back)}")


def _is_whole(ensemble: Ensemble, prints: Mapping[str, str], target: Path) -> bool:
    """Are the ensemble's weights those of its members, all of which are there?"""
    return all(cells.is_trained(target / i, prints[i]) for i in [*ensemble.ids.values(), *ensemble.members])


def _check(chosen: list[Cell], source: Path) -> None:
    """Refuse what cannot be trained before anything is."""
    if not chosen:
        return
    trouble = call_in_own_process(check_cells, chosen, source, threads=1)
    if trouble:
        raise UserError("\n".join(trouble))


def _keep(outcome: Outcome | Exception, job: Job, target: Path) -> None:
    cell, folder = job.cell, target / job.cell.id
    about = {"cell": cell.id, "settings": cell.model_dump(), "fingerprint": job.fingerprint}
    if isinstance(outcome, Exception):
        outcome = None, {"status": "failed", "reason": str(outcome)}
    trained, said = outcome
    cells.write_cell(folder, {**about, **said}, trained)
    if said["status"] == "failed":
        get_run_logger().error(f"cell {cell.id} failed: {said['reason']}")
        cells.log(folder, f"failed: {said['reason']}")
        return
    drop_checkpoint(job.checkpoint)
    figures = f"validation accuracy {said['val_accuracy']:.4f} (epoch {said['best_epoch']})"
    ended = f"{figures}, {said['train_seconds']:.0f} s"
    get_run_logger().info(f"cell {cell.id}: {ended}")
    cells.log(folder, f"trained: {ended}")
    picture = base64.b64encode(plots.learning_curves({cell.id: trained.history})).decode()
    url = f"data:image/png;base64,{picture}"
    create_image_artifact(url, key=artifact_key(f"curves-{cell.id}"), description=f"{cell.id}: {figures}")


def _keep_ensemble(outcome: Weighed | Exception, wanted: Ensemble, fingerprint: str, target: Path) -> None:
    if isinstance(outcome, Exception):
        get_run_logger().error(f"ensemble {wanted.id} failed: {outcome}")
        outcome = {way: {"status": "failed", "reason": str(outcome)} for way in wanted.ids}
    for way, name in wanted.ids.items():
        about = {"cell": name, "settings": wanted.model_dump(), "fingerprint": fingerprint}
        cells.write_cell(target / name, {**about, **outcome[way]}, None)
        if outcome[way]["status"] == "trained":
            figures = "validation accuracy {val_accuracy:.4f}, {note}".format(**outcome[way])
            get_run_logger().info(f"ensemble {name}: {figures}")


def _show_leaderboard(grid: Grid, target: Path) -> None:
    board = cells.leaderboard(target, grid.ids)
    create_table_artifact(board.astype(object).where(board.notna(), "").to_dict("records"), key="leaderboard")


def _choose_best(grid: Grid, target: Path) -> None:
    """models/best is a single network: one file, and as quick as a cell."""
    board = cells.networks(cells.leaderboard(target, grid.ids))
    trained = board[board["status"] == "trained"]
    failed = len(board) - len(trained)
    if trained.empty:
        raise UserError(f"all {failed} cells failed; the first: {board['reason'].iloc[0]}")
    if failed:
        again = "`dvc repro --force --single-item train` tries them again"
        get_run_logger().warning(f"{failed} of {len(board)} cells failed; {again}")
    best = trained["cell"].iloc[0]
    cells.write_best(target, best)
    get_run_logger().info(f"best on validation: {best}, {trained['val_accuracy'].iloc[0]:.4f}")


if __name__ == "__main__":
    run_stage(train, workers=lambda settings: settings.train.workers)
