"""A plan held against this machine, before anything is touched. Pure.

Each check says what is wrong, why, and what to type. Estimates warn; only what is certain refuses:
no Docker, another architecture, no card, weights that alone exceed a memory, a port that is held.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from deployctl.amounts import gib, rough
from deployctl.errors import DOCKER_HINTS, DOCKER_PROBLEMS
from deployctl.fitting import Fitting, following, next_memory, too_long
from deployctl.outcomes import CheckResult
from deployctl.profiles.selection import AUTO, Selection
from deployctl.profiles.units import format_size
from deployctl.profiles.values import of_networks
from deployctl.sizing import need
from deployctl.suits import architecture, card

if TYPE_CHECKING:
    from deployctl.model import HostFacts, Plan

#: Selection → the command line that asks for the same with it; for hints.
Again = Callable[["Selection"], str]

#: (key, value) → the command line that led here, with this value set.
_WithSet = Callable[[str, object], str]
_WithSets = Callable[[tuple[tuple[str, str], ...]], str]


def preflight(
    plan: Plan,
    facts: HostFacts,
    fitted: Fitting | None,
    *,
    first: bool,
    force: bool,
    selection: Selection,
    again: Again,
) -> tuple[CheckResult, ...]:
    """Hold a plan against the host.

    ``first``: the stack was never up, so that images and weights are probably still to come.
    ``force``: what rests on an estimate only warns.
    """

    def with_set(key: str, value: object) -> str:
        return again(selection.with_set(key, value))

    def with_sets(sets: tuple[tuple[str, str], ...]) -> str:
        chosen = selection
        for key, value in sets:
            chosen = chosen.with_set(key, value)
        return again(chosen)

    estimates = (_context(plan, with_sets), *_memory(fitted, with_sets))
    return (
        _docker(facts),
        architecture(plan, facts, again(selection.of(AUTO))),
        *card(plan, facts, with_set),
        *_limits(plan, facts, with_set),
        *(map(_forced, estimates) if force else estimates),
        *((_disk(plan, facts),) if first else ()),
        # Without Docker it cannot be known which ports are the stack's own.
        *(() if facts.docker.problem else _ports(plan, facts, with_sets)),
        *_addresses(plan, facts, with_set),
    )


def _forced(check: CheckResult) -> CheckResult:
    return replace(check, status="warning") if check.status == "failed" else check


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


def _context(plan: Plan, with_sets: _WithSets) -> CheckResult:
    trained = too_long(plan)
    if trained is None:
        up = (
            f", rounded up from {plan.asked_context}: llama.cpp gives out whole blocks of 256"
            if plan.context != plan.asked_context
            else ""
        )
        return CheckResult(name="context", status="ok", summary=f"{plan.context} tokens{up}")
    return CheckResult(
        name="context",
        status="failed",
        summary=f"model.context is {plan.asked_context}, and {plan.model} was made for at most "
        f"{trained} tokens.",
        code="context-too-long",
        hint=with_sets(following(plan, (("model.context", str(trained)),))),
    )


def _memory(fitted: Fitting | None, with_sets: _WithSets) -> Iterator[CheckResult]:
    """Only weights that cannot be there at all refuse; everything else is an estimate."""
    if fitted is None:
        yield CheckResult(name="memory", status="ok", summary="memory need unknown")
        return
    for fit in fitted.fits:
        if fit.verdict == "fits":
            left = "" if fit.left_bytes is None else f", {gib(fit.left_bytes)} left"
            place = "memory" if fit.place == "ram" else fit.room.name
            summary = f"{gib(fit.need_bytes)} of {place}{left}"
            yield CheckResult(name="memory", status="ok", summary=summary)
            continue
        stops = fitted.impossible and fit.verdict == "no"
        yield CheckResult(
            name="memory",
            status="failed" if stops else "warning",
            summary=fit.reason,
            code="memory-short" if stops else None,
            hint=_way_out(fitted, with_sets),
        )


def _limits(plan: Plan, facts: HostFacts, with_set: _WithSet) -> Iterator[CheckResult]:
    """What a profile says in so many words, and is too little or too much for this machine."""
    expected = need(plan.load) if plan.load is not None else ()
    engine = sum(part.bytes for part in expected if part.place == "ram")
    for service in plan.services:
        known = 0 if service.need is None else service.need.bytes
        basis = "predicted" if service.need is None else service.need.basis
        want = engine if service.name == "engine" else known
        key, whole = service.memory_key, _whole_memory(facts)
        # Where the machine has less, no limit helps, and that it does not fit is said already.
        if key and service.memory_bytes < want <= whole:
            enough = format_size(min(next_memory(service.memory_bytes, want), whole))
            yield CheckResult(
                name="limit",
                status="warning",
                summary=f"{key} lets it use {rough(service.memory_bytes)}, and "
                f"{rough(want)} are needed ({basis}): it would be stopped in the middle",
                where=key,
                hint=with_set(key, enough),
            )
        if service.cpus is not None and service.cpus > facts.cores:
            yield CheckResult(
                name="limit",
                status="failed",
                summary=f"engine.cpus is {service.cpus:g}, and this machine has {facts.cores}: "
                "Docker refuses that.",
                code="cpus-too-many",
                where="engine.cpus",
                hint=with_set("engine.cpus", facts.cores),
            )


def _whole_memory(facts: HostFacts) -> int:
    """What a limit may be at most, in bytes: the machine's memory, in whole MiB."""
    return (facts.memory_total_bytes or 1 << 62) // 1024**2 * 1024**2


