"""The recipe of ``tune``: better values for a profile's own keys, measured on this machine.

Everything runs on a stack of its own, which is taken down whatever ends it. Nothing is applied:
what was found is an overlay, and the command that uses it is said.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from deployctl.deploy import passing
from deployctl.deploy.changed import identity, of_this_machine
from deployctl.deploy.select import adapted, select
from deployctl.deploy.trial import StillThereError, trial
from deployctl.deploy.trying import Measure, Trying
from deployctl.deploy.tunereport import (
    SHAPE,
    STACK,
    Made,
    Task,
    TuneReport,
    TuneRequest,
    Tuning,
    interrupted,
    load_of,
    report_of,
    unreached,
)
from deployctl.errors import DeployctlError, Fault
from deployctl.journal import Journal
from deployctl.overlayfile import drafted, refuse_folder, refuse_taken, write
from deployctl.tuning import record
from deployctl.tuning.knobs import Processors, as_it_is, knobs, settings
from deployctl.tuning.nouns import Target
from deployctl.tuning.overlay import About, overlay
from deployctl.tuning.search import Search
from deployctl.tuning.slo import parse_slo
from deployctl.workspace import Workspace

if TYPE_CHECKING:
    from deployctl.deploy.select import Selected
    from deployctl.deploy.trial import Stand
    from deployctl.deploy.world import World
    from deployctl.model import HostFacts


def tune(
    world: World, request: TuneRequest, *, shield: passing.Shield, measure: Measure | None = None
) -> TuneReport:
    """Search, confirm, write the overlay; what ended it early is in the report's ``faults``.

    ``shield`` keeps signals away from taking down. Raises only a bug of ours, after taking down.
    """
    tuning = Tuning(request=request, started=world.clock.now())
    faults: tuple[Fault, ...]
    try:
        tuning.task = _task(world, request)
        with tuning.task.journal.held(request.again.removeprefix("deployctl ")):
            _search(world, tuning, tuning.task, shield, measure or _measure())
        faults = unreached(tuning)
    except DeployctlError as problem:
        faults = problem.faults
    except BaseException as end:
        if passing.interruption(end) is None:
            raise
        left = end.faults if isinstance(end, StillThereError) else ()
        faults = (interrupted(tuning), *left)
    return report_of(tuning, now=world.clock.now(), faults=faults)


def _measure() -> Measure:
    from deployctl.deploy.measuring import measured

    return lambda world, name, shape, seed, phase, seconds: measured(
        world, name, shape, seed=seed, phase=phase, seconds=seconds
    )


# ── before ────────────────────────────────────────────────────────────────────────────────────


def _task(world: World, request: TuneRequest) -> Task:
    """Decide what is tuned, and have what it takes here; nothing of that costs budget."""
    slo = parse_slo(request.slo, request.goal)
    if request.write is not None:
        refuse_taken(request.write, request.written_to)
    chosen = select(world, request.selection, stack=STACK, again=request.again_with)
    if chosen.choice is not None:
        world.talk.say(f"profile auto: {chosen.choice.reason}")
    facts = world.local()
    chosen = adapted(world, chosen, facts)
    if request.write is None:
        refuse_folder(request.folder, chosen.profile.name, request.written_to)
    spec = chosen.profile.spec
    streams = request.streams or (1 if request.goal == "latency" else spec.concurrency)
    target = Target(goal=request.goal, streams=streams, slo=slo)
    fixed = tuple(text.partition("=")[0] for text in request.selection.sets)
    machine = _processors(facts)
    turned = knobs(spec, target, machine, prompt_tokens=SHAPE.prompt_tokens, fixed=fixed)
    image, weights = _obtain(world, request, chosen)
    key = record.key(
        spec,
        facts,
        load_of(slo),
        image=image,
        weights=weights,
        fixed=fixed,
        override=Workspace(world.home, STACK).override_text(),
    )
    return Task(
        chosen=chosen,
        facts=facts,
        target=target,
        knobs=turned,
        fixed=fixed,
        about=_about(request, chosen, facts, image),
        journal=Journal(world.home / "tune" / f"{key}.jsonl"),
    )


def _processors(facts: HostFacts) -> Processors:
    """What `up` gives an engine that is left to itself, and all there is."""
    cores = int(dict(of_this_machine(facts))["DEPLOYCTL_THREADS"])
    limit = facts.cores if facts.cpu_limit is None else max(1, int(facts.cpu_limit))
    return Processors(cores=cores, threads=min(facts.cores, limit))


def _obtain(world: World, request: TuneRequest, chosen: Selected) -> tuple[str, str]:
    """Have the engine's image and the weights here, and say which they are."""
    plan = chosen.plan
    with world.talk.phase("images") as phase:
        (engine,) = world.images.obtain(
            (plan.service("engine").image,), mode=request.images, progress=phase
        )
        phase.finish(engine.reference)
    with world.talk.phase("weights") as phase:
        weights = world.weights.fetch(plan.weights, progress=phase)
        phase.finish(weights.path.name)
    known = world.docker.image_id(engine.reference) or engine.reference
    return known, identity(weights) or plan.weights.source.text


