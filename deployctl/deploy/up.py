"""The recipe of ``up``. Order only; decisions are elsewhere."""

from __future__ import annotations

import contextlib
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deployctl.adapting import changed_by
from deployctl.deploy import stack
from deployctl.deploy.attempt import Attempt
from deployctl.deploy.changed import changed, of_this_machine, volumes_of
from deployctl.deploy.credentials import beside_of, put_back_damaged, refuse_lost
from deployctl.deploy.kept import kept_selection
from deployctl.deploy.learn import learn, learn_taken
from deployctl.deploy.plan import refuse
from deployctl.deploy.run import Run
from deployctl.deploy.select import Selected, fit, select
from deployctl.deploy.world import ResolvedImage, UpReport, UpRequest, World
from deployctl.diagnosis import Way
from deployctl.errors import DeployctlError
from deployctl.preflight import asked_ports, preflight
from deployctl.workspace import Manifest, Workspace

if TYPE_CHECKING:
    from deployctl.changes import Change
    from deployctl.choice import Choice
    from deployctl.deploy.names import ImageMode
    from deployctl.deploy.start import Started, Wanted
    from deployctl.errors import Fault
    from deployctl.model import HostFacts, Plan, Weights
    from deployctl.outcomes import Answer, ContainerState
    from deployctl.profiles.selection import Adaptation


@dataclass(frozen=True, slots=True)
class _Judged:
    """What preflight let through, as it was made to fit."""

    selected: Selected
    facts: HostFacts
    summary: str


# ── up ────────────────────────────────────────────────────────────────────────────────────────


def up(world: World, request: UpRequest) -> UpReport:
    """Bring the stack to where it has answered. Converges from whatever is there.

    When it fails, the error says in ``after`` what was done about it, as the request wants it.
    """
    run = Run(world=world, started=world.clock.now())
    attempt = Attempt(run=run, space=Workspace(world.home, request.stack), request=request)
    with contextlib.ExitStack() as held:
        try:
            return _bring_up(attempt, held)
        except DeployctlError as error:
            from deployctl.deploy.failing import settle

            settle(attempt, error)
            raise


def _bring_up(attempt: Attempt, held: contextlib.ExitStack) -> UpReport:
    run, space, request = attempt.run, attempt.space, attempt.request
    world = run.world
    with run.phase("preflight") as phase:
        chosen = select(world, request.selection, stack=request.stack, again=request.again_with)
        if chosen.choice is not None:
            _say_choice(world, chosen.choice)
        for path, mode in space.close():  # before the lock, which sees to the folder
            world.talk.warn(f"{path} was open to others (mode {mode:o}), and is closed now.")
        # First the lock: the ports of a stack that another `up` is just starting would look
        # taken by a stranger.
        held.enter_context(space.lock(world.doing))
        judged = _preflight(attempt, chosen)
        # Loaded while Docker was asked for its facts, by the session.
        from deployctl.deploy.proving import prove_and_keep
        from deployctl.deploy.start import Wanted, prepare, start
        from deployctl.render import render

        # What the kernel kills from here on counts as evidence.
        run.world = world = replace(world, oom_kills=judged.facts.oom_kills)
        plan = judged.selected.plan
        bundle = render(plan, world.catalog.templates_dir)
        changes = changed(world, space, judged.selected.profile, plan, judged.facts, bundle)
        kept_volumes = _kept_volumes(space, changes, plan)  # as the record of before has them
        _say_changes(world, changes)
        phase.text = judged.summary
    way = Way(
        stack=request.stack,
        selection=judged.selected.selection,
        again=request.again_with,
        plan=plan,
        card_access=judged.facts.card_access or (),
    )
    try:
        images, weights = _obtain(run, plan, request.images)
    except DeployctlError as error:
        error.faults = tuple(_without_it(fault, plan, way) for fault in error.faults)
        raise
    if plan.weights.source.kind != "file":  # what is the operator's own is not ours to delete
        way = replace(way, weights=str(weights.path))
    wanted = Wanted(
        plan=plan,
        bundle=bundle,
        images=images,
        weights=weights,
        automatic=chosen.choice is not None,
        machine=of_this_machine(judged.facts),
        selection=judged.selected.selection,
        again=request.again,
    )
    with run.phase("start") as phase:
        prepared = prepare(world, space, wanted)
        started = start(run, phase.progress, space, prepared, way)
        phase.text = started.summary
    attempt.stands = True
    answer = prove_and_keep(run, space, prepared, started, way)
    if run.loaded:
        learn(world, request.stack, plan)
    if started.changed:
        learn_taken(world, request.stack, plan)
    return _report(attempt, chosen.choice, wanted, changes, started, answer, kept_volumes)


