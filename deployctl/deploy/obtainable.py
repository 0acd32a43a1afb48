"""What can be had of the images that no packages replace. Looks, and asks their registries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from deployctl.adapting import cannot_be_had
from deployctl.errors import DeployctlError
from deployctl.images.reference import parse_reference

if TYPE_CHECKING:
    from deployctl.addons.nouns import Optional
    from deployctl.deploy.names import ImageMode
    from deployctl.deploy.world import World
    from deployctl.model import HostFacts, Plan

#: How long a registry may take to answer before what it has is left out, seconds.
_REGISTRY_S = 3.0


def with_images(
    world: World, asked: tuple[Optional, ...], facts: HostFacts, mode: ImageMode
) -> HostFacts:
    """The facts with what is known of the images of these parts; nothing else is asked for."""
    if not asked:
        return facts
    if mode == "build":
        return _looked(facts, {p.reference: "is in no package (--images build)" for p in asked})
    found: dict[str, str | None] = {
        part.reference: None if _is_here(world, part.reference) else "is not here" for part in asked
    }
    absent = tuple(reference for reference, why in found.items() if why is not None)
    if absent and mode != "local":
        found |= _asked(world, absent)
    return _looked(facts, found)


def lacking_of(plan: Plan, facts: HostFacts) -> Iterator[tuple[Optional, str]]:
    """The parts that are asked for outright and cannot be had, as far as somebody looked."""
    for part in plan.optional:
        why = facts.unobtainable.get(part.reference)
        if part.chosen == "always" and why is not None:
            yield part, cannot_be_had(part, why)


def _looked(facts: HostFacts, found: Mapping[str, str | None]) -> HostFacts:
    return replace(facts, unobtainable={**facts.unobtainable, **found})


def _asked(world: World, references: tuple[str, ...]) -> Mapping[str, str | None]:
    """Why these cannot be had of their registries, each asked once; ``None`` where one answers."""
    try:
        found = world.images.reach(references, timeout_s=_REGISTRY_S)
    except DeployctlError:  # the mirrors' file is wrong: said where an image is pulled
        return dict.fromkeys(references)
    silent = {each.name: each.asked for each in found if not each.answers}
    said: dict[str, str | None] = {}
    for reference in references:
        registry = parse_reference(reference).registry
        away = registry in silent
        said[reference] = f"is not here, {silent[registry]} does not answer" if away else None
    return said


def _is_here(world: World, reference: str) -> bool:
    try:
        return world.docker.image_id(reference) is not None
    except DeployctlError:
        return False  # no Docker, no image
