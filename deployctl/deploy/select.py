"""From what the operator chose to one plan: the profile, resolved, and what fits of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from deployctl.choice import Candidate, Choice, choose, limit_of
from deployctl.deploy.world import World
from deployctl.errors import DeployctlError
from deployctl.fitting import Fitting, fitting, too_long
from deployctl.learned import Learned
from deployctl.model import HostFacts, Plan
from deployctl.planner import build_plan
from deployctl.profiles.resolve import Profile
from deployctl.profiles.selection import AUTO, Selection
from deployctl.workspace import Workspace

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
    offered, refused = _offered(world, selection)
    if not offered and refused:
        raise min(refused, key=lambda problem: len(problem.faults))
    kept = Workspace(world.home, stack).manifest()
    applied = kept.profile if kept is not None and kept.automatic else ""
    running = applied if applied and runs(world, stack) else ""
    choice = _keep(offered, running) or _choose(world, selection, offered, again)
    chosen = next(profile for profile in offered if profile.name == choice.profile)
    return Selected(
        profile=chosen,
        plan=build_plan(chosen),
        selection=selection.of(chosen.name),
        choice=choice,
    )


def _offered(
    world: World, selection: Selection
) -> tuple[list[Profile], tuple[DeployctlError, ...]]:
    """The profiles that `auto` may choose, with what was laid over them; and why others are not.

    A setting that only one engine knows leaves the profiles of that engine.
    """
    offered, refused = [], []
    for name in world.catalog.shipped_names():
        try:
            profile = world.resolve(selection.of(name))
            build_plan(profile)
        except DeployctlError as problem:
            refused.append(problem)
        else:
            offered += [profile] if profile.spec.auto is not None else []
    return offered, tuple(refused)


def runs(world: World, name: str) -> bool:
    """Whether a container of the stack is running; no Docker, no container."""
    try:
        return any(state.status == "running" for state in world.docker.containers(name))
    except DeployctlError:
        return False  # no Docker: preflight says so better


def _keep(offered: list[Profile], running: str) -> Choice | None:
    """Keep a running choice: a hub that comes and goes must not swap the model under people."""
    for profile in offered:
        if profile.name == running:
            reason = f"{running} ({profile.spec.model.name}) is kept: the stack runs with it."
            return Choice(profile=running, reason=reason)
    return None


def _choose(world: World, selection: Selection, offered: list[Profile], again: Again) -> Choice:
    """Look at the host and at the sources of what is not here, and choose."""
    found = candidates(world, offered)
    facts = world.local()
    able = [c for c in found if limit_of(c.plan, facts, fitting(c.plan, facts)) is None]
    facts = replace(facts, reachable=_reachable(world, able))
    return choose(found, facts, again=lambda name: again(selection.of(name)))


def candidates(world: World, profiles: Sequence[Profile]) -> tuple[Candidate, ...]:
    """The profiles with their plans, and whether their weights are here."""
    found = []
    for profile in profiles:
        plan = build_plan(profile)
        found.append(
            Candidate(
                rank=profile.spec.auto.rank if profile.spec.auto else 0,
                plan=plan,
                description=profile.spec.description,
                weights_here=world.weights.locate(plan.weights) is not None,
            )
        )
    return tuple(found)


def _reachable(world: World, found: Sequence[Candidate]) -> Mapping[str, bool]:
    """Ask the sources of all files that are not here, at the same time."""
    sources = {c.plan.weights.source for c in found if not c.weights_here}
    with ThreadPoolExecutor(max_workers=max(1, len(sources))) as pool:
        answers = pool.map(lambda s: (s.text, world.weights.reachable(s, timeout_s=5)), sources)
        return dict(answers)


# ── made to fit ───────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """What was selected, as it fits; ``applied`` are the settings that ``--fit`` added."""

    selected: Selected
    fitting: Fitting | None
    applied: tuple[tuple[str, str], ...] = ()


def fit(world: World, selected: Selected, facts: HostFacts, *, make: bool, running: bool) -> Fitted:
    """Hold the plan against this machine; with ``make`` take the nearest values that do fit."""
    first: tuple[tuple[str, str], ...] = ()
    if make and (trained := too_long(selected.plan)) is not None:
        first = (("model.context", str(trained)),)
        selected = _with(world, selected, first)
    found = _held(world, selected.plan, facts, running=running)
    if not make or found is None or not found.proposals:
        return Fitted(selected=selected, fitting=found, applied=first)
    applied = found.proposals[0].sets
    smaller = _with(world, selected, applied)
    held = _held(world, smaller.plan, facts, running=running)
    all_of_it = tuple({**dict(first), **dict(applied)}.items())
    return Fitted(selected=smaller, fitting=held, applied=all_of_it)


def _with(world: World, selected: Selected, sets: tuple[tuple[str, str], ...]) -> Selected:
    selection = selected.selection
    for key, value in sets:
        selection = selection.with_set(key, value)
    profile = world.resolve(selection)
    return Selected(
        profile=profile,
        plan=build_plan(profile),
        selection=selection,
        choice=selected.choice,
    )


def _held(world: World, plan: Plan, facts: HostFacts, *, running: bool) -> Fitting | None:
    learned = Learned(world.home).of(plan)
    return fitting(plan, facts, learned=learned, running=running)
