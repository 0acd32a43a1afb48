"""The recipe of ``up``. Order only; decisions are elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from deployctl import planner
from deployctl.deploy import stack
from deployctl.deploy.start import Wanted, host_ports, start
from deployctl.deploy.world import AUTO, ImageMode, ResolvedImage, UpReport, UpRequest, World
from deployctl.errors import DeployctlError, Fault
from deployctl.model import Answer, PhaseResult, Plan, Weights
from deployctl.readiness import Probe, probe_engine, probe_frontend, prove, trouble, wait
from deployctl.render import render
from deployctl.workspace import Manifest, Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from deployctl.profiles.resolve import Profile
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


# ── up ────────────────────────────────────────────────────────────────────────────────────────


def up(world: World, request: UpRequest) -> UpReport:
    """Bring the stack to where it has answered. Converges from whatever is there."""
    run = _Run(world=world, started=world.clock.now())
    space = Workspace(world.home, request.stack)
    with contextlib.ExitStack() as held:
        with run.phase("preflight") as phase:
            profile, choice = _profile(world, request, space)
            plan = planner.build_plan(profile)
            bundle = render(plan, world.catalog.templates_dir)
            # First the lock: the ports of a stack that another `up` is just starting would look
            # taken by a stranger.
            held.enter_context(space.lock(world.doing))
            phase.text = _preflight(world, request, plan, space)
        images, weights = _obtain(run, plan, request.images)
        with run.phase("start") as phase:
            wanted = Wanted(
                plan=plan,
                bundle=bundle,
                images=images,
                weights=weights,
                automatic=choice is not None,
            )
            started = start(world, phase.progress, space, wanted)
            phase.text = started.summary
        answer = _prove(run, space, plan, started.restarts_before, changed=started.changed)
    webui_url, engine_url = stack.addresses(*host_ports(plan))
    return UpReport(
        stack=request.stack,
        profile=plan.profile,
        chosen_because=choice.reason if choice else None,
        limits=(*choice.given_up, choice.hint) if choice and choice.hint else (),
        model=plan.model,
        served_name=plan.served_name,
        webui_url=webui_url,
        engine_url=engine_url,
        credentials_file=space.credentials_file,
        changed=started.changed,
        images=images,
        weights=weights,
        answer=answer,
        phases=tuple(run.phases),
        seconds=world.clock.now() - run.started,
    )


def _profile(
    world: World, request: UpRequest, space: Workspace
) -> tuple[Profile, planner.Choice | None]:
    """Resolve the profile; ``auto`` keeps what it chose for a running stack, else it chooses."""
    if request.profile != AUTO:
        return world.resolve(request.profile, request.sets), None
    profiles = [world.resolve(name, request.sets) for name in world.catalog.shipped_names()]
    offered = [p for p in profiles if p.spec.auto is not None]
    kept = space.manifest()
    applied = kept.profile if kept is not None and kept.automatic else ""
    running = bool(applied) and _runs(world, request.stack)
    choice = _keep(offered, applied if running else "") or _choose(world, request, offered)
    world.talk.say(f"profile auto: {choice.reason}")
    if choice.hint:
        world.talk.warn("\n".join((*choice.given_up, f"To get it: {choice.hint}")))
    return next(p for p in offered if p.name == choice.profile), choice


def _runs(world: World, name: str) -> bool:
    try:
        return any(state.status == "running" for state in world.docker.containers(name))
    except DeployctlError:
        return False  # no Docker: preflight says so better


def _keep(offered: list[Profile], running: str) -> planner.Choice | None:
    """Keep a running choice: a hub that comes and goes must not swap the model under people."""
    for profile in offered:
        if profile.name == running:
            reason = f"{running} ({profile.spec.model.name}) is kept: the stack runs with it."
            return planner.Choice(profile=running, reason=reason)
    return None


def _choose(world: World, request: UpRequest, offered: list[Profile]) -> planner.Choice:
    """Look at the host and at the sources of what is not here, and choose."""
    candidates = []
    for profile in offered:
        plan = planner.build_plan(profile)
        here = world.weights.locate(plan.weights) is not None
        rank = profile.spec.auto.rank if profile.spec.auto else 0
        candidates.append(planner.Candidate(rank=rank, plan=plan, weights_here=here))
    facts = world.facts((), own_project=None)
    return planner.choose(
        tuple(candidates),
        replace(facts, reachable=_reachable(world, candidates)),
        again=lambda name: replace(request, profile=name).again,
    )


def _reachable(world: World, candidates: list[planner.Candidate]) -> Mapping[str, bool]:
    """Ask the sources of all files that are not here, at the same time."""
    sources = {c.plan.weights.source for c in candidates if not c.weights_here}
    with ThreadPoolExecutor(max_workers=max(1, len(sources))) as pool:
        answers = pool.map(lambda s: (s.text, world.weights.reachable(s, timeout_s=5)), sources)
        return dict(answers)


def _preflight(world: World, request: UpRequest, plan: Plan, space: Workspace) -> str:
    """Judge the plan by the host; raises every failed check at once."""
    facts = world.facts(planner.asked_ports(plan), own_project=request.stack)
    states = () if facts.docker.problem else world.docker.containers(request.stack)
    stack.refuse_foreign(space, states)
    running = any(state.status == "running" for state in states)
    kept = space.manifest()
    _say_moved_ports(world, plan, kept)
    checks = planner.preflight(
        plan,
        facts,
        running=running,
        first=kept is None,
        with_set=lambda key, value: request.with_set(key, value).again,
    )
    for check in checks:
        if check.status == "warning":
            world.talk.warn(f"{check.summary}. {check.hint}")
    faults = tuple(
        Fault(
            code=check.code or "bug",
            message=check.summary,
            hint=check.hint,
            where=check.where,
            details=check.details,
        )
        for check in checks
        if check.status == "failed"
    )
    if faults:
        raise DeployctlError.of(faults)
    return " · ".join(
        check.summary for check in checks if check.name not in ("port", "architecture")
    )


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
