"""The pictures of the guides, taken by a real browser of a stack that is made for it and removed.

A stack with every add-on, of images built from packages, so that the pages are the same wherever
this runs: a registry's Prometheus has other ones. Answers are those of the model's likeliest words.

    python -m docs.screenshots.take
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest

from deployctl.folders import home_folder
from tests.e2e import browser, machine
from tests.e2e.product import Product, Stack

if TYPE_CHECKING:
    from playwright.sync_api import Page

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

#: CSS pixels, which are the picture's.
WIDTH, HEIGHT = 1280, 800

#: What a guide may make its reader load, bytes.
LARGEST = 150_000

#: Building every image from packages on two cores, seconds.
PATIENCE_S = 30 * 60

#: The starter notebook on a slow machine, milliseconds.
NOTEBOOK_MS = 300_000

QUESTION = "Give me three tips for a good night's sleep."

#: (people who ask at the same time, for so many seconds): a step that can be seen in the graph.
LOAD = ((1, 70), (2, 80))

FIGURE = "llm:tokens_per_second:rate1m"


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The stack that is looked at, and where its add-ons are."""

    stack: Stack
    jupyter: str
    prometheus: str


@contextlib.contextmanager
def _running() -> Iterator[Subject]:
    """A stack with every add-on; gone at the end, with its volumes, whatever happens."""
    with tempfile.TemporaryDirectory(prefix="deployctl-screenshots-") as folder:
        home = Path(folder) / "home"
        home.mkdir()
        models = home_folder(os.environ) / "models"
        if models.is_dir():  # what was fetched once need not be again
            (home / "models").symlink_to(models)
        product = Product(
            argv=(sys.executable, "-m", "deployctl"),
            home=home,
            cwd=Path(folder),
            environment={"PYTHONPATH": str(ROOT)},
        )
        # Nobody's stack has this name: all that bears it is removed.
        stack = Stack.on_free_ports(product, f"screenshots-{os.getpid()}")
        ports = {name: machine.free_port() for name in ("jupyter", "monitoring", "cache")}
        try:
            _bring_up(stack, ports)
            yield Subject(
                stack=stack,
                jupyter=f"http://127.0.0.1:{ports['jupyter']}",
                prometheus=f"http://127.0.0.1:{ports['monitoring']}",
            )
        finally:
            stack.clear()


def _bring_up(stack: Stack, ports: dict[str, int]) -> None:
    """Show how far it is; an `up` that fails ends the script with its exit code."""
    places = (f"addons.{name}.port={port}" for name, port in ports.items())
    words = (
        *(*stack.up_words, "--with", ",".join(ports), "--images", "build"),
        # No packages can replace its image, and it is in no picture.
        *("--set", "addons.monitoring.grafana=never"),
        *(word for place in places for word in ("--set", place)),
    )
    with stack.product.start(*words, patience_s=PATIENCE_S) as running:
        outcome = running.finish(on_line=_say)
    if outcome.exit_code:
        sys.exit(outcome.exit_code)


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


# ── the pictures ──────────────────────────────────────────────────────────────────────────────


def _chat(page: Page, subject: Subject) -> None:
    """The chat window with a question and its whole answer."""
    sheet = subject.stack.credentials()
    # The likeliest word each time: the same answer whenever this runs on the same machine.
    answer = machine.http(
        "POST",
        f"{subject.stack.webui}/api/v1/users/user/settings/update",
        token=subject.stack.sign_in(),
        body={"ui": {"params": {"temperature": 0}}},
    )
    answer.raise_for_status()
    browser.sign_in(page, sheet["chat window"], sheet["email"], sheet["password"])
    browser.ask(page, QUESTION)
    page.mouse.move(WIDTH / 2, HEIGHT / 2)  # off the button: what it is called covers others
    page.locator("[data-sonner-toast]").first.wait_for(state="detached")  # "You're now logged in."
    _take(page, "chat")


