"""The part of ``up`` that changes Docker: files into the folder, containers as they say.

The rendered files are checked, with the operator's override, before the live ones are replaced.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from deployctl.deploy import enginecache, leftovers, ownfiles, reviving, stack
from deployctl.deploy.addons import export_names
from deployctl.deploy.changed import identities, identity
from deployctl.deploy.composing import compose_up, give_away
from deployctl.deploy.credentials import refuse_lost
from deployctl.deploy.exposed import warn_of_exposed
from deployctl.deploy.kept import request_of
from deployctl.deploy.sheet import sheet
from deployctl.deploy.stack import host_ports
from deployctl.deploy.world import UpRequest
from deployctl.errors import DeployctlError
from deployctl.profiles.selection import Selection
from deployctl.render import CONTAINER_USER, folders, image_variable
from deployctl.services import webui
from deployctl.services.common import CACHE_VOLUME
from deployctl.stacksecrets import variable
from deployctl.workspace import ADMIN_EMAIL, Manifest, Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from deployctl.commands import Project
    from deployctl.deploy.run import Run
    from deployctl.deploy.world import ResolvedImage, World
    from deployctl.diagnosis import Way
    from deployctl.model import Bundle, Plan, Weights
    from deployctl.outcomes import ContainerState, Progress
    from deployctl.secret import Secret
    from deployctl.stacksecrets import StackSecrets


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
    again: str = ""  # the command that asks for it once more


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What shall run, checked against what is there. Nothing was touched yet."""

    wanted: Wanted
    variables: tuple[tuple[str, str], ...]
    image_ids: Mapping[str, str]  # service → id
    fingerprint: str
    hashes: Mapping[str, str]
    override: Mapping[str, str]  # parts of the operator's own file, as they were checked
    states: tuple[ContainerState, ...]
    without_network: tuple[str, ...]  # services
    kept: Manifest | None
    cache: str | None  # the engine's folder in its cache volume
    as_wanted: bool  # all of it runs already


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """What starting did."""

    changed: bool
    summary: str


def prepare(world: World, space: Workspace, wanted: Wanted) -> Prepared:
    """Check what shall run. ``render-invalid``, ``secrets-lost``; the running stack stays as is."""
    refuse_lost(world, space, UpRequest(stack=space.stack, selection=wanted.selection))
    ownfiles.look(world, space, wanted.plan, _again(space, wanted))
    ids = {i.service: world.docker.image_id(i.reference) or "" for i in wanted.images}
    cache = enginecache.key_of(wanted.plan, ids, wanted.weights)
    variables = (*_variables(space, wanted), *enginecache.variables(wanted.plan, cache))
    named = tuple((i.reference, ids[i.service]) for i in wanted.images)
    override = identities(space.override_text())  # it may be edited while the stack starts
    fingerprint = space.fingerprint(wanted.bundle, (*variables, *named))
    states = world.docker.containers(space.stack)
    kept = space.manifest()
    same = kept if kept is not None and kept.fingerprint == fingerprint else None
    hashes = same.hashes if same else {}
    if same is None:
        ownfiles.check(world, space, wanted, _again(space, wanted))
    if same is None or space.override is not None:  # an override may name files of its own
        hashes = _check(world, space, wanted, stack.project(space, variables))
    lost = reviving.cut_off(world, space.stack, states)
    # One that was broken off is gone over again: an image of the same name leaves no other hash.
    whole = same is not None and same.standing != "unfinished" and hashes == same.hashes
    as_wanted = whole and not lost and same is not None and stack.as_applied(same, states)
    return Prepared(
        wanted=wanted,
        variables=variables,
        image_ids=ids,
        fingerprint=fingerprint,
        hashes=hashes,
        override=override,
        states=states,
        without_network=lost,
        kept=kept,
        cache=cache,
        as_wanted=as_wanted,
    )


def start(run: Run, progress: Progress, space: Workspace, what: Prepared, way: Way) -> Started:
    """Start what is not as wanted; ``start-…`` where the cause is known, or ``compose-failed``.

    ``run.touched`` says afterwards, failed or not, whether anything in Docker was changed.
    """
    world, wanted = run.world, what.wanted
    now = _manifest(space, what)
    if what.as_wanted:
        _write(space, what)
        _keep(space, what.kept, _applied(now, what))
        export_names(world, space)  # somebody else may have made one of them anew, just like it
        return Started(changed=False, summary="nothing to do")
    project = stack.project(space, what.variables)
    now = replace(now, hashes=what.hashes)
    # Before the files: beside new ones a manifest that says applied would be believed.
    space.save_manifest(now)
    _write(space, what)
    run.touched = True
    now = _hand_over(run, progress, space, what, now, way)
    # Compose knows nothing of a service that is in no file any more; it removes what it finds.
    states = tuple(state for state in what.states if state.service in what.hashes)
    lost = tuple(name for name in what.without_network if name in what.hashes)
    reviving.revive(world, space, project, wanted.plan, states, lost)
    compose_up(world, progress, space, project, way)
    leftovers.tidy(space, wanted, what.kept)
    space.save_manifest(_applied(now, what))
    summary = f"{len(wanted.plan.services)} containers"
    return Started(changed=True, summary=summary)


def _write(space: Workspace, what: Prepared) -> None:
    wanted = what.wanted
    space.write(wanted.bundle, what.variables, folders(wanted.plan, wanted.bundle))
    space.write_credentials(sheet(space, wanted.plan))


