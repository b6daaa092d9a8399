"""Classify a server's reply, or its silence: try again, or something that the user must fix."""

import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError

from fer_tasks.errors import UserError

PASSING = {408, 425, 429, 500, 502, 503, 504}  # temporary statuses: the request itself is fine
YEAR_S = 366 * 86400.0

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Refused(UserError):
    """A server refused, or its reply makes no sense; trying again would not help."""


class TryAgain(UserError):
    """A fault that passes: the same call may well succeed later, and resumes where it was.

    `after_s`: how long the server asked to wait, None where it did not say.
    """

    def __init__(self, message: str, after_s: float | None = None):
        super().__init__(message)
        self.after_s = after_s


class Patience(NamedTuple):
    """How long to wait for a server, in seconds."""

    connect_s: float = 10
    silent_s: float = 60  # between two bytes of a reply
    asked_s: float = 600  # the longest Retry-After to wait for
    whole_s: float = 300  # for a short reply as a whole, however slow


def keep_loopback_direct(environ: MutableMapping[str, str]) -> None:
    """Bypass proxies for servers of this machine, in this process and those it starts.

    Adds them to NO_PROXY in both spellings. `socks://`, which GNOME writes, becomes `socks5://`, which
    Python's libraries require.
    """
    exempt = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    names = [name.strip() for name in exempt.split(",") if name.strip()]
    if "*" not in names:
        environ["no_proxy"] = environ["NO_PROXY"] = ",".join(dict.fromkeys([*names, *LOOPBACK]))
    for name in [name for name in environ if name.lower().endswith("_proxy")]:
        if environ[name].startswith("socks://"):
            environ[name] = f"socks5://{environ[name].removeprefix('socks://')}"


def host_of(url: str) -> str:
    """The part of an address that is safe to show: the rest of a signed one gives access to the file."""
    return urlsplit(url).hostname or "?"


@contextmanager
def reaching(url: str, patience: Patience) -> Iterator[None]:
    """Turn network errors into TryAgain or Refused.

    Their own texts are left out: they contain the whole address, or the header that could not be sent. They
    are no context of what is raised either: once Dask is imported, that is pickled, too, and with it the key.
    """
    try:
        yield
    except (requests.RequestException, HTTPError) as error:
        fault = _in_plain_words(error, host_of(url), patience)
        try:
            raise fault
        finally:
            fault.__context__ = None


def _in_plain_words(error: Exception, host: str, patience: Patience) -> TryAgain | Refused:
    silent = TryAgain(f"{host} sent nothing for {patience.silent_s:g} s")
    match error:
        case requests.ConnectTimeout():
            return TryAgain(f"no connection to {host} within {patience.connect_s:g} s")
        case requests.Timeout():
            return silent
        case requests.exceptions.SSLError() if "CERTIFICATE_VERIFY_FAILED" in str(error):
            fix = "behind a company's proxy, set REQUESTS_CA_BUNDLE to its certificates"
            return Refused(f"the certificate of {host} is not trusted; {fix}")
        case requests.exceptions.SSLError():
            return TryAgain(f"the encrypted connection to {host} broke")
        case requests.ConnectionError() | requests.exceptions.ChunkedEncodingError() | HTTPError():
            if "Read timed out" in str(error):  # how requests reports silence in the middle of a body
                return silent
            return TryAgain(f"the connection to {host} failed or was cut")
    return Refused(f"the request to {host} failed: {type(error).__name__}")


def refuse_for_now(reply: requests.Response, patience: Patience) -> None:
    """Raise TryAgain for a temporary status, with the wait that the server asked for; or Refused, saying when
    to run again, if that exceeds `patience`.
    """
    if reply.status_code not in PASSING:
        return
    now = datetime.now(UTC)
    after_s = wait_asked(reply.headers.get("Retry-After", ""), now)
    answer = f"{host_of(reply.url)} answered {reply.status_code}"
    if after_s is not None and after_s > patience.asked_s:
        when = now + timedelta(seconds=after_s)
        raise Refused(f"{answer}: run again after {when:%Y-%m-%d %H:%M} UTC")
    raise TryAgain(answer if after_s is None else f"{answer}: wait {after_s:.0f} s", after_s)


def wait_asked(header: str, now: datetime) -> float | None:
    """The seconds, 0 to a year, that a Retry-After header asks for, given as seconds or a date; else None."""
    header = header.strip()
    if header.isascii() and header.isdigit():
        return min(float(header[:12]), YEAR_S)
    try:
        when = parsedate_to_datetime(header)
    except ValueError:
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return min(max((when - now).total_seconds(), 0.0), YEAR_S)


def is_page(reply: requests.Response) -> bool:
    """Is the reply a page for people, such as a proxy's or a login's?"""
    return "html" in reply.headers.get("Content-Type", "").lower()


def read_short(reply: requests.Response, patience: Patience, most: int) -> bytes:
    """The body of a reply to a request with `stream=True`.

    Raises Refused if it exceeds `most` bytes, TryAgain if it takes longer than `patience` allows.
    """
    host, until, body = host_of(reply.url), time.monotonic() + patience.whole_s, bytearray()
    # `iter_content` returns when its chunk is full, however long a drip takes to fill it.
    while chunk := reply.raw.read1(1 << 14, decode_content=True):
        body += chunk
        if len(body) > most:
            raise Refused(f"{host} sent more than {most:,} bytes in a reply that should be short")
        if time.monotonic() > until:
            raise TryAgain(f"the reply of {host} did not end within {patience.whole_s:g} s")
    return bytes(body)
