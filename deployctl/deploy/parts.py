"""The parts of a stack by name: its services, its add-ons, and what it could have besides.

Read from the stack's own file, as what runs was made of that. Only looks.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deployctl.deploy.kept import kept_request, kept_selection, way_of
from deployctl.errors import DeployctlError
from deployctl.profiles.excerpt import SETTINGS

if TYPE_CHECKING:
    from deployctl.deploy.world import World
    from deployctl.profiles.selection import Selection
    from deployctl.verify.wanted import WantedService
    from deployctl.workspace import Manifest, Workspace


def services_of(space: Workspace, manifest: Manifest | None) -> tuple[WantedService, ...]:
    """The services as the stack's file has them; none where it is lost or cannot be read."""
    from deployctl.verify.wanted import wanted_of  # slow to import

    applied = manifest.compose if manifest is not None and manifest.standing == "applied" else None
    try:
        return wanted_of(applied or space.compose_text() or "", {}).services
    except ValueError:
        return ()


def services_by_addon(space: Workspace, manifest: Manifest | None) -> dict[str, tuple[str, ...]]:
    """Add-on → its services, of the add-ons that the stack has."""
    found: dict[str, tuple[str, ...]] = {}
    for service in services_of(space, manifest):
        if service.addon is not None:
            found[service.addon] = (*found.get(service.addon, ()), service.name)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A name that was typed and names nothing, and what would have been right.

    ``lists``: what this stack has of them → names. ``published``: only what is reached on this
    machine would do.
    """

    command: str  # logs
    name: str
    kind: str  # service or add-on
    lists: Mapping[str, tuple[str, ...]]
    published: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """All the names that would do, each once."""
        return tuple(dict.fromkeys(name for each in self.lists.values() for name in each))


def unknown_part(
    world: World, space: Workspace, manifest: Manifest | None, asked: Asked
) -> DeployctlError:
    """Make ``usage`` of a name that is none; the command that switches on what would have it."""
    line = f"deployctl {asked.command}"
    has = f"Stack {space.stack} has no {asked.kind} {asked.name!r}"
    if (never := _never(world, space, manifest, asked)) is not None:
        said, hint = never
        return _usage(f"{has}: {said}.", hint, asked)
    off = _switched_off(world, space, manifest, asked)
    addon, reason = off.get(asked.name), _left_out(manifest, asked.name)
    near = difflib.get_close_matches(asked.name, asked.names, n=1, cutoff=0.6)
    far = difflib.get_close_matches(asked.name, tuple(off), n=1, cutoff=0.6)
    if addon is not None:
        said, hint = f"{has}: the add-on {addon} is not switched on.", _with(space, manifest, addon)
    elif reason is not None:
        said = f"{has}, which was left out: {reason}."
        hint = f"{kept_request(space.stack, manifest).again}  # takes it in once its image is here"
    elif near:
        said, hint = f"{has}; did you mean {near[0]}?", f"{line} {near[0]} --stack {space.stack}"
    elif far:
        said = f"{has}; did you mean {far[0]}? It comes with an add-on that is not switched on."
        hint = _with(space, manifest, off[far[0]])
    else:
        said, hint = f"{has}.", f"{line} --stack {space.stack}"
    return _usage(said, hint, asked)


def _usage(said: str, hint: str, asked: Asked) -> DeployctlError:
    return DeployctlError(
        said,
        code="usage",
        hint=hint,
        details=tuple(f"its {kind}: {', '.join(names)}" for kind, names in asked.lists.items()),
    )


def _never(
    world: World, space: Workspace, manifest: Manifest | None, asked: Asked
) -> tuple[str, str] | None:
    """Why the profile has not this part of monitoring, a clause, and what to type.

    ``None`` for everything else: what ``up`` left out by itself is told with its own reason.
    """
    from deployctl.addons.monitoring import ADDON, PARTS, impossible

    key, off = PARTS.get(asked.name), _addons_off(space, manifest)
    if key is None or manifest is None or off is None or _left_out(manifest, asked.name):
        return None
    try:
        profile = world.resolve(_plus(kept_selection(manifest), (ADDON.name,)))
    except DeployctlError:  # its profile is gone
        return None
    block, word = profile.spec.addons.monitoring, key.rpartition(".")[2]
    if asked.published and not hasattr(block, f"{word}_port"):  # it has no page anywhere
        return None
    if why := impossible(profile.spec, asked.name):
        return why, f"deployctl {asked.command} --stack {space.stack}"
    if getattr(block, word) != "never":
        return None
    at = profile.origin(key)
    by = f"--set {key}=never" if at.file == SETTINGS else f"`{key}: never` in {at}"
    way = way_of(kept_request(space.stack, manifest))
    on = _plus(way.selection, (ADDON.name,)) if ADDON.name in off else way.selection
    return f"{by} switches it off", way.again(on.with_set(key, "auto"))


def _addons_off(space: Workspace, manifest: Manifest | None) -> tuple[str, ...] | None:
    """The add-ons that this stack has not; ``None`` where nobody knows which it has."""
    from deployctl.addons import NAMES

    services = services_of(space, manifest)
    if manifest is None or not services:
        return None
    on = {service.addon for service in services}
    return tuple(name for name in NAMES if name not in on)


def _switched_off(
    world: World, space: Workspace, manifest: Manifest | None, asked: Asked
) -> dict[str, str]:
    """What add-ons that this stack has not would bring, by name: themselves, their services."""
    found = _addons_off(space, manifest)
    if manifest is None or found is None:
        return {}
    from deployctl.planner import build_plan

    off = {name: name for name in found}
    try:
        plan = build_plan(world.resolve(_plus(kept_selection(manifest), tuple(off))))
    except DeployctlError:  # its profile is gone, or not all of them go together
        return off
    could = (s for s in plan.services if s.ports or not asked.published)
    return {**{s.name: s.addon for s in could if s.addon in off}, **off}


def _left_out(manifest: Manifest | None, name: str) -> str | None:
    """Why a part of an add-on is not in this stack, where ``up`` itself left it out; a clause."""
    from deployctl.addons.monitoring import PARTS

    decided = kept_selection(manifest).adapted if manifest is not None else ()
    return next((each.reason for each in decided if each.key == PARTS.get(name)), None)


def _with(space: Workspace, manifest: Manifest | None, addon: str) -> str:
    """The command that brings the stack up as it was, and this add-on too."""
    way = way_of(kept_request(space.stack, manifest))
    return way.again(_plus(way.selection, (addon,)))


def _plus(selection: Selection, addons: tuple[str, ...]) -> Selection:
    """The same with these add-ons; a ``--set`` that takes one of them out gives way."""
    from deployctl.addons import NAMES

    on = {*selection.addons, *addons}
    found = replace(selection, addons=tuple(name for name in NAMES if name in on))
    for name in addons:
        key = f"addons.{name}.enabled"
        sets = tuple(text for text in found.sets if not text.startswith(f"{key}="))
        found = replace(found, sets=sets)
        # One that sets the whole block may say other things too, and stays: the last one wins.
        if any(text.startswith(("addons=", f"addons.{name}=")) for text in sets):
            found = found.with_set(key, "true")
    return found
