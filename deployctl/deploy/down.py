"""The recipe of ``down``: stop and remove; the chats stay unless asked otherwise."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from deployctl.deploy import enginecache, stack
from deployctl.deploy.world import DownReport, World
from deployctl.errors import DeployctlError
from deployctl.workspace import Workspace

if TYPE_CHECKING:
    from deployctl.commands import Project
    from deployctl.outcomes import Progress


def down(world: World, name: str, *, volumes: bool, ours: bool = False) -> DownReport:
    """Remove the stack's containers and network; with ``volumes`` its data and secrets too.

    Nothing there is not an error: the wanted state is reached. Data that this state folder does not
    know is not removed (``stack-foreign``), unless it is known to be ``ours``.
    """
    started = world.clock.now()
    space = Workspace(world.home, name)
    if not (space.folder.exists() or world.docker.containers(name) or world.docker.volumes(name)):
        return DownReport(
            stack=name,
            known=False,
            removed=(),
            kept_volumes=(),
            seconds=world.clock.now() - started,
        )
    if volumes and not ours:
        _refuse_unknown_data(world, space)
    with space.lock(world.doing), world.talk.phase("down") as phase:
        states = world.docker.containers(name)
        doing = "down --volumes" if volumes else "down"
        stack.refuse_foreign(space, states, doing=doing)
        removed = tuple(state.service for state in states)
        take_down(world, space, phase, volumes=volumes)
        kept = world.docker.volumes(name)
        if volumes and kept:
            raise _still_there(name, kept)
        if volumes:
            space.forget()
        phase.finish(_summary(removed, kept))
    return DownReport(
        stack=name,
        known=True,
        removed=removed,
        kept_volumes=kept,
        seconds=world.clock.now() - started,
    )


def _refuse_unknown_data(world: World, space: Workspace) -> None:
    """Never remove chats that another state folder may have: it keeps the secrets they need."""
    data = enginecache.without(world.docker.volumes(space.stack))
    if not data or space.knows_the_stack or world.docker.containers(space.stack):
        return
    raise DeployctlError(
        f"{', '.join(data)} is there, and {space.folder} knows no such stack: another state folder "
        "may have it, with its credentials. Nothing was removed.",
        code="stack-foreign",
        where=data[0],
        hint=f"docker volume inspect {data[0]}  # or set DEPLOYCTL_HOME to the state folder that "
        f"has the stack; to remove its chats for good: docker volume rm {' '.join(data)}",
    )


def take_down(world: World, space: Workspace, progress: Progress, *, volumes: bool) -> None:
    """Remove containers and networks, with ``volumes`` the data; the caller holds the lock."""
    # By labels alone: files do not know what an earlier profile had, like a way out, and a broken
    # override must not keep a stack alive.
    project = replace(stack.project(space), rendered=False)
    _record(space, "unfinished")
    _compose_down(world, project, progress, volumes=volumes)
    _record(space, "down")


def _record(space: Workspace, standing: Literal["unfinished", "down"]) -> None:
    """Keep for `plan` how far this came. A full disk must not stop `down`, which frees it."""
    with contextlib.suppress(DeployctlError):
        kept = space.manifest()
        if kept is None:
            return
        compose = None if standing == "down" else kept.compose
        space.save_manifest(replace(kept, standing=standing, compose=compose))


def _compose_down(world: World, project: Project, progress: Progress, *, volumes: bool) -> None:
    stack.compose(
        world,
        project.down(volumes=volumes),
        code="compose-failed",
        hint=f"deployctl status --stack {project.name}",
        on_line=lambda line: progress(line.strip()),
    )


def _still_there(name: str, volumes: tuple[str, ...]) -> DeployctlError:
    first = volumes[0]
    return DeployctlError(
        f"Docker did not remove {', '.join(volumes)}: something else uses it. Its credentials "
        "are kept.",
        code="compose-failed",
        where=first,
        hint=f"docker ps --all --filter volume={first}  # then: deployctl down --volumes "
        f"--stack {name}",
    )


def _summary(removed: tuple[str, ...], kept: tuple[str, ...]) -> str:
    gone = f"removed {', '.join(removed)}" if removed else "nothing was running"
    return f"{gone}; kept {', '.join(kept)}" if kept else gone
