"""Mends what a stack cannot mend itself: containers that hang, are paused, or lost their network.

Each of these still "runs" for Docker Compose, which would leave it as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from deployctl.deploy import stack
from deployctl.readiness import PROBES
from deployctl.sidebyside import side_by_side

if TYPE_CHECKING:
    from deployctl.commands import Project
    from deployctl.deploy.run import Run
    from deployctl.deploy.world import World
    from deployctl.model import Plan
    from deployctl.outcomes import ContainerState
    from deployctl.workspace import Workspace

#: How long something that has worked may say nothing before it counts as hung, seconds. Docker's
#: own healthcheck needs three failures, 30 s apart.
_SILENT_S = 10.0

#: How long one question waits, and the pause after one that was refused, seconds.
_ASK_S, _PAUSE_S = 5.0, 0.5

#: Network modes that have no network to lose.
_WITHOUT = ("none", "host", "container:")


def cut_off(world: World, name: str, states: tuple[ContainerState, ...]) -> tuple[str, ...]:
    """Find services whose container is not on a network that it was put in, or on one that is gone.

    Somebody removed the network, or the container from it. Docker starts such a container without
    any network, or not at all ("network … not found"), and `docker compose up` leaves it so.
    """
    from deployctl.deploy.changed import networks_meant  # slow to import: not for `status`
    from deployctl.workspace import Workspace

    if not states:
        return ()
    there, meant = networks_there(world, name), networks_meant(Workspace(world.home, name))
    return tuple(
        s.service
        for s in states
        if is_cut_off(world, world.docker.inspect(s.id), there, meant.get(s.service, frozenset()))
    )


def networks_there(world: World, name: str) -> frozenset[str]:
    """The ids of the stack's own networks."""
    return frozenset(str(row["Id"]) for row in world.docker.networks(name))


def is_cut_off(
    world: World,
    found: Mapping[str, Any] | None,
    there: frozenset[str],
    meant: frozenset[str] = frozenset(),
) -> bool:
    """Whether a container, as ``docker inspect`` has it, is without a network it should be on.

    ``there``: ids of networks known to be; about others Docker is asked. ``meant``: names of those
    that it was put in.
    """

    def is_there(network_id: str) -> bool:
        # One of the operator's, by an override, does not bear the stack's label.
        return network_id in there or world.docker.network(network_id) is not None

    return _cut_off(found, is_there, meant)


def _cut_off(
    found: Mapping[str, Any] | None, is_there: Callable[[str], bool], meant: frozenset[str]
) -> bool:
    if found is None or "NetworkSettings" not in found:
        return False
    mode = str(found.get("HostConfig", {}).get("NetworkMode", ""))
    if mode.startswith(_WITHOUT):
        return False
    joined = found["NetworkSettings"].get("Networks") or {}
    if not joined or (mode in meant and not meant <= joined.keys()):
        return True
    ids = (str(network.get("NetworkID") or "") for network in joined.values())
    return any(known and not is_there(known) for known in ids)


def revive(
    world: World,
    space: Workspace,
    project: Project,
    plan: Plan,
    states: tuple[ContainerState, ...],
    without_network: tuple[str, ...],
) -> None:
    """Stop or remove what `docker compose up` would leave as it is; ``compose-failed``."""
    hanging = _hanging(world, space, plan, states)
    paused = tuple(s.service for s in states if s.status == "paused")
    hint = f"deployctl logs --stack {space.stack}"
    if paused:
        stack.compose(world, project.unpause(*paused), code="compose-failed", hint=hint)
    if without_network:
        names = ", ".join(without_network)
        world.talk.say(f"{names}: the container lost its network and is made anew")
        stack.compose(world, project.remove(*without_network), code="compose-failed", hint=hint)
    if hanging := tuple(name for name in hanging if name not in without_network):
        stack.compose(world, project.stop(*hanging), code="compose-failed", hint=hint)


def _hanging(
    world: World, space: Workspace, plan: Plan, states: tuple[ContainerState, ...]
) -> tuple[str, ...]:
    """Services whose own healthcheck failed, half a minute ago perhaps, and that are silent now."""
    ill = [state.service for state in states if stack.hangs(state)]
    if not ill:
        return ()
    at = stack.endpoints(space, plan.served_name, *stack.host_ports(plan))

    def answers(service: str) -> bool:
        return service in PROBES and PROBES[service](world.http, at).ok

    answered = side_by_side(answers, ill, name="ask")
    return tuple(name for name, well in zip(ill, answered, strict=True) if not well)


def wake(run: Run, space: Workspace, plan: Plan, states: tuple[ContainerState, ...]) -> None:
    """Restart, once, what has worked, runs, and answers nothing.

    Only what its own healthcheck has seen working: a model that is still being loaded is silent
    too, and must be left alone.
    """
    world = run.world
    working = {s.service for s in states if s.status == "running" and s.health == "healthy"}
    frontend, engine = stack.addresses(*stack.host_ports(plan))
    urls = {"engine": f"{engine}/models", "webui": f"{frontend}/ready"}
    silent = _silent(world, {name: url for name, url in urls.items() if name in working})
    if not silent:
        return
    for name in silent:
        role = "engine" if name == "engine" else "frontend"
        world.talk.say(f"The {role} runs and has answered nothing for {_SILENT_S:.0f} s: restarted")
    run.touched = True
    stack.compose(
        world,
        stack.project(space).restart(*silent),
        code="compose-failed",
        hint=f"deployctl logs --stack {space.stack}",
    )


def _silent(world: World, urls: Mapping[str, str]) -> tuple[str, ...]:
    """Ask until each has said anything at all, or the time is over; returns who has not."""
    started = world.clock.now()
    silent = tuple(urls)
    while True:
        replies = side_by_side(
            lambda name: world.http.call(urls[name], timeout_s=_ASK_S), silent, name="ask"
        )
        silent = tuple(n for n, reply in zip(silent, replies, strict=True) if not reply.status)
        if not silent or world.clock.now() - started >= _SILENT_S:
            return silent
        world.clock.sleep(_PAUSE_S)
