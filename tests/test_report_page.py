"""The report in a real browser: its leaderboard sorts, and it fits small screens in light and dark."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from fer_tasks.reports.report_page import render_report
from testing.browser import CHROMIUM, DRIVER, MISSING, browser
from tests.test_page import report

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=MISSING)]


@pytest.fixture(scope="module")
def chrome() -> Iterator[Chrome]:
    with browser() as driver:
        yield driver


@pytest.fixture
def page(chrome: Chrome, tmp_path: Path) -> Chrome:
    """Four cells, the third without a time of its own, and one that failed."""
    shown = report(cells=4, failed="out of memory")
    shown.leaderboard["ms_a_face"] = [2.0, 10.0, np.nan, 1.5, np.nan]
    (tmp_path / "index.html").write_text(render_report(shown))
    chrome.get((tmp_path / "index.html").as_uri())
    return chrome


def order(page: Chrome) -> list[str]:
    rows = page.find_elements(By.CSS_SELECTOR, "#board tbody th")
    return [row.text.split("\n")[0].removesuffix(" ★") for row in rows]


def sort(page: Chrome, heading: str) -> str | None:
    button = page.find_element(By.XPATH, f"//table[@id='board']//button[.='{heading}']")
    button.click()
    return button.find_element(By.XPATH, "..").get_attribute("aria-sort")


def test_a_heading_sorts_by_number_and_what_has_none_stays_last(page):
    assert order(page) == ["cell-0", "cell-1", "cell-2", "cell-3", "lost"]
    assert sort(page, "ms a face") == "descending"
    assert order(page) == ["cell-1", "cell-0", "cell-3", "cell-2", "lost"]
    assert sort(page, "ms a face") == "ascending"
    assert order(page) == ["cell-3", "cell-0", "cell-1", "cell-2", "lost"]
    assert sort(page, "cell") == "ascending"
    assert order(page) == ["cell-0", "cell-1", "cell-2", "cell-3", "lost"]
    assert len(page.find_elements(By.CSS_SELECTOR, "[aria-sort]")) == 1


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_but_tables_and_figures_is_wider_than_the_screen(page, width, scheme):
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    ink, paper = page.execute_script(
        "const style = getComputedStyle(document.body); return [style.color, style.backgroundColor]"
    )
    lightness = [sum(map(int, colour.strip("rgb()").split(","))) for colour in (ink, paper)]
    assert (lightness[0] < lightness[1]) == (scheme == "light")
