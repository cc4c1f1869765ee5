"""The page in a real browser, chromium, where it is installed: by the keyboard alone, and nothing from elsewhere."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from labelling_pile import Pile
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.person import page
from labelling import answers

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
KEYS = "1234567890abcdefghijklmnopqrstuvwxyz"

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


class Visitor:
    """Somebody at the page, who waits for what it shows as people do."""

    def __init__(self, browser: Browser, pile: Pile, url: str, **how: Any) -> None:
        self.pile, self.url = pile, url
        self.page: Page = browser.new_page(viewport={"width": 1100, "height": 760}, **how)
        self.requested: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requested.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(url)
        self.wait()

    def wait(self, other_than: str = "none") -> None:
        self.page.wait_for_selector(
            f"body:not([aria-busy]) #one:not([data-row='']):not([data-row='{other_than}'])[data-row] "
            "#picture:not(.loading)"
        )

    def row(self) -> int:
        return int(self.page.get_attribute("#one", "data-row") or -1)

    def press(self, key: str) -> None:
        before = str(self.row())
        self.page.keyboard.press(key)
        self.wait(before)

    def answer(self, count: int) -> list[int]:
        """Answer rightly, by the keys of the classes."""
        rows = []
        for _ in range(count):
            rows.append(self.row())
            self.press(KEYS[self.pile.truth[self.row()]])
        return rows

    def faults(self) -> list[tuple[str, str]]:
        """What axe finds, of any weight."""
        return [(one["id"], one["impact"]) for one in Axe().run(self.page).response["violations"]]

    def text(self, place: str) -> str:
        return self.page.inner_text(place)


def files() -> list[tuple[str, str]]:
    return [(one.file, one.action) for one in answers.read()[0]]


@pytest.fixture
def visit(browser: Browser, make_pile: Callable[..., Pile]) -> Iterator[Callable[..., Visitor]]:
    """A function that opens a page on a pile."""
    pages: list[Any] = []

    def open_(classes: list[str] | None = None, options: dict[str, Any] | None = None, **changes: Any) -> Visitor:
        pile = make_pile(**({"classes": classes} if classes else {}), **changes)
        serving = page(pile.project, answers.PATH)
        pages.append(serving)
        return Visitor(browser, pile, serving.__enter__(), **(options or {}))

    yield open_
    for one in pages:
        one.__exit__(None, None, None)


def test_fifty_pictures_by_the_keyboard_with_skip_undo_back_reload_and_a_second_tab(
    visit: Callable[..., Visitor], browser: Browser
) -> None:
    visitor = visit(clusters=60)
    names, truth = visitor.pile.project.names, visitor.pile.truth
    rows = visitor.answer(20)
    assert files() == [(names[row], "label") for row in rows]

    skipped = visitor.row()
    visitor.press("Space")
    assert files()[-1] == (names[skipped], "skip")
    visitor.press("Backspace")
    assert files()[-1] == (names[skipped], "undo")
    assert visitor.row() == skipped, "what was taken back is asked again"

    visitor.press("ArrowLeft")
    assert visitor.row() == rows[-1]
    assert "(given)" in visitor.text("#classes .given")
    visitor.press("ArrowLeft")
    assert visitor.row() == rows[-2]
    visitor.press(KEYS[(truth[rows[-2]] + 1) % 3])
    assert answers.read()[0][-1].why == "review"
    assert visitor.row() == skipped, "after a correction it goes on where it was"
    visitor.page.keyboard.press("Backspace")
    visitor.page.wait_for_selector(f"text=Taken back: {names[rows[-2]]}")
    assert visitor.row() == skipped

    visitor.answer(10)
    there = visitor.row()
    visitor.page.reload()
    visitor.wait()
    assert visitor.row() == there

    second = Visitor(browser, visitor.pile, visitor.url)
    assert second.row() == there
    more = second.answer(3)
    visitor.page.evaluate("() => window.dispatchEvent(new Event('focus'))")
    visitor.wait(str(there))
    assert visitor.row() not in more
    visitor.answer(17)
    said = [file for file, action in files() if action == "label"]
    assert len(set(said)) == 50
    assert visitor.text("#budget-text") == "44 of 60 labels"
    for one in (visitor, second):
        assert {url.split("/")[2] for url in one.requested} == {visitor.url.split("/")[2]}
        assert one.complaints == []


def test_to_the_end_of_the_budget_and_what_comes_then(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    visitor.answer(25)
    visitor.page.keyboard.press(KEYS[visitor.pile.truth[visitor.row()]])
    visitor.page.wait_for_selector("text=The budget of 20 labels is spent. Now run: dvc repro")
    assert "% of the 6 audited pictures are right (95 % interval " in visitor.text("#estimate")
    assert "The next 100 labels may bring " in visitor.text("#estimate")
    assert visitor.faults() == []


def test_the_likeliest_class_is_shown_only_where_it_is_asked_for(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    visitor.answer(6 + 8)
    assert visitor.page.query_selector("#classes .likely") is None
    visitor.page.check("#hint")
    visitor.page.wait_for_selector("#classes .likely >> text=(likeliest)")


def test_the_grid_by_keys_and_by_clicks(visit: Callable[..., Visitor]) -> None:
    visitor = visit(clusters=60)
    visitor.answer(6 + 8)
    before = len(files())
    visitor.page.click("text=Grid")
    visitor.page.wait_for_selector("#cells button:focus")
    visitor.page.wait_for_selector("#confirm:not([disabled])")
    cells = [int(one.get_attribute("data-row") or -1) for one in visitor.page.query_selector_all("#cells button")]
    assert len(cells) > 1
    visitor.page.keyboard.press("ArrowRight")
    visitor.page.keyboard.press("Space")
    assert visitor.page.get_attribute("#cells button:focus", "aria-pressed") == "true"
    assert visitor.faults() == []
    visitor.page.keyboard.press("Enter")
    visitor.page.wait_for_selector(f"body:not([aria-busy]) #grid:not(:has([data-row='{cells[0]}']))")
    said = files()[before:]
    assert sorted(file for file, _ in said) == sorted(
        visitor.pile.project.names[row] for row in cells if row != cells[1]
    )
    visitor.page.keyboard.press("Backspace")
    visitor.page.wait_for_selector("body:not([aria-busy])")
    deadline = time.monotonic() + 5
    while files()[-1][1] != "undo" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert files()[-1][1] == "undo"


def test_a_key_that_is_held_down_is_one_answer(visit: Callable[..., Visitor]) -> None:
    visitor = visit(clusters=60)
    visitor.answer(6 + 8)
    before = len(files())
    held = """key => { for (let at = 0; at < 20; at++)
        document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true, repeat: at > 0})) }"""
    row = visitor.row()
    visitor.page.evaluate(held, " ")
    visitor.wait(str(row))
    assert len(files()) == before + 1
    visitor.page.click("text=Grid")
    visitor.page.wait_for_selector("#cells button:focus")
    visitor.page.wait_for_selector("#confirm:not([disabled])")
    rows = visitor.page.locator("#cells button").count()
    visitor.page.evaluate(held, "Enter")
    visitor.page.wait_for_selector("#confirm:not([disabled])")
    time.sleep(0.3)
    assert len(files()) == before + 1 + rows


def test_marks_of_the_grid_stay_while_somebody_looks_elsewhere(visit: Callable[..., Visitor]) -> None:
    visitor = visit(clusters=60)
    visitor.answer(6 + 8)
    visitor.page.click("text=Grid")
    visitor.page.wait_for_selector("#cells button:focus")
    visitor.page.wait_for_selector("#confirm:not([disabled])")
    visitor.page.locator("#cells button").first.click()
    visitor.page.evaluate("() => window.dispatchEvent(new Event('focus'))")
    time.sleep(0.3)
    visitor.page.wait_for_selector("body:not([aria-busy])")
    assert visitor.page.locator('#cells [aria-pressed="true"]').count() == 1


def test_the_review_begins_with_suspects_and_a_label_can_stay(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    visitor.answer(6)
    visitor.press("Space")
    visitor.page.click("text=Review")
    visitor.page.wait_for_selector("text=Is this right? 1 of 1")
    assert "skipped before" in visitor.text("#caption")
    row = visitor.row()
    visitor.page.keyboard.press(KEYS[visitor.pile.truth[row]])
    visitor.page.wait_for_selector("text=That was all there is to review.")
    last = answers.read()[0][-1]
    assert (last.file, last.label, last.round) == (
        visitor.pile.project.names[row],
        visitor.pile.project.classes[visitor.pile.truth[row]],
        1,
    )
    assert visitor.faults() == []


def test_more_classes_than_keys_are_searched_by_typing(visit: Callable[..., Visitor]) -> None:
    classes = [f"kind {number:02} of {'ab'[number % 2]}" for number in range(40)]
    visitor = visit(classes=classes)
    first = visitor.row()
    visitor.page.keyboard.type("d 07")
    assert visitor.page.locator("#classes li:not([hidden])").count() == 1
    visitor.press("Enter")
    second = visitor.row()
    visitor.press("Space")
    found = answers.read()[0]
    names = visitor.pile.project.names
    assert [(one.file, one.label, one.action) for one in found] == [
        (names[first], "kind 07 of b", "label"),
        (names[second], "", "skip"),
    ]
    assert visitor.page.locator("#classes kbd").count() == 0
    assert visitor.faults() == []


def test_thirty_six_classes_have_a_key_each_and_none_twice(visit: Callable[..., Visitor]) -> None:
    visitor = visit(classes=[str(number) for number in range(36)])
    assert visitor.page.locator("#classes kbd").all_inner_texts() == list(KEYS)
    row = visitor.row()
    visitor.press("z")
    assert answers.read()[0][-1].label == "35"
    assert answers.read()[0][-1].file == visitor.pile.project.names[row]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1100])
def test_axe_finds_no_fault_and_nothing_is_cut_off(visit: Callable[..., Visitor], scheme: str, width: int) -> None:
    visitor = visit(options={"color_scheme": scheme})
    visitor.page.set_viewport_size({"width": width, "height": 740})
    visitor.answer(6 + 8)
    assert visitor.faults() == []
    assert visitor.page.evaluate("() => document.documentElement.scrollWidth") <= width


def test_a_small_picture_is_enlarged_without_smoothing(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    style = visitor.page.evaluate("() => getComputedStyle(document.getElementById('picture')).imageRendering")
    assert style == "pixelated"
    assert visitor.page.get_attribute("#picture", "alt") == f"Picture {visitor.pile.project.names[visitor.row()]}"


def test_a_key_is_taken_while_the_page_looks_whether_others_have_answered(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    visitor.page.route("**/state", lambda route: time.sleep(1) or route.continue_())
    visitor.page.evaluate("() => window.dispatchEvent(new Event('focus'))")
    row = visitor.row()
    visitor.press("1")
    assert files() == [(visitor.pile.project.names[row], "label")]


def test_a_server_that_is_gone_is_said_and_the_picture_stays(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    row = visitor.row()
    visitor.page.route("**/answer", lambda route: route.abort())
    visitor.page.keyboard.press("1")
    visitor.page.wait_for_selector("text=The server does not answer.")
    assert visitor.row() == row
    assert files() == []
    visitor.page.unroute("**/answer")
    visitor.press("1")
    assert len(files()) == 1


def test_it_works_without_a_mouse_from_the_first_tab_on(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    names = []
    for _ in range(12):
        visitor.page.keyboard.press("Tab")
        names.append(visitor.page.evaluate("() => document.activeElement.innerText || document.activeElement.id"))
    assert names[:4] == ["One by one", "Grid", "Review", "hint"]
    assert any("cat" in name for name in names)
    assert json.dumps(visitor.complaints) == "[]"
