"""The recipe of ``logs``."""

from __future__ import annotations

from collections.abc import Callable

from deployctl.deploy import stack
from deployctl.deploy.world import World
from deployctl.errors import DeployctlError
from deployctl.workspace import Workspace


def logs(
    world: World,
    name: str,
    services: tuple[str, ...],
    *,
    follow: bool,
    tail: str,
    on_line: Callable[[str], None],
) -> None:
    """Hand every line the stack's containers wrote to ``on_line``."""
    space = Workspace(world.home, name)
    states = world.docker.containers(name)
    if not states:
        raise DeployctlError(
            f"Stack {name} has no containers.",
            code="stack-unknown",
            hint=f"deployctl up --stack {name}",
        )
    known = {state.service for state in states}
    for service in services:
        if service not in known:
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
        on_line=on_line,
    )