def _check(world: World, space: Workspace, wanted: Wanted, project: Project) -> Mapping[str, str]:
    """Have Compose read the new files, the override too, before they replace the live ones."""
    with space.staged(wanted.bundle) as staged:
        hint = _override_hint(space, _again(space, wanted))
        try:
            checked = stack.compose(world, project.check(staged), code="render-invalid", hint=hint)
        except DeployctlError as problem:
            alone = replace(project, override=False).check(staged)
            if space.override is None or not world.runner.run(alone).ok:
                raise
            raise _override_refused(space.override, problem) from None
        if space.override is not None:
            warn_of_exposed(world, space, wanted.plan, world.runner.run(project.read(staged)))
    return stack.config_hashes(checked.stdout)


def _override_refused(file: Path, problem: DeployctlError) -> DeployctlError:
    """The same, of a file that Compose often does not name: the operator's, as ours holds alone."""
    line = re.search(r"\bline (\d+)", "\n".join(problem.faults[0].details))
    told = replace(
        problem.faults[0],
        message=f"`docker compose` cannot use your own file {file}.",
        where=f"{file}:{line[1]}" if line else str(file),
    )
    return DeployctlError.of((told,))


def _hand_over(
    run: Run, progress: Progress, space: Workspace, what: Prepared, now: Manifest, way: Way
) -> Manifest:
    """Hand each volume to the user its container runs as, the first time it is used.

    Docker fills a new volume from the image, owners included. A registry's image keeps such a
    folder for root or has none, and ours runs as nobody in particular; an image built here has it
    right. A volume that somebody removed meanwhile is a new one.
    """
    built = {image.service for image in what.wanted.images if image.built}
    cache = enginecache.place_of(what.wanted.plan)

    def give(then: Manifest, service: str, volume: str, path: str, *, known: bool) -> Manifest:
        if service in built:
            return then
        if not (known and f"{space.stack}_{volume}" in run.world.docker.volumes(space.stack)):
            progress(f"handing the volume {volume} to the user of {service}")
            project = stack.project(space, what.variables)
            give_away(run.world, space, project.own(service, path, user=CONTAINER_USER), way)
            space.save_manifest(then)
        return then

    owned = replace(now, data_owned=True)
    now = give(owned, "webui", webui.VOLUME, webui.DATA, known=now.data_owned)
    if cache is not None:
        owned = replace(now, cache_owned=True)
        now = give(owned, "engine", CACHE_VOLUME, cache, known=now.cache_owned)
    for service, volume, path in _of_addons(what.wanted.plan):
        owned = replace(now, owned=tuple(dict.fromkeys((*now.owned, volume))))
        now = give(owned, service, volume, path, known=volume in now.owned)
    return now


def _of_addons(plan: Plan) -> Iterator[tuple[str, str, str]]:
    """(service, volume, where it is mounted) of what add-ons keep."""
    for service in plan.services:
        for mount in service.mounts if service.addon is not None else ():
            if mount.kind == "volume" and not mount.read_only:
                yield service.name, str(mount.source), mount.target


def _manifest(space: Workspace, what: Prepared) -> Manifest:
    """What is begun; of what was last carried out whole, what is on record stays there."""
    wanted, kept = what.wanted, what.kept
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
        fingerprint=what.fingerprint,
        webui_port=frontend,
        engine_port=engine,
        lan_url=stack.lan_url(plan),
        addon_ports=tuple(p.host_port for s in plan.services if s.addon for p in s.ports),
        pages=tuple((page.label, page.url) for page in plan.pages),
        images={image.service: image.reference for image in wanted.images},
        hashes={},
        data_owned=bool(kept and kept.data_owned),
        cache_owned=bool(kept and kept.cache_owned),
        owned=kept.owned if kept else (),
        engine_caches=kept.engine_caches if kept else (),
        files=leftovers.on_record(wanted.bundle, kept),
        standing="unfinished",
        compose=before,
        weights=kept.weights if kept else None,
        variables=kept.variables if kept else {},
        override=kept.override if kept else {},
        selection=_on_record(wanted.selection),
    )


def _applied(begun: Manifest, what: Prepared) -> Manifest:
    """The same, carried out whole: what the next `plan` compares with, without Docker."""
    wanted = what.wanted
    return replace(
        begun,
        hashes=what.hashes,
        files=leftovers.beside(wanted.bundle),
        standing="applied",
        compose=wanted.bundle.text("compose.yaml"),
        weights=identity(wanted.weights),
        variables=dict(wanted.machine),
        override=what.override,
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
    secrets = space.make_secrets(_again(space, wanted), wanted.plan.secrets)
    by_service = {image.service: image.reference for image in wanted.images}
    return (
        *((image_variable(s).name, by_service[s.name]) for s in wanted.plan.services),
        ("DEPLOYCTL_MODEL", str(wanted.weights.path)),
        ("DEPLOYCTL_WEIGHTS", wanted.weights.identity),
        *wanted.machine,
        *ownfiles.variables(space, wanted.plan),
        ("DEPLOYCTL_ADMIN_EMAIL", ADMIN_EMAIL),
        *((variable(name), secret.reveal()) for name, secret in _used(secrets, wanted.plan)),
    )


def _used(secrets: StackSecrets, plan: Plan) -> Iterator[tuple[str, Secret]]:
    """The secrets that this plan needs: what an add-on had that is off is no reason for change."""
    for name, secret in secrets.named.items():
        if name not in secrets.addons or name in plan.secrets:
            yield name, secret


def _again(space: Workspace, wanted: Wanted) -> str:
    return wanted.again or request_of(space).again


def _override_hint(space: Workspace, again: str) -> str:
    if space.override is not None:
        return f"look at {space.override}, then: {again}"
    return f"{again} --debug"
