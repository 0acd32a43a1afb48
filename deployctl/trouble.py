"""Whether a container may still become ready by waiting, by what Docker says of it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployctl.amounts import counted

if TYPE_CHECKING:
    from deployctl.outcomes import ContainerState

#: 128 + the number of the signal that ended a process: SIGINT, SIGKILL, SIGTERM.
_INTERRUPTED, KILLED, _ASKED = 130, 137, 143


def stopped_by_hand(state: ContainerState) -> bool:
    """Whether somebody stopped or killed a container: Docker starts again what ends by itself."""
    codes = (0, _INTERRUPTED, KILLED, _ASKED)
    return state.status == "exited" and state.exit_code in codes and not state.oom_killed


def trouble(state: ContainerState) -> str | None:
    """Say in a sentence why a container will not become ready by waiting; ``None`` if it may.

    A restarting container is not running: Docker calls it so between two crashes. One that was
    only made may yet be started: that is for the caller to judge.
    """
    if state.oom_killed:  # for its own limit's memory or the machine's: Docker does not say which
        return "was killed for want of memory"
    why = f": {state.error}" if state.error else ""
    if state.exit_code and stopped_by_hand(state):
        how = "killed" if state.exit_code == KILLED else "stopped"
        return f"was {how} by somebody (exit code {state.exit_code}){why}"
    if state.status in ("exited", "dead"):
        return f"stopped with exit code {state.exit_code}{why}"
    if state.status == "paused":
        return "is paused"
    if state.status == "created":
        return f"was made and not started{why}"
    if state.status == "restarting" or state.restarts > 0:
        times = counted(state.restarts, "restart")
        # While it runs, Docker calls the exit code of its last end 0.
        code = f"exit code {state.exit_code}, " if state.status == "restarting" else ""
        return f"keeps restarting ({code}{times})"
    return None
