"""Find the Kaggle key in its usual places. No message of this module ever contains the key."""

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import requests

from fer_tasks.network import Refused

HOW = (
    "make a token at https://www.kaggle.com/settings and set KAGGLE_API_TOKEN to it, "
    "or save kaggle.json from there as ~/.kaggle/kaggle.json"
)


class Key(requests.auth.AuthBase):
    """Adds the key to a request's headers; `origin` and `repr` state where the key is from, never the key.

    With an empty header nothing is added, and requests is kept from reading ~/.netrc.
    """

    def __init__(self, origin: str, header: str = ""):
        self.origin = origin
        self._header = header

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._header:
            request.headers["Authorization"] = self._header
        return request

    def __repr__(self) -> str:
        return f"Key({self.origin})"

    def __reduce__(self):
        raise TypeError("a key must not be stored; call authorization() where it is used")


NOBODY = Key("no key")


def authorization(environ: Mapping[str, str], home: Path) -> Key:
    """Return the first key found, or NOBODY.

    Searched in this order: KAGGLE_API_TOKEN (a token, or a file with one), ~/.kaggle/access_token,
    KAGGLE_USERNAME with KAGGLE_KEY, kaggle.json in $KAGGLE_CONFIG_DIR or in ~/.kaggle.

    Raises:
        Refused: what is found cannot be a key; the message names the place.
    """
    return next(_keys(environ, home), NOBODY)


def _keys(environ: Mapping[str, str], home: Path) -> Iterator[Key]:
    if token := environ.get("KAGGLE_API_TOKEN", "").strip():
        yield _bearer("KAGGLE_API_TOKEN", _token_of(token))
    file = home / ".kaggle" / "access_token"
    if file.is_file():
        yield _bearer(str(file), _read(file))
    user, secret = (environ.get(name, "").strip() for name in ("KAGGLE_USERNAME", "KAGGLE_KEY"))
    if user and secret:
        yield _basic("KAGGLE_USERNAME and KAGGLE_KEY", user, secret)
    folders = [Path(environ["KAGGLE_CONFIG_DIR"])] if environ.get("KAGGLE_CONFIG_DIR") else []
    for file in (folder / "kaggle.json" for folder in [*folders, home / ".kaggle"]):
        if file.is_file():
            yield _of_json(file)


def _token_of(value: str) -> str:
    try:
        file = Path(value).expanduser()
        if file.is_file():
            return _read(file)
    except (OSError, ValueError, RuntimeError):  # a token may be too long for a file's name
        return value
    if value.startswith(("/", "~", "./", "../")):
        raise Refused("KAGGLE_API_TOKEN holds a path, but there is no such file; " + HOW)
    return value


def _of_json(file: Path) -> Key:
    try:
        content = json.loads(_read(file))
    except ValueError:
        content = None
    pair = [content.get(name) for name in ("username", "key")] if isinstance(content, dict) else []
    if len(pair) != 2 or not all(isinstance(item, str) and item for item in pair):
        raise Refused(f'{file} should hold {{"username": "…", "key": "…"}}; {HOW}')
    return _basic(str(file), *pair)


def _read(file: Path) -> str:
    why = "it is not text"
    try:
        return file.read_text(encoding="utf-8-sig").strip()
    except OSError as error:
        why = error.strerror
    except UnicodeDecodeError:  # it has the content, so it is not kept as the context of what is raised
        pass
    raise Refused(f"the key in {file} cannot be read: {why}")


def _bearer(origin: str, token: str) -> Key:
    _check(origin, token)
    return Key(f"the key of {origin}", f"Bearer {token}")


def _basic(origin: str, user: str, secret: str) -> Key:
    _check(origin, user)
    _check(origin, secret)
    packed = base64.b64encode(f"{user}:{secret}".encode()).decode()
    return Key(f"the key of {origin}", f"Basic {packed}")


def _check(origin: str, text: str) -> None:
    # Also keeps the key out of messages: http.client shows a header that it cannot send.
    if not text or not all("!" <= letter <= "~" for letter in text):
        raise Refused(f"{origin} does not hold a key: a key is a single word of ASCII letters; {HOW}")
