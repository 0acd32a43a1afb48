"""Whether what runs now is what ran when the checks began. Pure but for the ports it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from deployctl.outcomes import ContainerState
    from deployctl.verify.nouns import Subject


def ended(subject: Subject, states: Sequence[ContainerState]) -> dict[str, str]:
    """Service → what became of it since the checks began, as a clause; empty: all run on.

    An engine that was killed for memory is started anew within seconds, and then looks well.
    """
    return dict(_ended(subject, states))


def _ended(subject: Subject, states: Sequence[ContainerState]) -> Iterator[tuple[str, str]]:
    now = {state.service: state for state in states}
    for service in subject.wanted.services:
        state, before = now.get(service.name), subject.container(service.name)
        if state is None:
            yield service.name, "has no container"
        elif what := _became(state, before.state if before is not None else None):
            yield service.name, what
    for state in states:  # a job of the operator's override may have ended well
        beside = subject.wanted.service(state.service) is None
        if beside and state.status == "exited" and (state.exit_code or state.oom_killed):
            yield state.service, _stopped(state)


def _became(state: ContainerState, before: ContainerState | None) -> str | None:
    if state.status != "running":
        return _stopped(state)
    if before is None:
        return None  # started since, or not ours to compare
    if state.oom_killed:
        return "was killed because it needed more memory than its limit (Docker)"
    if state.id != before.id:
        return "is another container than when the checks began"
    if state.restarts > before.restarts:
        times = state.restarts - before.restarts
        return f"was restarted by Docker while it was checked, {times} times"
    if state.started_at != before.started_at:
        return "was started again while it was checked"
    return None


def _stopped(state: ContainerState) -> str:
    if state.oom_killed:
        return "was killed because it needed more memory than its limit (Docker)"
    code = f" (exit code {state.exit_code})" if state.status in ("exited", "dead") else ""
    return f"is {state.status}{code}, not running"
