"""Profile → Plan, and the judgement of a plan by facts. Pure.

The plan never sees the host: the same profile gives the same plan everywhere. Facts only judge a
plan (:func:`preflight`) or choose between plans (:func:`choose`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deployctl.engines import engine as engine_of
from deployctl.errors import DOCKER_HINTS, DOCKER_PROBLEMS, DeployctlError
from deployctl.model import (
    CheckResult,
    Deadlines,
    HostFacts,
    Plan,
    Requirements,
    WeightsSpec,
)
from deployctl.services import webui
from deployctl.sources import parse_source

if TYPE_CHECKING:
    from deployctl.profiles.resolve import Profile


def build_plan(profile: Profile) -> Plan:
    """Decide everything that will run. Raises ``profile-invalid`` with the value's file:line."""
    spec = profile.spec
    _refuse_owned_flags(profile)
    source = parse_source(spec.model.source)
    weights = WeightsSpec(source=source, sha256=spec.model.sha256, size_bytes=spec.model.size)
    return Plan(
        profile=profile.name,
        engine=spec.engine.kind,
        model=spec.model.name,
        served_name=spec.model.served_name,
        weights=weights,
        services=(
            engine_of(spec.engine.kind).service(spec, source.filename),
            webui.service(spec),
        ),
        volumes=(webui.VOLUME,),
        deadlines=Deadlines(
            engine_s=spec.deadlines.engine,
            frontend_s=spec.deadlines.frontend,
            proof_s=spec.deadlines.proof,
        ),
        requirements=Requirements(
            memory_bytes=spec.requires.memory,
            disk_bytes=spec.requires.disk,
            architectures=spec.requires.architectures,
        ),
        max_tokens=spec.model.max_tokens,
        reasoning=spec.model.reasoning,
    )


def _refuse_owned_flags(profile: Profile) -> None:
    owned = engine_of(profile.spec.engine.kind).OWNED_FLAGS
    for index, word in enumerate(profile.spec.engine.extra_args):
        flag = word.split("=", 1)[0]
        if flag in owned:
            fault = profile.fault(
                f"engine.extra_args.{index}",
                f"engine.extra_args names {flag}, which follows from other values of the profile.",
                "remove it there and set model.context, concurrency or model.sampling instead",
            )
            raise DeployctlError.of((fault,))


# ── judgement ─────────────────────────────────────────────────────────────────────────────────


#: (profile key, value) → the command line that led here, with this value set; for hints.
WithSet = Callable[[str, int], str]


def preflight(
    plan: Plan, facts: HostFacts, *, running: bool, first: bool, with_set: WithSet
) -> tuple[CheckResult, ...]:
    """Hold a plan against the host.

    ``running``: the stack itself is up and uses what it uses. ``first``: it never was, so that
    images and weights are probably still to come. ``with_set``: see :data:`WithSet`.
    """
    return (
        _docker(facts),
        _architecture(plan, facts),
        _memory(plan, facts, running=running),
        *((_disk(plan, facts),) if first else ()),
        # Without Docker it cannot be known which ports are the stack's own.
        *(() if facts.docker.problem else _ports(plan, facts, with_set)),
    )


def _docker(facts: HostFacts) -> CheckResult:
    docker = facts.docker
    if docker.problem is not None:
        return CheckResult(
            name="docker",
            status="failed",
            summary=DOCKER_PROBLEMS[docker.problem],
            code=docker.problem,
            hint=DOCKER_HINTS.get(docker.problem, "deployctl setup"),
            details=docker.evidence,
        )
    summary = f"Docker {docker.server_version}, Compose {docker.compose_version}"
    return CheckResult(name="docker", status="ok", summary=summary)


def _architecture(plan: Plan, facts: HostFacts) -> CheckResult:
    allowed = plan.requirements.architectures
    if facts.architecture in allowed:
        return CheckResult(name="architecture", status="ok", summary=facts.architecture)
    return CheckResult(
        name="architecture",
        status="failed",
        summary=f"Profile {plan.profile} runs on {', '.join(allowed)}; "
        f"this machine is {facts.architecture}.",
        code="arch-unsupported",
        hint="deployctl up --profile auto",
    )


def _memory(plan: Plan, facts: HostFacts, *, running: bool) -> CheckResult:
    need, total = plan.requirements.memory_bytes, facts.memory_total_bytes
    free = facts.memory_available_bytes
    if total is not None and total < need:
        return CheckResult(
            name="memory",
            status="failed",
            summary=f"Profile {plan.profile} needs {gib(need)} of memory; "
            f"this machine has {gib(total)}.",
            code="memory-short",
            hint="deployctl up --profile smoke",
        )
    if free is not None and free < need and not running:
        return CheckResult(
            name="memory",
            status="warning",
            summary=f"{gib(free)} of memory are free, the stack may use {gib(need)}: "
            "it will swap or be killed when it does",
            hint="close what else uses memory, or: deployctl up --profile smoke",
        )
    seen = "free memory unknown" if free is None else f"{gib(free)} of memory free"
    return CheckResult(name="memory", status="ok", summary=seen)


