"""A real Chromium, headless, that may ask no host for anything."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NEEDED = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")

_QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@dataclass
class Visit:
    """A page with what went wrong on it and what it asked for beyond its own folder."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def open(self, path: Path, query: str = "") -> Any:
        """Open a file as from a folder."""
        self.page.goto(f"{path.as_uri()}{query}")
        self.page.wait_for_load_state("load")
        return self.page


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The browser, started once."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*_QUIET])
        yield browser
        browser.close()


@contextmanager
def visiting(browser: Any, width: int = 1280, scheme: str = "light", **options: Any) -> Iterator[Visit]:
    """A fresh window; at its end nothing was complained of and nothing asked of any host."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **options)
    visit = Visit(context.new_page())
    visit.page.on("console", lambda said: said.type in ("error", "warning") and visit.complaints.append(said.text))
    visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    visit.page.on("request", lambda asked: asked.url.startswith(("file:", "data:")) or visit.requests.append(asked.url))
    try:
        yield visit
        assert visit.complaints == []
        assert visit.requests == []
    finally:
        context.close()
