"""What the Prefect UI shows of work that goes on."""

import time

import pytest
from prefect.artifacts import Artifact

from flows.engine.progress import Progress

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect")]


def shown(key: str) -> tuple[float, str]:
    artifact = Artifact.get(key=key)
    return float(artifact.data), artifact.description


def test_of_an_unknown_length_nothing_is_said_to_be_done_before_its_end():
    with Progress("no-length", unit="B") as progress:
        time.sleep(0.6)  # it is shown every half second at most
        progress.reach(70_000, 0)
        assert shown("no-length") == (0, "70,000 of ? bytes")
        progress.reach(90_000, 0)
    assert shown("no-length") == (100, "90,000 of 90,000 bytes")

    with pytest.raises(OSError), Progress("cut", unit="B") as progress:
        time.sleep(0.6)
        progress.reach(70_000, 0)
        raise OSError
    assert shown("cut") == (0, "70,000 of ? bytes")


def test_of_a_known_length_it_is_a_share():
    with Progress("known", unit="B") as progress:
        time.sleep(0.6)
        progress.reach(25_000, 100_000)
        assert shown("known") == (25, "25,000 of 100,000 bytes")
        progress.reach(120_000, 100_000)
