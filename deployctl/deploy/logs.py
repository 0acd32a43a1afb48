"""The recipe of ``logs``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from deployctl.deploy import stack
from deployctl.deploy.kept import kept_request
from deployctl.deploy.known import down, unknown
from deployctl.deploy.parts import Asked, services_by_addon, unknown_part
from deployctl.errors import DeployctlError
from deployctl.workspace import Workspace

if TYPE_CHECKING:
    from deployctl.deploy.world import World
    from deployctl.outcomes import ContainerState
    from deployctl.workspace import Manifest

#: Compose 2.26 begins every line with this, into files and pipes too, whatever --ansi says.
_CLEAR_LINE = "\x1b[2K"


def logs(
    world: World,
    name: str,
    asked: tuple[str, ...],
    *,
    follow: bool,
    tail: str,
    on_line: Callable[[str], None],
) -> None:
    """Hand every line the stack's containers wrote to ``on_line``; of all where none is ``asked``.

    ``asked`` are services, and add-ons, which stand for all their services. ``stack-unknown`` or
    ``stack-not-running`` where there are no containers, or none of what was asked; ``usage`` of a
    name that the stack has not.
    """
    space = Workspace(world.home, name)
    states = world.docker.containers(name)
    manifest = space.manifest()
    if not states:
        raise unknown(space) if manifest is None else down(space, "and so no logs")
    services = _services(world, space, manifest, states, asked) if asked else ()
    stack.compose(
        world,
        stack.as_found(space).logs(*services, follow=follow, tail=tail),
        code="compose-failed",
        hint=f"deployctl status --stack {name}",
        on_line=lambda line: on_line(line.removeprefix(_CLEAR_LINE)),
    )


def _services(
    world: World,
    space: Workspace,
    manifest: Manifest | None,
    states: tuple[ContainerState, ...],
    asked: tuple[str, ...],
) -> tuple[str, ...]:
    """The services that were asked for and have a container, each once.

    A name that is an add-on's and a service's (``jupyter``) is both.
    """
    there = tuple(dict.fromkeys(state.service for state in states))
    known = (*there, *(manifest.images if manifest is not None else ()))
    addons = services_by_addon(space, manifest)
    found: dict[str, None] = {}
    for name in asked:
        wanted = dict.fromkeys((*((name,) if name in known else ()), *addons.get(name, ())))
        gone = tuple(service for service in wanted if service not in there)
        if len(gone) == len(wanted):
            space.refuse_unfinished()  # what is coming up may have it
        if not wanted:
            raise _no_such(world, space, manifest, name, {"services": there, "add-ons": addons})
        if len(gone) == len(wanted):
            raise _removed(space, manifest, gone)
        if gone:
            world.talk.warn(_without(space, gone))
        found |= dict.fromkeys(service for service in wanted if service in there)
    return tuple(found)


def _no_such(
    world: World,
    space: Workspace,
    manifest: Manifest | None,
    name: str,
    lists: Mapping[str, Iterable[str]],
) -> DeployctlError:
    asked = Asked(
        command="logs",
        name=name,
        kind="service or add-on",
        lists={kind: names for kind, each in lists.items() if (names := tuple(each))},
    )
    return unknown_part(world, space, manifest, asked)


def _removed(space: Workspace, manifest: Manifest | None, gone: tuple[str, ...]) -> DeployctlError:
    return DeployctlError(
        _without(space, gone),
        code="stack-not-running",
        where=gone[0],
        hint=kept_request(space.stack, manifest).again,
    )


def _without(space: Workspace, gone: tuple[str, ...]) -> str:
    one = len(gone) == 1
    return (
        f"Stack {space.stack} has no {'container' if one else 'containers'} of {', '.join(gone)}: "
        f"{'it was' if one else 'they were'} removed, and {'its log' if one else 'their logs'} "
        f"with {'it' if one else 'them'}."
    )
