"""Whether a service of a running stack works, and if not, why: evidence first, then a fault.

Looks at Docker; whether the engine's card is used is told in ``card.py``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from deployctl.deploy import known, stack
from deployctl.deploy.kept import kept_selection, stored_weights, way_of
from deployctl.errors import DeployctlError, Fault
from deployctl.vitals import relapsed, storms, uptime_s
from deployctl.workspace import Workspace

if TYPE_CHECKING:
    from datetime import datetime

    from deployctl.deploy.world import UpRequest, World
    from deployctl.model import Service
    from deployctl.outcomes import ContainerState
    from deployctl.readiness import Probe

_ROLE = {"engine": "engine", "webui": "frontend"}


def container_fault(
    world: World,
    request: UpRequest,
    state: ContainerState,
    now: datetime,
    *,
    engine: str,
    restarts_before: int | None = None,
    answers: bool | None = None,
    cut_off: bool = False,
) -> Fault | None:
    """Why a container does not work, by Docker's own word; ``None`` when it does.

    A restart of long ago is history: only what is wrong now counts. Nor does one count after which
    it ``answers`` again (``None``: it was not asked), unless there were many; and an answer
    outweighs a healthcheck, which is up to half a minute old. ``cut_off``: it is on no network.
    """
    loops = storms(state, now, restarts_before=restarts_before)
    if loops or (answers is False and relapsed(state, now)):
        fault = _caused(world, request, state, engine)
        times = f"It keeps restarting, {state.restarts} times so far."
        if state.restarts == 1:
            times = "It ended a moment ago, and Docker has started it again."
        return replace(fault, message=f"{times} {fault.message}")
    if cut_off and state.status == "running":
        return lost_network(state, request)
    if stack.works(state):
        return None
    if state.status == "paused":
        return known.paused(state)
    if stack.hangs(state) and state.service in _ROLE:
        if answers:
            return None
        return _hung(state, "its own healthcheck fails", request)
    return _caused(world, request, state, engine)


def lost_network(state: ContainerState, request: UpRequest) -> Fault:
    """Make ``stack-not-running`` of a container that somebody took off its network.

    `up` makes it anew; no restart gives it a network again.
    """
    return Fault(
        code="stack-not-running",
        message=f"Container `{state.service}` runs, and lost its network.",
        where=state.service,
        hint=request.again,
    )


def _caused(world: World, request: UpRequest, state: ContainerState, engine: str) -> Fault:
    if state.service in _ROLE:
        from deployctl.deploy.why import why  # with all its texts: a stack that works needs none

        manifest = Workspace(world.home, request.stack).manifest()
        way = way_of(request, weights=stored_weights(world.home, manifest))
        return why(world, way, state.service, engine=engine, state=state)
    return _beside(world, request, state)


def _beside(world: World, request: UpRequest, state: ContainerState) -> Fault:
    """Make ``stack-not-running`` of an add-on's container, or of one of the operator's override."""
    from deployctl.deploy.lastend import last_end, last_words  # a stack that works needs none

    end = last_end(world, request.stack, state)
    service = _planned(world, request.stack, state.service) if end.memory == "limit" else None
    return Fault(
        code="stack-not-running",
        message=f"Container `{state.service}` {end.what}.",
        where=state.service,
        hint=end.way_out(service, way_of(request))
        or f"deployctl logs {state.service} --stack {request.stack}",
        details=() if end.by_hand else last_words(world, request.stack, end.state, 10),
    )


def _planned(world: World, name: str, service: str) -> Service | None:
    """A service as its profile has it by now; ``None`` where that cannot be read, or has it not."""
    from deployctl.planner import build_plan

    manifest = Workspace(world.home, name).manifest()
    if manifest is None:
        return None
    try:
        services = build_plan(world.resolve(kept_selection(manifest))).services
    except DeployctlError:
        return None
    return next((each for each in services if each.name == service), None)


#: What a probe sees of an engine that is still reading its model.
_LOADING = ("Loading model", "HTTP 503")


def silence_fault(
    state: ContainerState, probe: Probe, request: UpRequest, now: datetime, *, patience_s: float
) -> Fault | None:
    """Why a running container does not answer; ``None`` when it does.

    Docker calls it starting until its healthcheck has succeeded once or its deadline has passed;
    ``patience_s``: so long one without a healthcheck may be starting.
    """
    if probe.ok:
        return None
    role = _ROLE[state.service]
    up = uptime_s(state, now)
    young = state.health is None and up is not None and up < patience_s
    if young or state.health == "starting" or any(text in probe.seen for text in _LOADING):
        return Fault(
            code=f"{role}-not-ready",
            message=f"The {role} is still starting; last seen: {probe.seen}.",
            where=state.service,
            hint=f"deployctl status --watch --stack {request.stack}",
        )
    if probe.seen.startswith("does not answer"):
        return _hung(state, "no answer comes from it", request)
    return Fault(
        code=f"{role}-not-ready",
        message=f"The {role} answers, but not as it should: {probe.seen}.",
        where=state.service,
        hint=f"deployctl logs {state.service} --stack {request.stack}",
    )


def _hung(state: ContainerState, sign: str, request: UpRequest) -> Fault:
    role = _ROLE[state.service]
    return Fault(
        code=f"{role}-hung",
        message=f"The {role} runs and answers nothing: {sign}.",
        where=state.service,
        # `up` itself restarts what its healthcheck has seen working, or has given up.
        hint=request.again if state.health else f"docker kill {state.name}; {request.again}",
    )
