"""The recipe of ``up``. Order only; decisions are elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from deployctl.deploy import stack
from deployctl.deploy.changed import changed
from deployctl.deploy.learn import learn
from deployctl.deploy.names import ImageMode
from deployctl.deploy.plan import refuse
from deployctl.deploy.select import Selected, fit, select
from deployctl.deploy.start import Wanted, host_ports, start
from deployctl.deploy.world import ResolvedImage, UpReport, UpRequest, World
from deployctl.errors import DeployctlError
from deployctl.model import Answer, ContainerState, HostFacts, PhaseResult, Plan, Weights
from deployctl.preflight import asked_ports, preflight
from deployctl.readiness import Probe, probe_engine, probe_frontend, prove, trouble, wait
from deployctl.render import render
from deployctl.workspace import Manifest, Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from deployctl.changes import Change
    from deployctl.choice import Choice
    from deployctl.talk import PhaseTalk


@dataclass(slots=True)
class _Run:
    """One ``up`` under way: the ports, and the phases so far."""

    world: World
    started: float
    phases: list[PhaseResult] = field(default_factory=list)

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[_Summary]:
        started = self.world.clock.now()
        with self.world.talk.phase(name) as talk:
            summary = _Summary(talk)
            yield summary
            talk.finish(summary.text)
        seconds = self.world.clock.now() - started
        self.phases.append(PhaseResult(name=name, seconds=seconds, summary=summary.text))


@dataclass(slots=True)
class _Summary:
    progress: PhaseTalk
    text: str = ""


@dataclass(frozen=True, slots=True)
class _Judged:
    """What preflight let through, as it was made to fit."""

    selected: Selected
    facts: HostFacts
    summary: str


# ── up ────────────────────────────────────────────────────────────────────────────────────────


def up(world: World, request: UpRequest) -> UpReport:
    """Bring the stack to where it has answered. Converges from whatever is there."""
    run = _Run(world=world, started=world.clock.now())
    space = Workspace(world.home, request.stack)
    with contextlib.ExitStack() as held:
        with run.phase("preflight") as phase:
            chosen = select(world, request.selection, stack=request.stack, again=request.again_with)
            if chosen.choice is not None:
                _say_choice(world, chosen.choice)
            # First the lock: the ports of a stack that another `up` is just starting would look
            # taken by a stranger.
            held.enter_context(space.lock(world.doing))
            judged = _preflight(world, request, chosen, space)
            plan, choice = judged.selected.plan, chosen.choice
            bundle = render(plan, world.catalog.templates_dir)
            changes = changed(world, space, judged.selected.profile, plan, judged.facts, bundle)
            _say_changes(world, changes)
            phase.text = judged.summary
        images, weights = _obtain(run, plan, request.images)
        with run.phase("start") as phase:
            wanted = Wanted(
                plan=plan,
                bundle=bundle,
                images=images,
                weights=weights,
                automatic=choice is not None,
                facts=judged.facts,
            )
            started = start(world, phase.progress, space, wanted)
            phase.text = started.summary
        answer = _prove(run, space, plan, started.restarts_before, changed=started.changed)
        if started.changed:
            learn(world, request.stack, plan)
    webui_url, engine_url = stack.addresses(*host_ports(plan))
    return UpReport(
        stack=request.stack,
        profile=plan.profile,
        chosen_because=choice.reason if choice else None,
        limits=(*choice.given_up, choice.hint) if choice and choice.hint else (),
        model=plan.model,
        served_name=plan.served_name,
        webui_url=webui_url,
        lan_url=stack.lan_url(plan),
        engine_url=engine_url,
        credentials_file=space.credentials_file,
        changed=started.changed,
        changes=changes,
        images=images,
        weights=weights,
        answer=answer,
        phases=tuple(run.phases),
        seconds=world.clock.now() - run.started,
    )


def _preflight(world: World, request: UpRequest, chosen: Selected, space: Workspace) -> _Judged:
    """Judge the plan by the host; raises every failed check at once."""
    plan = chosen.plan
    facts = world.facts(
        asked_ports(plan),
        own_project=request.stack,
        cards=plan.requirements.card is not None,
    )
    states = () if facts.docker.problem else world.docker.containers(request.stack)
    stack.refuse_foreign(space, states)
    running = any(state.status == "running" for state in states)
    facts = _without_own_ports(facts, states, space.manifest())
    fitted = fit(world, chosen, facts, make=request.fit, running=running)
    if fitted.applied:
        sets = " ".join(f"--set {key}={value}" for key, value in fitted.applied)
        world.talk.say(f"made to fit: {sets}")
    plan = fitted.selected.plan
    kept = space.manifest()
    _say_moved_ports(world, plan, kept)
    checks = preflight(
        plan,
        facts,
        fitted.fitting,
        first=kept is None,
        force=request.force,
        selection=fitted.selected.selection,
        again=request.again_with,
    )
    for check in checks:
        if check.status == "warning":
            world.talk.warn(f"{check.summary}\nnext: {check.hint}")
    refuse(checks)
    summary = " · ".join(
        check.summary for check in checks if check.name not in ("port", "architecture", "context")
    )
    return _Judged(selected=fitted.selected, facts=facts, summary=summary)


def _without_own_ports(
    facts: HostFacts, states: tuple[ContainerState, ...], kept: Manifest | None
) -> HostFacts:
    """A container that restarts again and again holds its port, and `docker ps` shows none."""
    if kept is None or not any(state.status == "restarting" for state in states):
        return facts
    own = {
        port
        for port in (kept.webui_port, kept.engine_port)
        if "docker-proxy" in facts.busy_ports.get(port, "")
    }
    busy = {port: who for port, who in facts.busy_ports.items() if port not in own}
    return replace(facts, busy_ports=busy)


def _say_choice(world: World, choice: Choice) -> None:
    world.talk.say(f"profile auto: {choice.reason}")
    if choice.hint:
        world.talk.warn("\n".join((*choice.given_up, f"To get it: {choice.hint}")))


def _say_changes(world: World, changes: tuple[Change, ...]) -> None:
    """Say what will be replaced before it is; that something new is made is seen anyway."""
    for change in changes:
        if change.action in ("recreate", "remove"):
            world.talk.say(f"change: {change}")


def _say_moved_ports(world: World, plan: Plan, kept: Manifest | None) -> None:
    """Say it when the stack will be reached elsewhere than before: links and clients break."""
    if kept is None:
        return
    before, now = (kept.webui_port, kept.engine_port), host_ports(plan)
    for name, old, new in zip(("webui", "engine"), before, now, strict=True):
        if old != new:
            world.talk.warn(
                f"Port {old} of {name} becomes {new}.\n"
                f"To keep it: add --set ports.{name}={old}, or write it into a profile of yours."
            )


def _obtain(run: _Run, plan: Plan, mode: ImageMode) -> tuple[tuple[ResolvedImage, ...], Weights]:
    """Get images and weights, at the same time: one is bound by the processor, one by the line."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        fetching = pool.submit(_weights, run, plan)
        try:
            return _images(run, plan, mode, fetching), fetching.result()
        except BaseException:
            run.world.weights.stop()  # Ctrl-C reaches this thread only
            raise


