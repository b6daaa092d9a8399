"""Take the two pictures of README.md: the report and the review page of the generated sample.

python -m docs.pictures [FOLDER]      # FOLDER: this project after `make run`, by default the one here

Nothing is written there: people's decisions on the picture are made in a temporary folder.
"""

import argparse
import base64
import tempfile
from pathlib import Path

from selenium.webdriver import Chrome

from testing.browser import CHROMIUM, DRIVER, MISSING, browser
from testing.review_page import Page
from testing.review_project import make_project, served

DOCS = Path(__file__).parent
WIDTH = 1240  # CSS pixels of the pages
SCALE = 1.3  # pixels of a picture for each of them
QUALITY = 80  # of the JPEG files: together they stay below 400 KB
LOADED = "return [...document.images].every((image) => image.complete && image.naturalWidth)"


def save_screenshot(driver: Chrome, file: Path, height: int) -> None:
    """Save the top of the page, `height` CSS pixels of it, as a JPEG file."""
    area = {"x": 0, "y": 0, "width": WIDTH, "height": height, "scale": SCALE}
    options = {"format": "jpeg", "quality": QUALITY, "clip": area, "captureBeyondViewport": True}
    file.write_bytes(base64.b64decode(driver.execute_cdp_cmd("Page.captureScreenshot", options)["data"]))


def take_report(project: Path) -> None:
    """The top of the report: the figures of the best cell, and the leaderboard."""
    with browser(WIDTH) as driver:
        driver.get((project / "reports" / "index.html").resolve().as_uri())
        save_screenshot(driver, DOCS / "report.jpg", height=866)


def take_review_page(project: Path) -> None:
    """The review page with photos of several faces, after four decisions."""
    with tempfile.TemporaryDirectory() as folder:
        own = make_project(Path(folder) / "project", (project / "data").resolve())
        with served(own) as (_, url), browser(WIDTH, height=640) as driver:
            page = Page(driver, url, "kim", "#state=&rule=several_faces")
            for key in "kkx4":
                page.press(key)
            page.until(lambda: len(page.all(".cell.decided")) == 4 and driver.execute_script(LOADED))
            save_screenshot(driver, DOCS / "review.jpg", height=640)


def main() -> None:
    parser = argparse.ArgumentParser("python -m docs.pictures", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path())
    project = parser.parse_args().folder
    if not (CHROMIUM and DRIVER):
        raise SystemExit(MISSING)
    take_report(project)
    take_review_page(project)


if __name__ == "__main__":
    main()
