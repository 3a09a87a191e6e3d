"""A headless Chromium for tests of pages; where there is none they are skipped."""
import contextlib
import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

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
         allowed: tuple[str, ...] = ("file:", "data:", "blob:", "http://127.0.0.1:")
         ) -> Iterator[Any]:
    """A page of a browser; errors, messages of its console and strange requests fail the test."""
    faults: list[str] = []
    view = opened.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    view.on("pageerror", lambda error: faults.append(str(error)))
    view.on("console", lambda message: faults.append(message.text)
            if message.type in ("error", "warning") else None)
    view.on("request", lambda request: faults.append(request.url)
            if not request.url.startswith(allowed) else None)
    try:
        yield view
    finally:
        view.close()
    assert not faults, faults
