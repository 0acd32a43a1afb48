"""From started to answered: waits for engine and frontend, then has a question answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from deployctl.deploy import stack
from deployctl.deploy.start import host_ports
from deployctl.errors import DeployctlError
from deployctl.readiness import Probe, probe_engine, probe_frontend, prove, trouble, wait

if TYPE_CHECKING:
    from deployctl.deploy.run import Run
    from deployctl.deploy.world import World
    from deployctl.model import Answer, Plan
    from deployctl.workspace import Workspace


def prove_stack(
    run: Run, space: Workspace, plan: Plan, before: Mapping[str, int], *, changed: bool
) -> Answer:
    """Wait for engine and frontend, then ask a question through the UI.

    ``before``: container id → restarts that are history. ``changed``: something was started just
    now. Raises ``engine-…``, ``frontend-…`` or ``proof-failed``.
    """
    world = run.world
    at = stack.endpoints(space, plan.served_name, *host_ports(plan))
    look = _watch(world, space.stack, before)
    waits: tuple[tuple[str, str, Callable[[], Probe], int], ...] = (
        ("engine ready", "engine", lambda: probe_engine(world.http, at), plan.deadlines.engine_s),
        (
            "frontend ready",
            "webui",
            lambda: probe_frontend(world.http, at),
            plan.deadlines.frontend_s,
        ),
    )
    for name, service, probe, deadline_s in waits:
        with run.phase(name) as phase:
            last = wait(
                probe, look, clock=world.clock, deadline_s=deadline_s, on_change=phase.progress
            )
            if not last.ok:
                raise _not_ready(world, space.stack, service, last, deadline_s)
            phase.text = last.seen
    with run.phase("proof") as phase:
        # A stack that was just changed must take the stored credentials; one that was left alone
        # has taken them before.
        answer, session = prove(
            world.http,
            at,
            clock=world.clock,
            deadline_s=plan.deadlines.proof_s,
            reasoning=plan.reasoning,
            max_tokens=plan.max_tokens,
            kept=None if changed else space.session(),
        )
        space.keep_session(session)
        phase.text = f"answered through the UI in {answer.seconds:.1f} s"
    return answer


_ROLE = {"engine": "engine", "webui": "frontend"}


def _watch(world: World, name: str, before: Mapping[str, int]) -> Callable[[], None]:
    """Make the look that ends a pointless wait: a container that died or keeps restarting."""

    def look() -> None:
        for state in world.docker.containers(name):
            if state.service not in _ROLE:
                continue  # a service of the operator's override may come and go
            fresh = replace(state, restarts=state.restarts - before.get(state.id, 0))
            if what := trouble(fresh):
                role = _ROLE[state.service]
                raise DeployctlError(
                    f"The {role}'s container {what}.",
                    code=f"{role}-exited",
                    where=state.service,
                    hint=f"deployctl logs {state.service} --stack {name}",
                    details=world.docker.log_tail(state.id, 20),
                )

    return look


def _not_ready(
    world: World, name: str, service: str, last: Probe, deadline_s: int
) -> DeployctlError:
    states = [state for state in world.docker.containers(name) if state.service == service]
    role = _ROLE[service]
    return DeployctlError(
        f"The {role} was not ready within {deadline_s} s; last seen: {last.seen}.",
        code=f"{role}-not-ready",
        where=service,
        hint=f"deployctl logs {service} --stack {name}",
        details=world.docker.log_tail(states[0].id, 20) if states else (),
    )
