"""The recipe of ``compare``: every model in turn on one stack of its own, measured the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deployctl.bench.side import Row, Side, rows, verdict
from deployctl.deploy.contenders import CompareRequest, Contender, bring, contenders, key_of
from deployctl.deploy.trial import Stand, StillThereError, trial
from deployctl.errors import DeployctlError, Fault
from deployctl.unfinished import Unfinished

if TYPE_CHECKING:
    from deployctl.bench.nouns import Measured, Shape
    from deployctl.deploy.passing import Shield
    from deployctl.deploy.world import ResolvedImage, World
    from deployctl.outcomes import Status

#: Puts the load on a running stack: the world, its name, and the load.
Measure = Callable[["World", str, "Shape"], "Measured"]

#: Which questions; how many words of them make the wanted tokens is each model's own.
_SEED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareReport:
    """What came of it, as far as it came. ``rows`` and ``verdict`` say the same in text.

    ``context`` in tokens and ``concurrency`` in conversations are what every model was given.
    """

    stack: str
    profile: str
    engine: str
    status: Status
    context: int
    concurrency: int
    shape: Shape
    sides: tuple[Side, ...]
    rows: tuple[Row, ...]
    verdict: tuple[str, ...]
    notes: tuple[str, ...]
    seconds: float
    faults: tuple[Fault, ...] = ()


@dataclass(slots=True)
class _Comparison:
    """One comparison under way."""

    world: World
    request: CompareRequest
    contenders: tuple[Contender, ...]
    sides: list[Side]
    kept: Unfinished
    measure: Measure
    begun: bool = False  # its stack is there to be brought up


def compare(
    world: World, request: CompareRequest, *, shield: Shield, measure: Measure | None = None
) -> CompareReport:
    """Measure every model, and say how they compare.

    Raises what is wrong before anything is brought up, and Ctrl-C before it is known what to
    compare. From then on the report has it, with all that was measured: a model that does not come
    up, Ctrl-C, a stack that cannot be taken down. That is kept until :func:`handed_out`.
    """
    started = world.clock.now()
    found = contenders(world, request)
    under = _Comparison(
        world=world,
        request=request,
        contenders=found,
        sides=_told_apart(found),
        kept=Unfinished(world.home, [one.model for one in found]),
        measure=measure or _measured,
    )
    notes = _notes(under)
    for note in notes:
        world.talk.say(note)
    faults = _ended(under, shield)
    faults = (*faults, *(side.fault for side in under.sides if side.fault is not None))
    return _report(under, notes, faults, world.clock.now() - started)


def handed_out(world: World, report: CompareReport) -> None:
    """Its measurements are where they were wanted: the same comparison begins anew from now on."""
    Unfinished(world.home, [side.model for side in report.sides]).forget()


def _measured(world: World, name: str, shape: Shape) -> Measured:
    from deployctl.deploy.measuring import measured

    return measured(world, name, shape, seed=_SEED)


def _told_apart(found: tuple[Contender, ...]) -> list[Side]:
    """The sides; where two files of one model have one name, with that of the file."""
    names = [one.plan.model for one in found]
    return [
        replace(side, name=f"{side.name} ({one.plan.weights.source.filename})")
        if names.count(side.name) > 1
        else side
        for one, side in ((one, one.side()) for one in found)
    ]


def _notes(under: _Comparison) -> tuple[str, ...]:
    """What all models are given, and where that is not what the profile says, or not enough."""
    first, widened = under.contenders[0].plan, under.contenders[0].widened
    most = max(under.request.shape.streams)
    why = f"as profile {first.profile} has it"
    if widened is not None:
        why = f"for the {most} streams; profile {first.profile} has {widened}"
    said = [
        f"Every model has {first.context} tokens of context and room for {first.concurrency} "
        f"conversations at once, {why}."
    ]
    for other in under.contenders[1:]:
        if other.plan.context != first.context:
            said.append(f"But {other.plan.model} has {other.plan.context} tokens of context.")
    if first.concurrency < most:
        room = f"--set concurrency={first.concurrency}"
        said.append(f"With {room} some of the {most} streams wait for others.")
    return tuple(said)


def _take_over(under: _Comparison) -> None:
    """Take over what a comparison that did not end has measured of the very same."""
    if not under.kept.any():
        return
    for index, one in enumerate(under.contenders):
        try:
            key = key_of(under.world, one, under.request.shape, _images(under, one))
        except DeployctlError:  # no Docker, no image: whoever brings it up says so better
            return
        found = under.kept.find(key) if key is not None else None
        if found is None:
            continue
        weights = under.world.weights.locate(one.plan.weights)
        size = weights.size_bytes if weights else None
        side = under.sides[index]
        under.sides[index] = replace(side, measured=found, weights_bytes=size, recorded=True)
        under.world.talk.say(f"{_earlier(under.sides[index])} --again measures it anew.")


def _earlier(side: Side) -> str:
    """That a measurement is an earlier one."""
    at = side.measured.at if side.measured else "an unknown time"
    return f"{side.name} was measured at {at}, in a comparison that did not end whole."


def _images(under: _Comparison, contender: Contender) -> tuple[ResolvedImage, ...]:
    """The images that it would run, as `up` finds them: built ones stand in for pulled ones."""
    wanted = tuple(service.image for service in contender.plan.services)
    with under.world.talk.phase("images") as phase:
        found = under.world.images.obtain(wanted, mode=under.request.images, progress=phase)
        phase.finish("looked up for what an unfinished comparison has measured")
    return found


def _open(under: _Comparison) -> list[int]:
    """The models that are still to be measured, by their places."""
    sides = enumerate(under.sides)
    return [index for index, side in sides if side.measured is None and side.fault is None]


# ── measuring ─────────────────────────────────────────────────────────────────────────────────


def _ended(under: _Comparison, shield: Shield) -> tuple[Fault, ...]:
    """Measure; what ended that before all were, or could not be taken down.

    Raises what keeps it from beginning.
    """
    try:
        if not under.request.anew:
            _take_over(under)
        if _open(under):
            _measure_all(under, shield)
    except DeployctlError as problem:
        if not under.begun:
            raise
        return problem.faults
    except KeyboardInterrupt as end:
        left = end.faults if isinstance(end, StillThereError) else ()
        return (_interrupted(under, left=bool(left)), *left)
    return ()


def _measure_all(under: _Comparison, shield: Shield) -> None:
    """Bring each up and measure it."""
    request = under.request
    with trial(
        under.world,
        name=request.stack,
        shield=shield,
        again=lambda selection: request.again_with(request.models, selection),
        asked=request.selection,
        beside=replace(request, stack=f"{request.stack}-2").again,
        images=request.images,
        force=request.force,
    ) as stand:
        under.begun = True
        for index in _open(under):
            _bring(under, stand, index)
        for index in _open(under):
            _one(under, stand, index)


def _bring(under: _Comparison, stand: Stand, index: int) -> None:
    """Have a model's file here before anything is measured: what cannot be had is known at once."""
    try:
        bring(under.world, under.contenders[index].plan)
    except DeployctlError as problem:
        _failed(under, stand, index, problem.faults)


