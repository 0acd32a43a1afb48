"""The recipe of ``down``: stop and remove; the chats stay unless asked otherwise."""

from __future__ import annotations

from deployctl.deploy import stack
from deployctl.deploy.world import DownReport, World
from deployctl.workspace import Workspace


def down(world: World, name: str, *, volumes: bool) -> DownReport:
    """Remove the stack's containers and network; with ``volumes`` its data and secrets too.

    Nothing there is not an error: the wanted state is reached.
    """
    started = world.clock.now()
    space = Workspace(world.home, name)
    with space.lock(world.doing), world.talk.phase("down") as phase:
        removed = tuple(state.service for state in world.docker.containers(name))
        stack.compose(
            world,
            stack.as_found(space).down(volumes=volumes),
            code="compose-failed",
            hint=f"deployctl status --stack {name}",
            on_line=lambda line: phase(line.strip()),
        )
        kept = world.docker.volumes(name)
        if volumes:
            space.forget()
        phase.finish(_summary(removed, kept))
    return DownReport(
        stack=name, removed=removed, kept_volumes=kept, seconds=world.clock.now() - started
    )


def _summary(removed: tuple[str, ...], kept: tuple[str, ...]) -> str:
    gone = f"removed {', '.join(removed)}" if removed else "nothing was running"
    return f"{gone}; kept {', '.join(kept)}" if kept else gone
