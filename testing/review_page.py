"""Use the review page as a person does: in a browser, with the keyboard."""

from collections.abc import Callable

from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

ALL = "#state=&rule=&label=&pair=&split="


class Page:
    """The page in one browser, in which the reviewer `who` has just entered their name."""

    def __init__(self, driver: Chrome, url: str, who: str, filters: str = ALL):
        self.driver = driver
        driver.get("about:blank")
        driver.get(url + "/" + filters)
        self.until(lambda: self.find("#name-input").is_displayed())
        self.find("#name-input").send_keys(who, Keys.ENTER)
        self.until(lambda: not self.find("#name-input").is_displayed())

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def until(self, holds: Callable[[], bool]) -> None:
        WebDriverWait(self.driver, 10, poll_frequency=0.02).until(lambda _: holds())

    def press(self, *keys: str) -> None:
        ActionChains(self.driver).send_keys(*keys).perform()

    def with_shift(self, *keys: str) -> None:
        ActionChains(self.driver).key_down(Keys.SHIFT).send_keys(*keys).key_up(Keys.SHIFT).perform()

    def cells(self) -> list[WebElement]:
        return self.all(".cell")

    def ids(self) -> list[str]:
        return self.driver.execute_script(
            "return [...document.querySelectorAll('.cell')].map((cell) => cell.dataset.id)"
        )

    def badge(self, face: str) -> str:
        return self.find(f'[data-id="{face}"] .badge').text

    def shows(self, face: str, badge: str) -> None:
        self.until(lambda: self.badge(face) == badge)

    def label(self, face: str) -> str:
        return self.find(f'[data-id="{face}"] .label').text.split(" →")[0]

    def selected(self) -> list[str]:
        return [cell.get_attribute("data-id") for cell in self.all(".cell[aria-selected=true]")]

    def values(self, menu: str) -> list[str]:
        return self.driver.execute_script(
            "return [...document.getElementById(arguments[0]).options].map((option) => option.value)", menu
        )

    def choose(self, menu: str, value: str) -> None:
        """Choose a value of a menu, as if in its popup, which headless browsers do not draw."""
        assert value in self.values(menu)
        self.driver.execute_script(
            "const menu = document.getElementById(arguments[0]); menu.focus(); menu.value = arguments[1];"
            "menu.dispatchEvent(new Event('change', {bubbles: true}))",
            menu,
            value,
        )
