"""The check that each container keeps to the memory it was given, and to what was predicted."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from deployctl.amounts import rough
from deployctl.commands import inside
from deployctl.diagnosis.remedies import more_for
from deployctl.verify.alive import ended
from deployctl.verify.nouns import Container, Seen, failed, ok

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deployctl.outcomes import ContainerState
    from deployctl.verify.nouns import Subject

#: Above this share of its limit a container is about to be stopped by the kernel.
_ALMOST = 0.95

#: How long a container that was started again is looked at, and how often, seconds.
_PATIENCE_S, _LOOK_EVERY_S = 4.0, 0.1

#: The kernel's counter, where cgroups of version 2 and 1 keep it.
_SCRIPT = (
    "cat /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control 2>/dev/null; true"
)


def memory(subject: Subject) -> Seen:
    """``memory``: used (measured) against predicted and limit; nothing killed for memory."""
    states = _states(subject)
    gone = ended(subject, states)
    said = [f"{service} {what}" for service, what in gone.items()]
    wrong, where = list(said), next(iter(gone), None)
    for container in subject.containers:
        if container.service in gone:
            continue
        used = subject.ports.docker.usage(container.state.id)
        limit = container.get("HostConfig", "Memory") or 0
        if used is None:
            continue  # not running, or nobody counts
        fault = _fault(subject, container, used.memory_bytes, limit)
        if fault is not None:
            wrong.append(f"{container.service}: {fault}")
            where = where or container.service
        predicted = _predicted(subject, container.service)
        parts = [f"{rough(used.memory_bytes)} measured"]
        parts += [f"{rough(predicted)} predicted"] if predicted else []
        parts += [f"limit {rough(limit)}"] if limit else []
        said.append(f"{container.service} {', '.join(parts)}")
    if wrong:
        hint = _more(subject, where, states) or subject.planned
        return failed("; ".join(said), hint, where=where, details=tuple(wrong))
    unknown = f"; nothing predicted: {subject.unplanned}" if subject.unplanned else ""
    return ok("; ".join(said) + "; nothing was killed for memory" + unknown)


def _states(subject: Subject) -> tuple[ContainerState, ...]:
    """The containers now; where one has just been started again, when it has ended once more.

    While it runs Docker does not say that it was killed, and its kernel's count begins anew.
    """
    clock, docker = subject.ports.clock, subject.ports.docker
    until = clock.now() + _PATIENCE_S
    while True:
        states = docker.containers(subject.stack)
        again = (s.status == "running" and s.restarts and s.health == "starting" for s in states)
        if not any(again) or clock.now() >= until:
            return states
        clock.sleep(_LOOK_EVERY_S)


def _more(subject: Subject, where: str | None, states: Sequence[ContainerState]) -> str | None:
    """The command that gives an add-on's service more, where its limit killed it."""
    if subject.plan is None or not any(s.service == where and s.oom_killed for s in states):
        return None
    known = (s for s in subject.plan.services if s.name == where and s.addon is not None)
    service = next(known, None)
    return None if service is None else more_for(service, subject.way)


def _fault(subject: Subject, container: Container, used: int, limit: int) -> str | None:
    kills = _kills(subject, container)
    if kills:
        return f"the kernel killed {kills} of its processes for memory (counted)"
    if limit and used > _ALMOST * limit:
        return f"{used / limit:.0%} of its limit are in use (measured)"
    wanted = subject.wanted.service(container.service)
    if wanted is not None and limit and wanted.memory_bytes and limit != wanted.memory_bytes:
        return f"its limit is {rough(limit)}, the plan's is {rough(wanted.memory_bytes)}"
    return None


def _kills(subject: Subject, container: Container) -> int:
    """How often the kernel killed in this container since it started; 0 where nobody counts."""
    command = inside(container.state.id, _SCRIPT, label=f"count kills in {container.service}")
    found = re.search(r"^oom_kill (\d+)$", subject.ports.runner.run(command).stdout, re.MULTILINE)
    return int(found[1]) if found else 0


def _predicted(subject: Subject, service: str) -> int | None:
    """What the plan reckons with for a service, in bytes of this machine's memory."""
    if subject.fitting is None:
        return None
    beside = {part.name for part in subject.plan.beside} if subject.plan else set()
    parts = [p for p in subject.fitting.parts if p.place == "ram"]
    if service == "engine":
        return sum(part.bytes for part in parts if part.name not in beside) or None
    services = subject.plan.services if subject.plan else ()
    need = next((each.need for each in services if each.name == service), None)
    return sum(part.bytes for part in parts if need is not None and part.name == need.name) or None
