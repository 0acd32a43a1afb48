"""The part of ``up`` that changes Docker: files into the folder, containers as they say.

The rendered files are checked, with the operator's override, before the live ones are replaced.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from deployctl.commands import Project
from deployctl.deploy import reviving, stack
from deployctl.deploy.changed import identities, identity
from deployctl.deploy.composing import compose_up
from deployctl.deploy.exposed import warn_of_exposed
from deployctl.deploy.stack import host_ports
from deployctl.deploy.world import ResolvedImage, World
from deployctl.diagnosis import Way
from deployctl.errors import DeployctlError
from deployctl.model import Bundle, ContainerState, Plan, Progress, Weights
from deployctl.profiles.selection import Selection
from deployctl.render import CONTAINER_USER, image_variable
from deployctl.services import webui
from deployctl.workspace import ADMIN_EMAIL, Manifest, Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What shall run: the plan, rendered, and what its variables stand for on this host."""

    plan: Plan
    bundle: Bundle
    images: tuple[ResolvedImage, ...]
    weights: Weights
    automatic: bool  # the profile was chosen, not named
    machine: tuple[tuple[str, str], ...]  # variables of this machine
    selection: Selection = field(default_factory=Selection)  # what that was made of


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What shall run, checked against what is there. Nothing was touched yet."""

    wanted: Wanted
    variables: tuple[tuple[str, str], ...]
    image_ids: Mapping[str, str]  # service → id
    fingerprint: str
    hashes: Mapping[str, str]
    states: tuple[ContainerState, ...]
    without_network: tuple[str, ...]  # services
    kept: Manifest | None
    as_wanted: bool  # all of it runs already


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """What starting did. ``restarts_before``: container id → restarts that are history."""

    changed: bool
    summary: str
    restarts_before: Mapping[str, int]


def prepare(world: World, space: Workspace, wanted: Wanted) -> Prepared:
    """Check what shall run. ``render-invalid``, ``secrets-lost``; the running stack stays as is."""
    _refuse_lost_secrets(world, space)
    variables = _variables(space, wanted)
    ids = {i.service: world.docker.image_id(i.reference) or "" for i in wanted.images}
    named = tuple((i.reference, ids[i.service]) for i in wanted.images)
    fingerprint = space.fingerprint(wanted.bundle, (*variables, *named))
    states = world.docker.containers(space.stack)
    kept = space.manifest()
    same = kept if kept is not None and kept.fingerprint == fingerprint else None
    hashes = same.hashes if same else {}
    if same is None or space.override is not None:  # an override may name files of its own
        hashes = _check(world, space, wanted, stack.project(space, variables))
    lost = reviving.cut_off(world, space.stack, states)
    as_wanted = (
        same is not None and hashes == same.hashes and not lost and stack.as_applied(same, states)
    )
    return Prepared(
        wanted=wanted,
        variables=variables,
        image_ids=ids,
        fingerprint=fingerprint,
        hashes=hashes,
        states=states,
        without_network=lost,
        kept=kept,
        as_wanted=as_wanted,
    )


def start(world: World, progress: Progress, space: Workspace, what: Prepared, way: Way) -> Started:
    """Start what is not as wanted; ``start-…`` where the cause is known, or ``compose-failed``."""
    wanted = what.wanted
    before = {state.id: state.restarts for state in what.states}
    now = _manifest(space, wanted, what.fingerprint, what.kept)
    space.write(wanted.bundle, what.variables)
    space.write_credentials(_credentials(space, wanted.plan))
    if what.as_wanted:
        _keep(space, what.kept, _applied(now, space, wanted, what.hashes))
        return Started(changed=False, summary="nothing to do", restarts_before=before)
    project = stack.project(space, what.variables)
    now = replace(now, hashes=what.hashes)
    space.save_manifest(now)
    if not now.data_owned:
        _own_the_data(world, progress, space, wanted, project)
        now = replace(now, data_owned=True)
        space.save_manifest(now)
    reviving.revive(world, space, project, what.states, what.without_network)
    compose_up(world, progress, space, project, way)
    space.save_manifest(_applied(now, space, wanted, what.hashes))
    summary = f"{len(wanted.plan.services)} containers"
    return Started(changed=True, summary=summary, restarts_before=before)


def _refuse_lost_secrets(world: World, space: Workspace) -> None:
    """Never generate new secrets for old data: nobody could sign in any more."""
    volumes = world.docker.volumes(space.stack)
    if volumes and not space.has_secrets:
        raise DeployctlError(
            f"The data of stack {space.stack} is there ({', '.join(volumes)}), but the credentials "
            f"it was made with are not in {space.folder}.",
            code="secrets-lost",
            where=str(space.folder),
            hint=f"put secrets.json back there, or use another name: deployctl up --stack "
            f"{space.stack}2; to give the chats up: deployctl down --volumes --stack {space.stack}",
        )


def _check(world: World, space: Workspace, wanted: Wanted, project: Project) -> Mapping[str, str]:
    """Have Compose read the new files, the override too, before they replace the live ones."""
    with space.staged(wanted.bundle) as staged:
        checked = stack.compose(
            world, project.check(staged), code="render-invalid", hint=_override_hint(space)
        )
        if space.override is not None:
            warn_of_exposed(world, space, wanted.plan, world.runner.run(project.read(staged)))
    return stack.config_hashes(checked.stdout)


def _own_the_data(
    world: World, progress: Progress, space: Workspace, wanted: Wanted, project: Project
) -> None:
    """Hand the data volume to the user its container runs as, the first time it is used.

    Docker fills a new volume from the image, owners included. The registry's image keeps its data
    folder for root, and ours runs as nobody in particular; an image built here has it right.
    """
    image = next(image for image in wanted.images if image.service == "webui")
    if image.built:
        return
    progress("handing the data volume to the frontend's user")
    stack.compose(
        world,
        project.own("webui", webui.DATA, user=CONTAINER_USER),
        code="compose-failed",
        hint=f"deployctl up --stack {space.stack}  # tries it again",
    )


def _manifest(
    space: Workspace, wanted: Wanted, fingerprint: str, kept: Manifest | None
) -> Manifest:
    """What is begun; of what was last carried out whole, what is on record stays there."""
    plan = wanted.plan
    frontend, engine = host_ports(plan)
    before = kept.compose if kept else None
    if kept is not None and kept.standing == "unknown":  # an older tool's; its file is still there
        before = space.compose_text()
    return Manifest(
        profile=plan.profile,
        automatic=wanted.automatic,
        model=plan.model,
        served_name=plan.served_name,
        fingerprint=fingerprint,
        webui_port=frontend,
        engine_port=engine,
        lan_url=stack.lan_url(plan),
        images={image.service: image.reference for image in wanted.images},
        hashes={},
        data_owned=bool(kept and kept.data_owned),
        standing="unfinished",
        compose=before,
        weights=kept.weights if kept else None,
        variables=kept.variables if kept else {},
        override=kept.override if kept else {},
        selection=_on_record(wanted.selection),
    )


def _applied(
    begun: Manifest, space: Workspace, wanted: Wanted, hashes: Mapping[str, str]
) -> Manifest:
    """The same, carried out whole: what the next `plan` compares with, without Docker."""
    return replace(
        begun,
        hashes=hashes,
        standing="applied",
        compose=wanted.bundle.text("compose.yaml"),
        weights=identity(wanted.weights),
        variables=dict(wanted.machine),
        override=identities(space.override_text()),
    )


def _keep(space: Workspace, kept: Manifest | None, now: Manifest) -> None:
    """Nothing was to be done, but an interrupted `up`, or an older tool, left no such record."""
    if kept is not None and kept.standing != "applied":
        space.save_manifest(replace(now, automatic=kept.automatic))
    elif kept is not None and kept.selection != now.selection:  # other words for the same stack
        space.save_manifest(replace(kept, selection=now.selection))


def _on_record(selection: Selection) -> dict[str, Any]:
    """The selection as it comes back from JSON, so that the two can be compared."""
    words: dict[str, Any] = json.loads(json.dumps(asdict(selection)))
    return words


def _variables(space: Workspace, wanted: Wanted) -> tuple[tuple[str, str], ...]:
    """Everything the rendered files leave open: images, the model file, the secrets."""
    secrets = space.secrets()
    by_service = {image.service: image.reference for image in wanted.images}
    return (
        *((image_variable(s).name, by_service[s.name]) for s in wanted.plan.services),
        ("DEPLOYCTL_MODEL", str(wanted.weights.path)),
        ("DEPLOYCTL_WEIGHTS", wanted.weights.identity),
        *wanted.machine,
        ("DEPLOYCTL_ENGINE_KEY", secrets.engine_key.reveal()),
        ("DEPLOYCTL_WEBUI_SECRET", secrets.webui_secret.reveal()),
        ("DEPLOYCTL_ADMIN_EMAIL", ADMIN_EMAIL),
        ("DEPLOYCTL_ADMIN_PASSWORD", secrets.admin_password.reveal()),
    )


def _credentials(space: Workspace, plan: Plan) -> str:
    """The sheet the operator signs in with."""
    webui_url, engine_url = stack.addresses(*host_ports(plan))
    secrets = space.secrets()
    return (
        f"# How to reach stack {space.stack}. Readable by you alone; keep it so.\n"
        f"chat window:    {webui_url}\n"
        f"{_for_the_neighbours(plan)}"
        f"email:          {ADMIN_EMAIL}\n"
        f"password:       {secrets.admin_password.reveal()}\n\n"
        f"OpenAI API:     {engine_url}\n"
        f"API key:        {secrets.engine_key.reveal()}\n"
        f"model:          {plan.served_name}\n"
    )


def _for_the_neighbours(plan: Plan) -> str:
    shared = stack.lan_url(plan)
    return f"in the network: {shared}  (plain HTTP)\n" if shared else ""


def _override_hint(space: Workspace) -> str:
    if space.override is not None:
        return f"look at {space.override}, then: deployctl up --stack {space.stack}"
    return "deployctl up --debug"
