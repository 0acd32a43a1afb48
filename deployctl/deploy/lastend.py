"""How a container beside engine and chat window ended last, and the way out where it is known.

Docker forgets why a container ended as soon as it starts it again: looks at Docker until it ends
once more, and at the kernel's log. Changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from deployctl.amounts import rough
from deployctl.trouble import KILLED, stopped_by_hand, trouble

if TYPE_CHECKING:
    from deployctl.deploy.world import World
    from deployctl.diagnosis import Way
    from deployctl.model import Service
    from deployctl.outcomes import ContainerState

#: How long a container in a loop of restarts is looked at, and how often, seconds. Jupyter that has
#: too little memory runs for 2 to 3 s before it is killed (measured, Docker 26.1).
PATIENCE_S = 4.0
_LOOK_EVERY_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class LastEnd:
    """How a container ended last, as far as it can be seen.

    ``memory``: for whose memory it was killed, its limit's or the machine's. ``limit_bytes`` is
    what it really may use; ``override``: the operator's own Compose file, where there is one.
    """

    state: ContainerState  # at that end, where it was seen
    memory: Literal["limit", "machine"] | None
    limit_bytes: int | None
    override: str | None

    @property
    def what(self) -> str:
        """What became of it, as a clause that follows its name."""
        if self.memory == "machine":
            return "was killed because this machine ran out of memory"
        if self.memory == "limit":
            limit = f", {rough(self.limit_bytes)}" if self.limit_bytes else ""
            return f"was killed because it needed more memory than its limit{limit}"
        return trouble(self.state) or f"is {self.state.health or self.state.status}"

    @property
    def by_hand(self) -> bool:
        """Whether somebody stopped it, so that its log says nothing of the reason."""
        return self.memory is None and stopped_by_hand(self.state)

    def way_out(self, service: Service | None, way: Way) -> str | None:
        """The command to type; ``None`` where only its log may tell.

        ``service``: the plan's, where there is a plan.
        """
        from deployctl.diagnosis.remedies import more_for  # slow to import

        if self.memory == "machine":
            return f"docker stats --no-stream  # what takes the memory; then: {way.same()}"
        if self.memory == "limit" and service is not None:
            return more_for(service, way, limit_bytes=self.limit_bytes, override=self.override)
        return way.same() if self.by_hand else None


def last_end(
    world: World, name: str, state: ContainerState, *, patience_s: float = PATIENCE_S
) -> LastEnd:
    """How a container of the stack ``name`` ended last.

    One that is started again and again is looked at for up to ``patience_s`` until it ends once
    more. Raises what looking at Docker raises.
    """
    memory = _memory(world, state)
    if memory is None and state.status == "running" and state.restarts:
        state = between_starts(world, name, state, patience_s=patience_s)
        memory = _memory(world, state)
    if memory is None:
        return LastEnd(state=state, memory=None, limit_bytes=None, override=None)
    return LastEnd(
        state=state,
        memory=memory,
        limit_bytes=limit_of(world, state),
        override=override_of(world, name),
    )


def between_starts(
    world: World, name: str, state: ContainerState, *, patience_s: float
) -> ContainerState:
    """Look until a container that is started again and again has ended once more.

    While it runs Docker says nothing of its last end, above all not that it was for memory.
    """
    for _ in range(round(patience_s / _LOOK_EVERY_S)):
        world.clock.sleep(_LOOK_EVERY_S)
        for now in world.docker.containers(name):
            if now.id == state.id and now.status != "running":
                return now
    return state


def limit_of(world: World, state: ContainerState) -> int | None:
    """The memory that Docker lets a container use, bytes; an override may have changed it."""
    details = world.docker.inspect(state.id) or {}
    return (details.get("HostConfig") or {}).get("Memory") or None


def override_of(world: World, name: str) -> str | None:
    """The path of the operator's own Compose file, where there is one."""
    from deployctl.workspace import Workspace

    path = Workspace(world.home, name).override
    return None if path is None else str(path)


def last_words(world: World, name: str, state: ContainerState, lines: int) -> tuple[str, ...]:
    """The last lines of its last start, without the stack's secrets; of any, where it said none.

    A log goes on over the container's restarts, and every start says the same.
    """
    from deployctl.deploy.why import mask_of  # slow to import

    said = world.docker.log_tail(state.id, lines, since=state.started_at)
    return tuple(map(mask_of(world, name), said or world.docker.log_tail(state.id, lines)))


def _memory(world: World, state: ContainerState) -> Literal["limit", "machine"] | None:
    """For whose memory it was killed when it ended last; ``None``: for none, as far as is known."""
    again = state.status in ("running", "restarting") and state.restarts > 0
    if not (state.oom_killed or again or state.exit_code == KILLED):
        return None
    said = world.killed_for(state)
    if said == "limit" or said == "machine":
        return said
    # Docker says it of any kill for memory; a limit kills sooner than the machine does.
    return "limit" if state.oom_killed else None
