"""A container's log as the lives it tells of: where each begins, and from where on it served. Pure.

What is said while a service starts explains why it does not start. Once it serves, its log also
holds what its users did wrong, and a warning of days ago: little of that explains an end.
"""

from __future__ import annotations

import re

from deployctl.engines.llama_cpp import KIND as LLAMA_CPP
from deployctl.engines.vllm import KIND as VLLM

#: Words by which a log's starts are told apart, the earliest of a start first. llama.cpp's image
#: sets a variable that our command line overrides, and the server says so before anything else.
_STARTS = {
    LLAMA_CPP: ("LLAMA_ARG_HOST environment variable is set, but", "llama_server: initializing"),
    VLLM: ("non-default args:", "Initializing a V1 LLM engine"),
    "webui": ("Context impl ",),
}

#: What a service says once it listens, and what it says only while it serves: the beginning of a
#: log of days is not at hand. Open WebUI's start is complete before it knows whether it may have
#: its port, so that only a request shows it (seen with 0.12.4).
_SERVING = {
    LLAMA_CPP: re.compile(r"llama_server: listening on|\b(?:update_slots|launch_slot_):"),
    VLLM: re.compile(
        r"Application startup complete|Uvicorn running on|Avg generation throughput:"
        r"|\"[A-Z]{3,7} /\S* HTTP/1\.1\" \d{3}"
    ),
    "webui": re.compile(r"Uvicorn running on|\"[A-Z]{3,7} /\S* HTTP/1\.1\" (?:- )?\d{3}"),
}

#: A whole answer: whatever was said before it did not end the engine.
_ANSWERED = {
    LLAMA_CPP: re.compile(r"\bprint_timing: .{0,60}\btotal time ="),
    VLLM: re.compile(r"\"POST /v1/\S*completions HTTP/1\.1\" 200"),
}

#: Lines before the end in which what ended a service stands: room for the tracebacks of vLLM's two
#: processes, one after the other.
_NEAR = 150


def last_start(log: tuple[str, ...], who: str) -> tuple[str, ...]:
    """The lines of the last start; all of them where none is told apart."""
    return log[begin(log, who) :]


def begin(log: tuple[str, ...], who: str) -> int:
    """Where in the log the last start begins; 0 where none is told apart."""
    for words in _STARTS.get(who, ()):
        found = [index for index, line in enumerate(log) if words in line]
        if found:
            return found[-1]
    return 0


def served_until_the_end(life: tuple[str, ...], who: str) -> tuple[str, ...] | None:
    """The lines in which what ended a service that served can stand; ``None``: it never served."""
    serving = _first(life, _SERVING.get(who))
    if serving is None:
        return None
    answered = _ANSWERED.get(who)
    last = max(
        (at for at, line in enumerate(life) if answered is not None and answered.search(line)),
        default=-1,
    )
    return life[max(serving, last + 1, len(life) - _NEAR) :]


def _first(lines: tuple[str, ...], words: re.Pattern[str] | None) -> int | None:
    if words is None:
        return None
    return next((at for at, line in enumerate(lines) if words.search(line[:_WIDE])), None)


#: Characters of a line that are looked at.
_WIDE = 4000
