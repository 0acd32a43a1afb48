"""The recipe of ``status``: containers as Docker sees them, and probes from outside."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from deployctl.deploy import stack
from deployctl.deploy.world import StatusReport, World
from deployctl.errors import DeployctlError
from deployctl.model import CheckResult, ContainerState, Status
from deployctl.readiness import Probe, probe_engine, probe_frontend, trouble
from deployctl.workspace import Manifest, Workspace


def status(world: World, name: str) -> StatusReport:
    """Look at a stack once. ``stack-unknown`` when nothing of this name was ever brought up."""
    space = Workspace(world.home, name)
    manifest = space.manifest()
    states = world.docker.containers(name)
    if manifest is None and not states:
        space.refuse_unfinished()  # else the way out would be the command that is under way
        raise DeployctlError(
            f"There is no stack named {name}.",
            code="stack-unknown",
            where=str(space.folder),
            hint=f"deployctl up --stack {name}",
        )
    checks = tuple(
        _container(state, name)
        for state in states
        if manifest is None or not stack.finished(manifest, state)
    )
    if manifest is None:
        checks += (_unknown(space),)
    else:
        missing = [service for service in manifest.hashes if not _has(states, service)]
        checks += tuple(_missing(service, name) for service in missing)
        if not missing:
            checks += _probes(world, space, manifest)
    return _report(name, space, manifest, states, checks)


def _report(
    name: str,
    space: Workspace,
    manifest: Manifest | None,
    states: tuple[ContainerState, ...],
    checks: tuple[CheckResult, ...],
) -> StatusReport:
    webui_url, engine_url = (
        stack.addresses(manifest.webui_port, manifest.engine_port) if manifest else (None, None)
    )
    return StatusReport(
        stack=name,
        status=_verdict(checks),
        profile=manifest.profile if manifest else None,
        model=manifest.model if manifest else None,
        served_name=manifest.served_name if manifest else None,
        webui_url=webui_url,
        lan_url=manifest.lan_url if manifest else None,
        engine_url=engine_url,
        credentials_file=space.credentials_file if manifest else None,
        containers=states,
        checks=checks,
    )


def _verdict(checks: tuple[CheckResult, ...]) -> Status:
    bad = sum(check.status == "failed" for check in checks)
    if bad == 0:
        return "ok"
    return "failed" if bad == len(checks) else "degraded"


def _has(states: tuple[ContainerState, ...], service: str) -> bool:
    return any(state.service == service for state in states)


def _unknown(space: Workspace) -> CheckResult:
    return CheckResult(
        name="state folder",
        status="failed",
        summary=f"{space.folder} does not say what was brought up",
        code="stack-unknown",
        hint=f"deployctl up --stack {space.stack}",
    )


def _missing(service: str, name: str) -> CheckResult:
    return CheckResult(
        name=f"container {service}",
        status="failed",
        summary="is not there",
        code="stack-not-running",
        where=service,
        hint=f"deployctl up --stack {name}",
    )


def _container(state: ContainerState, name: str) -> CheckResult:
    # A restart of long ago is history: only what is wrong now counts.
    what = None if stack.works(state) else trouble(state) or f"is {state.health or state.status}"
    return CheckResult(
        name=f"container {state.service}",
        status="failed" if what else "ok",
        summary=what or (f"running, {state.health}" if state.health else "running"),
        code="stack-not-running" if what else None,
        where=state.service,
        hint=f"deployctl logs {state.service} --stack {name}" if what else "",
    )


def _probes(world: World, space: Workspace, manifest: Manifest) -> tuple[CheckResult, ...]:
    """Ask engine and frontend from outside, at the same time."""
    at = stack.endpoints(space, manifest.served_name, manifest.webui_port, manifest.engine_port)
    with ThreadPoolExecutor(max_workers=2) as pool:
        engine = pool.submit(probe_engine, world.http, at)
        frontend = pool.submit(probe_frontend, world.http, at)
        return (
            _probe("engine", "engine", engine.result(), space.stack),
            _probe("frontend", "webui", frontend.result(), space.stack),
        )


def _probe(role: str, service: str, probe: Probe, name: str) -> CheckResult:
    return CheckResult(
        name=f"{role} answers",
        status="ok" if probe.ok else "failed",
        summary=probe.seen,
        code=None if probe.ok else f"{role}-not-ready",
        where=service,
        hint="" if probe.ok else f"deployctl logs {service} --stack {name}",
    )
