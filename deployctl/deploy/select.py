"""From what the operator chose to one plan: the profile, as this machine has it and as it fits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deployctl.adapting import adaptations, changed_by
from deployctl.choice import Candidate, Choice, choose, limit_of
from deployctl.deploy.obtainable import lacking_of, with_images
from deployctl.errors import DeployctlError
from deployctl.fitting import Fitting, fitting, too_long
from deployctl.learned import Learned
from deployctl.model import HostFacts, Plan
from deployctl.planner import build_plan
from deployctl.profiles.resolve import Profile
from deployctl.profiles.selection import AUTO, Selection
from deployctl.workspace import Workspace

if TYPE_CHECKING:
    from deployctl.addons.nouns import Optional
    from deployctl.deploy.names import ImageMode
    from deployctl.deploy.world import World
    from deployctl.profiles.selection import Adaptation

#: Selection → the command line that asks for the same with it; for hints.
Again = Callable[[Selection], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """One profile with its plan, and, where it was not named, why it was chosen."""

    profile: Profile
    plan: Plan
    selection: Selection
    choice: Choice | None


def select(world: World, selection: Selection, *, stack: str, again: Again) -> Selected:
    """Resolve the profile; ``auto`` keeps what it chose for a running stack, else it chooses."""
    if selection.profile != AUTO:
        profile = world.resolve(selection)
        return Selected(profile=profile, plan=build_plan(profile), selection=selection, choice=None)
    if kept := _kept(world, selection, stack):
        return kept
    offered, refused = _offered(world, selection)
    for problem in refused:
        # A file of the operator's own that cannot be used is not for any other profile either.
        if problem.faults[0].code in ("weights-not-found", "model-unreadable"):
            raise problem
    if not offered and refused:
        raise _nearest(refused)
    choice = _choose(world, selection, offered, refused, again)
    profile, plan = next(pair for pair in offered if pair[0].name == choice.profile)
    return Selected(profile=profile, plan=plan, selection=selection.of(profile.name), choice=choice)


def _kept(world: World, selection: Selection, stack: str) -> Selected | None:
    """Keep a running choice: a hub that comes and goes must not swap the model under people."""
    manifest = Workspace(world.home, stack).manifest()
    if manifest is None or not manifest.automatic or not runs(world, stack):
        return None
    if manifest.profile not in world.catalog.shipped_names():
        return None
    try:
        planned = _planned(world, selection.of(manifest.profile))
    except DeployctlError:
        return None  # what is laid over it now is not for this one
    profile, plan = planned
    if profile.spec.auto is None:
        return None
    reason = f"{profile.name} ({profile.spec.model.name}) is kept: the stack runs with it."
    return Selected(
        profile=profile,
        plan=plan,
        selection=selection.of(profile.name),
        choice=Choice(profile=profile.name, reason=reason),
    )


#: A profile and the plan it makes.
Planned = tuple[Profile, Plan]


def _planned(world: World, selection: Selection) -> Planned:
    profile = world.resolve(selection)
    return profile, build_plan(profile)


def planned_shipped(
    world: World, selection: Selection
) -> Iterator[tuple[str, Planned | DeployctlError]]:
    """Every shipped profile by its name, with what was laid over it, or why it is none then."""
    for name in world.catalog.shipped_names():
        try:
            yield name, _planned(world, selection.of(name))
        except DeployctlError as problem:
            yield name, problem


def _offered(
    world: World, selection: Selection
) -> tuple[list[Planned], tuple[DeployctlError, ...]]:
    """The profiles that `auto` may choose, with what was laid over them; and why others are not.

    A setting that only one engine knows leaves the profiles of that engine.
    """
    offered, refused = [], []
    for _, found in planned_shipped(world, selection):
        if isinstance(found, DeployctlError):
            refused.append(found)
        elif found[0].spec.auto is not None:
            offered.append(found)
    return offered, tuple(refused)


def runs(world: World, name: str) -> bool:
    """Whether a container of the stack is running; no Docker, no container."""
    try:
        return any(state.status == "running" for state in world.docker.containers(name))
    except DeployctlError:
        return False  # no Docker: preflight says so better


def _nearest(refused: tuple[DeployctlError, ...]) -> DeployctlError:
    """Of why each cannot be used with what was typed, the reason with the fewest faults."""
    return min(refused, key=lambda problem: len(problem.faults))


def _choose(
    world: World,
    selection: Selection,
    offered: list[Planned],
    refused: tuple[DeployctlError, ...],
    again: Again,
) -> Choice:
    """Look at the host and at the sources of what is not here, and choose.

    Where this machine can run none of what is offered, a setting that the others refuse is why.
    """
    facts = world.local()
    found = candidates(world, selection, offered, facts)
    able = [c for c in found if limit_of(c.plan, facts, fitting(c.plan, facts)) is None]
    if not able and refused:
        raise _nearest(refused)
    facts = replace(facts, reachable=_reachable(world, able))
    return choose(found, facts, again=lambda name: again(selection.of(name)))


def candidates(
    world: World, selection: Selection, planned: Iterable[Planned], facts: HostFacts
) -> tuple[Candidate, ...]:
    """The plans as this machine would have them, as something to choose from.

    With each its rank, and whether its weights are here. ``selection`` is what was laid over them.
    """
    return tuple(
        Candidate(
            rank=profile.spec.auto.rank if profile.spec.auto else 0,
            plan=_as_here(world, selection, profile, plan, facts),
            description=profile.spec.description,
            weights_here=world.weights.locate(plan.weights) is not None,
        )
        for profile, plan in planned
    )


def _as_here(
    world: World, selection: Selection, profile: Profile, plan: Plan, facts: HostFacts
) -> Plan:
    found = adaptations(profile, plan, facts)
    if not changed_by(profile, found):
        return plan
    return _planned(world, replace(selection.of(profile.name), adapted=found))[1]


def _reachable(world: World, found: Sequence[Candidate]) -> Mapping[str, bool]:
    """Ask the sources of all files that are not here, at the same time."""
    sources = {c.plan.weights.source for c in found if not c.weights_here}
    with ThreadPoolExecutor(max_workers=max(1, len(sources))) as pool:
        answers = pool.map(lambda s: (s.text, world.weights.reachable(s, timeout_s=5)), sources)
        return dict(answers)


# ── as this machine has it ────────────────────────────────────────────────────────────────────


def adapted(world: World, selected: Selected, facts: HostFacts) -> Selected:
    """The same with what the profile leaves to the machine, as ``facts`` have it now."""
    before = selected.selection.adapted
    bare = selected
    if before:  # what was decided last time is not what the profile says
        bare = _remade(world, selected, replace(selected.selection, adapted=()))
    found = adaptations(bare.profile, bare.plan, facts, before)
    if found == before:
        return selected
    return _remade(world, bare, replace(bare.selection, adapted=found))


def _as_it_runs(world: World, selected: Selected, kept: tuple[Adaptation, ...]) -> Selected:
    """The same, with the parts that the running stack was made without."""
    asked = {part.key for part in selected.plan.optional if part.chosen == "auto"}
    known = tuple(each for each in kept if each.key in asked)
    if not known or selected.selection.adapted:
        return selected
    return _remade(world, selected, replace(selected.selection, adapted=known))


def _remade(world: World, selected: Selected, selection: Selection) -> Selected:
    profile, plan = _planned(world, selection)
    return Selected(profile=profile, plan=plan, selection=selection, choice=selected.choice)


# ── made to fit ───────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """What was selected, as it fits; ``applied`` are the settings that ``--fit`` added.

    ``lacking``: parts that are asked for outright, and why each cannot be had; clauses.
    """

    selected: Selected
    fitting: Fitting | None
    applied: tuple[tuple[str, str], ...] = ()
    lacking: tuple[tuple[Optional, str], ...] = ()


def fit(  # the plan, the machine, and what was asked of both
    world: World,
    selected: Selected,
    facts: HostFacts,
    *,
    make: bool,
    running: bool,
    images: ImageMode = "auto",
    kept: tuple[Adaptation, ...] = (),
    regard: tuple[str, ...] = ("auto",),
) -> Fitted:
    """Hold the plan, as this machine has it, against it; with ``make`` take what does fit.

    ``images``: where they may come from. ``kept``: what was decided for the stack that runs; what
    it does without it goes on doing without, since a registry that comes and goes must not.
    ``regard``: with ``always`` too, parts that are asked for outright are looked for; ``up`` finds
    that out by pulling them.
    """
    selected = _as_it_runs(world, selected, kept)
    known = frozenset(each.key for each in selected.selection.adapted)
    asked = tuple(p for p in selected.plan.optional if p.chosen in regard and p.key not in known)
    facts = with_images(world, asked, facts, images)
    lacking = tuple(lacking_of(selected.plan, facts))
    selected = adapted(world, selected, facts)
    first: tuple[tuple[str, str], ...] = ()
    if make and (trained := too_long(selected.plan)) is not None:
        first = (("model.context", str(trained)),)
        selected = _with(world, selected, first)
    found = _held(world, selected.plan, facts, running=running)
    if not make or found is None or not found.proposals:
        return Fitted(selected=selected, fitting=found, applied=first, lacking=lacking)
    applied = found.proposals[0].sets
    smaller = _with(world, selected, applied)
    held = _held(world, smaller.plan, facts, running=running)
    all_of_it = tuple({**dict(first), **dict(applied)}.items())
    return Fitted(selected=smaller, fitting=held, applied=all_of_it, lacking=lacking)


def _with(world: World, selected: Selected, sets: tuple[tuple[str, str], ...]) -> Selected:
    selection = selected.selection
    for key, value in sets:
        selection = selection.with_set(key, value)
    return _remade(world, selected, selection)


def _held(world: World, plan: Plan, facts: HostFacts, *, running: bool) -> Fitting | None:
    learned = Learned(world.home).of(plan)
    return fitting(plan, facts, learned=learned, running=running)
