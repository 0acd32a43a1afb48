"""Looks where a stack is not what was last applied, or not what its profile asks.

Reads the stack's folder, Docker, and the chat window's own settings; changes nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from deployctl import drift
from deployctl.deploy.kept import kept_selection
from deployctl.services.overrides import global_functions, model_override
from deployctl.services.settings import differences

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deployctl.deploy.admin import Admin
    from deployctl.deploy.world import World
    from deployctl.drift import Drift
    from deployctl.outcomes import ContainerState
    from deployctl.services.overrides import Override
    from deployctl.services.settings import Difference
    from deployctl.workspace import Manifest, Workspace


def of_folder(
    space: Workspace, manifest: Manifest, states: tuple[ContainerState, ...], again: str
) -> tuple[Drift, ...]:
    """Files of the stack that were changed by hand, and the model file; a few small reads."""
    if manifest.standing != "applied":
        return ()
    found = []
    text = space.compose_text()
    if text != manifest.compose:
        found.append(
            drift.of_file("compose.yaml", gone=text is None, takes_effect=False, again=again)
        )
    override = space.override_text()
    if override is not None or manifest.override:
        from deployctl.deploy.changed import identities

        if identities(override) != manifest.override:
            found.append(
                drift.of_file(
                    "compose.override.yaml", gone=override is None, takes_effect=True, again=again
                )
            )
    runs = any(s.service == "engine" and s.status == "running" for s in states)
    return (*found, *_of_weights(manifest, again, runs=runs))


def _of_weights(manifest: Manifest, again: str, *, runs: bool) -> tuple[Drift, ...]:
    """The model file against the one the engine was started with, by size and time.

    Of a model that is a folder only whether it is there: its files are checked by `up`.
    """
    path, _, identity = (manifest.weights or "").rpartition(" ")
    if not path:
        return ()
    try:
        seen = Path(path).stat()
    except OSError:
        return (drift.of_weights(path, gone=True, runs=runs, again=again),)
    if Path(path).is_dir() or identity == f"{seen.st_size}-{seen.st_mtime_ns}":
        return ()
    return (drift.of_weights(path, gone=False, runs=runs, again=again),)


def of_containers(
    manifest: Manifest, states: tuple[ContainerState, ...], again: str
) -> tuple[Drift, ...]:
    """Containers that were not made from what was applied."""
    if manifest.standing != "applied":
        return ()
    found = (
        drift.of_container(s.service, s.config_hash, manifest.hashes.get(s.service), again)
        for s in states
    )
    return tuple(each for each in found if each is not None)


def of_image(world: World, state: ContainerState, again: str) -> Drift | None:
    """An image whose name leads elsewhere by now."""
    there = world.docker.image_id(state.image)
    if there == state.image_id:
        return None
    return drift.of_image(state.service, state.image, gone=there is None, again=again)


def of_webui(
    admin: Admin, environment: Mapping[str, str], served_name: str, stack: str
) -> tuple[Drift, ...]:
    """Settings of the chat window that are not as its environment asks, and what wins over them.

    Raises ``proof-failed`` when the administrator is refused.
    """
    option = f" --stack {stack}"
    persistent = drift.persistent_settings(environment)
    settings, overrides = of_panel(admin, environment, served_name)
    return (
        *(drift.of_setting(s, persistent=persistent, stack_option=option) for s in settings),
        *(drift.of_override(each, stack_option=option) for each in overrides),
    )


def of_panel(
    admin: Admin, environment: Mapping[str, str], served_name: str
) -> tuple[tuple[Difference, ...], tuple[Override, ...]]:
    """(settings that are not as asked, what wins over settings), as the chat window has them."""
    effective = admin.get("/api/v1/configs/export")
    own = model_override(admin.get("/api/v1/models/base"), served_name, environment)
    everywhere = global_functions(admin.get("/api/v1/functions/"))
    return (
        differences(environment, effective if isinstance(effective, dict) else {}),
        (*(() if own is None else (own,)), *everywhere),
    )


def of_profile(world: World, space: Workspace, manifest: Manifest, again: str) -> tuple[Drift, ...]:
    """What the profile, as it is now, would change: as `plan` says. Raises ``profile-…`` faults."""
    from deployctl.deploy.changed import changed
    from deployctl.deploy.select import Selected, adapted
    from deployctl.planner import build_plan

    selection, facts = kept_selection(manifest), world.local()
    profile = world.resolve(selection)
    kept = Selected(profile=profile, plan=build_plan(profile), selection=selection, choice=None)
    now = adapted(world, kept, facts)
    found = changed(world, space, now.profile, now.plan, facts)
    return tuple(
        drift.Drift(
            place="profile",
            name=change.service,
            what=f"The profile asks for something else by now: {change}",
            lasts="What runs goes on as it is until the next `up`.",
            hint=again,
        )
        for change in found
        if change.action != "keep"
    )
