"""What an engine compiled at its start, kept for the next one: which folder, and what may go.

One volume of the stack has a folder for each image and model; flags are told apart below it, by
vLLM and by torch. The folders of the last two stacks that answered stay, so that a change that is
taken back starts as fast as it did.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from deployctl.commands import inside
from deployctl.services.common import CACHE_VOLUME, DATA_VOLUME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deployctl.deploy.world import World
    from deployctl.model import Plan, Weights
    from deployctl.workspace import Workspace

#: So many folders stay: the running stack's, and that of the one that answered before it.
_KEPT = 2


def without(volumes: tuple[str, ...]) -> tuple[str, ...]:
    """The volumes with what cannot be made again: chats and accounts."""
    return tuple(name for name in volumes if not name.endswith(f"_{CACHE_VOLUME}"))


def in_words(volumes: tuple[str, ...]) -> str:
    """What is in them, in brackets."""
    chats = "the chats" if any(name.endswith(f"_{DATA_VOLUME}") for name in volumes) else ""
    compiled = "what the engine compiled" if without(volumes) != volumes else ""
    core = (f"_{DATA_VOLUME}", f"_{CACHE_VOLUME}")
    more = "data of add-ons" if any(not name.endswith(core) for name in volumes) else ""
    return f"({', and '.join(word for word in (chats, compiled, more) if word)})"


def place_of(plan: Plan) -> str | None:
    """Where the engine's cache is inside its container; ``None`` for one that compiles nothing."""
    mounts = plan.service("engine").mounts
    return next((mount.target for mount in mounts if mount.source == CACHE_VOLUME), None)


def key_of(plan: Plan, image_ids: Mapping[str, str], weights: Weights) -> str | None:
    """The folder of this image and this model; ``None`` where nothing is kept."""
    if place_of(plan) is None:
        return None
    made_of = f"{image_ids.get('engine', '')}\n{weights.path.name}\n{weights.identity}"
    return hashlib.sha256(made_of.encode()).hexdigest()[:16]


def variables(plan: Plan, key: str | None) -> tuple[tuple[str, str], ...]:
    """What the stack's file leaves open about it."""
    return () if key is None else (("DEPLOYCTL_ENGINE_CACHE", f"{place_of(plan)}/{key}"),)


def kept_with(key: str, before: tuple[str, ...]) -> tuple[str, ...]:
    """The folders to keep once the one with this key has answered, the newest first."""
    return (key, *(old for old in before if old != key))[:_KEPT]


def prune(world: World, space: Workspace, plan: Plan, key: str | None) -> None:
    """Remember whose cache has answered, and remove what the last two had not."""
    place, now = place_of(plan), space.manifest()
    if place is None or key is None or now is None:
        return
    keep = kept_with(key, now.engine_caches)
    if keep == now.engine_caches:
        return  # all others went when it became so
    space.save_manifest(replace(now, engine_caches=keep))
    engine = next((s for s in world.docker.containers(space.stack) if s.service == "engine"), None)
    if engine is None or engine.status != "running":
        return
    command = inside(engine.id, script(place, keep), label="remove stale engine caches")
    world.runner.run(command)


def script(place: str, keep: tuple[str, ...]) -> str:
    """A line of shell that removes all in ``place`` but these; folders are named by digests."""
    others = '*) rm -rf -- "$each" ;; esac; done'
    return f'cd {place} && for each in *; do case "$each" in {"|".join(keep)}) ;; {others}'
