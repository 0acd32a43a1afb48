"""Gathers the evidence about a service that failed, and has it diagnosed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployctl.diagnosis import Evidence, Way, diagnose

if TYPE_CHECKING:
    from deployctl.deploy.world import World
    from deployctl.errors import Fault
    from deployctl.model import ContainerState

#: Lines of a log in which the cause of a failure is looked for.
_LINES = 400


def why(
    world: World, way: Way, service: str, *, engine: str, state: ContainerState | None
) -> Fault:
    """Say why a service does not work, from its container's state and its last words.

    ``engine`` is the stack's engine kind. Raises only what looking at Docker raises.
    """
    log = () if state is None else world.docker.log_tail(state.id, _LINES)
    return diagnose(Evidence(service=service, engine=engine, state=state, log=log), way)
