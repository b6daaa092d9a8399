"""A version of a data set in the cache: whole or absent, and made by one run at a time."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from fer_tasks.sources.archive import ArchiveError, BrokenArchive
from fer_tasks.sources.kaggle import Handle, Store, alone, obtain
from fer_tasks.sources.replies import KaggleError, TryAgain
from tests import kaggle_server as bad
from tests.kaggle_server import FILES, TELEMOJI, ZIP, Kaggle, tree


def get_all(kaggle: Kaggle, root: Path, **bounds: float) -> Path:
    store = Store(root, **({"max_bytes": 10**7, "wait_s": 5} | bounds))
    return obtain(kaggle.service(), TELEMOJI, kaggle.version, store, lambda done, total: None)


def test_from_a_handle_to_a_folder(kaggle, tmp_path):
    folder = get_all(kaggle, tmp_path)
    assert folder == tmp_path / TELEMOJI.owner / TELEMOJI.slug / "3" and tree(folder) == FILES
    assert {p.name for p in folder.parent.iterdir()} == {"3", ".lock"}
    assert get_all(kaggle, tmp_path) == folder
    assert kaggle.calls() == ["DownloadDataset", "storage"]


def test_an_older_version_stays_until_the_new_one_is_whole(kaggle, tmp_path):
    old = get_all(kaggle, tmp_path)
    (old.parent / "2.zip.part").write_bytes(b"of a version that nobody wants any more")
    kaggle.version = 4
    kaggle.fail("storage", bad.cut_after(100_000))
    with pytest.raises(TryAgain):
        get_all(kaggle, tmp_path)
    assert tree(old) == FILES
    new = get_all(kaggle, tmp_path)
    assert tree(new) == FILES and {p.name for p in old.parent.iterdir()} == {"4", ".lock"}


def test_a_broken_zip_is_fetched_anew_and_a_big_one_is_kept(kaggle, tmp_path):
    kaggle.content = ZIP[:-30]
    with pytest.raises(BrokenArchive, match="3.zip is damaged or no zip"):
        get_all(kaggle, tmp_path)
    kaggle.content = ZIP
    with pytest.raises(ArchiveError, match="at most 1,000 are allowed"):
        get_all(kaggle, tmp_path, max_bytes=1000)
    assert tree(get_all(kaggle, tmp_path)) == FILES
    assert kaggle.calls().count("storage") == 2


def test_two_runs_at_once_download_once(kaggle, tmp_path):
    code = f"""
import sys
from pathlib import Path
from fer_tasks.sources.kaggle import Handle, Service, Store, obtain
store = Store(Path({str(tmp_path)!r}), 10**7, 30)
service = Service({kaggle.address!r})
print(obtain(service, Handle(*{tuple(TELEMOJI)!r}), 3, store, lambda done, total: None))
"""
    both = threading.Barrier(2)
    kaggle.fail("storage", lambda handler: (both.wait(20), both.wait(20), handler.give()))
    root = Path(__file__).parents[1]
    runs = [subprocess.Popen([sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE) for _ in "ab"]
    both.wait(20)  # one of the two downloads
    began = time.monotonic()
    with pytest.raises(KaggleError, match="another run has been downloading kreinisalex/telemoji"):
        get_all(kaggle, tmp_path, wait_s=0.1)
    assert time.monotonic() - began < 5
    both.wait(20)  # and goes on
    assert [run.communicate(timeout=30)[0] for run in runs] == [
        f"{tmp_path / TELEMOJI.owner / TELEMOJI.slug / '3'}\n".encode()
    ] * 2
    assert kaggle.calls() == ["DownloadDataset", "storage"]
    assert tree(tmp_path / TELEMOJI.owner / TELEMOJI.slug / "3") == FILES


def test_a_lock_ends_with_its_process(tmp_path):
    code = f"""
import os
from pathlib import Path
from fer_tasks.sources.kaggle import Handle, Store, alone
with alone(Store(Path({str(tmp_path)!r}), 1), Handle("a", "b")):
    os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1]).returncode == 9
    with alone(Store(tmp_path, 1, wait_s=0), Handle("a", "b")):
        pass
