"""One look at the running parts of a stack, everything side by side: vitals, health, settings.

``status`` must not take longer than the slowest of its questions, so each is asked by a thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from deployctl.deploy import drift as drifting
from deployctl.deploy import stack
from deployctl.deploy.admin import Admin
from deployctl.deploy.alerts import Heard, hear
from deployctl.deploy.card import CardAsked, ask_card, card_fault, lately, start_key
from deployctl.deploy.checks import check_of, failed, probe_check, skipped, unanswered
from deployctl.deploy.figures import Sample, engine_vitals, service_vitals
from deployctl.deploy.health import container_fault, silence_fault
from deployctl.deploy.kept import engine_kind, kept_request
from deployctl.deploy.misset import listed
from deployctl.deploy.reviving import is_cut_off, networks_there
from deployctl.errors import DeployctlError, Fault
from deployctl.metrics import EngineMetrics, read_metrics
from deployctl.readiness import PROBES, Endpoints, Probe
from deployctl.vitals import EngineVitals, ServiceVitals, environment_of

if TYPE_CHECKING:
    from deployctl.deploy.world import UpRequest, World
    from deployctl.drift import Drift
    from deployctl.oncard import CardTrouble
    from deployctl.outcomes import CheckResult, ContainerState
    from deployctl.workspace import Manifest, Workspace

#: How long a service may be without an answer after its start before it counts as hung, seconds:
#: the probe of a healthy one answers within milliseconds.
_PATIENCE_S = {"engine": 20.0, "webui": 60.0}

#: More than the questions of one look, some of which wait for the answer of another.
_AT_ONCE = 24

_ROLE = {"engine": "engine", "webui": "frontend"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was seen of the containers that are there."""

    checks: tuple[CheckResult, ...]
    faults: tuple[Fault, ...]
    services: tuple[ServiceVitals, ...]
    engine: EngineVitals | None
    drift: tuple[Drift, ...]
    sample: Sample
    heard: Heard | None = None  # of the stack's Prometheus, where there is one