def _one(under: _Comparison, stand: Stand, index: int) -> None:
    """Bring one model up and measure it; what is wrong with it is its own, and the others' turn.

    Raises ``KeyboardInterrupt`` when the operator ended it, with what there is kept.
    """
    world, contender = under.world, under.contenders[index]
    name = under.sides[index].name
    world.talk.say(f"model {index + 1} of {len(under.sides)}: {name}")
    stand.typed = contender.typed
    try:
        upped = stand.up(contender.selected.selection)
        found = under.measure(world, stand.name, under.request.shape)
    except DeployctlError as problem:
        _failed(under, stand, index, problem.faults)
        return
    size = upped.weights.size_bytes
    under.sides[index] = replace(under.sides[index], measured=found, weights_bytes=size)
    if found.ended == "interrupted":
        raise KeyboardInterrupt
    if found.ended == "failed":
        _failed(under, stand, index, found.faults)
    else:
        _keep(under, index, found, upped.images)


def _keep(
    under: _Comparison, index: int, found: Measured, images: tuple[ResolvedImage, ...]
) -> None:
    """Keep it for another try; the models that are still to come do not depend on that."""
    try:
        key = key_of(under.world, under.contenders[index], under.request.shape, images)
        if key is not None:
            under.kept.keep(key, found)
    except DeployctlError as problem:
        under.world.talk.warn(f"{under.sides[index].name} is not kept for another try: {problem}")


def _failed(under: _Comparison, stand: Stand, index: int, faults: tuple[Fault, ...]) -> None:
    """Keep why a model was not measured to the end; the next one is not to wait for that."""
    side, selection = under.sides[index], under.contenders[index].selected.selection
    first = stand.told(faults[0], selection)
    where = f"{side.name}: {first.where}" if first.where else side.name
    under.sides[index] = replace(side, fault=replace(first, where=where))
    under.world.talk.warn(f"{side.name}: {first.message}")


def _interrupted(under: _Comparison, *, left: bool) -> Fault:
    """That it was ended, and what became of its stack: ``left`` where that is still there."""
    stack = f"stack {under.request.stack}"
    became = f"{stack} is taken down" if under.begun else "no model was brought up"
    if left:
        became = f"{stack} could not be taken down"
    whole = sum(1 for s in under.sides if s.measured is not None and not s.measured.ended)
    then = "goes on from there" if whole else "begins anew"
    return Fault(
        code="interrupted",
        message=f"Interrupted; {became}. {whole} of {len(under.sides)} models were measured to the "
        f"end; the same command {then}.",
        hint=under.request.again,
    )


def _report(
    under: _Comparison, notes: tuple[str, ...], faults: tuple[Fault, ...], seconds: float
) -> CompareReport:
    sides, shape = tuple(under.sides), under.request.shape
    whole = [side for side in sides if side.measured is not None and not side.measured.ended]
    plan = under.contenders[0].plan
    return CompareReport(
        stack=under.request.stack,
        profile=plan.profile,
        engine=plan.engine,
        status="ok" if not faults else "degraded" if whole else "failed",
        context=plan.context,
        concurrency=plan.concurrency,
        shape=shape,
        sides=sides,
        rows=rows(sides, shape),
        verdict=verdict(sides, shape),
        notes=(*notes, *_remarks(sides)),
        seconds=seconds,
        faults=faults,
    )


def _remarks(sides: tuple[Side, ...]) -> Iterator[str]:
    """What is to be known of the measurements, with the model's name."""
    for side in sides:
        if side.recorded:
            yield _earlier(side)
        if side.measured is not None:
            yield from (f"{side.name}: {text}" for text in side.measured.warnings)
