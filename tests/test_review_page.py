"""The review page in a real browser: what a person does with keys, mouse and a small screen."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.keys import Keys

from fer_tasks.cleaning.decisions import parse_decisions
from testing.browser import CHROMIUM, DRIVER, MISSING, browser
from testing.review_page import Page
from testing.review_project import DECISIONS, make_project, served, write_faces
from testing.reviewing import served_here

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=MISSING)]

N = 120
UNNAMED = """
return [...document.querySelectorAll("button, select, input, dialog, svg, [role=grid], [role=gridcell]")]
    .filter((it) => !(it.ariaLabel || it.innerText.trim() || it.labels?.length || it.ariaLabelledByElements))
    .map((it) => it.outerHTML)
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    where = tmp_path_factory.mktemp("page") / "data"
    write_faces(where, N)
    return where


@pytest.fixture
def project(data, tmp_path) -> Path:
    return make_project(tmp_path / "project", data)


@pytest.fixture
def url(project, monkeypatch) -> Iterator[str]:
    monkeypatch.chdir(project)
    with served_here(Path("data"), Path(DECISIONS)) as address:
        yield address


@pytest.fixture(scope="module")
def chrome() -> Iterator[Chrome]:
    with browser() as driver:
        yield driver


@pytest.fixture
def page(chrome, url) -> Iterator[Page]:
    """The page, in which nothing may go wrong but what the server refuses."""
    yield Page(chrome, url, "kim")
    chrome.get("about:blank")
    wrong = [entry["message"] for entry in chrome.get_log("browser") if entry["level"] == "SEVERE"]
    assert [message for message in wrong if "409" not in message and "503" not in message] == []


def recorded(project: Path) -> list[tuple[str, str, str, str, str]]:
    table = parse_decisions((project / DECISIONS).read_text())
    return list(
        table[["image_id", "verdict", "label", "reviewer", "note"]].itertuples(index=False, name=None)
    )


def test_keys_keep_reject_and_name(page, project):
    one, two, three, four = page.ids()[:4]
    other = "sad" if page.label(three) != "sad" else "fear"
    digit = {"sad": "6", "fear": "3"}[other]
    own = "angry disgust fear happy neutral sad surprise".split().index(page.label(four)) + 1
    page.press("k", "x", digit, str(own))
    for face, badge in ((one, "✓ keep"), (two, "✕ reject"), (three, f"→ {other}"), (four, "✓ keep")):
        page.shows(face, badge)
    assert [row[:4] for row in recorded(project)] == [
        (one, "keep", "", "kim"),
        (two, "reject", "", "kim"),
        (three, "relabel", other, "kim"),
        (four, "keep", "", "kim"),
    ]
    why = page.find(f'[data-id="{two}"] .why').text.removeprefix("✕ ").split(", ")[0]
    assert recorded(project)[1][4].replace("_", " ") == why
    assert f"4 of {N}" in page.find("#counts").text
    assert page.selected() == [page.ids()[4]]


def test_what_was_just_said_is_said_aloud(page):
    page.press("k")
    page.until(lambda: page.find("#message").text.endswith("✓ keep"))
    assert page.find("#message").get_attribute("aria-live") == "polite"


LEAVES_AT_ONCE = """
document.body.dispatchEvent(new KeyboardEvent("keydown", {key: "k", bubbles: true}));
const leaving = new Event("beforeunload", {cancelable: true});
return !dispatchEvent(leaving);
"""


def test_who_leaves_before_a_word_is_on_the_disk_is_asked(page):
    one = page.ids()[0]
    assert page.driver.execute_script(LEAVES_AT_ONCE)
    page.shows(one, "✓ keep")
    assert page.driver.execute_script("return dispatchEvent(new Event('beforeunload', {cancelable: true}))")


def test_undo_takes_back_the_last_word_and_then_the_one_before(page, project):
    one, two = page.ids()[:2]
    page.press("x", "k")
    page.shows(two, "✓ keep")
    page.press("u")
    page.shows(two, "")
    assert page.selected() == [two]
    page.press("u")
    page.shows(one, "")
    assert [row[1] for row in recorded(project)] == ["reject", "keep", "withdraw", "withdraw"]


