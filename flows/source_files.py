"""What params.yaml names as the source: its pictures as a folder here, and whether it has changed."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from prefect import get_run_logger, task

from fer_tasks.labels import EXPRESSIONS
from fer_tasks.settings import Kaggle, Sample, load_source
from fer_tasks.sources import folder
from fer_tasks.sources.apart import refuse_what_is_made_here
from fer_tasks.sources.kaggle import datasets
from fer_tasks.sources.kaggle.key import authorization
from fer_tasks.sources.sample.photos import draw_class
from fer_tasks.sources.table import is_table
from fer_tasks.storage.files import read_json, write_bytes, write_text
from flows.engine.caching import same_inputs_and_code
from flows.engine.progress import Progress
from flows.engine.retries import network_task

CACHE = Path(".cache")
READ = CACHE / "source.json"  # {source: the fingerprint that it had when `download` began to read it}


def check_source(source: Path) -> None:
    """Raise UserError where the source is not there, is of an unknown kind, or lies in what is made here."""
    refuse_what_is_made_here(source)
    if _is_description(source):
        load_source(source)
    else:
        folder.check(source)


def as_folder(source: Path) -> tuple[Path, dict[str, Any]]:
    """Where the source's files are, and what its owner says of them, for `dataset.json`."""
    if not _is_description(source):
        return source, {}
    wanted = load_source(source)
    return _draw_sample(wanted) if isinstance(wanted, Sample) else _get_from_kaggle(wanted)


def fingerprint(source: Path) -> str:
    """Has it changed? One cheap call: Kaggle is asked for its version, files for names, sizes and times."""
    if _is_description(source) and isinstance(wanted := load_source(source), Kaggle):
        return f"{wanted.dataset} {_version(wanted)[0]}"
    return folder.fingerprint(source)


def begin_reading(source: Path) -> dict[str, str]:
    """What a table stands for now, for `note_read`; nothing for other sources. What was read is forgotten."""
    READ.unlink(missing_ok=True)
    return {str(source): fingerprint(source)} if is_table(source) else {}


def note_read(stood_for: dict[str, str]) -> None:
    """Write down, when all is read, what the source stood for when that began."""
    if stood_for:
        write_text(READ, json.dumps(stood_for))


def has_unread_change(source: Path) -> bool:
    """Has a table changed, or a picture that it names, since `download` read it?

    DVC watches a folder's files, but of a table the table alone.
    """
    return is_table(source) and read_json(READ) != {str(source): fingerprint(source)}


def _is_description(source: Path) -> bool:
    return source.suffix == ".yaml" and not source.is_dir()


@task(task_run_name="draw {expression}", cache_policy=same_inputs_and_code())
def draw(expression: str, train: int, test: int, seed: int) -> dict[str, bytes]:
    return draw_class(expression, train, test, seed)


def _draw_sample(wanted: Sample) -> tuple[Path, dict[str, Any]]:
    target = CACHE / "sample"
    photos = [draw.submit(e, wanted.train_per_class, wanted.test_per_class, wanted.seed) for e in EXPRESSIONS]
    shutil.rmtree(target, ignore_errors=True)
    for path, data in (item for future in photos for item in future.result().items()):
        write_bytes(target / path, data)
    return target, {}


@network_task(task_run_name="ask about {dataset}")
def look_up(dataset: str, url: str) -> datasets.About:
    return datasets.look_up(_service(url), datasets.handle_of(dataset))


@network_task(task_run_name="get {dataset} version {version}")
def obtain(dataset: str, version: int, url: str, max_bytes: int) -> str:
    """The folder with the files, once whole; an attempt goes on where the one before was cut."""
    store = datasets.Store(CACHE / "kaggle", max_bytes)
    with Progress("download-kaggle", unit="B") as progress:
        return str(
            datasets.obtain(_service(url), datasets.handle_of(dataset), version, store, progress.reach)
        )


def _service(url: str) -> datasets.Service:
    # The key is read here and never a task's argument: those are recorded.
    return datasets.Service(url, authorization(os.environ, Path.home()))


def _version(wanted: Kaggle) -> tuple[int, dict[str, Any]]:
    if wanted.version != "newest":
        return wanted.version, {}
    about = look_up(wanted.dataset, wanted.url)
    return about.version, {"size": about.size, "licence": about.licence, "title": about.title}


def _get_from_kaggle(wanted: Kaggle) -> tuple[Path, dict[str, Any]]:
    version, about = _version(wanted)
    get_run_logger().info(f"Kaggle's {wanted.dataset}, version {version}")
    files = Path(obtain(wanted.dataset, version, wanted.url, wanted.max_bytes))
    return files, {"kaggle": wanted.dataset, "version": version, **about}
