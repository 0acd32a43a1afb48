"""Where Open WebUI (0.12) is in its start, read from its own log. Pure."""

from __future__ import annotations

from deployctl.engines.phases import LISTENING, MIGRATING, STARTING, Step

#: What Alembic says for each step that it takes a database forward.
_UPGRADE = "[alembic.runtime.migration] Running upgrade"

#: What follows the migrations, and what it says when it has begun to listen: of uvicorn's own
#: sentences only those before its log is replaced are there.
_STARTS = (
    "building the best AI user interface",
    "INFO:     Started server process",
    "INFO:     Waiting for application startup",
)
_LISTENS = "Scheduler worker started"


def webui_step(line: str, before: Step) -> Step:
    """Read one line of Open WebUI's log."""
    if _UPGRADE in line:
        done = before.done or 0 if before.name == MIGRATING else 0
        return Step(name=MIGRATING, done=done + 1, unit="steps")
    if any(sentence in line for sentence in _STARTS):
        return before if before.name == STARTING else Step(name=STARTING)
    if _LISTENS in line:
        return Step(name=LISTENING)
    return before
