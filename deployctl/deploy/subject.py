"""Gathers what is known of a running stack, for the checks of ``verify``; only looks."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from deployctl.deploy import drift, stack
from deployctl.deploy.admin import Admin
from deployctl.deploy.card import look_at_card
from deployctl.deploy.credentials import secrets_of
from deployctl.deploy.kept import kept_request, kept_selection, way_of
from deployctl.deploy.known import down, known, paused
from deployctl.errors import DeployctlError
from deployctl.files import text_of
from deployctl.fitting import fitting
from deployctl.learned import Learned
from deployctl.planner import build_plan
from deployctl.ports import holder
from deployctl.verify import wayout
from deployctl.verify.nouns import Container, KeptFile, Ports, Session, Subject
from deployctl.verify.wanted import Wanted, wanted_of
from deployctl.vitals import environment_of

if TYPE_CHECKING:
    from deployctl.deploy.world import World
    from deployctl.drift import Drift
    from deployctl.errors import Fault
    from deployctl.model import Plan
    from deployctl.outcomes import ContainerState
    from deployctl.secret import Secret
    from deployctl.workspace import Manifest, Workspace

#: Files of the stack's folder that are looked at: their modes, and what is written in them.
_FILES = (
    *(".env", "secrets.json", "credentials", "session", "manifest.json"),
    *("compose.yaml", "compose.override.yaml", "proved.json", "deployctl.log"),
)


def running(world: World, space: Workspace) -> tuple[Manifest, tuple[ContainerState, ...]]:
    """Make sure that there is something to check; ``stack-unknown``, ``stack-not-running``."""
    manifest, states = known(world, space)
    if not states:
        space.refuse_unfinished()
        raise down(space, "so there is nothing to verify")
    if held := tuple(fault for state in states if (fault := paused(state)) is not None):
        raise DeployctlError.of(held)
    running = {state.service for state in states if state.status == "running"}
    if missing := sorted({"engine", "webui"} - running):
        space.refuse_unfinished()
        how = {state.service: state.status for state in states}
        said = tuple(f"{service}: {how.get(service, 'not there')}" for service in missing)
        raise _not_running(space, f"is not running: {', '.join(missing)}", said)
    return manifest, states


def _not_running(space: Workspace, what: str, details: tuple[str, ...]) -> DeployctlError:
    return DeployctlError(
        f"Stack {space.stack} {what}, so there is nothing to verify.",
        code="stack-not-running",
        where=str(space.folder),
        hint=kept_request(space.stack, space.manifest()).again,
        details=details,
    )


def subject_of(
    world: World, space: Workspace, manifest: Manifest, states: tuple[ContainerState, ...]
) -> Subject:
    """Everything the checks are given of a stack that runs; ``stack-not-running`` where lost."""
    wanted = wanted_by(space, manifest)
    plan, unplanned = planned(world, manifest, wanted)
    facts = world.local()
    at = stack.endpoints(space, manifest.served_name, manifest.webui_port, manifest.engine_port)
    containers = _containers(world, states)
    frontend = next((c.seen for c in containers if c.service == "webui"), None)

    def settings() -> tuple[Drift, ...]:
        admin = Admin(world.http, space, at)
        return drift.of_webui(admin, environment_of(frontend), manifest.served_name, space.stack)

    def card() -> Fault | None:
        engine = next((c for c in containers if c.service == "engine"), None)
        if engine is None:
            return None
        request = kept_request(space.stack, manifest)
        return look_at_card(world, request, engine.state, engine.seen)

    known = None if plan is None else Learned(world.home).of(plan)
    return Subject(
        at=at,
        wanted=wanted,
        containers=containers,
        networks=world.docker.networks(space.stack),
        facts=facts,
        ports=_ports(world),
        way=way_of(kept_request(space.stack, manifest)),
        settings=settings,
        card=card,
        plan=plan,
        unplanned=unplanned,
        fitting=fitting(plan, facts, learned=known, running=True) if plan is not None else None,
        files=_files(space.folder),
        secrets=_secrets(space),
        way_out=text_of(Path(wayout.__file__)),
        session=Session(token=space.session()),
    )


def _ports(world: World) -> Ports:
    return Ports(
        http=world.http,
        docker=world.docker,
        runner=world.runner,
        clock=world.clock,
        local=world.local,
        holder=partial(holder, world.runner, root=Path("/")),
    )


def _containers(world: World, states: tuple[ContainerState, ...]) -> tuple[Container, ...]:
    found = ((state, world.docker.inspect(state.id)) for state in states)
    return tuple(
        Container(service=state.service, state=state, seen=seen)
        for state, seen in found
        if seen is not None and state.status == "running"
    )


def _secrets(space: Workspace) -> dict[str, Secret]:
    return dict(secrets_of(space).named)


def wanted_by(space: Workspace, manifest: Manifest) -> Wanted:
    """What was asked, by the file that was applied; ``stack-not-running`` where that is lost."""
    text = manifest.compose or space.compose_text() or ""
    try:
        return wanted_of(text, manifest.variables)
    except ValueError as problem:
        raise DeployctlError(
            f"{space.folder} does not say what was brought up.",
            code="stack-not-running",
            where=str(space.folder / "compose.yaml"),
            hint=kept_request(space.stack, manifest).again,
            details=(str(problem),),
        ) from None


def planned(world: World, manifest: Manifest, wanted: Wanted) -> tuple[Plan | None, str]:
    """The plan of what runs, resolved again; or why there is none any more, as a clause."""
    try:
        plan = build_plan(world.resolve(kept_selection(manifest)))
    except DeployctlError as problem:
        return None, f"its profile cannot be read any more: {problem}"
    now = (plan.engine, plan.served_name, plan.context, plan.concurrency)
    if now != (wanted.engine, manifest.served_name, wanted.context, wanted.concurrency):
        return None, "its profile says something else by now"
    return plan, ""


def _files(folder: Path) -> tuple[KeptFile, ...]:
    """The files that may hold secrets, and the folder itself, whose text is where it lies."""
    found = []
    for name in (*_FILES, "."):
        path = folder / name
        try:
            status = path.stat()
        except OSError:
            continue
        found.append(
            KeptFile(
                name=name,
                mode=status.st_mode & 0o7777,
                ours=status.st_uid == os.geteuid(),
                text=str(folder) if name == "." else text_of(path),
            )
        )
    return tuple(found)
