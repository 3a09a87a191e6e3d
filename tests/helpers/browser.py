"""A headless Chromium for tests of pages; where there is none they are skipped."""
import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

NEAR = ("file:", "data:", "blob:", "http://127.0.0.1:")
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


@contextlib.contextmanager
def browser() -> Iterator[Any]:
    """Playwright's browser: the one of the variable CHROMIUM, of the system, or Playwright's own.

    Its pages see no network; a request for another machine fails the test (`page`).
    """
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    with sync_api.sync_playwright() as playwright:
        path = path or playwright.chromium.executable_path
        if not os.path.exists(path):
            pytest.skip("no Chromium: install it, or name one in the variable CHROMIUM")
        # the sandbox needs rights that containers do not have; the pages are our own
        opened = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield opened
        finally:
            opened.close()


@contextlib.contextmanager
def page(opened: Any, width: int = 1280, scheme: str = "light",
         may_fail: tuple[str, ...] = ()) -> Iterator[Any]:
    """A page of a browser; errors, messages of its console and requests for other machines fail the
    test. may_fail: words of messages that are expected.
    """
    faults: list[str] = []
    view = opened.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    view.on("pageerror", lambda error: faults.append(str(error)))
    view.on("console", lambda message: faults.append(message.text)
            if message.type in ("error", "warning")
            and not any(word in message.text for word in may_fail) else None)
    view.on("request", lambda request: faults.append(request.url)
            if not request.url.startswith(NEAR) else None)
    try:
        yield view
    finally:
        view.close()
    assert not faults, faults


def contrast(view: Any, selector: str) -> float:
    """WCAG's contrast of an element's text with the first background behind it."""
    text, behind = view.locator(selector).first.evaluate("""element => {
        let behind = element;
        const colour = node => getComputedStyle(node).backgroundColor;
        while (behind.parentElement && colour(behind) === "rgba(0, 0, 0, 0)") {
            behind = behind.parentElement;
        }
        return [getComputedStyle(element).color, colour(behind)];
    }""")
    dark, bright = sorted((luminance(text), luminance(behind)))
    return (bright + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    """WCAG's relative luminance of a colour as browsers write it, rgb(...)."""
    values = [int(value) / 255 for value in re.findall(r"\d+", colour)[:3]]
    linear = [v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return sum(part * value for part, value in zip((0.2126, 0.7152, 0.0722), linear))
