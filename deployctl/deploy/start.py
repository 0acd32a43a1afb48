"""The part of ``up`` that changes Docker: files into the folder, containers as they say.

The rendered files are checked, with the operator's override, before the live ones are replaced.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from deployctl.commands import Project
from deployctl.deploy import stack
from deployctl.deploy.changed import identities, identity, of_this_machine
from deployctl.deploy.world import ResolvedImage, World
from deployctl.errors import DeployctlError
from deployctl.model import Bundle, ContainerState, HostFacts, Plan, Progress, Weights
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
    facts: HostFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """What starting did. ``restarts_before``: container id → restarts that are history."""

    changed: bool
    summary: str
    restarts_before: Mapping[str, int]


def start(world: World, progress: Progress, space: Workspace, wanted: Wanted) -> Started:
    """Start what is not as wanted. ``render-invalid``, ``compose-failed``."""
    _refuse_lost_secrets(world, space)
    variables = _variables(space, wanted)
    fingerprint = _fingerprint(world, space, wanted, variables)
    states = world.docker.containers(space.stack)
    before = {state.id: state.restarts for state in states}
    kept = space.manifest()
    now = _manifest(space, wanted, fingerprint, kept)
    project = stack.project(space, variables)
    same = kept if kept is not None and kept.fingerprint == fingerprint else None
    hashes = same.hashes if same else {}
    if same is None or space.override is not None:  # an override may name files of its own
        hashes = _check(world, space, wanted, project)
    if same and hashes == same.hashes and stack.as_applied(same, states):
        _keep(space, kept, _applied(now, space, wanted, hashes))
        return Started(changed=False, summary="nothing to do", restarts_before=before)
    space.write(wanted.bundle, variables)
    space.write_credentials(_credentials(space, wanted.plan))
    now = replace(now, hashes=hashes)
    space.save_manifest(now)
    if not now.data_owned:
        _own_the_data(world, progress, space, wanted, project)
        now = replace(now, data_owned=True)
        space.save_manifest(now)
    _revive(world, space, project, states)
    stack.compose(
        world,
        project.up(),
        code="compose-failed",
        hint=f"deployctl status --stack {space.stack}",
        on_line=lambda line: progress(line.strip()),
    )
    space.save_manifest(_applied(now, space, wanted, hashes))
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


def _fingerprint(
    world: World, space: Workspace, wanted: Wanted, variables: tuple[tuple[str, str], ...]
) -> str:
    """One value over all that decides the containers; an image by its id, not by its name."""
    ids = tuple((i.reference, world.docker.image_id(i.reference) or "") for i in wanted.images)
    return space.fingerprint(wanted.bundle, (*variables, *ids))


def _check(world: World, space: Workspace, wanted: Wanted, project: Project) -> Mapping[str, str]:
    """Have Compose read the new files, the override too, before they replace the live ones."""
    with space.staged(wanted.bundle) as staged:
        checked = stack.compose(
            world, project.check(staged), code="render-invalid", hint=_override_hint(space)
        )
    return stack.config_hashes(checked.stdout)


def _revive(
    world: World, space: Workspace, project: Project, states: tuple[ContainerState, ...]
) -> None:
    """Stop what hangs, so that ``compose up`` starts it anew: it leaves what runs alone."""
    hanging = tuple(s.service for s in states if stack.hangs(s))
    paused = tuple(s.service for s in states if s.status == "paused")
    hint = f"deployctl logs --stack {space.stack}"
    if paused:
        stack.compose(world, project.unpause(*paused), code="compose-failed", hint=hint)
    if hanging:
        stack.compose(world, project.stop(*hanging), code="compose-failed", hint=hint)


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


def host_ports(plan: Plan) -> tuple[int, int]:
    """The ports on the host: (frontend's, engine's)."""
    frontend, engine = (plan.service(name).ports[0].host_port for name in ("webui", "engine"))
    return frontend, engine


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
        variables=dict(of_this_machine(wanted.facts)),
        override=identities(space.override_text()),
    )


def _keep(space: Workspace, kept: Manifest | None, now: Manifest) -> None:
    """Nothing was to be done, but an interrupted `up`, or an older tool, left no such record."""
    if kept is not None and kept.standing != "applied":
        space.save_manifest(replace(now, automatic=kept.automatic))


def _variables(space: Workspace, wanted: Wanted) -> tuple[tuple[str, str], ...]:
    """Everything the rendered files leave open: images, the model file, the secrets."""
    secrets = space.secrets()
    by_service = {image.service: image.reference for image in wanted.images}
    return (
        *((image_variable(s).name, by_service[s.name]) for s in wanted.plan.services),
        ("DEPLOYCTL_MODEL", str(wanted.weights.path)),
        ("DEPLOYCTL_WEIGHTS", wanted.weights.identity),
        *of_this_machine(wanted.facts),
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
