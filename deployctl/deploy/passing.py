"""Stacks that a command makes for itself and takes down again: whose they are, and their end.

What ``smoke`` and the measurements on a stack of their own share: nobody else's stack is touched,
ports of the operator's are left alone, and what was made goes, whatever ended it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING

from deployctl.deploy import stack
from deployctl.deploy.down import down
from deployctl.errors import DeployctlError
from deployctl.marks import Mark, clear_away, is_stack, last_worked_on_by, set_mark
from deployctl.preflight import asked_ports
from deployctl.workspace import Workspace

if TYPE_CHECKING:
    from deployctl.deploy.world import World
    from deployctl.model import Plan
    from deployctl.profiles.selection import Selection

#: How often what an earlier run left is taken away: a `docker compose up` of a killed tool goes on.
_SWEEPS, _SWEEP_EVERY_S = 5, 2.0


def interruption(end: BaseException) -> KeyboardInterrupt | None:
    """The Ctrl-C behind another error: one inside a lock's own code breaks that lock too."""
    seen: BaseException | None = end
    while seen is not None:
        if isinstance(seen, KeyboardInterrupt):
            return seen
        seen = seen.__context__
    return None


def begin(
    world: World,
    space: Workspace,
    mark: Mark,
    *,
    beside: str,
    refused: Callable[[], DeployctlError],
) -> bool:
    """Take the name; whether there is something of it, which then the mark's maker has made.

    Raises ``refused`` for what another has made; ``stack-foreign``, with ``beside`` to be typed
    instead, for a stack of another state folder.
    """
    try:
        found = _there(world, space, mark, beside, refused)
    except BaseException:
        if not mark.found:
            mark.remove()
        raise
    set_mark(mark)
    return found


def _there(
    world: World,
    space: Workspace,
    mark: Mark,
    beside: str,
    refused: Callable[[], DeployctlError],
) -> bool:
    states = world.docker.containers(space.stack)
    stack.refuse_foreign(space, states, doing=world.doing, beside=beside)
    others = (world.docker.volumes(space.stack), world.docker.networks(space.stack))
    found = bool(states) or any(others) or is_stack(space)
    if found and not (mark.found and last_worked_on_by(mark.maker, space)):
        raise refused()
    return found


def on_free_ports(
    world: World, plan: Plan, selection: Selection, *, own_project: str | None = None
) -> Selection:
    """Ports of its own where the profile's are taken, except those that were set by --set.

    Those that ``own_project`` holds itself are not taken.
    """
    busy = world.facts(asked_ports(plan), own_project=own_project).busy_ports
    wanted = {port.host_port for service in plan.services for port in service.ports}
    free = iter(n for n in asked_ports(plan) if n not in busy and n not in wanted)
    keys = {p.key: (s.name, p.host_port) for s in plan.services for p in s.ports if p.key}
    for key, (name, port) in keys.items():
        if port not in busy or any(text.startswith(f"{key}=") for text in selection.sets):
            continue
        if (other := next(free, None)) is not None:
            world.talk.say(f"port {port} is held by {busy[port]}: {name} gets {other}")
            selection = selection.with_set(key, other)
    return selection


def surely_down(world: World, name: str) -> None:
    """Take it all down; a `docker compose` that was killed badly may still be making more of it."""
    for _ in range(_SWEEPS):
        down(world, name, volumes=True, ours=True)
        if not any(left(world, name).values()):
            return
        world.clock.sleep(_SWEEP_EVERY_S)


def clear(world: World, space: Workspace) -> None:
    """Take it all down, and what its folder holds; see whether something is :func:`left`."""
    surely_down(world, space.stack)
    clear_away(space)


def down_line(name: str) -> str:
    """The command that gives a stack up with its data."""
    return f"deployctl down --volumes --stack {name}"


def left(world: World, name: str) -> dict[str, tuple[str, ...]]:
    """Everything on Docker that bears the stack's name, by kind."""
    docker = world.docker
    return {
        "containers": tuple(state.name or state.service for state in docker.containers(name)),
        "networks": tuple(str(row.get("Name")) for row in docker.networks(name)),
        "volumes": docker.volumes(name),
    }


def left_in_words(found: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """What is left, a line for each kind of which there is something."""
    return tuple(f"{kind}: {', '.join(names)}" for kind, names in found.items() if names)


#: Keeps signals away for a while.
Shield = Callable[[], AbstractContextManager[None]]


def to_the_end(work: Callable[[], object], shield: Shield) -> None:
    """Do what has to be done whatever comes; a signal before the shield was up begins it anew."""
    done = False
    while not done:
        with suppress(KeyboardInterrupt), shield():
            work()
            done = True
