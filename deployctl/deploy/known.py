"""What there is of a stack of some name, in the words that every command has for it.

Nothing at all (``stack-unknown``), nothing that runs, or something paused (``stack-not-running``).
Only looks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployctl.deploy import stack
from deployctl.deploy.kept import again_from_down, request_of
from deployctl.deploy.names import DEFAULT_STACK
from deployctl.errors import DeployctlError, Fault

if TYPE_CHECKING:
    from pathlib import Path

    from deployctl.deploy.world import World
    from deployctl.outcomes import ContainerState
    from deployctl.workspace import Manifest, Workspace


def known(
    world: World, space: Workspace, *, doing: str = ""
) -> tuple[Manifest, tuple[ContainerState, ...]]:
    """What was brought up under this name, and its containers, of which there may be none.

    ``stack-unknown`` when nothing was, or when its folder does not say what; ``stack-foreign`` when
    another folder does. ``doing``: the command's words, where they are more than its name.
    """
    manifest = space.manifest()
    states = world.docker.containers(space.stack)
    if manifest is None and not states:
        raise unknown(space)
    if manifest is None:
        stack.refuse_foreign(space, states, doing=doing or world.doing)
        space.refuse_unfinished()
        raise DeployctlError(
            f"{unrecorded(space)}.",
            code="stack-unknown",
            where=str(space.folder),
            hint=request_of(space).again,
        )
    return manifest, states


def unknown(space: Workspace) -> DeployctlError:
    """Make ``stack-unknown``, with the names that there are; raises where one is coming up."""
    space.refuse_unfinished()  # else the way out would be the command that is under way
    names = _names(space.folder.parent)
    return DeployctlError(
        f"There is no stack named {space.stack}.",
        code="stack-unknown",
        where=str(space.folder),
        # Who named none meant the only one; the error boundary puts what was typed around it.
        hint=f"--stack {names[0]}"
        if len(names) == 1 and space.stack == DEFAULT_STACK
        else request_of(space).again,
        details=(f"the stacks there are: {', '.join(names)}",) if names else (),
    )


def _names(folder: Path) -> tuple[str, ...]:
    """The stacks that have been brought up."""
    try:
        return tuple(sorted(path.parent.name for path in folder.glob("*/manifest.json")))
    except OSError:
        return ()


def unrecorded(space: Workspace) -> str:
    """What is said of containers without a record of them, as a clause."""
    return f"{space.folder} does not say what was brought up"


def down(space: Workspace, so: str = "") -> DeployctlError:
    """Make ``stack-not-running`` of a stack without containers; ``so``: what follows from that."""
    return DeployctlError(
        f"Stack {space.stack} is down: it has no containers{f', {so}' if so else ''}.",
        code="stack-not-running",
        where=str(space.folder),
        hint=again_from_down(space),
    )


def paused(state: ContainerState) -> Fault | None:
    """Make ``stack-not-running`` of a paused container; ``None`` where it is not paused."""
    if state.status != "paused":
        return None
    return Fault(
        code="stack-not-running",
        message=f"Container `{state.service}` is paused.",
        where=state.service,
        hint=f"docker unpause {state.name}",
    )