def _about(request: TuneRequest, chosen: Selected, facts: HostFacts, image: str) -> About:
    reference = chosen.plan.service("engine").image.reference
    return About(
        profile=chosen.profile.name,
        command=request.again_with(chosen.selection),
        date="",
        machine=record.machine(facts),
        image=f"{reference} ({image})" if image != reference else reference,
        weights=str(chosen.plan.weights.source),
        shape=SHAPE,
    )


# ── the search ────────────────────────────────────────────────────────────────────────────────


def _search(
    world: World, tuning: Tuning, task: Task, shield: passing.Shield, measure: Measure
) -> None:
    request = tuning.request
    if request.anew and (aside := task.journal.put_aside()) is not None:
        world.talk.say(f"what was measured before is kept in {aside}")
    known = record.on_record(task.journal.read().rows)
    search = tuning.search = Search(
        as_it_is(task.chosen.profile.spec),
        task.knobs,
        task.target,
        budget_s=request.budget_s,
        fixed=task.fixed,
        earlier=known,
    )
    with ExitStack() as until:
        trying = Trying(
            world=world,
            chosen=task.chosen,
            base=search.base,
            facts=task.facts,
            shape=SHAPE,
            target=task.target,
            fixed=task.fixed,
            again=request.again_with,
            stand=_Standing(until, world, request, shield),
            measure=measure,
        )
        while (asked := search.ask) is not None:
            outcome = known.get(asked.identity)
            # Another profile's candidate may have failed that is this one as it is.
            if outcome is None or (outcome.level is None and asked.candidate == search.base):
                title, seconds = f"candidate {len(search.tried) + 1}", search.allowed_s
                outcome = trying.outcome(asked, title, seconds=seconds)
                if outcome.kept:
                    task.journal.append(record.row(asked, outcome))
            search.tell(outcome)
        _write(world, tuning, task)  # before the stack is taken down, which may fail


class _Standing:
    """The stack of this search, made when something has to be measured for the first time."""

    def __init__(
        self, until: ExitStack, world: World, request: TuneRequest, shield: passing.Shield
    ) -> None:
        self._until, self._world, self._request, self._shield = until, world, request, shield
        self._stand: Stand | None = None

    def __call__(self) -> Stand:
        if self._stand is None:
            request = self._request
            made = trial(
                self._world,
                name=STACK,
                shield=self._shield,
                again=request.again_with,
                asked=request.selection,
                images=request.images,
                force=request.force,
            )
            self._stand = self._until.enter_context(made)
        return self._stand


# ── what came of it ───────────────────────────────────────────────────────────────────────────


def _write(world: World, tuning: Tuning, task: Task) -> None:
    """Write the overlay, if something better was found and `up` would take it."""
    found = tuning.search.found if tuning.search else None
    if found is None or found.winner is None:
        return
    chosen, request = task.chosen, tuning.request
    values = settings(chosen.profile.spec, found.changes, fixed=task.fixed)
    last = max(each.outcome.at for each in tuning.tried)
    about = replace(task.about, date=last.partition("T")[0])
    text = overlay(found, values, task.knobs, task.target, about)
    with drafted(text) as path:
        over = (*chosen.selection.overlays, str(path))
        world.resolve(replace(chosen.selection, overlays=over))
    tuning.made = Made(text=text, settings=values)
    tuning.written = write(
        text, request.write, request.folder, chosen.profile.name, request.written_to
    )
