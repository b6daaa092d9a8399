"""What tests of `serve` share: a client in this process, pictures, and the answers of `predict` beside it."""

from pathlib import Path

import httpx
from starlette.testclient import TestClient

from apps.predict.predictor import Predictor
from apps.predict.tables import Row, rounded
from apps.serve.app import make_app
from apps.serve.newest_model import NewestModel
from testing.web import HOME
from tests.predicting import ONE, TWO, group, saved

HOSTS = {"127.0.0.1", "localhost"}
PICTURE = {"Content-Type": "image/png"}
TWO_FACES = saved(group(TWO, ONE))
NOBODY = saved(group(height=90, width=120))
LEFT_OUT = {"file", "frame", "time", "track", "model", "expression_smooth", "confidence_smooth"}


def client_of(model: Path, **more: bool) -> TestClient:
    """A client of a new server, which sends no origin, as programs do not."""
    return TestClient(make_app(NewestModel(model), HOSTS), HOME, **more)


def send(client: TestClient | httpx.Client, data: bytes, url: str = "/predict") -> httpx.Response:
    return client.post(url, content=data, headers=PICTURE)


def told_by_predict(predictor: Predictor, data: bytes) -> list[dict]:
    """The rows of a picture's faces as the command writes them, without what a picture's face has not."""
    return [_of(row) for row in predictor.predict(data) if row.expression]


def _of(row: Row) -> dict:
    return {name: value for name, value in rounded(row).items() if name not in LEFT_OUT}
