"""Gathers the evidence about a service that failed, and has it diagnosed."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from deployctl.deploy.lastend import between_starts, limit_of, override_of
from deployctl.diagnosis import Evidence

if TYPE_CHECKING:
    from collections.abc import Callable

    from deployctl.deploy.world import World
    from deployctl.diagnosis import Way
    from deployctl.errors import Fault
    from deployctl.outcomes import ContainerState
    from deployctl.redact import Redactor

#: Lines of a log in which the cause of a failure is looked for.
_LINES = 400

#: How long a container in a loop of restarts is looked at, seconds.
_LOOK_S = 2.0


def why(
    world: World, way: Way, service: str, *, engine: str, state: ContainerState | None
) -> Fault:
    """Say why a service does not work, from its container's state and its last words.

    ``engine`` is the stack's engine kind. Raises only what looking at Docker raises.
    """
    from deployctl.diagnosis.diagnose import diagnose, recognised  # slow to import

    mask = mask_of(world, way.stack)
    log = () if state is None else tuple(map(mask, world.docker.log_tail(state.id, _LINES)))
    seen = Evidence(
        service=service,
        engine=engine,
        state=state,
        log=log,
        oom_kills=_killed_since(world),
        killed_for="unknown" if state is None else world.killed_for(state),
        limit_bytes=None if state is None else limit_of(world, state),
        override=override_of(world, way.stack),
    )
    looping = state is not None and state.status == "running" and state.restarts > 0
    if state is not None and looping and not recognised(seen, way):
        ended = between_starts(world, way.stack, state, patience_s=_LOOK_S)
        log = tuple(map(mask, world.docker.log_tail(state.id, _LINES)))
        seen = replace(seen, state=replace(ended, restarts=state.restarts), log=log)
    return diagnose(seen, way)


def mask_of(world: World, name: str) -> Callable[[str], str]:
    """What takes a stack's own secrets out of a line of its containers' logs."""

    @cache
    def redactor() -> Redactor:
        from deployctl.deploy.evidence import redactor_of  # slow to import: not before a line came
        from deployctl.workspace import Workspace

        return redactor_of(Workspace(world.home, name))

    return lambda line: redactor().known(line)


def _killed_since(world: World) -> int:
    """How often this machine's kernel killed for memory since the start began; 0 if unknown."""
    if world.oom_kills is None:
        return 0
    return max(0, (world.local().oom_kills or 0) - world.oom_kills)
