"""Add-ons under way: their containers' names for those that measure, and the wait for each."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from deployctl import stackfolders
from deployctl.addons import ADDONS
from deployctl.atomic import have
from deployctl.deploy import stack
from deployctl.errors import DeployctlError, Fault
from deployctl.readiness import PROBE_EVERY_S
from deployctl.trouble import trouble

if TYPE_CHECKING:
    from deployctl.deploy.run import Run
    from deployctl.deploy.world import World
    from deployctl.diagnosis import Way
    from deployctl.model import Plan, Service
    from deployctl.outcomes import ContainerState
    from deployctl.talk import PhaseTalk
    from deployctl.workspace import Workspace

#: Lines of a log that stand beside what went wrong.
_TAIL = 15

#: How long one that is started again and again is looked at for how it ends, seconds: the back-off
#: before its next start has grown to a few of them by then.
_PATIENCE_S = 10.0

_CORE = "Engine and chat window have answered."

_TITLES = {addon.name: addon.title for addon in ADDONS}


def export_names(world: World, space: Workspace) -> None:
    """Write down which container is which service, for an add-on that measures containers.

    It sees control groups, which are called after containers, and nothing of Docker.
    """
    folder = space.folder / stackfolders.EXPORTED
    if not folder.is_dir():
        return
    known = {s.id: {"service": s.service} for s in world.docker.containers(space.stack)}
    have(folder / stackfolders.NAMES, json.dumps({"containers": known}, indent=1) + "\n", 0o644)


def wait_for_addons(run: Run, space: Workspace, plan: Plan, way: Way) -> None:
    """Wait until every add-on's own healthchecks pass; ``addon-not-ready`` names one that is not.

    Engine and chat window have answered by then.
    """
    for name in plan.addons:
        services = tuple(service for service in plan.services if service.addon == name)
        with run.phase(f"{name} ready") as phase:
            for service in services:
                _until_healthy(run, space, service, way, phase.progress)
            phase.text = ", ".join(service.name for service in services)


def _until_healthy(
    run: Run, space: Workspace, service: Service, way: Way, progress: PhaseTalk
) -> None:
    clock = run.world.clock
    deadline_s = service.healthcheck.start_period_s
    until = clock.now() + deadline_s
    progress.step(service.name)
    while True:
        states = run.world.docker.containers(space.stack)
        state = next((s for s in states if s.service == service.name), None)
        if state is not None and state.status == "running" and state.health in (None, "healthy"):
            return
        late = clock.now() >= until
        if late or state is None or trouble(state) is not None or stack.hangs(state):
            raise DeployctlError.of((_not_ready(run.world, space, service, state, way),))
        clock.sleep(PROBE_EVERY_S)


def _not_ready(
    world: World, space: Workspace, service: Service, state: ContainerState | None, way: Way
) -> Fault:
    title = _TITLES[service.addon or ""]
    fault = Fault(
        code="addon-not-ready",
        message=f"{title} does not run: there is no container `{service.name}`. {_CORE}",
        where=service.name,
        hint=f"{way.logs(service.name)}  # then: {way.same()}",
    )
    if state is None:
        return fault
    from deployctl.deploy.lastend import last_end, last_words  # slow to import

    end = last_end(world, space.stack, state, patience_s=_PATIENCE_S)
    # One that was killed had no time to answer its healthcheck.
    checked = _last_check(world, space, state) if end.memory is None else ()
    return replace(
        fault,
        message=f"{title} does not run: its container `{service.name}` {end.what}. {_CORE}",
        hint=end.way_out(service, way) or fault.hint,
        details=(*last_words(world, space.stack, end.state, _TAIL), *checked),
    )


def _last_check(world: World, space: Workspace, state: ContainerState) -> tuple[str, ...]:
    """What its own healthcheck said last, where that failed."""
    seen = world.docker.inspect(state.id) or {}
    log: list[dict[str, Any]] = ((seen.get("State") or {}).get("Health") or {}).get("Log") or [{}]
    last = log[-1]
    if not last.get("ExitCode"):
        return ()
    said = " ".join(str(last.get("Output") or "").split())
    from deployctl.deploy.why import mask_of  # slow to import

    line = f"its healthcheck ended with {last['ExitCode']}{f': {said[:200]}' if said else ''}"
    return (mask_of(world, space.stack)(line),)
