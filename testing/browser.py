"""A headless Chromium for the tests and the benchmark of the pages."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from selenium import webdriver

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
MISSING = "needs chromium and chromedriver: apt-get install chromium chromium-driver"
QUIET = (
    "headless=new no-sandbox disable-gpu disable-quic no-first-run disable-background-networking "
    "disable-component-update disable-sync disable-dev-shm-usage force-prefers-reduced-motion"
)


@contextmanager
def browser(
    width: int = 1280, height: int = 860, dark: bool = False, switches: Sequence[str] = ()
) -> Iterator[webdriver.Chrome]:
    """A browser of this size (px) with a new profile, until the context ends. `switches`: more of Chromium's,
    without their dashes."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for switch in (*QUIET.split(), *switches):
        options.add_argument(f"--{switch}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        options.add_argument(f"--user-data-dir={profile}")
        driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
        try:
            look_like(driver, width, height, dark)
            yield driver
        finally:
            driver.quit()


def look_like(driver: webdriver.Chrome, width: int, height: int, dark: bool) -> None:
    """Let a browser have this size (px) and theme."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