_HOW = {"local": "here already", "pull": "pulled", "build": "built from packages"}


def _images(
    run: _Run, plan: Plan, mode: ImageMode, fetching: Future[Weights]
) -> tuple[ResolvedImage, ...]:
    wanted = tuple(service.image for service in plan.services)

    with run.phase("images") as phase:

        def progress(text: str, *, done: int | None = None, total: int | None = None) -> None:
            # Nobody should wait for a build to hear that the model cannot be had.
            if fetching.done() and (error := fetching.exception()):
                raise error
            phase.progress(text, done=done, total=total)

        images = run.world.images.obtain(wanted, mode=mode, progress=progress)
        phase.text = " · ".join(f"{i.service} {_HOW[i.source]}" for i in images)
    return images


def _weights(run: _Run, plan: Plan) -> Weights:
    with run.phase("weights") as phase:
        weights = run.world.weights.fetch(plan.weights, progress=phase.progress)
        phase.text = f"{weights.path.name}, {weights.size_bytes / 1e6:.0f} MB ({weights.how})"
    return weights


def _prove(
    run: _Run, space: Workspace, plan: Plan, before: Mapping[str, int], *, changed: bool
) -> Answer:
    """Wait for engine and frontend, then ask a question through the UI."""
    world = run.world
    at = stack.endpoints(space, plan.served_name, *host_ports(plan))
    look = _watch(world, space.stack, before)
    waits: tuple[tuple[str, str, Callable[[], Probe], int], ...] = (
        ("engine ready", "engine", lambda: probe_engine(world.http, at), plan.deadlines.engine_s),
        (
            "frontend ready",
            "webui",
            lambda: probe_frontend(world.http, at),
            plan.deadlines.frontend_s,
        ),
    )
    for name, service, probe, deadline_s in waits:
        with run.phase(name) as phase:
            last = wait(
                probe, look, clock=world.clock, deadline_s=deadline_s, on_change=phase.progress
            )
            if not last.ok:
                raise _not_ready(world, space.stack, service, last, deadline_s)
            phase.text = last.seen
    with run.phase("proof") as phase:
        # A stack that was just changed must take the stored credentials; one that was left alone
        # has taken them before.
        answer, session = prove(
            world.http,
            at,
            clock=world.clock,
            deadline_s=plan.deadlines.proof_s,
            reasoning=plan.reasoning,
            max_tokens=plan.max_tokens,
            kept=None if changed else space.session(),
        )
        space.keep_session(session)
        phase.text = f"answered through the UI in {answer.seconds:.1f} s"
    return answer


_ROLE = {"engine": "engine", "webui": "frontend"}


def _watch(world: World, name: str, before: Mapping[str, int]) -> Callable[[], None]:
    """Make the look that ends a pointless wait: a container that died or keeps restarting."""

    def look() -> None:
        for state in world.docker.containers(name):
            if state.service not in _ROLE:
                continue  # a service of the operator's override may come and go
            fresh = replace(state, restarts=state.restarts - before.get(state.id, 0))
            if what := trouble(fresh):
                role = _ROLE[state.service]
                raise DeployctlError(
                    f"The {role}'s container {what}.",
                    code=f"{role}-exited",
                    where=state.service,
                    hint=f"deployctl logs {state.service} --stack {name}",
                    details=world.docker.log_tail(state.id, 20),
                )

    return look


def _not_ready(
    world: World, name: str, service: str, last: Probe, deadline_s: int
) -> DeployctlError:
    states = [state for state in world.docker.containers(name) if state.service == service]
    role = _ROLE[service]
    return DeployctlError(
        f"The {role} was not ready within {deadline_s} s; last seen: {last.seen}.",
        code=f"{role}-not-ready",
        where=service,
        hint=f"deployctl logs {service} --stack {name}",
        details=world.docker.log_tail(states[0].id, 20) if states else (),
    )
