"""The recipe of ``detect``: look at this machine, then at what it can reach. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deployctl.errors import DeployctlError
from deployctl.outcomes import Reach
from deployctl.planner import build_plan
from deployctl.profiles.selection import Selection

if TYPE_CHECKING:
    from deployctl.deploy.world import World
    from deployctl.model import HostFacts, Plan

#: How long the hub may take to answer, seconds.
_HUB_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectReport:
    """This machine, and what of the outside answers."""

    facts: HostFacts
    network: tuple[Reach, ...]


def detect(world: World, *, hub: str) -> DetectReport:
    """Look once. ``hub`` is the host of the model hub in use. Raises ``mirrors-invalid``.

    The machine comes first and alone: what the network needs of the processor would show in the
    bandwidth of the memory.
    """
    facts = world.facts((), own_project=None, thorough=True)
    plans = tuple(shipped_plans(world))
    images = {service.image.reference for plan in plans for service in plan.services}
    with ThreadPoolExecutor(max_workers=2) as pool:
        registries = pool.submit(world.images.reach, tuple(sorted(images)))
        models = pool.submit(hub_reach, world, plans, hub)
        return DetectReport(facts=facts, network=(*registries.result(), *models.result()))


def shipped_plans(world: World) -> Iterator[Plan]:
    """What the shipped profiles would need; without those that the operator has replaced badly."""
    for name in world.catalog.shipped_names():
        try:
            yield build_plan(world.resolve(Selection(profile=name)))
        except DeployctlError:
            continue


def hub_reach(
    world: World, plans: tuple[Plan, ...], hub: str, *, timeout_s: float = _HUB_TIMEOUT_S
) -> tuple[Reach, ...]:
    """Ask for a file that a shipped profile needs: more than an open port, and no download."""
    sources = (plan.weights.source for plan in plans)
    source = next((source for source in sources if source.kind == "hf" and source.path), None)
    if source is None:
        return ()
    answers = world.weights.reachable(source, timeout_s=timeout_s)
    reason = "" if answers else f"{source.filename} cannot be had there now"
    return (Reach(kind="hub", name=hub, asked=hub, answers=answers, reason=reason),)