def _way_out(fitted: Fitting, with_sets: _WithSets) -> str:
    if fitted.proposals:
        return f"{with_sets(fitted.proposals[0].sets)}  # or --fit, which does that"
    if fitted.short:
        return "deployctl recommend  # which profiles this machine can run"
    return "deployctl plan  # shows what takes how much"


def _disk(plan: Plan, facts: HostFacts) -> CheckResult:
    """Warn only: what is really missing is known, and refused, where it is fetched or built."""
    need, free = plan.requirements.disk_bytes, facts.disk_free_bytes
    if free is not None and free < need:
        return CheckResult(
            name="disk",
            status="warning",
            summary=f"{gib(free)} are free on the disk of the state folder; images and weights of "
            f"profile {plan.profile} take up to {gib(need)} where none of them are here yet",
            hint="df -h  # shows each disk; DEPLOYCTL_HOME puts the state folder on another one",
        )
    seen = "free disk unknown" if free is None else f"{gib(free)} of disk free"
    return CheckResult(name="disk", status="ok", summary=seen)


def _ports(plan: Plan, facts: HostFacts, with_sets: _WithSets) -> tuple[CheckResult, ...]:
    wanted = [
        (service.name, number, key)
        for service in plan.services
        for number, key in {port.host_port: port.key for port in service.ports}.items()
    ]
    # One command moves all that are held: half of it would only lead to the other half.
    hint = with_sets(_moved(plan, facts, wanted))
    return tuple(
        CheckResult(name="port", status="ok", summary=f"port {number} free")
        if number not in facts.busy_ports
        else CheckResult(
            name="port",
            status="failed",
            summary=f"Port {number} ({name}) is held by {facts.busy_ports[number]}.",
            code="port-taken",
            where=name,
            hint=hint,
        )
        for name, number, _ in wanted
    )


def _moved(
    plan: Plan, facts: HostFacts, wanted: list[tuple[str, int, str]]
) -> tuple[tuple[str, str], ...]:
    """The settings that move every port that is held, each to one of its own."""
    used = {number for _, number, _ in wanted}
    sets: list[tuple[str, str]] = []
    for _, number, key in wanted:
        if number in facts.busy_ports:
            free = _free_port(plan, facts, number, used)
            used.add(free)
            sets.append((key, str(free)))
    return tuple(sets)


def _addresses(plan: Plan, facts: HostFacts, with_set: _WithSet) -> Iterator[CheckResult]:
    """Whether the address that others are to use is this machine's own."""
    own = {str(ipaddress.ip_address(address)) for address in facts.addresses}
    for port in plan.service("webui").ports:
        address = ipaddress.ip_address(port.address)
        if not own or address.is_loopback or str(address) in own:
            continue
        others = of_networks(own)
        yield CheckResult(
            name="address",
            status="failed",
            summary=f"{address} is not an address of this machine, "
            f"which has {', '.join(others) or 'none but its loopback'}.",
            code="address-missing",
            where="ports.address",
            hint=with_set("ports.address", others[0])
            if others
            else "ip -brief address  # shows the addresses of this machine",
        )


def asked_ports(plan: Plan) -> tuple[int, ...]:
    """The ports to look at: those of the plan, and behind each some that could stand in for it."""
    numbers = (p.host_port + k for s in plan.services for p in s.ports for k in range(_STAND_INS))
    return tuple(sorted({number for number in numbers if number <= _LAST_PORT}))


def _free_port(plan: Plan, facts: HostFacts, taken: int, used: set[int]) -> int:
    """The next port that nobody holds and nothing of the plan uses."""
    for number in asked_ports(plan):
        if number > taken and number not in used and number not in facts.busy_ports:
            return number
    return _LAST_PORT - len(used)


_STAND_INS, _LAST_PORT = 20, 65535
