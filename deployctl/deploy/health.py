"""Whether a service of a running stack works, and if not, why: evidence first, then a fault.

Looks at Docker and runs, for a card only, one nvidia-smi inside the engine's container.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from deployctl.deploy import stack
from deployctl.deploy.kept import way_of
from deployctl.errors import Fault
from deployctl.model import Command
from deployctl.oncard import card_trouble
from deployctl.readiness import trouble
from deployctl.vitals import has_card, moment, storms, uptime_s

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from typing import Any

    from deployctl.deploy.world import UpRequest, World
    from deployctl.model import ContainerState
    from deployctl.readiness import Probe

_ROLE = {"engine": "engine", "webui": "frontend"}

#: Lines of the engine's log that tell how it goes lately, and how its start went.
LATELY, _AT_START = 300, 4000

#: A start that has not said by then whether it found a card is no start any more.
_START = timedelta(minutes=15)


def container_fault(
    world: World,
    request: UpRequest,
    state: ContainerState,
    now: datetime,
    *,
    engine: str,
    restarts_before: int | None = None,
) -> Fault | None:
    """Why a container does not work, by Docker's own word; ``None`` when it does.

    A restart of long ago is history: only what is wrong now counts.
    """
    if storms(state, now, restarts_before=restarts_before):
        fault = _caused(world, request, state, engine)
        times = f"It keeps restarting, {state.restarts} times so far. "
        return replace(fault, message=times + fault.message)
    if stack.works(state):
        return None
    if state.status == "paused":
        return Fault(
            code="stack-not-running",
            message=f"The container of {state.service} is paused.",
            where=state.service,
            hint=f"docker unpause {state.name}",
        )
    if stack.hangs(state) and state.service in _ROLE:
        return _hung(state, "its own healthcheck fails", request)
    return _caused(world, request, state, engine)


def _caused(world: World, request: UpRequest, state: ContainerState, engine: str) -> Fault:
    if state.service in _ROLE:
        from deployctl.deploy.why import why  # with all its texts: a stack that works needs none

        return why(world, way_of(request), state.service, engine=engine, state=state)
    what = trouble(state) or f"is {state.health or state.status}"
    return Fault(
        code="stack-not-running",
        message=f"The container of {state.service} {what}.",
        where=state.service,
        hint=f"deployctl logs {state.service} --stack {request.stack}",
        details=world.docker.log_tail(state.id, 10),
    )


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
        # Whatever holds it, this ends it; and `up` starts what is not running.
        hint=f"docker kill {state.name}; {request.again}",
    )


def card_fault(
    world: World,
    request: UpRequest,
    state: ContainerState,
    details: Mapping[str, Any],
    lately: tuple[str, ...],
) -> Fault | None:
    """What is wrong with the engine's card; ``None`` without one, and when it is used."""
    if state.status != "running" or not has_card(details):
        return None
    found = card_trouble(_start_of(world, state), lately, _asked_inside(world, state, details))
    if found is None:
        return None
    return Fault(
        code=found.code,
        message=found.says,
        where=state.service,
        hint=f"docker kill {state.name}; {request.again}",
        details=found.evidence,
    )


def _start_of(world: World, state: ContainerState) -> tuple[str, ...]:
    """The first lines of the log since the container last started."""
    since = moment(state.started_at)
    if since is None:
        return ()
    span = ("--since", since.isoformat(), "--until", (since + _START).isoformat())
    result = world.runner.run(
        Command(argv=("docker", "logs", *span, state.id), label="engine's start", timeout_s=10)
    )
    return tuple(result.output.splitlines()[:_AT_START]) if result.ok else ()


def _asked_inside(world: World, state: ContainerState, details: Mapping[str, Any]) -> str | None:
    """What nvidia-smi says inside, if it fails there; an image without it says nothing."""
    if not (details.get("HostConfig") or {}).get("DeviceRequests"):
        return None
    result = world.runner.run(
        Command(
            argv=("docker", "exec", state.id, "nvidia-smi", "-L"),
            label="the card inside",
            timeout_s=10,
        )
    )
    return None if result.ok else result.output
