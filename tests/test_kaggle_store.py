"""A version of a data set in the cache: whole or absent, and made by one run at a time."""

import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest

from fer_tasks.errors import DiskError
from fer_tasks.network import Refused, TryAgain
from fer_tasks.sources.kaggle.datasets import Handle, Store, exclusive, obtain
from fer_tasks.sources.kaggle.unzip import ArchiveError, BrokenArchive
from testing import kaggle_server as bad
from testing.kaggle_server import CHUNK, FILES, TELEMOJI, ZIP, Kaggle, tree, zipped

ROOT = Path(__file__).parents[1]


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
    with pytest.raises(BrokenArchive, match="3.zip is damaged or not a zip"):
        get_all(kaggle, tmp_path)
    even = {"train/happy/1.png": bytes(50_000)}
    kaggle.content = zipped(even, zipfile.ZIP_DEFLATED)
    with pytest.raises(ArchiveError, match="at most 1,000 are allowed"):
        get_all(kaggle, tmp_path, max_bytes=1000)
    assert tree(get_all(kaggle, tmp_path)) == even
    assert kaggle.calls().count("storage") == 2


def test_a_full_disk_while_downloading(kaggle, small_disk):
    with pytest.raises(DiskError, match=f"no room in {small_disk}.*: {len(ZIP):,} bytes are needed there"):
        get_all(kaggle, small_disk)
    names = {p.name for p in (small_disk / TELEMOJI.owner / TELEMOJI.slug).iterdir()}
    assert names == {"3.zip.part", "3.zip.part.json", ".lock"}
    subprocess.run(["mount", "-o", "remount,size=2m", small_disk], check=True)  # room is made
    assert tree(get_all(kaggle, small_disk)) == FILES
    assert int(kaggle.ranges()[1].removeprefix("bytes=").rstrip("-")) >= CHUNK


def test_a_full_disk_while_unpacking(kaggle, small_disk):
    subprocess.run(["mount", "-o", "remount,size=400k", small_disk], check=True)
    with pytest.raises(DiskError, match="no room in .*: 288,000 bytes are needed there"):
        get_all(kaggle, small_disk)
    folder = small_disk / TELEMOJI.owner / TELEMOJI.slug
    assert {p.name for p in folder.iterdir()} == {"3.zip", ".lock"}
    subprocess.run(["mount", "-o", "remount,size=2m", small_disk], check=True)
    assert tree(get_all(kaggle, small_disk)) == FILES and len(kaggle.ranges()) == 1


def test_a_limit_on_a_files_size(kaggle, tmp_path):
    code = f"""
import resource
from pathlib import Path
from fer_tasks.sources.kaggle.datasets import Handle, Service, Store, obtain
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
store = Store(Path({str(tmp_path)!r}), 10**7)
obtain(Service({kaggle.address!r}), Handle(*{tuple(TELEMOJI)!r}), 3, store, lambda done, total: None)
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.stderr.splitlines()[-1].startswith("fer_tasks.errors.DiskError: no room in ")
    assert not (tmp_path / TELEMOJI.owner / TELEMOJI.slug / "3.zip").exists()
    assert tree(get_all(kaggle, tmp_path)) == FILES
    assert kaggle.ranges()[1].startswith("bytes=")


def test_a_cache_that_cannot_be_written_is_one_clear_message(kaggle, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(DiskError, match="cache.* cannot be written: Not a directory"):
        get_all(kaggle, tmp_path / "cache")


def test_two_runs_at_once_download_once(kaggle, tmp_path):
    code = f"""
import sys
from pathlib import Path
from fer_tasks.sources.kaggle.datasets import Handle, Service, Store, obtain
store = Store(Path({str(tmp_path)!r}), 10**7, 30)
service = Service({kaggle.address!r})
print(obtain(service, Handle(*{tuple(TELEMOJI)!r}), 3, store, lambda done, total: None))
"""
    both = threading.Barrier(2)
    kaggle.fail("storage", lambda handler: (both.wait(20), both.wait(20), handler.give()))
    runs = [subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE) for _ in "ab"]
    both.wait(20)  # one of the two downloads
    began = time.monotonic()
    with pytest.raises(Refused, match="another run has been downloading kreinisalex/telemoji"):
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
from fer_tasks.sources.kaggle.datasets import Handle, Store, exclusive
with exclusive(Store(Path({str(tmp_path)!r}), 1), Handle("a", "b")):
    os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 9
    with exclusive(Store(tmp_path, 1, wait_s=0), Handle("a", "b")):
        pass
