"""One question in the chat window, by a real browser, with an ear on the engine's network."""

from __future__ import annotations

import contextlib
from pathlib import Path

from tests.e2e import browser, wire
from tests.e2e.browser import Conversation
from tests.e2e.product import Stack

_QUESTION = "Name one colour of the rainbow, please."


def converse(stack: Stack, screenshot: Path) -> Conversation:
    """Ask and read the answer; ``screenshot`` is taken when that fails."""
    executable = browser.program()
    sheet = stack.credentials()
    before = stack.engine_counter(stack.kind.prompt_tokens)
    with contextlib.ExitStack() as open_things:
        page = open_things.enter_context(browser.opened(executable, screenshot=screenshot))
        listened = None
        if wire.problem() is None:
            listening = wire.listening(stack.container("engine"), stack.kind.port)
            listened = open_things.enter_context(listening)
        browser.sign_in(page, sheet["chat window"], sheet["email"], sheet["password"])
        answer = browser.ask(page, _QUESTION)
        requests = listened.bodies("/v1/chat/completions") if listened else None
    return Conversation(
        question=_QUESTION,
        answer=answer,
        prompt_tokens=stack.engine_counter(stack.kind.prompt_tokens) - before,
        requests=requests,
        token=stack.sign_in(),
        frontend_started_at=stack.container("webui")["State"]["StartedAt"],
    )