def test_after_a_reload_undo_takes_back_one_s_word_about_the_selected_face(page, project):
    one = page.ids()[0]
    page.press("x")
    page.shows(one, "✕ reject")
    page.driver.refresh()
    page.until(lambda: page.cells() and page.badge(one) == "✕ reject")
    page.press("u")
    page.shows(one, "")


def test_a_range_by_shift_and_arrows_and_by_shift_and_click(page, project):
    ids = page.ids()
    page.press(Keys.ARROW_RIGHT)
    page.with_shift(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert page.selected() == ids[1:4]
    page.press("x")
    for face in ids[1:4]:
        page.shows(face, "✕ reject")
    assert page.badge(ids[0]) == page.badge(ids[4]) == ""
    page.find(f'[data-id="{ids[5]}"]').click()
    chain = ActionChains(page.driver).key_down(Keys.SHIFT)
    chain.click(page.find(f'[data-id="{ids[9]}"]')).key_up(Keys.SHIFT).perform()
    assert page.selected() == ids[5:10]
    page.press("k")
    page.shows(ids[9], "✓ keep")
    assert [row[0] for row in recorded(project)] == [*ids[1:4], *ids[5:10]]
    page.press("u")
    page.shows(ids[5], "")
    assert page.badge(ids[1]) == "✕ reject"


def test_filters_choose_and_the_filter_s_rule_is_the_reason(page, project):
    rule = next(rule for rule in page.values("rule") if rule not in ("", "any", "none"))
    page.choose("rule", rule)
    page.until(lambda: all(rule.replace("_", " ") in why.text for why in page.all(".why")))
    page.press("x")
    page.until(lambda: bool(recorded(project)))
    assert recorded(project)[0][4] == rule
    page.choose("rule", "")
    page.choose("label", "sad")
    page.until(lambda: {page.label(face) for face in page.ids()} == {"sad"})
    page.choose("split", "test")
    page.until(lambda: len(page.ids()) < N / 7)
    assert page.find("#counts").text.startswith(("0 of", "1 of"))


def test_a_reload_shows_what_is_on_the_disk_with_the_same_filters(page, project):
    ids = page.ids()
    page.press("k", "x", "u")
    page.until(lambda: page.selected() == [ids[1]] and page.badge(ids[1]) == "")
    page.press("x")
    page.shows(ids[1], "✕ reject")
    assert len(recorded(project)) == 4
    page.choose("state", "decided")
    page.until(lambda: page.ids() == ids[:2])
    page.driver.refresh()
    page.until(lambda: bool(page.cells()))
    assert page.ids() == ids[:2]
    assert [page.badge(face) for face in ids[:2]] == ["✓ keep", "✕ reject"]


def test_the_label_against_what_a_model_sees(page):
    pair = page.values("pair")[1]
    page.choose("pair", pair)
    page.until(lambda: {label.text for label in page.all(".cell .label")} == {f"{pair}?"})


def test_a_page_is_committed_in_one_key_and_the_next_one_comes(page, project):
    ids = page.ids()
    page.until(lambda: page.driver.execute_script("return [...document.images].every((i) => i.naturalWidth)"))
    page.press(Keys.ARROW_RIGHT, "x")
    page.shows(ids[1], "✕ reject")
    page.press("c")
    page.until(lambda: len(recorded(project)) > 2)
    kept = [row[0] for row in recorded(project)[1:]]
    assert {row[1] for row in recorded(project)[1:]} == {"keep"}
    assert ids[1] not in kept and kept == [face for face in ids[: len(kept) + 1] if face != ids[1]]
    assert page.selected() == [ids[len(kept) + 1]]


def test_the_whole_photo_with_box_landmarks_and_doubts(page, project):
    one, two = page.ids()[:2]
    page.press(" ")
    page.until(lambda: bool(page.all("#canvas circle")))
    assert len(page.all("#canvas circle")) == 5 and len(page.all("#canvas rect.box")) == 2
    box = page.find("#canvas rect.box")
    assert [box.get_attribute(name) for name in ("y", "x", "height", "width")] == ["40", "70", "100", "90"]
    assert page.all("#photo-doubts tr") and one in page.find("#photo-source").text
    page.press("x")
    page.until(lambda: two in page.find("#photo-source").text)
    page.press(Keys.ARROW_LEFT)
    page.until(lambda: "reject" in page.find("#photo-decisions").text)
    page.press(" ")
    page.until(lambda: not page.find("#photo").is_displayed())
    assert recorded(project)[0][:2] == (one, "reject")


def test_two_people_see_each_other_and_the_slower_one_is_told(page, url, project):
    one, two = page.ids()[:2]
    with browser() as second:
        other = Page(second, url, "lee")
        other.press("x")
        other.shows(one, "✕ reject")
        page.shows(one, "✕ reject")  # within seconds, without a reload
        page.driver.execute_script(
            "window.fetch = ((real) => (url, ...more) => "
            "url.includes('changes') ? new Promise(() => 0) : real(url, ...more))(window.fetch)"
        )
        other.press("k")
        other.shows(two, "✓ keep")
        page.press(Keys.ARROW_RIGHT, "x")
        page.until(lambda: "somebody else decided first" in page.find("#notice").text)
        assert "keep by lee" in page.find("#notice").text
        assert page.selected() == [two] and page.badge(two) == "✓ keep"
        assert len(recorded(project)) == 2
        page.press("x")
        page.shows(two, "≠ disputed")
        other.shows(two, "≠ disputed")
        other.until(lambda: "1 disputed" in other.find("#attention").text)
        other.press(Keys.ARROW_LEFT, "k")
        other.shows(two, "✓ keep")  # one more word settles it


def test_what_could_not_be_recorded_is_said_and_not_shown_as_decided(page, project):
    path = project / DECISIONS
    good = path.read_text()
    path.write_text(good + "half a r")
    page.press("k")
    page.until(lambda: "NOT recorded" in page.find("#notice").text)
    assert "line 2" in page.find("#notice").text and page.badge(page.ids()[0]) == ""
    path.write_text(good)
    page.press(Keys.HOME, "k")
    page.shows(page.ids()[0], "✓ keep")


def test_buttons_do_on_a_phone_what_keys_do(url, project):
    with browser(390, 844) as phone:
        page = Page(phone, url, "kim")
        ids = page.ids()
        page.find('[data-do="reject"]').click()
        page.shows(ids[0], "✕ reject")
        page.find(f'[data-id="{ids[2]}"]').click()
        page.find('[data-do="range"]').click()
        page.find(f'[data-id="{ids[4]}"]').click()
        page.find('[data-do="keep"]').click()
        page.shows(ids[4], "✓ keep")
        page.find('[data-do="undo"]').click()
        page.shows(ids[4], "")
        page.all("#expressions button")[0].click()
        page.until(lambda: len(recorded(project)) == 8)
        assert phone.execute_script("return document.documentElement.scrollWidth") <= 390
        page.find('[data-do="photo"]').click()
        page.until(lambda: bool(page.all("#canvas circle")))
        page.find('#photo [data-do="reject"]').click()
        page.until(lambda: len(recorded(project)) == 9)
        page.find("#photo [data-close]").click()
        page.until(lambda: not page.find("#photo").is_displayed())


def test_everything_has_a_name_for_a_screen_reader(page):
    unnamed = page.driver.execute_script(UNNAMED)
    assert unnamed == []
    assert len(page.all('.cell[tabindex="0"]')) == 1
    assert page.driver.switch_to.active_element.get_attribute("role") == "gridcell"
    first = page.find(".cell").get_attribute("aria-label")
    assert page.label(page.ids()[0]) in first and "doubted: " in first and "undecided" in first
    assert (
        int(page.find("#grid").get_attribute("aria-rowcount"))
        * int(page.find("#grid").get_attribute("aria-colcount"))
        >= N
    )


def test_of_ten_thousand_faces_only_those_in_view_are_in_the_page(chrome, tmp_path):
    write_faces(tmp_path / "data", 10_000)
    project = make_project(tmp_path / "project", tmp_path / "data")
    with served(project) as (_, url):
        page = Page(chrome, url, "kim")
        assert "of 10,000" in page.find("#counts").text
        for key in (Keys.END, Keys.HOME, Keys.PAGE_DOWN):
            page.press(key)
            assert len(page.cells()) < 150
        page.press(Keys.END, "x")
        page.until(lambda: page.find("#counts").text.startswith("1 of 10,000"))