#: What the engine's counters were, and when, by the world's clock.
_Read = tuple[float, EngineMetrics | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """The questions under way; the answers come in any order."""

    details: Mapping[str, Future[Mapping[str, Any] | None]]  # by service
    networks: Future[frozenset[str]]  # ids of the stack's own
    meant: Future[Mapping[str, frozenset[str]]]  # service → names of those it was put in
    moved: Mapping[str, Future[Drift | None]]
    probes: Mapping[str, Future[Probe]]
    metrics: Future[_Read]
    lately: Future[tuple[str, ...]] | None
    card: CardAsked | None

    def answers(self, service: str) -> bool:
        """Whether a service answered its probe."""
        probe = self.probes.get(service)
        return probe is not None and probe.result().ok

    def answered(self, service: str) -> bool | None:
        """Whether a service answered its probe; ``None`` where it was not asked."""
        return self.answers(service) if service in self.probes else None


def look(
    world: World,
    space: Workspace,
    manifest: Manifest,
    states: tuple[ContainerState, ...],
    now: datetime,
    *,
    before: Sample | None,
    alerts: bool = True,
) -> Look:
    """Ask everything at the same time, then judge. Raises what looking at Docker raises.

    ``alerts``: ask the stack's Prometheus too, where it has one.
    """
    at = stack.endpoints(space, manifest.served_name, manifest.webui_port, manifest.engine_port)
    states = tuple(state for state in states if not stack.finished(manifest, state))
    request = kept_request(space.stack, manifest)
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        known = {} if before is None else before.starts
        asked = _ask(pool, world, states, at, request, known)
        heard = pool.submit(hear, world, space.stack, manifest, states) if alerts else None
        webui = pool.submit(_webui, world, space, manifest, at, asked, now)
        details = {name: asked.details[name].result() for name in asked.details}
        kind = engine_kind(environment_of(details.get("engine")))
        judged = _Judged(world=world, request=request, now=now, kind=kind, before=before)
        checks, faults = judged.services(pool, asked, states)
        settings, settings_check = webui.result()
        moved = tuple(d for each in asked.moved.values() if (d := each.result()) is not None)
        # The later of the two moments between which rates are told, when all else is known.
        sample = _sample(pool, world, states, at, asked)
        at_first, metrics = asked.metrics.result()
        first = before or Sample(at=at_first, metrics=metrics)
        said = asked.lately.result() if asked.lately is not None else ()
    gone = {d.name for d in moved}
    return Look(
        checks=(*checks, *settings_check),
        faults=faults,
        services=tuple(
            service_vitals(s, details.get(s.service), now, s.service in gone, first, sample)
            for s in states
        ),
        engine=engine_vitals(world, manifest, kind, details.get("engine"), first, sample, said),
        drift=(*moved, *settings),
        sample=sample,
        heard=heard.result() if heard is not None else None,
    )


def _ask(
    pool: ThreadPoolExecutor,
    world: World,
    states: tuple[ContainerState, ...],
    at: Endpoints,
    request: UpRequest,
    starts: Mapping[str, CardTrouble | None],
) -> _Asked:
    running = {s.service: s for s in states if s.status == "running"}
    engine = running.get("engine")
    # First those for whose answer others wait.
    asking = {
        name: pool.submit(probe, world.http, at)
        for name, probe in PROBES.items()
        if name in running
    }
    details = {s.service: pool.submit(world.docker.inspect, s.id) for s in states}
    networks = pool.submit(networks_there, world, request.stack)
    return _Asked(
        probes=asking,
        details=details,
        metrics=pool.submit(_metrics, world, at, ask=engine is not None),
        networks=networks,
        meant=pool.submit(_meant, world, request.stack, networks),
        lately=None if engine is None else pool.submit(lately, world, engine),
        card=None if engine is None else ask_card(pool, world, engine, details["engine"], starts),
        moved={s.service: pool.submit(drifting.of_image, world, s, request.again) for s in states},
    )


def _meant(
    world: World, name: str, networks: Future[frozenset[str]]
) -> Mapping[str, frozenset[str]]:
    """The networks that each service was put in; of a stack that has one, nothing to look up."""
    if len(networks.result()) < 2:
        return {}
    from deployctl.deploy.changed import networks_meant  # slow to import
    from deployctl.workspace import Workspace

    return networks_meant(Workspace(world.home, name))


def _metrics(world: World, at: Endpoints, *, ask: bool) -> _Read:
    """The engine answers between two steps of its work: its counters are as old as the answer."""
    if not ask:
        return world.clock.now(), None
    reply = world.http.call(f"{at.engine}/metrics", token=at.engine_key, timeout_s=5)
    moment = world.clock.now()
    return moment, read_metrics(reply.text) if reply.status == HTTPStatus.OK else None


def _sample(
    pool: ThreadPoolExecutor,
    world: World,
    states: tuple[ContainerState, ...],
    at: Endpoints,
    asked: _Asked,
) -> Sample:
    running = [s for s in states if s.status == "running"]
    ask = asked.answers("engine")
    usage = {s.id: pool.submit(world.docker.usage, s.id) for s in running}
    moment, metrics = _metrics(world, at, ask=ask)
    return Sample(
        at=moment,
        usage={i: u for i, each in usage.items() if (u := each.result()) is not None},
        metrics=metrics,
        restarts={s.id: s.restarts for s in states},
        # A start that is over; one that still goes on may say more.
        starts={
            start_key(s): asked.card.start.result()
            for s in running
            if ask and asked.card is not None and s.service == "engine"
        },
    )


# ── whether it works ──────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    world: World
    request: UpRequest
    now: datetime
    kind: str
    before: Sample | None

    def services(
        self,
        pool: ThreadPoolExecutor,
        asked: _Asked,
        states: tuple[ContainerState, ...],
    ) -> tuple[tuple[CheckResult, ...], tuple[Fault, ...]]:
        """Every container's check, then what was seen from outside; and the faults among them."""
        asking = {s.service: pool.submit(self._container, s, asked) for s in states}
        faulty = {service: each.result() for service, each in asking.items()}
        checks = [check_of(s, faulty[s.service]) for s in states]
        faults = [fault for fault in faulty.values() if fault is not None]
        for state in states:
            if state.service not in asked.probes:
                continue
            check, fault = self._outside(state, asked.probes[state.service].result(), faulty)
            checks.append(check)
            faults += () if fault is None else (fault,)
            if state.service == "engine" and asked.card is not None and asked.lately is not None:
                card = card_fault(self.request, state, asked.card, asked.lately.result())
                checks += () if card is None else (failed("card", card),)
                faults += () if card is None else (card,)
        return tuple(checks), tuple(faults)

    def _outside(
        self, state: ContainerState, probe: Probe, faulty: Mapping[str, Fault | None]
    ) -> tuple[CheckResult, Fault | None]:
        """What was seen from outside, and the fault where the container's own is none."""
        role, known = _ROLE[state.service], faulty[state.service]
        if known is not None and not probe.ok:
            return unanswered(role, probe, known), None
        patience_s = _PATIENCE_S[state.service]
        fault = silence_fault(state, probe, self.request, self.now, patience_s=patience_s)
        return probe_check(role, state.service, probe, fault), fault

    def _container(self, state: ContainerState, asked: _Asked) -> Fault | None:
        known = None if self.before is None else self.before.restarts.get(state.id)
        return container_fault(
            self.world,
            self.request,
            state,
            self.now,
            engine=self.kind,
            restarts_before=known,
            # Waited for only where it tells something: a restart, or a healthcheck, may be history.
            answers=asked.answered(state.service)
            if state.restarts or state.health == "unhealthy"
            else None,
            cut_off=is_cut_off(
                self.world,
                asked.details[state.service].result(),
                asked.networks.result(),
                asked.meant.result().get(state.service, frozenset()),
            ),
        )


def _webui(
    world: World,
    space: Workspace,
    manifest: Manifest,
    at: Endpoints,
    asked: _Asked,
    now: datetime,
) -> tuple[tuple[Drift, ...], tuple[CheckResult, ...]]:
    """What differs in the chat window's settings, or why not; and whether it offers the model.

    One that is still starting, or hangs, is not asked; its own check says so.
    """
    if not asked.answers("webui"):
        return (), ()
    details = asked.details["webui"].result()
    try:
        admin = Admin(world.http, space, at, looking=now)
        found = drifting.of_webui(admin, environment_of(details), manifest.served_name, space.stack)
    except DeployctlError as problem:
        first = problem.faults[0]
        return (), (skipped("settings", f"not compared: {first.message}", first.hint),)
    # One whose engine does not answer lists nothing, and that check says so.
    return found, ((listed(admin, at, found),) if asked.answers("engine") else ())
