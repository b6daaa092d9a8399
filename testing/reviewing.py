"""Shared by the tests of the review page: a client in this process, and decisions to post."""

import csv
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pandas as pd
from starlette.testclient import TestClient

from apps.review.app import make_app
from apps.review.decision_log import DecisionLog
from apps.review.review_queue import open_queue
from testing.review_project import ROOT
from testing.web import HOME, running


def page(data: Path, decisions: Path) -> TestClient:
    """A client of a new server on these data and this decisions file, with the page's headers."""
    app = make_app(open_queue(data), DecisionLog(decisions), {"127.0.0.1", "localhost"})
    return TestClient(app, HOME, headers={"Origin": HOME})


@contextmanager
def served_here(data: Path, decisions: Path) -> Iterator[str]:
    """Serve the page by a thread of this process; yields its address."""
    with running(make_app(open_queue(data), DecisionLog(decisions), {"127.0.0.1"})) as address:
        yield address


def decision(face: pd.Series, verdict: str = "keep", seen: int = 0, **more: str) -> dict:
    """A decision on a face as the page sends it."""
    return {
        "image_id": face["image_id"],
        "pixels": face["pixels"],
        "seen": seen,
        "verdict": verdict,
        **more,
    }


def post(client: TestClient, *decisions: dict, reviewer: str = "kim") -> httpx.Response:
    """Post a reviewer's decisions."""
    return client.post("/api/decisions", json={"reviewer": reviewer, "decisions": list(decisions)})


def rows(decisions: Path) -> list[list[str]]:
    """The rows of a decisions file, without its header."""
    return list(csv.reader(io.StringIO(decisions.read_text())))[1:]


def command(project: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Run `python -m apps.review` in a project."""
    return subprocess.run(
        [sys.executable, "-m", "apps.review", *arguments],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
