"""The recipe of ``metrics``: two looks at a stack's own figures, and what happened in between.

The engine's ``/metrics`` and Docker's counters, no add-on needed. What ``status`` tells too is told
by the same functions. Changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from deployctl.counters import Counters, Tally, not_exported, read_counters, tally
from deployctl.deploy import stack
from deployctl.deploy.card import lately
from deployctl.deploy.cardnow import CardNow, cards_now
from deployctl.deploy.figures import Sample, engine_vitals, service_vitals
from deployctl.deploy.kept import engine_kind, kept_request
from deployctl.deploy.known import down, known
from deployctl.errors import DeployctlError, Fault
from deployctl.metrics import made_between, read_metrics
from deployctl.vitals import environment_of, has_card
from deployctl.workspace import Workspace

if TYPE_CHECKING:
    from datetime import datetime

    from deployctl.deploy.world import World
    from deployctl.loopback import Reply
    from deployctl.outcomes import ContainerState, Status
    from deployctl.readiness import Endpoints
    from deployctl.vitals import EngineVitals, ServiceVitals
    from deployctl.workspace import Manifest

#: An engine answers between two steps of its work; one that takes longer hangs, seconds.
_PATIENCE_S = 5.0

#: More than the questions of one look at a stack with every add-on.
_AT_ONCE = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What the engine did between the two looks, all its conversations together."""

    seconds: float
    generated_tokens_per_s: float | None  # None: its digits do not tell
    read_tokens_per_s: float | None
    counted: Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsReport:
    """The figures of one stack. ``services`` and ``engine`` are as in :class:`StatusReport`."""

    stack: str
    status: Status
    at: str  # RFC 3339: the second look
    window_s: float  # between the looks; 0: the engine told nothing, so there was one
    services: tuple[ServiceVitals, ...]
    engine: EngineVitals | None  # None: it told nothing, see ``faults``
    window: Window | None  # None: as above, or the engine began anew in between
    since_start: Tally | None
    not_exported: tuple[str, ...]  # figures that this kind of engine has none of
    cards: tuple[CardNow, ...]
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """One look."""

    manifest: Manifest
    states: tuple[ContainerState, ...]
    sample: Sample
    reply: Reply | None  # None: there is no engine to ask
    counters: Counters


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A report, and what the next one may begin with."""

    report: MetricsReport
    last: Looked


def metrics(
    world: World,
    name: str,
    now: Callable[[], datetime],
    *,
    interval_s: float,
    before: Looked | None = None,
) -> Measured:
    """Look twice, ``interval_s`` apart; ``before``: the first look, if there was one.

    Raises what there is of a stack without containers (``stack-unknown``, ``stack-foreign``,
    ``stack-not-running``). An engine that tells nothing is a fault of the report, and is not waited
    for unless there was a look before.
    """
    space = Workspace(world.home, name)
    first = before or _look(world, space)
    last = first
    if before is not None or first.sample.metrics is not None:
        world.clock.sleep(interval_s)
        last = _look(world, space)
    return Measured(report=_report(world, space, first, last, now()), last=last)


def _look(world: World, space: Workspace) -> Looked:
    """Ask for all counters at the same time."""
    manifest, states = known(world, space)
    if not states:
        raise down(space, "so there is nothing to measure")
    at = stack.endpoints(space, manifest.served_name, manifest.webui_port, manifest.engine_port)
    states = tuple(state for state in states if not stack.finished(manifest, state))
    running = [state for state in states if state.status == "running"]
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        usage = {state.id: pool.submit(world.docker.usage, state.id) for state in running}
        asks = any(state.service == "engine" for state in running)
        moment, reply = _asked(world, at) if asks else (world.clock.now(), None)
    text = reply.text if reply is not None and reply.status == HTTPStatus.OK else ""
    return Looked(
        manifest=manifest,
        states=states,
        sample=Sample(
            at=moment,
            usage={i: used for i, each in usage.items() if (used := each.result()) is not None},
            metrics=read_metrics(text),
        ),
        reply=reply,
        counters=read_counters(text),
    )


def _asked(world: World, at: Endpoints) -> tuple[float, Reply]:
    """When the engine's answer came, as which its counters are as old, and that."""
    reply = world.http.call(f"{at.engine}/metrics", token=at.engine_key, timeout_s=_PATIENCE_S)
    return world.clock.now(), reply


def _report(
    world: World, space: Workspace, first: Looked, last: Looked, now: datetime
) -> MetricsReport:
    running = next(
        (s for s in last.states if s.service == "engine" and s.status == "running"), None
    )
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        asked = {s.service: pool.submit(world.docker.inspect, s.id) for s in last.states}
        said = () if running is None else lately(world, running)
        details = {service: each.result() for service, each in asked.items()}
    container = details.get("engine")
    engine = engine_vitals(
        world,
        last.manifest,
        engine_kind(environment_of(container)),
        container,
        first.sample,
        last.sample,
        said,
    )
    faults = () if engine is not None else (_silent(world, space, last),)
    return MetricsReport(
        stack=space.stack,
        status="degraded" if faults else "ok",
        at=f"{now:%Y-%m-%dT%H:%M:%SZ}",
        window_s=last.sample.at - first.sample.at,
        services=tuple(
            service_vitals(s, details.get(s.service), now, None, first.sample, last.sample)
            for s in last.states
        ),
        engine=engine,
        window=None if engine is None else _window(first, last),
        since_start=None if engine is None else tally(last.counters),
        not_exported=()
        if engine is None
        else not_exported(last.counters, kv=engine.kv_share is not None),
        cards=_cards(world, container, engine),
        faults=faults,
    )


def _cards(
    world: World, container: Mapping[str, Any] | None, engine: EngineVitals | None
) -> tuple[CardNow, ...]:
    """The machine's cards, where the engine was given one."""
    if not has_card(container):
        return ()
    return cards_now(world.runner, world.local().gpus if engine is None else engine.cards)


def _window(first: Looked, last: Looked) -> Window | None:
    """What the engine did in between; ``None`` where it was not there all the time."""
    before, after = first.sample.metrics, last.sample.metrics
    seconds = last.sample.at - first.sample.at
    grown = last.counters.since(first.counters)
    if before is None or after is None or grown is None or seconds <= 0:
        return None
    made, read = made_between(before, after), grown.numbers.get("read")
    return Window(
        seconds=seconds,
        generated_tokens_per_s=None if made is None else made / seconds,
        read_tokens_per_s=None if read is None else read / seconds,
        counted=tally(grown),
    )


def _silent(world: World, space: Workspace, last: Looked) -> Fault:
    """Why the engine tells nothing, in the words of every command that asks it."""
    from deployctl.deploy.chat import connect  # slow to import: not for one that answers

    try:
        connect(world, space.stack)
    except DeployctlError as problem:
        return problem.faults[0]
    reply = last.reply
    seen = "no answer" if reply is None or not reply.status else f"HTTP {reply.status}"
    if reply is not None and reply.status == HTTPStatus.OK:
        seen = "no figure that is known"
    return Fault(
        code="engine-not-ready",
        message=f"The engine answers, but not when asked for its figures: /metrics says {seen}.",
        where="engine",
        hint=kept_request(space.stack, last.manifest).again,
    )
