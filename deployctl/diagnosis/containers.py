"""What a container's own end says: killed for memory, by a signal, by itself, or it hangs. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deployctl.amounts import rough
from deployctl.diagnosis.remedies import more_memory, planned_limit, recommend, same, smaller
from deployctl.diagnosis.signs import Found, Remedy

if TYPE_CHECKING:
    from deployctl.diagnosis.nouns import Evidence, Way

#: 128 + the number of the signal: what Docker says of a process that one has ended.
_ILLEGAL, _ABORTED, _BUS, _ARITHMETIC, _KILLED, _SEGMENT, _ASKED = 132, 134, 135, 136, 137, 139, 143
_CRASHES = {
    _ABORTED: "it ended itself (SIGABRT)",
    _BUS: "it read beyond the end of a file or of memory (SIGBUS)",
    _ARITHMETIC: "it divided by zero (SIGFPE)",
    _SEGMENT: "it touched memory that is not its own (SIGSEGV)",
}

#: Last words of a server that was asked to stop and did.
_BYE = ("cleaning up before exit", "[shutdown] API server", "Finished server process")


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """One way in which a container ends, or hangs: the code without its role, and its words."""

    code: str  # of the engine; the frontend has the same one, `frontend-…`, unless it is shared
    seen: str
    cause: str
    way_out: str
    remedy: Remedy


OOM_KILLED = End(
    code="engine-oom-killed",
    seen="the container's state says OOMKilled, and the kernel's log does not name the machine",
    cause="It needed more memory than its limit and was killed for it.",
    way_out="`--set engine.memory=` (`frontend.memory=`) half as much again as its limit, "
    "or as what is predicted",
    remedy=more_memory,
)
HOST_MEMORY = End(
    code="host-memory-short",
    seen="OOMKilled or exit code 137, and the kernel has killed for the machine's memory",
    cause="This machine ran out of memory, and its kernel chose to kill this.",
    way_out="half of `concurrency` or `model.context`, or close what else uses memory",
    remedy=smaller,
)
ILLEGAL = End(
    code="engine-cpu-unsupported",
    seen="exit code 132 (SIGILL)",
    cause="The image uses instructions that this processor does not have.",
    way_out="a profile that this machine can run: `deployctl recommend`",
    remedy=recommend,
)
CRASHED = End(
    code="engine-crashed",
    seen="exit code 134, 135, 136 or 139",
    cause="It crashed.",
    way_out="the same `up` once more; if it comes again, its last lines are worth a report",
    remedy=same,
)
KILLED = End(
    code="engine-killed",
    seen="exit code 137 without OOMKilled, or 143, 130, or 0 after a good-bye",
    cause="Somebody, or something, stopped it: `docker kill`, `docker stop`, a restart of Docker.",
    way_out="the same `up` starts it again; the chats are kept",
    remedy=same,
)
HUNG = End(
    code="engine-hung",
    seen="the container runs, and its healthcheck fails",
    cause="It runs and answers nothing.",
    way_out="the same `up` starts it anew",
    remedy=same,
)

ENDS = (OOM_KILLED, HOST_MEMORY, ILLEGAL, CRASHED, KILLED, HUNG)

_OF_FRONTEND = {
    "engine-oom-killed": "frontend-oom-killed",
    "engine-cpu-unsupported": "frontend-crashed",
    "engine-crashed": "frontend-crashed",
    "engine-killed": "frontend-killed",
    "engine-hung": "frontend-hung",
}


def end_of(evidence: Evidence) -> End | None:
    """What the container's state alone says; ``None`` where that is nothing in particular."""
    state = evidence.state
    if state is None:
        return None
    if state.oom_killed:
        # Docker says it of any kill for memory, the machine's too, where control groups are v2.
        return HOST_MEMORY if evidence.killed_for == "machine" else OOM_KILLED
    if state.status == "running":
        if state.restarts and _for_memory(evidence):
            # It was killed a moment ago and runs again; its limit kills sooner than the machine.
            return HOST_MEMORY if evidence.killed_for == "machine" else OOM_KILLED
        return HUNG if state.health == "unhealthy" else None
    if state.status == "paused":
        return HUNG
    if state.exit_code == _KILLED:
        if evidence.killed_for == "limit":
            return OOM_KILLED
        return HOST_MEMORY if _for_memory(evidence) else KILLED
    if state.exit_code == _ILLEGAL:
        return ILLEGAL
    if state.exit_code in _CRASHES:
        return CRASHED
    if state.exit_code in (_ASKED, 130):
        return KILLED
    # While Docker starts it again and again, the exit code it tells is 0 at times.
    asked = any(word in line for line in evidence.log[-5:] for word in _BYE)
    if state.status == "exited" and state.exit_code == 0 and asked:
        return KILLED
    return None


def _for_memory(evidence: Evidence) -> bool:
    """Whether the kernel killed for memory: by its log, or else by what it has counted."""
    if evidence.killed_for == "unknown":
        return evidence.oom_kills > 0
    return evidence.killed_for != "neither"


def code_of(end: End, *, engine: bool) -> str:
    """The code of an end, for the engine or for the frontend."""
    return end.code if engine else _OF_FRONTEND.get(end.code, end.code)


def says(end: End, evidence: Evidence, way: Way, role: str) -> str:
    """The cause in a sentence."""
    state = evidence.state
    exit_code = state.exit_code if state is not None else 0
    if end is OOM_KILLED:
        limit = _limit(evidence, way)
        return f"The {role} was killed because it needed more memory than its limit{limit}."
    if end is HOST_MEMORY:
        return f"This machine ran out of memory, and its kernel killed the {role}."
    if end is ILLEGAL:
        return f"The {role}'s image uses instructions that this processor does not have (SIGILL)."
    if end is CRASHED:
        return f"The {role} crashed: {_CRASHES[exit_code]}."
    if end is HUNG:
        paused = state is not None and state.status == "paused"
        return f"The {role} is paused." if paused else f"The {role} runs and answers nothing."
    if exit_code == _KILLED:
        return f"Somebody killed the {role} (SIGKILL), and not for want of memory."
    return f"Somebody stopped the {role}, and it obeyed."


def _limit(evidence: Evidence, way: Way) -> str:
    limit = evidence.limit_bytes or planned_limit(evidence, way)
    return f", {rough(limit)}" if limit else ""


def way_out(end: End, evidence: Evidence, way: Way) -> str:
    """The command to type."""
    return end.remedy(Found(words={}, evidence=evidence, way=way))
