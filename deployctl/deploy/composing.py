"""Runs `docker compose up`, and says in the operator's words why Docker refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployctl.deploy import stack
from deployctl.deploy.addons import export_names
from deployctl.deploy.why import why
from deployctl.errors import DeployctlError
from deployctl.runner import NOT_FOUND

if TYPE_CHECKING:
    from deployctl.commands import Project
    from deployctl.deploy.world import World
    from deployctl.diagnosis import Way
    from deployctl.errors import Fault
    from deployctl.outcomes import Command, CommandResult, Progress
    from deployctl.workspace import Workspace

#: What Docker says when somebody else is working on the same containers: a `docker compose` that
#: outlived a killed deployctl, or a daemon that is just clearing away.
_RACES = (
    "is already in use by container",
    "is already in progress",
    "No such container",
    "is marked for removal",
)

#: How often a start that met somebody else is tried again, and the pause before, seconds.
_TRIES, _PAUSE_S = 5, 2.0


def compose_up(
    world: World, progress: Progress, space: Workspace, project: Project, way: Way
) -> None:
    """Make the containers as the files say; ``start-…``, ``engine-…`` or ``compose-failed``."""
    for _ in range(_TRIES):
        result = world.runner.run(project.up(), on_line=lambda line: progress(line.strip()))
        if result.ok:
            export_names(world, space)
            return
        if not any(race in result.output for race in _RACES):
            break
        progress("somebody else is changing the same containers; waiting")
        world.clock.sleep(_PAUSE_S)
    if result.exit_code != NOT_FOUND and (fault := _cause(world, space, result, way)):
        raise DeployctlError.of((fault,))
    raise stack.refused(result, code="compose-failed", hint=_look(space))


def give_away(world: World, space: Workspace, command: Command, way: Way) -> None:
    """Run a container that hands a volume over; it may meet all that a start may meet."""
    result = world.runner.run(command)
    if result.ok:
        return
    if result.exit_code != NOT_FOUND and (fault := _cause(world, space, result, way)):
        raise DeployctlError.of((fault,))
    raise stack.refused(result, code="compose-failed", hint=f"{way.same()}  # tries it again")


def _cause(world: World, space: Workspace, result: CommandResult, way: Way) -> Fault | None:
    """What is behind a refusal, where that is recognised."""
    from deployctl.diagnosis.diagnose import refused  # slow to import

    lines = tuple(line.strip() for line in result.output.splitlines() if line.strip())
    if fault := refused(lines, way):
        return fault
    if "dependency failed to start" not in result.output:
        return None
    for state in world.docker.containers(space.stack):
        if state.name and state.name in result.output and not stack.works(state):
            engine = way.plan.engine if way.plan else ""
            return why(world, way, state.service, engine=engine, state=state)
    return None


def _look(space: Workspace) -> str:
    return f"deployctl status --stack {space.stack}"
