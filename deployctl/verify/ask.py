"""Questions to the engine, and reading what comes back. Pure but for the ports it is given."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from deployctl.readiness import QUESTION

if TYPE_CHECKING:
    from deployctl.loopback import Reply
    from deployctl.verify.nouns import Subject

#: One answer of an engine may take this long, seconds: a slow processor reads a long question.
PATIENCE_S = 120.0

#: Tokens that a short answer may have.
SHORT = 16


def dig(data: object, *path: str | int) -> Any:  # noqa: ANN401  # JSON is what it is
    """What stands at a place of a JSON value; ``None`` where there is no such place."""
    for key in path:
        if isinstance(data, dict):
            data = data.get(key)
        elif isinstance(data, list) and isinstance(key, int) and -len(data) <= key < len(data):
            data = data[key]
        else:
            return None
    return data


def question(subject: Subject, text: str = QUESTION, **more: object) -> dict[str, Any]:
    """The body of a chat request."""
    messages = [{"role": "user", "content": text}]
    return {"model": subject.at.served_name, "messages": messages, "temperature": 0, **more}


def chat(subject: Subject, body: dict[str, Any]) -> Reply:
    """Ask the engine, with its key."""
    return subject.ports.http.call(
        f"{subject.at.engine}/v1/chat/completions",
        token=subject.at.engine_key,
        body=body,
        timeout_s=PATIENCE_S,
    )


def get(subject: Subject, path: str, body: object = None) -> Reply:
    """Ask the engine for a page of its own, with its key."""
    return subject.ports.http.call(
        f"{subject.at.engine}{path}", token=subject.at.engine_key, body=body, timeout_s=10
    )


def stream(subject: Subject, body: dict[str, Any]) -> Iterator[str]:
    """The payloads of a streamed answer's events, as they come; ``OSError`` when it breaks."""
    return subject.ports.http.stream(
        f"{subject.at.engine}/v1/chat/completions",
        token=subject.at.engine_key,
        body={**body, "stream": True, "stream_options": {"include_usage": True}},
        timeout_s=PATIENCE_S,
    )


def content(message: object) -> str:
    """The answer in a message or a piece of one; '' where there is none."""
    found = dig(message, "content")
    return found if isinstance(found, str) else ""


def reasoning(message: object) -> str:
    """The thoughts in a message: vLLM says ``reasoning``, llama.cpp ``reasoning_content``."""
    for name in ("reasoning_content", "reasoning"):
        if isinstance(found := dig(message, name), str) and found:
            return found
    return ""


def good(reply: Reply) -> bool:
    """Whether the other side did as it was asked."""
    return reply.status == HTTPStatus.OK


def told(reply: Reply) -> str:
    """What came back instead, in a few words."""
    if reply.status == 0:
        return f"no answer ({_why(reply.text)})"
    if good(reply):
        return f"HTTP {reply.status}"
    message = dig(reply.data, "error", "message") or dig(reply.data, "error")
    message = message or dig(reply.data, "detail") or dig(reply.data, "message")
    said = message if isinstance(message, str) else reply.text[:120]
    return f"HTTP {reply.status}: {said}" if said else f"HTTP {reply.status}"


def _why(problem: str) -> str:
    """What the system said, out of all that the library says around it."""
    said = re.search(r"\[Errno -?\d+\] ([^'\")]+)", problem)
    if said is not None:
        return said[1].strip()
    return "not in time" if "timed out" in problem else problem[:120]


def quoted(text: str, length: int = 60) -> str:
    """A little of a text, in quotation marks, on one line."""
    line = " ".join(text.split())
    return f"“{line[:length]}…”" if len(line) > length else f"“{line}”"