def _report(
    attempt: Attempt,
    choice: Choice | None,
    wanted: Wanted,
    changes: tuple[Change, ...],
    started: Started,
    answer: Answer,
    kept_volumes: tuple[str, ...],
) -> UpReport:
    run, plan = attempt.run, wanted.plan
    webui_url, engine_url = stack.addresses(*stack.host_ports(plan))
    return UpReport(
        stack=attempt.request.stack,
        profile=plan.profile,
        chosen_because=choice.reason if choice else None,
        limits=(*choice.given_up, choice.hint) if choice and choice.hint else (),
        model=plan.model,
        served_name=plan.served_name,
        webui_url=webui_url,
        lan_url=stack.lan_url(plan),
        engine_url=engine_url,
        credentials_file=attempt.space.credentials_file,
        changed=started.changed,
        changes=changes,
        images=wanted.images,
        weights=wanted.weights,
        answer=answer,
        phases=tuple(run.phases),
        warm_up=run.warm_up,
        seconds=run.world.clock.now() - run.started,
        adapted=wanted.selection.adapted,
        pages=tuple((page.label, page.url) for page in plan.pages),
        stopped=tuple(change.service for change in changes if change.action == "remove"),
        kept_volumes=kept_volumes,
    )


def _kept_volumes(space: Workspace, changes: tuple[Change, ...], plan: Plan) -> tuple[str, ...]:
    """The data of services that are removed; with ``down --volumes`` it goes too."""
    gone = tuple(change.service for change in changes if change.action == "remove")
    used = volumes_of(space, gone) if gone else ()
    return tuple(f"{space.stack}_{name}" for name in used if name not in plan.volumes)


def _preflight(attempt: Attempt, chosen: Selected) -> _Judged:
    """Judge the plan by the host; raises every failed check at once."""
    world, request, space = attempt.run.world, attempt.request, attempt.space
    plan = chosen.plan
    facts = world.facts(
        asked_ports(plan),
        own_project=request.stack,
        cards=plan.requirements.card is not None,
    )
    states = () if facts.docker.problem else world.docker.containers(request.stack)
    stack.refuse_foreign(space, states, doing="up", beside=beside_of(request))
    attempt.held = True
    put_back_damaged(world, space, request)
    if not facts.docker.problem:  # before anything is downloaded or built
        refuse_lost(world, space, request)
    running = any(state.status == "running" for state in states)
    facts = _without_own_ports(facts, states, space.manifest())
    kept = space.manifest()
    fitted = fit(
        world,
        chosen,
        facts,
        make=request.fit,
        running=running,
        images=request.images,
        kept=kept_selection(kept).adapted if kept is not None and running else (),
    )
    if fitted.applied:
        sets = " ".join(f"--set {key}={value}" for key, value in fitted.applied)
        world.talk.say(f"made to fit: {sets}")
    plan = fitted.selected.plan
    for each in changed_by(chosen.profile, fitted.selected.selection.adapted):
        world.talk.say(_decided(each, plan))
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
    quiet = ("port", "architecture", "context")
    summary = " · ".join(
        check.summary
        for check in checks
        if check.name not in quiet and check.status != "warning"  # which was just said
    )
    return _Judged(selected=fitted.selected, facts=facts, summary=summary)


def _without_own_ports(
    facts: HostFacts, states: tuple[ContainerState, ...], kept: Manifest | None
) -> HostFacts:
    """A container that restarts again and again holds its port, and `docker ps` shows none."""
    if kept is None or not any(s.status == "restarting" or s.restarts for s in states):
        return facts
    own = {
        port
        for port in (kept.webui_port, kept.engine_port, *kept.addon_ports)
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
            world.talk.say(f"change: {change.brief()}")


def _say_moved_ports(world: World, plan: Plan, kept: Manifest | None) -> None:
    """Say it when the stack will be reached elsewhere than before: links and clients break."""
    if kept is None:
        return
    before, now = (kept.webui_port, kept.engine_port), stack.host_ports(plan)
    for name, old, new in zip(("webui", "engine"), before, now, strict=True):
        if old != new:
            world.talk.warn(
                f"Port {old} of {name} becomes {new}.\n"
                f"To keep it: add --set ports.{name}={old}, or write it into a profile of yours."
            )


def _obtain(run: Run, plan: Plan, mode: ImageMode) -> tuple[tuple[ResolvedImage, ...], Weights]:
    """Get images and weights, at the same time: one is bound by the processor, one by the line."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        fetching = pool.submit(_weights, run, plan)
        try:
            return _images(run, plan, mode, fetching), fetching.result()
        except BaseException:
            run.world.weights.stop()  # Ctrl-C reaches this thread only
            raise


def _decided(each: Adaptation, plan: Plan) -> str:
    """What this machine made of a value that the profile leaves to it."""
    part = next((part for part in plan.optional if part.key == each.key), None)
    what = f"{each.key} is {each.value}" if part is None else f"without {part.title}"
    return f"{what}: {each.reason}"


def _without_it(fault: Fault, plan: Plan, way: Way) -> Fault:
    """The fault; of an image that may be left out, with the command that does without it."""
    named = {s.name: s.image.reference for s in plan.services}.get(fault.where or "")
    part = next((part for part in plan.optional if part.reference == named), None)
    if part is None:
        return fault
    return replace(fault, hint=f"{way.with_set((part.key, 'never'))}  # without {part.title}")


_HOW = {"local": "here already", "pull": "pulled", "build": "built from packages"}


def _images(
    run: Run, plan: Plan, mode: ImageMode, fetching: Future[Weights]
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


def _weights(run: Run, plan: Plan) -> Weights:
    with run.phase("weights") as phase:
        weights = run.world.weights.fetch(plan.weights, progress=phase.progress)
        phase.text = f"{weights.path.name}, {weights.size_bytes / 1e6:.0f} MB ({weights.how})"
    return weights
