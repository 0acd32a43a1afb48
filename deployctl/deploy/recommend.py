"""The recipe of ``recommend``: every shipped profile and every model, on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deployctl.choice import Recommendation, passed_over, recommend
from deployctl.deploy.select import Planned, candidates, planned_shipped
from deployctl.errors import DeployctlError
from deployctl.planner import build_plan
from deployctl.profiles.models import read_entry
from deployctl.profiles.selection import Selection

if TYPE_CHECKING:
    from deployctl.deploy.world import World
    from deployctl.model import HostFacts, Plan
    from deployctl.profiles.schema import ModelEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAdvice:
    """One model of the catalog in the recommended profile: what it is for, and how it fits."""

    model: str  # its name in the catalog
    title: str
    summary: str
    license: str
    gated: bool
    on: Recommendation
    command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecommendReport:
    """The profiles, the best first, and the models in the best of them."""

    recommendations: tuple[Recommendation, ...]
    models: tuple[ModelAdvice, ...]
    facts: HostFacts
    passed_over: tuple[str, ...]  # what would be better on such a machine, and why it is not now
    to_fetch: str | None  # the model of the best, where it is not here and not a file of this one


def recommendations(world: World) -> RecommendReport:
    """Judge everything that was shipped by this machine. Needs no daemon and no network."""
    facts = world.local(measure=True)
    planned = _shipped(world)
    offered = candidates(world, Selection(), planned, facts)
    ranked = recommend(offered, facts)
    best = next(each.plan for each in offered if each.plan.profile == ranked[0].profile)
    return RecommendReport(
        recommendations=ranked,
        models=tuple(_models(world, ranked[0].profile, facts)),
        facts=facts,
        passed_over=passed_over(offered, facts),
        to_fetch=_to_fetch(world, best),
    )


def _to_fetch(world: World, plan: Plan) -> str | None:
    """What has to come from elsewhere before it runs; nobody is asked whether it can be had."""
    spec = plan.weights
    if spec.source.kind == "file" or world.weights.locate(spec) is not None:
        return None
    size = spec.size_bytes or spec.about_bytes
    return f"{spec.source}" + (f" ({size / 1e6:.0f} MB)" if size else "")


def _shipped(world: World) -> list[Planned]:
    """The shipped profiles, without those that the operator has replaced badly; raises of all."""
    found = dict(planned_shipped(world, Selection()))
    refused = {name: one for name, one in found.items() if isinstance(one, DeployctlError)}
    if refused and len(refused) == len(found):
        raise next(iter(refused.values()))
    for name, one in refused.items():
        world.talk.warn(f"{name} is left out: {one.faults[0].message}")
    return [one for one in found.values() if not isinstance(one, DeployctlError)]


def _models(world: World, best: str, facts: HostFacts) -> Iterator[ModelAdvice]:
    for name in world.catalog.model_names():
        try:
            entry = read_entry(name, world.catalog.readers())
            selection = Selection(profile=best, model=name)
            profile = world.resolve(selection)
            (candidate,) = candidates(world, selection, [(profile, build_plan(profile))], facts)
        except DeployctlError:
            continue  # it does not come in a form that this engine reads
        (judged,) = recommend((candidate,), facts)
        yield _advice(name, entry, candidate.plan, judged)


def _advice(name: str, entry: ModelEntry, plan: Plan, judged: Recommendation) -> ModelAdvice:
    return ModelAdvice(
        model=name,
        title=entry.name,
        summary=entry.summary,
        license=entry.license,
        gated=plan.gated,
        on=judged,
        command=f"{judged.command} --model {name}",
    )
