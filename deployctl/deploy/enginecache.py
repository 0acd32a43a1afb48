"""What an engine compiled at its start, kept for the next one: which folder, and what may go.

One volume of the stack has a folder for each image and model; flags are told apart below it, by
vLLM and by torch. The folders of the stack that runs and of the one before it stay, so that a
change that is taken back starts as fast as it did.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from deployctl.commands import inside
from deployctl.services.common import CACHE_VOLUME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deployctl.deploy.world import World
    from deployctl.model import Plan, Weights
    from deployctl.workspace import Manifest

#: So many folders stay: the running stack's, and the one's before it.
_KEPT = 2


def without(volumes: tuple[str, ...]) -> tuple[str, ...]:
    """The volumes with what cannot be made again: chats and accounts."""
    return tuple(name for name in volumes if not name.endswith(f"_{CACHE_VOLUME}"))


def place_of(plan: Plan) -> str | None:
    """Where the engine's cache is inside its container; ``None`` for one that compiles nothing."""
    mounts = plan.service("engine").mounts
    return next((mount.target for mount in mounts if mount.kind == "volume"), None)


def key_of(plan: Plan, image_ids: Mapping[str, str], weights: Weights) -> str | None:
    """The folder of this image and this model; ``None`` where nothing is kept."""
    if place_of(plan) is None:
        return None
    made_of = f"{image_ids.get('engine', '')}\n{weights.path.name}\n{weights.identity}"
    return hashlib.sha256(made_of.encode()).hexdigest()[:16]


def variables(plan: Plan, key: str | None) -> tuple[tuple[str, str], ...]:
    """What the stack's file leaves open about it."""
    return () if key is None else (("DEPLOYCTL_ENGINE_CACHE", f"{place_of(plan)}/{key}"),)


def kept_with(key: str | None, kept: Manifest | None) -> tuple[str, ...]:
    """The folders to keep, the newest first."""
    before = kept.engine_caches if kept else ()
    return before if key is None else (key, *(old for old in before if old != key))[:_KEPT]


def prune(world: World, plan: Plan, stack: str, keep: tuple[str, ...]) -> None:
    """Remove what no stack of late has used; whatever goes wrong, the stack has answered."""
    place = place_of(plan)
    engine = next((s for s in world.docker.containers(stack) if s.service == "engine"), None)
    if place is None or engine is None or engine.status != "running" or not keep:
        return
    command = inside(engine.id, script(place, keep), label="remove stale engine caches")
    world.runner.run(command)


def script(place: str, keep: tuple[str, ...]) -> str:
    """A line of shell that removes all in ``place`` but these; folders are named by digests."""
    others = '*) rm -rf -- "$each" ;; esac; done'
    return f'cd {place} && for each in *; do case "$each" in {"|".join(keep)}) ;; {others}'