def _notebook(page: Page, subject: Subject) -> None:
    """The starter notebook, run to its end, at one of its parts."""
    starter = json.loads((ROOT / "templates/jupyter/start.ipynb").read_text(encoding="utf-8"))
    code = [cell for cell in starter["cells"] if cell["cell_type"] == "code"]
    # Asked with the token once, the server lets this browser in by a cookie.
    answer = page.request.put(
        f"{subject.jupyter}/lab/api/settings/@jupyterlab/apputils-extension:notification",
        headers={"Authorization": f"Bearer {subject.stack.secrets()['jupyter_token']}"},
        data={"raw": json.dumps({"fetchNews": "false"})},  # nobody is asked about news
    )
    assert answer.ok, answer.status
    page.goto(f"{subject.jupyter}/lab/tree/start.ipynb")
    idle = page.locator("#jp-main-statusbar").get_by_text("| Idle")
    idle.wait_for()
    page.locator("#jp-MainMenu").get_by_text("Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    # A cell that fails ends the run, and then the last one is never counted.
    last = page.locator(".jp-InputPrompt").get_by_text(f"[{len(code)}]:", exact=True)
    last.wait_for(timeout=NOTEBOOK_MS)
    idle.wait_for()
    page.keyboard.press("Control+s")
    page.locator(".jp-mod-dirty").wait_for(state="detached")
    page.get_by_role("tab", name="Table of Contents").click()
    page.get_by_role("treeitem", name="JSON that follows a schema", exact=True).click()
    page.get_by_text("{'colour'").scroll_into_view_if_needed()  # what came of it, however long
    page.locator("#jp-main-statusbar").get_by_text("Saving completed").wait_for(state="hidden")
    _take(page, "notebook")


def _prometheus(page: Page, subject: Subject) -> None:
    """How fast the engine wrote while it was asked."""
    _load(subject.stack)
    wanted = {"g0.expr": FIGURE, "g0.tab": "0", "g0.range_input": "4m"}
    page.goto(f"{subject.prometheus}/classic/graph?{urlencode(wanted)}")
    page.locator(".rickshaw_legend .label").get_by_text(FIGURE).wait_for()
    _take(page, "prometheus")


def _alerts(page: Page, subject: Subject) -> None:
    """What is watched."""
    page.goto(f"{subject.prometheus}/classic/alerts")
    page.get_by_text("EngineDown").first.wait_for()
    _take(page, "alerts")


PICTURES = (_notebook, _chat, _prometheus, _alerts)


def _load(stack: Stack) -> None:
    """Some people ask, one question after the other."""

    def person(until: float) -> None:
        while time.monotonic() < until:
            words = {"role": "user", "content": f"Tell a story about the number {until:.0f}."}
            body = {"messages": [words], "max_tokens": 128, "ignore_eos": True}
            stack.ask("/v1/chat/completions", body).raise_for_status()

    for people, seconds in LOAD:
        _say(f"asking for {seconds} s, {people} at a time\n")
        with ThreadPoolExecutor(people) as pool:
            list(pool.map(person, [time.monotonic() + seconds] * people))


def _take(page: Page, name: str) -> None:
    """Write one picture; one that is too large for a guide is an error."""
    picture = page.screenshot(animations="disabled")
    assert len(picture) < LARGEST, f"{name}: {len(picture)} bytes"
    (HERE / f"{name}.png").write_bytes(picture)
    _say(f"docs/screenshots/{name}.png, {len(picture) / 1000:.0f} kB\n")


def main() -> None:
    """Take all of them."""
    try:
        executable = browser.program()
    except pytest.skip.Exception as missing:
        sys.exit(str(missing))
    with _running() as subject:
        for take in PICTURES:
            failed = ROOT / "artifacts" / "screenshots" / f"{take.__name__.strip('_')}.png"
            with browser.opened(executable, screenshot=failed) as page:
                page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
                page.emulate_media(color_scheme="light", reduced_motion="reduce")
                take(page, subject)


if __name__ == "__main__":
    main()
