"""An exported page in a browser that reaches nothing but a plain file server on 127.0.0.1."""

import base64
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.support.wait import WebDriverWait

PATIENCE_S = 60
# Of Chromium: no name resolves, and no proxy is asked.
NO_NETWORK = ("host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "no-proxy-server")
ASK = """
const [photo, crops, done] = arguments;
const bytes = Uint8Array.from(atob(photo), (letter) => letter.charCodeAt(0));
import("/ask.js").then(async ({ask}) => {
  const began = performance.now(), answer = await ask(new Blob([bytes]), {crops});
  done({...answer, ms: performance.now() - began});
}).catch((error) => done({error: error.message}));
"""


@contextmanager
def plain_server(folder: Path) -> Iterator[str]:
    """`python -m http.server` for a folder, until the context ends; yields its address."""
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    server = subprocess.Popen(
        [*command, "--directory", str(folder)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        port = re.search(r"port (\d+)", server.stdout.readline())[1]
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()


def message(driver: webdriver.Chrome, begins: str) -> str:
    """The page's message, when it begins so."""
    shown = lambda page: page.find_element("id", "message").text  # noqa: E731
    WebDriverWait(driver, PATIENCE_S, 0.05).until(lambda page: shown(page).startswith(begins))
    return shown(driver)


def open_page(driver: webdriver.Chrome, url: str) -> None:
    """Open the page and wait until it has its model."""
    driver.set_script_timeout(PATIENCE_S)
    driver.get(url)
    message(driver, "Choose")


def ask_page(driver: webdriver.Chrome, photo: bytes, crops: bool = False) -> dict[str, Any]:
    """What the page's module answers about a photo, and in how many `ms`; or `error`, why it does not."""
    return driver.execute_async_script(ASK, base64.b64encode(photo).decode(), crops)
