"""How people move: by links, by the keyboard alone, and what a refresh must not take from them."""

from playwright.sync_api import Locator, Page

# An outline, or, of what has none, of what is drawn for it.
IS_MARKED = """() => [document.activeElement, ...document.activeElement.querySelectorAll(".hit"),
  document.activeElement.nextElementSibling].some(one => {
    const style = one && getComputedStyle(one);
    const isDrawn = one?.matches(".hit") && style.stroke !== "none";
    return style && (style.outlineStyle === "solid" || isDrawn);
  })"""


def follow(link: Locator) -> None:
    """Click a link and wait for its page: what is asked at once would be about the page before."""
    with link.page.expect_navigation():
        link.click()


def press_until(page: Page, key: str, focused: str) -> None:
    """Press a key until an element has the focus, visibly; fail if that never happens."""
    for _ in range(200):
        page.keyboard.press(key)
        assert page.evaluate(IS_MARKED), page.evaluate("document.activeElement.outerHTML")
        if page.evaluate("css => document.activeElement.matches(css)", focused):
            return
    raise AssertionError(f"{key} never reaches {focused}")


def wait_for_refreshes(page: Page, part: str, number: int = 2) -> None:
    """Wait until a live part of a page has been brought up to date so many times."""
    page.evaluate(
        """([part, number]) => new Promise(done => {
             document.addEventListener("sl:updated", event => {
               if (event.target.id === part && --number === 0) done();
             });
           })""",
        [part, number],
    )
