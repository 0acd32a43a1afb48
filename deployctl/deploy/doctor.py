"""The recipe of ``doctor``: look at everything at the same time, judge. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from deployctl.deploy.detect import hub_reach, shipped_plans
from deployctl.deploy.examined import Examined, examined
from deployctl.deploy.select import fit
from deployctl.doctor.judge import judge
from deployctl.doctor.look_docker import card_devices, look_at_daemon, persistence, probe_card
from deployctl.doctor.look_outside import (
    PATIENCE_S,
    Clocks,
    ask_apt,
    ask_pip,
    look_at_proxies,
    registry_host,
    resolves,
)
from deployctl.doctor.look_state import look_at_place, look_at_state
from deployctl.doctor.look_system import look_at_system
from deployctl.doctor.nouns import Daemon, Graphics, Group, Index, Machine, Outside
from deployctl.doctor.results import warning
from deployctl.errors import DeployctlError
from deployctl.images.reference import host_of
from deployctl.images.registry import ask_all
from deployctl.preflight import preflight
from deployctl.sidebyside import apart
from deployctl.workspace import Workspace

if TYPE_CHECKING:
    from deployctl.deploy.select import Selected
    from deployctl.deploy.world import UpRequest, World
    from deployctl.model import HostFacts, Plan
    from deployctl.outcomes import CheckResult, Reach
    from deployctl.profiles.selection import Selection

#: Ports behind a taken one that are looked at for one that is free.
_STAND_INS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Where the doctor looks: the file tree, the environment, the time, who asks for an address.

    ``ask`` takes an address, seconds and proxies; ``None`` asks by HTTP.
    """

    environment: Mapping[str, str]
    hub: str
    now: Callable[[], datetime]
    root: Path = Path("/")
    ask: Callable[[str, float, Mapping[str, str]], str | None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorReport:
    """What was found. ``failed`` are the checks that keep a stack from coming up.

    ``up`` is the whole command that brings the stack up.
    """

    stack: str
    profile: str | None
    groups: tuple[Group, ...]
    seconds: float
    up: str = "deployctl up"

    @property
    def profile_failed(self) -> bool:
        """Whether this machine cannot run the profile, whatever is mended about the rest."""
        found = (group for group in self.groups if group.name == f"Profile {self.profile}")
        return any(check.status == "failed" for group in found for check in group.checks)

    @property
    def checks(self) -> tuple[CheckResult, ...]:
        """All checks, in order."""
        return tuple(check for group in self.groups for check in group.checks)

    def count(self, status: str) -> int:
        """How many checks ended like this."""
        return sum(check.status == status for check in self.checks)


def doctor(
    world: World, around: Surroundings, *, stack: str, selection: Selection | None
) -> DoctorReport:
    """Check this machine, with ``selection`` also against that profile, and for what it needs only.

    Without one the stack's own profile and ports are taken, if it was ever brought up. Raises
    ``profile-…`` faults when the profile that is asked for cannot be read, and nothing else.
    """
    started = world.clock.now()
    subject = examined(world, stack, selection)
    chosen = subject.chosen
    plans = (chosen.plan,) if chosen is not None else tuple(shipped_plans(world))
    machine = _look(world, around, subject, plans, everything=chosen is None)
    groups = judge(machine)
    if chosen is not None:
        groups += (_profile(world, machine.facts, subject.request, chosen),)
    return DoctorReport(
        stack=stack,
        profile=chosen.profile.name if chosen else None,
        groups=groups,
        seconds=world.clock.now() - started,
        up=subject.request.again,
    )


def of_stack(report: DoctorReport) -> DoctorReport:
    """The same without the other stacks of this machine, for those whom they do not concern."""
    own = f"stack {report.stack}"
    groups = (
        replace(group, checks=tuple(check for check in group.checks if check.name == own))
        if group.name == "Stacks"
        else group
        for group in report.groups
    )
    return replace(report, groups=tuple(groups))


# ── looking ───────────────────────────────────────────────────────────────────────────────────


def _look(
    world: World,
    around: Surroundings,
    subject: Examined,
    plans: tuple[Plan, ...],
    *,
    everything: bool,
) -> Machine:
    """All at the same time; only a container with a card has to wait for the facts.

    ``everything``: the hub too where the models of ``plans`` are here already.
    """
    environment, root = around.environment, around.root
    stack, ports = subject.request.stack, subject.ports
    asked = tuple(sorted({n + k for n in ports for k in range(_STAND_INS) if n + k <= 65535}))
    facts = apart(partial(world.facts, asked, own_project=stack, cards=True), name="doctor")
    daemon = apart(partial(look_at_daemon, world.runner, environment), name="doctor")
    system = apart(partial(look_at_system, world.runner, root, environment), name="doctor")
    state = apart(partial(look_at_state, world.home, root), name="doctor")
    outside = apart(partial(_outside, world, around, plans, everything=everything), name="doctor")
    graphics = apart(
        partial(_graphics, world, environment, root, facts, daemon, plans), name="doctor"
    )
    found, told = facts.result(), daemon.result()
    images = found.docker.root_dir
    return Machine(
        facts=found,
        system=system.result(),
        daemon=told,
        images=look_at_place(images, root) if images is not None else None,
        state=state.result(),
        proxies=look_at_proxies(environment, told.info, root),
        outside=outside.result(),
        graphics=graphics.result(),
        ports=ports,
        stack=stack,
        architectures=frozenset(a for p in plans for a in p.requirements.architectures),
        up=subject.request.again,
    )


def _outside(
    world: World, around: Surroundings, plans: tuple[Plan, ...], *, everything: bool
) -> Outside:
    """Registries, hub, package indexes and a name, side by side; then the time, where it is."""
    wanted = tuple(p for p in plans if everything or world.weights.locate(p.weights) is None)
    clocks = Clocks(around.now)
    references = tuple(sorted({s.image.reference for plan in plans for s in plan.services}))
    name = registry_host(around.environment, references)
    registries = apart(partial(_registries, world, references), name="doctor")
    hub = apart(partial(hub_reach, world, wanted, around.hub, timeout_s=PATIENCE_S), name="doctor")
    pip = apart(partial(ask_pip, world.runner), name="doctor")
    apt = apart(partial(ask_apt, world.runner, around.root, clocks, ask=around.ask), name="doctor")
    found = apart(partial(resolves, world.runner, name), name="doctor")
    reaches, problem = registries.result()
    if clocks.ahead_s is None and around.ask is None:
        _ask_the_time(clocks, reaches)
    indexes: tuple[Index, ...] = (pip.result(), apt.result())
    return Outside(
        reaches=(*reaches, *hub.result()),
        problem=problem,
        indexes=indexes,
        asked_name=name,
        resolves=found.result(),
        ahead_s=clocks.ahead_s,
    )


def _registries(
    world: World, references: tuple[str, ...]
) -> tuple[tuple[Reach, ...], tuple[CheckResult, ...]]:
    """What answers of the registries of these images; or that the mirror map is wrong."""
    try:
        return world.images.reach(references, timeout_s=PATIENCE_S), ()
    except DeployctlError as wrong:
        fault = wrong.faults[0]
        why = "It says through which mirror an image is pulled."
        return (), (warning("mirror map", fault.message, why, fault.hint, fault.where or ""),)


def _ask_the_time(clocks: Clocks, reaches: tuple[Reach, ...]) -> None:
    """Ask those who just answered; nobody else would tell the time either."""
    urls = [f"https://{host_of(reach.asked)}/v2/" for reach in reaches if reach.answers]
    ask_all(urls[:1], asker=clocks.ask, timeout_s=0.5)


def _graphics(
    world: World,
    environment: Mapping[str, str],
    root: Path,
    facts: Future[HostFacts],
    daemon: Future[Daemon],
    plans: tuple[Plan, ...],
) -> Graphics:
    found = facts.result()
    cards = [plan for plan in plans if plan.requirements.card is not None]
    nvidia = [plan for plan in cards if plan.service("engine").gpu]
    graphics = Graphics(
        devices=card_devices(root),
        levels={p.profile: least for p in nvidia if (least := _least_driver(p))},
        capabilities={
            p.profile: c.compute_capability
            for p in nvidia
            if (c := p.requirements.card) and c.compute_capability
        },
    )
    if not any(gpu.vendor == "nvidia" and gpu.driver for gpu in found.gpus):
        return graphics
    graphics = replace(graphics, persistence=persistence(world.runner, environment))
    client = found.docker.client
    if client is None or found.docker.server_version is None:
        return replace(graphics, unprobed="the daemon does not answer")
    references = {service.image.reference for plan in nvidia for service in plan.services}
    probe = probe_card(world.runner, client, daemon.result().info, references)
    return replace(graphics, probe=probe, unprobed="" if probe else "no image is here to try it in")


def _least_driver(plan: Plan) -> int | None:
    """The oldest driver that an image of the plan runs on; ``None`` where nobody says."""
    if offered := plan.service("engine").image.by_driver:
        return min(least for least, _ in offered)
    return plan.requirements.card.driver if plan.requirements.card else None


# ── the profile ───────────────────────────────────────────────────────────────────────────────


def _profile(world: World, facts: HostFacts, request: UpRequest, chosen: Selected) -> Group:
    """What `up` would say before it starts; Docker and ports are judged above."""
    space = Workspace(world.home, request.stack)
    running = space.manifest() is not None
    fitted = fit(world, chosen, facts, make=False, running=running)
    checks = preflight(
        fitted.selected.plan,
        facts,
        fitted.fitting,
        first=not running,
        force=False,
        selection=fitted.selected.selection,
        again=request.again_with,
    )
    above = ("docker", "port")
    return Group(
        name=f"Profile {chosen.profile.name}",
        checks=tuple(check for check in checks if check.name not in above),
    )
