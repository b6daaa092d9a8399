"""The source that params.yaml names: its pictures as a local folder, and whether it has changed."""

import json
import os
import shutil
from pathlib import Path
from typing import Any, assert_never

from prefect import get_run_logger, task

from fer_tasks.labels import EXPRESSIONS
from fer_tasks.settings import Kaggle, Sample, load_source
from fer_tasks.sources import folder
from fer_tasks.sources.apart import refuse_source_in_outputs
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
    """Raise UserError if the source is missing, of an unknown kind, or in a folder that a stage writes."""
    refuse_source_in_outputs(source)
    if _is_description(source):
        load_source(source)
    else:
        folder.check(source)


def as_folder(source: Path) -> tuple[Path, dict[str, Any]]:
    """The folder of the source's files, and what is known about them, for `dataset.json`."""
    if not _is_description(source):
        return source, {}
    match load_source(source):
        case Sample() as sample:
            return _draw_sample(sample)
        case Kaggle() as kaggle:
            return _get_from_kaggle(kaggle)
        case other:
            assert_never(other)


def fingerprint(source: Path) -> str:
    """Changes with the source, and is cheap: Kaggle's version, or names, sizes and times of files."""
    if not _is_description(source):
        return folder.fingerprint(source)
    match load_source(source):
        case Sample():
            return folder.fingerprint(source)  # its description says all
        case Kaggle() as kaggle:
            return f"{kaggle.dataset} {_version(kaggle)[0]}"
        case other:
            assert_never(other)


def begin_reading(source: Path) -> dict[str, str]:
    """{source: fingerprint} of a table, for `note_read`; empty for other sources. Clears the last note."""
    READ.unlink(missing_ok=True)
    return {str(source): fingerprint(source)} if is_table(source) else {}


def note_read(fingerprints: dict[str, str]) -> None:
    """Note, once all is read, the fingerprint that the source had before."""
    if fingerprints:
        write_text(READ, json.dumps(fingerprints))


def has_unread_change(source: Path) -> bool:
    """Whether a table, or a picture that it names, has changed since `download` read it.

    DVC watches all files of a folder, but of a table only the table itself.
    """
    return is_table(source) and read_json(READ) != {str(source): fingerprint(source)}


def _is_description(source: Path) -> bool:
    return source.suffix == ".yaml" and not source.is_dir()


@task(task_run_name="draw {expression}", cache_policy=same_inputs_and_code())
def draw(expression: str, train: int, test: int, seed: int) -> dict[str, bytes]:
    return draw_class(expression, train, test, seed)


def _draw_sample(description: Sample) -> tuple[Path, dict[str, Any]]:
    target = CACHE / "sample"
    photos = [
        draw.submit(e, description.train_per_class, description.test_per_class, description.seed)
        for e in EXPRESSIONS
    ]
    shutil.rmtree(target, ignore_errors=True)
    for path, data in (item for future in photos for item in future.result().items()):
        write_bytes(target / path, data)
    return target, {}


@network_task(task_run_name="ask about {dataset}")
def look_up(dataset: str, url: str) -> datasets.About:
    return datasets.look_up(_service(url), datasets.handle_of(dataset))


@network_task(task_run_name="get {dataset} version {version}")
def obtain(dataset: str, version: int, url: str, max_bytes: int) -> str:
    """The folder with the files, once complete; each attempt resumes where the last one was cut."""
    store = datasets.Store(CACHE / "kaggle", max_bytes)
    with Progress("download-kaggle", unit="B") as progress:
        return str(
            datasets.obtain(_service(url), datasets.handle_of(dataset), version, store, progress.reach)
        )


def _service(url: str) -> datasets.Service:
    # The key is read here, never passed as a task's argument: Prefect records those.
    return datasets.Service(url, authorization(os.environ, Path.home()))


def _version(description: Kaggle) -> tuple[int, dict[str, Any]]:
    if description.version != "newest":
        return description.version, {}
    about = look_up(description.dataset, description.url)
    return about.version, {"size": about.size, "licence": about.licence, "title": about.title}


def _get_from_kaggle(description: Kaggle) -> tuple[Path, dict[str, Any]]:
    version, about = _version(description)
    get_run_logger().info(f"Kaggle's {description.dataset}, version {version}")
    files = Path(obtain(description.dataset, version, description.url, description.max_bytes))
    return files, {"kaggle": description.dataset, "version": version, **about}