def _disk(plan: Plan, facts: HostFacts) -> CheckResult:
    """Warn only: what is really missing is known, and refused, where it is fetched or built."""
    need, free = plan.requirements.disk_bytes, facts.disk_free_bytes
    if free is not None and free < need:
        return CheckResult(
            name="disk",
            status="warning",
            summary=f"{gib(free)} of disk are free; images and weights of profile {plan.profile} "
            f"take up to {gib(need)} where none of them are here yet",
            hint="docker system df  # shows what Docker keeps",
        )
    seen = "free disk unknown" if free is None else f"{gib(free)} of disk free"
    return CheckResult(name="disk", status="ok", summary=seen)


def _ports(plan: Plan, facts: HostFacts, with_set: WithSet) -> tuple[CheckResult, ...]:
    checks = []
    for service in plan.services:
        for port in service.ports:
            number = port.host_port
            holder = facts.busy_ports.get(number)
            if holder is None:
                checks.append(CheckResult(name="port", status="ok", summary=f"port {number} free"))
                continue
            key = f"ports.{service.name}"
            checks.append(
                CheckResult(
                    name="port",
                    status="failed",
                    summary=f"Port {number} ({service.name}) is held by {holder}.",
                    code="port-taken",
                    where=service.name,
                    hint=with_set(key, _free_port(plan, facts, number)),
                )
            )
    return tuple(checks)


def asked_ports(plan: Plan) -> tuple[int, ...]:
    """The ports to look at: those of the plan, and behind each some that could stand in for it."""
    numbers = (p.host_port + k for s in plan.services for p in s.ports for k in range(_STAND_INS))
    return tuple(sorted({number for number in numbers if number <= _LAST_PORT}))


def _free_port(plan: Plan, facts: HostFacts, taken: int) -> int:
    """The next port that nobody holds and the plan does not want for something else."""
    wanted = {port.host_port for service in plan.services for port in service.ports}
    for number in asked_ports(plan):
        if number > taken and number not in wanted and number not in facts.busy_ports:
            return number
    return _LAST_PORT - len(wanted)


_STAND_INS, _LAST_PORT = 20, 65535


def gib(size_bytes: int) -> str:
    """Bytes as GiB with one decimal, for sentences."""
    return f"{size_bytes / 1024**3:.1f} GiB"


# ── choice ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A profile that may be chosen automatically; the higher rank is the better one."""

    rank: int
    plan: Plan
    weights_here: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The profile ``auto`` picked, why in one sentence, and what was given up for it, if any."""

    profile: str
    reason: str
    given_up: tuple[str, ...] = ()
    hint: str = ""


def choose(
    candidates: tuple[Candidate, ...], facts: HostFacts, *, again: Callable[[str], str]
) -> Choice:
    """Pick the best profile that this machine can run now; ``memory-short`` when none can be.

    ``again`` gives the command line that names a profile instead, for hints.
    """
    given_up: list[str] = []
    unreachable: Plan | None = None
    for candidate in sorted(candidates, key=lambda c: -c.rank):
        plan = candidate.plan
        obstacle = _obstacle(candidate, facts)
        if obstacle is None:
            return Choice(
                profile=plan.profile,
                reason=_reason(plan, facts, first=not given_up),
                given_up=tuple(given_up),
                hint=_later(unreachable, again) if unreachable else "",
            )
        given_up.append(f"{plan.profile}: {obstacle}")
        if unreachable is None and _too_small(plan, facts) is None:
            unreachable = plan
    raise DeployctlError(
        "No shipped profile can run on this machine.",
        code="memory-short",
        details=tuple(given_up),
        hint="deployctl up --profile smoke  # says in full what is missing",
    )


def _too_small(plan: Plan, facts: HostFacts) -> str | None:
    """What of the machine itself rules the plan out, if anything."""
    for check in (_architecture(plan, facts), _memory(plan, facts, running=False)):
        if check.status == "failed":
            return check.summary
    return None


def _obstacle(candidate: Candidate, facts: HostFacts) -> str | None:
    plan = candidate.plan
    if obstacle := _too_small(plan, facts):
        return obstacle
    source = plan.weights.source
    if candidate.weights_here or facts.reachable.get(source.text, True):
        return None
    return f"{plan.model} is not here and its source does not answer ({source})"


def _reason(plan: Plan, facts: HostFacts, *, first: bool) -> str:
    cores = f"{facts.cores} cores"
    memory = "" if facts.memory_total_bytes is None else f", {gib(facts.memory_total_bytes)} memory"
    which = "the best shipped profile" if first else "the best one left"
    return f"{plan.profile} ({plan.model}): {which} for {cores}{memory}."


def _later(plan: Plan, again: Callable[[str], str]) -> str:
    name = plan.weights.source.filename
    return (
        f"{again(plan.profile)}  # once the hub answers, or with "
        f"--set model.source=file:/path/to/{name}"
    )
