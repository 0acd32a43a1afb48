"""The recipe of ``logs``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from deployctl.deploy import stack
from deployctl.deploy.kept import kept_request
from deployctl.deploy.known import down, unknown
from deployctl.errors import DeployctlError
from deployctl.workspace import Workspace

if TYPE_CHECKING:
    from deployctl.deploy.world import World

#: Compose 2.26 begins every line with this, into files and pipes too, whatever --ansi says.
_CLEAR_LINE = "\x1b[2K"


def logs(
    world: World,
    name: str,
    services: tuple[str, ...],
    *,
    follow: bool,
    tail: str,
    on_line: Callable[[str], None],
) -> None:
    """Hand every line the stack's containers wrote to ``on_line``.

    ``stack-unknown`` or ``stack-not-running`` where there are none, or none of a service.
    """
    space = Workspace(world.home, name)
    states = world.docker.containers(name)
    manifest = space.manifest()
    if not states:
        raise unknown(space) if manifest is None else down(space, "and so no logs")
    known = {state.service for state in states}
    for service in services:
        if service in known:
            continue
        if manifest is not None and service in manifest.images:
            raise DeployctlError(
                f"Stack {name} has no container of {service}: it was removed, and its log with it.",
                code="stack-not-running",
                where=service,
                hint=kept_request(name, manifest).again,
            )
        raise DeployctlError(
            f"Stack {name} has no service {service}; it has {', '.join(sorted(known))}.",
            code="usage",
            hint=f"deployctl logs {min(known)} --stack {name}",
        )
    stack.compose(
        world,
        stack.as_found(space).logs(*services, follow=follow, tail=tail),
        code="compose-failed",
        hint=f"deployctl status --stack {name}",
        on_line=lambda line: on_line(line.removeprefix(_CLEAR_LINE)),
    )
