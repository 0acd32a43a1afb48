"""The part of ``up`` that changes Docker: files into the folder, containers as they say.

The rendered files are checked, with the operator's override, before the live ones are replaced.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from deployctl.commands import Project
from deployctl.deploy import stack
from deployctl.deploy.world import ResolvedImage, World
from deployctl.model import Bundle, Plan, Progress, Weights
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """What starting did. ``restarts_before``: container id → restarts that are history."""

    changed: bool
    summary: str
    restarts_before: Mapping[str, int]


def start(world: World, progress: Progress, space: Workspace, wanted: Wanted) -> Started:
    """Start what is not as wanted. ``render-invalid``, ``compose-failed``."""
    variables = _variables(space, wanted)
    fingerprint = space.fingerprint(wanted.bundle, variables)
    states = world.docker.containers(space.stack)
    before = {state.id: state.restarts for state in states}
    kept = space.manifest()
    if kept and kept.fingerprint == fingerprint and stack.as_applied(kept, states):
        return Started(changed=False, summary="nothing to do", restarts_before=before)
    with space.staged(wanted.bundle) as staged:
        checked = stack.compose(
            world,
            stack.project(space, variables).check(staged),
            code="render-invalid",
            hint=_override_hint(space),
        )
    space.write(wanted.bundle, variables)
    project = stack.project(space, variables)
    space.write_credentials(_credentials(space, wanted.plan))
    hashes = stack.config_hashes(checked.stdout)
    space.save_manifest(_manifest(wanted, fingerprint, hashes))
    _own_the_data(world, progress, space, wanted, project)
    stack.compose(
        world,
        project.up(),
        code="compose-failed",
        hint=f"deployctl status --stack {space.stack}",
        on_line=lambda line: progress(line.strip()),
    )
    summary = f"{len(wanted.plan.services)} containers"
    return Started(changed=True, summary=summary, restarts_before=before)


def _own_the_data(
    world: World, progress: Progress, space: Workspace, wanted: Wanted, project: Project
) -> None:
    """Hand a new data volume to the user its container runs as.

    Docker fills a new volume from the image, owners included. The registry's image keeps its data
    folder for root, and ours runs as nobody in particular; an image built here has it right.
    """
    if any(volume.endswith(f"_{webui.VOLUME}") for volume in world.docker.volumes(space.stack)):
        return
    image = next(image for image in wanted.images if image.service == "webui")
    if image.built:
        return
    progress("handing the new data volume to the frontend's user")
    stack.compose(
        world,
        project.own("webui", webui.DATA, user=CONTAINER_USER),
        code="compose-failed",
        hint=f"deployctl down --volumes --stack {space.stack}  # then up again",
    )


def host_ports(plan: Plan) -> tuple[int, int]:
    """The ports on the host: (frontend's, engine's)."""
    frontend, engine = (plan.service(name).ports[0].host_port for name in ("webui", "engine"))
    return frontend, engine


def _manifest(wanted: Wanted, fingerprint: str, hashes: Mapping[str, str]) -> Manifest:
    plan = wanted.plan
    frontend, engine = host_ports(plan)
    return Manifest(
        profile=plan.profile,
        automatic=wanted.automatic,
        model=plan.model,
        served_name=plan.served_name,
        fingerprint=fingerprint,
        webui_port=frontend,
        engine_port=engine,
        images={image.service: image.reference for image in wanted.images},
        image_sources={image.service: image.source for image in wanted.images},
        hashes=hashes,
        proved=False,
    )


def _variables(space: Workspace, wanted: Wanted) -> tuple[tuple[str, str], ...]:
    """Everything the rendered files leave open: images, the model file, the secrets."""
    secrets = space.secrets()
    by_service = {image.service: image.reference for image in wanted.images}
    return (
        *((image_variable(s).name, by_service[s.name]) for s in wanted.plan.services),
        ("DEPLOYCTL_MODEL", str(wanted.weights.path)),
        ("DEPLOYCTL_ENGINE_KEY", secrets.engine_key.reveal()),
        ("DEPLOYCTL_WEBUI_SECRET", secrets.webui_secret.reveal()),
        ("DEPLOYCTL_ADMIN_EMAIL", ADMIN_EMAIL),
        ("DEPLOYCTL_ADMIN_PASSWORD", secrets.admin_password.reveal()),
    )


def _credentials(space: Workspace, plan: Plan) -> str:
    """The sheet the operator signs in with."""
    frontend, engine = host_ports(plan)
    secrets = space.secrets()
    return (
        f"# How to reach stack {space.stack}. Readable by you alone; keep it so.\n"
        f"chat window:    http://{stack.LOOPBACK}:{frontend}\n"
        f"email:          {ADMIN_EMAIL}\n"
        f"password:       {secrets.admin_password.reveal()}\n\n"
        f"OpenAI API:     http://{stack.LOOPBACK}:{engine}/v1\n"
        f"API key:        {secrets.engine_key.reveal()}\n"
        f"model:          {plan.served_name}\n"
    )


def _override_hint(space: Workspace) -> str:
    if space.override is not None:
        return f"look at {space.override}, then: deployctl up --stack {space.stack}"
    return "deployctl up --debug"
