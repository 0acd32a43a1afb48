"""A person at the chat window: a real, headless Chromium from the distribution's packages."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")

#: No GPU, no sandbox inside containers and as root, and no visits to its makers.
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
)

#: A first page on two busy cores, milliseconds.
_PATIENCE_MS = 45_000


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """What was typed, what could be read, and how much the engine had to read for it."""

    question: str
    answer: str
    prompt_tokens: float
    requests: list[dict[str, Any]] | None  # what the engine was sent; None where nobody may look
    token: str  # of a session that was signed in at that time
    frontend_started_at: str


def program() -> str:
    """The browser on this machine; skips the test when there is none."""
    found = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if found is None:
        pytest.skip("no Chromium on PATH; next: sh .ci/browser")
    return found


@contextmanager
def opened(executable: str, *, screenshot: Path) -> Iterator[Page]:
    """A fresh browser window; when the body fails, a picture of it is kept."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(_FLAGS))
        page = browser.new_page()
        page.set_default_timeout(_PATIENCE_MS)
        try:
            yield page
        except BaseException:
            screenshot.parent.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=screenshot, full_page=True)
            raise
        finally:
            browser.close()


def sign_in(page: Page, url: str, email: str, password: str) -> None:
    """Open the printed address and sign in with the stored credentials."""
    news = page.get_by_role("button", name=re.compile("let's go", re.IGNORECASE))
    page.add_locator_handler(news, lambda button: button.click())  # what is new, whenever it opens
    page.goto(url)
    page.fill("#email", email)
    page.fill("#password", password)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_selector("#chat-input")


def ask(page: Page, question: str) -> str:
    """Type a question, send it, and read the answer once it is complete."""
    page.click("#chat-input")
    page.keyboard.type(question)
    page.keyboard.press("Enter")
    answer = page.locator("#response-content-container").last
    answer.wait_for()
    # The copy button of an answer appears when the answer is complete.
    page.locator(".copy-response-button").last.wait_for()
    return answer.inner_text().strip()
