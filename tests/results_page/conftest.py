"""The page that is made by hand, opened in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .makers import rendered

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of the page of ``makers``, as a file."""
    path: Path = tmp_path_factory.mktemp("results") / "index.html"
    path.write_text(rendered(), encoding="utf-8")
    return path.as_uri()


class Opened:
    """A page in the browser, with what it asked for and complained of."""

    def __init__(self, browser: Browser, address: str, **context: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1366, "height": 900}, **context})
        self.page = self.context.new_page()
        self.page.set_default_timeout(5000)
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(address)
