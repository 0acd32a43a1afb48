"""The recipe of ``status``: how each part of a stack is, what is wrong, and what has drifted.

Containers as Docker sees them, probes from outside, the engine's own figures, what its monitoring
knows. Changes nothing; the session of a sign-in, where one is needed, is kept for the next time.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deployctl.deploy import alerts, known, stack
from deployctl.deploy.checks import check_of, missing, skipped, unknown, verdict
from deployctl.deploy.drift import of_containers, of_folder
from deployctl.deploy.figures import Sample
from deployctl.deploy.health import container_fault
from deployctl.deploy.kept import again_from_down, kept_request, request_of
from deployctl.deploy.look import Look, look
from deployctl.deploy.world import StatusReport, World
from deployctl.workspace import Manifest, Workspace

if TYPE_CHECKING:
    from datetime import datetime

    from deployctl.drift import Drift
    from deployctl.errors import Fault
    from deployctl.outcomes import CheckResult, ContainerState


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One look at a stack, and what the next look needs to tell rates from."""

    report: StatusReport
    sample: Sample
    faults: tuple[Fault, ...]  # why it is not well, by service


def status(world: World, name: str, now: datetime, *, profile: bool = False) -> StatusReport:
    """Look at a stack once; see :func:`see`."""
    return see(world, name, now, profile=profile).report


def see(
    world: World,
    name: str,
    now: datetime,
    *,
    before: Sample | None = None,
    profile: bool = False,
    monitoring: bool = True,
) -> Seen:
    """Look at a stack. ``now`` is the time of day; ``profile``: hold it against its profile too.

    ``monitoring``: tell what the stack's Prometheus knows, where it has one.

    ``stack-unknown`` when nothing of this name was ever brought up, ``stack-foreign`` when it was
    from another state folder.
    """
    space = Workspace(world.home, name)
    manifest = space.manifest()
    states = world.docker.containers(name)
    if manifest is None and not states:
        raise known.unknown(space)
    if manifest is None:
        return _unrecorded(world, space, states, now)
    if manifest.standing == "down" and not states:
        return _taken_down(world, space, manifest)
    found = look(world, space, manifest, states, now, before=before, alerts=monitoring)
    absent = tuple(service for service in manifest.hashes if not _has(states, service))
    again = kept_request(name, manifest).again
    checks = (*found.checks, *(missing(service, again) for service in absent))
    seen = alerts.Stack(name=name, again=again, checks=checks, now=now)
    drifted = (
        *of_folder(space, manifest, states, again),
        *of_containers(manifest, states, again),
        *found.drift,
        *(_of_profile(world, space, manifest, again) if profile else ()),
    )
    report = _report(name, space, manifest, states, checks, found, drifted)
    # Told after the verdict: it is about what answers now, and no alert changes it.
    report = replace(report, checks=(*checks, *alerts.told(found.heard, seen)))
    return Seen(report=report, sample=found.sample, faults=found.faults)


def _of_profile(
    world: World, space: Workspace, manifest: Manifest, again: str
) -> tuple[Drift, ...]:
    from deployctl.deploy.drift import of_profile

    return of_profile(world, space, manifest, again)


def _has(states: tuple[ContainerState, ...], service: str) -> bool:
    return any(state.service == service for state in states)


def _taken_down(world: World, space: Workspace, manifest: Manifest) -> Seen:
    """A stack that somebody wanted down: nothing to look at, and nothing is wrong with it."""
    sample = Sample(at=world.clock.now())
    nothing = Look(checks=(), faults=(), services=(), engine=None, drift=(), sample=sample)
    again = again_from_down(space)
    checks = (skipped("containers", "taken down; nothing runs", again),)
    report = _report(space.stack, space, manifest, (), checks, nothing, ())
    return Seen(report=replace(report, status="failed", down=True), sample=sample, faults=())


def _unrecorded(
    world: World, space: Workspace, states: tuple[ContainerState, ...], now: datetime
) -> Seen:
    """Containers of a stack whose folder does not know it; ``stack-foreign`` if another does."""
    stack.refuse_foreign(space, states, doing="status")
    request = request_of(space)
    with ThreadPoolExecutor(max_workers=4) as pool:
        faults = tuple(
            pool.map(lambda s: container_fault(world, request, s, now, engine="llama.cpp"), states)
        )
    checks = tuple(check_of(s, fault) for s, fault in zip(states, faults, strict=True))
    return Seen(
        report=StatusReport(
            stack=space.stack,
            status=verdict((*checks, unknown(space))),
            profile=None,
            model=None,
            served_name=None,
            webui_url=None,
            lan_url=None,
            engine_url=None,
            credentials_file=None,
            containers=states,
            checks=(*checks, unknown(space)),
        ),
        sample=Sample(at=world.clock.now()),
        faults=tuple(fault for fault in faults if fault is not None),
    )


def _report(
    name: str,
    space: Workspace,
    manifest: Manifest,
    states: tuple[ContainerState, ...],
    checks: tuple[CheckResult, ...],
    found: Look,
    drifted: tuple[Drift, ...],
) -> StatusReport:
    webui_url, engine_url = stack.addresses(manifest.webui_port, manifest.engine_port)
    return StatusReport(
        stack=name,
        status=verdict(checks),
        profile=manifest.profile,
        model=manifest.model,
        served_name=manifest.served_name,
        webui_url=webui_url,
        lan_url=manifest.lan_url,
        engine_url=engine_url,
        credentials_file=space.credentials_file,
        containers=states,
        checks=checks,
        services=found.services,
        engine=found.engine,
        drift=drifted,
        pages=manifest.pages,
    )
