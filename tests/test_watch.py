"""A change is told once, when it has come to rest, whatever happens to the source in between."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.logging import disable_run_logger

from fer_tasks.errors import UserError
from flows import watch as module
from flows.event_names import CHANGED
from flows.watch import SEEN, watch
from testing.project_copy import change_params


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict]]:
    """What was told so far, to nobody."""
    told: list[dict] = []
    monkeypatch.setattr(module, "emit", told.append)
    with disable_run_logger():
        yield told


@pytest.fixture
def photos(in_project: Path, told: list[dict]) -> Path:
    """A source with a photo, which has been told of."""
    photo = in_project / "photos" / "happy" / "0.png"
    photo.parent.mkdir(parents=True)
    photo.write_bytes(b"a")
    change_params(in_project, download={"source": "photos"})
    shutil.copytree("review", "copy")
    Path("review").unlink()  # a link into the project
    Path("copy").rename("review")
    assert [poll(), poll(), poll()] == [False, True, False]
    return photo.parent


def poll() -> bool:
    """A run of the flow, without Prefect."""
    return watch.fn()


def test_a_photo_that_is_still_being_copied_is_told_when_it_is_whole(photos, told):
    with (photos / "1.png").open("wb") as file:
        for _ in range(3):
            file.write(b"part")
            file.flush()
            assert not poll()
    assert poll() and not poll()
    assert [one["changed"] for one in told[1:]] == [["pictures"]]


def test_a_decision_is_told(photos):
    with Path("review/decisions.csv").open("a") as file:
        file.write("0123456789abcdef,keep,,kim,2026-11-30T10:00:00Z,\n")
    assert [poll(), poll(), poll()] == [False, True, False]


def test_a_source_that_is_gone_for_a_night_and_back_is_no_change(photos):
    photos.parent.rename("away")
    for _ in range(2):
        with pytest.raises(UserError, match="does not exist"):
            poll()
    Path("away").rename("photos")
    assert not poll() and not poll()


def test_a_source_that_was_empty_between_two_polls_is_no_change(photos):
    photos.rename("away")
    assert not poll()
    Path("away").rename(photos)
    assert not poll() and not poll()


def test_an_empty_source_is_told_and_so_is_its_return(photos):
    photos.rename("away")
    assert not poll() and poll()
    Path("away").rename(photos)
    assert not poll() and poll()


def test_a_clock_set_back_hides_no_change(photos):
    (photos / "1.png").write_bytes(b"b")
    os.utime(photos / "1.png", (1, 1))
    assert not poll() and poll()
    os.utime(photos / "0.png", (1, 1))
    assert not poll() and poll()


def test_a_damaged_record_tells_once_more(photos):
    SEEN.write_text("{")
    assert [poll(), poll(), poll()] == [False, True, False]


@pytest.mark.slow
def test_a_new_version_at_kaggle_is_told_to_the_server(in_project, prefect, kaggle):
    source = {"kind": "kaggle", "dataset": "kreinisalex/telemoji", "version": "newest"}
    source |= {"url": kaggle.address, "max_bytes": 1_000_000}
    (in_project / "kaggle.yaml").write_text(yaml.safe_dump(source))
    change_params(in_project, download={"source": "kaggle.yaml"})
    assert [watch(), watch()] == [False, True]
    kaggle.version = 4
    assert [watch(), watch(), watch()] == [False, True, False]
    assert set(kaggle.calls()) == {"GetDataset"}, "nothing is downloaded"
    asked = {"filter": {"event": {"name": [CHANGED]}}}
    deadline = time.monotonic() + 60
    with get_client(sync_client=True) as client:
        versions = []
        while len(versions) < 2 and time.monotonic() < deadline:
            events = client.request("POST", "/events/filter", json=asked).json()["events"]
            pictures = (one["payload"].get("pictures", "") for one in events)
            versions = sorted(name for name in pictures if "telemoji" in name)
            time.sleep(0.2)
    assert versions == ["kreinisalex/telemoji 3", "kreinisalex/telemoji 4"]
