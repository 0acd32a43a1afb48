"""The recipe of ``watch``: looks at a stack every few seconds, says what changes, heals it if told.

What the operator took down, and what another command is working on, is left alone. How a service is
healed: ``healing.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from deployctl.deploy.healing import Healer, find_patients
from deployctl.deploy.known import unknown
from deployctl.deploy.status import see
from deployctl.deploy.watchevent import EventKind, WatchEvent, event
from deployctl.errors import DeployctlError, Fault
from deployctl.workspace import Workspace

if TYPE_CHECKING:
    from deployctl.deploy.figures import Sample
    from deployctl.deploy.status import Seen
    from deployctl.deploy.world import World
    from deployctl.outcomes import Status
    from deployctl.workspace import Manifest


@dataclass(slots=True)
class Watcher:
    """One watcher of one stack; ``now`` is the time of day. Remembers only what it last saw."""

    world: World
    stack: str
    now: Callable[[], datetime]
    heal: bool = False
    per_hour: int = 3
    _status: Status | None = None
    _faults: dict[tuple[str, str], Fault] = field(default_factory=dict)  # by service and code
    _since: dict[tuple[str, str], float] = field(default_factory=dict)  # by the world's clock
    _drift: frozenset[str] = frozenset()
    _resting: str = ""  # why it does not look
    _sample: Sample | None = None
    _healer: Healer | None = None

    def begin(self) -> None:
        """Refuse a name that has neither a record nor containers; ``stack-unknown``.

        Where that cannot be told now (Docker restarts, it is coming up), :meth:`look` says so.
        """
        space = Workspace(self.world.home, self.stack)
        try:
            there = space.manifest() is not None or self.world.docker.containers(self.stack)
            refusal = None if there else unknown(space)
        except DeployctlError:
            return
        if refusal is not None:
            raise refusal

    def look(self) -> tuple[WatchEvent, ...]:
        """Look once, heal if told and needed; what is worth saying."""
        space = Workspace(self.world.home, self.stack)
        try:
            space.refuse_unfinished()
            manifest = space.manifest()
            if manifest is not None and manifest.standing == "down":
                return self._rest("The stack was taken down with `deployctl down`.")
            seen = see(self.world, self.stack, self.now(), before=self._sample, monitoring=False)
        except DeployctlError as problem:
            # Another command is at work, Docker restarts, the stack is gone: it may come again.
            first = problem.faults[0]
            return self._rest(first.message, first)
        self._resting, self._sample = "", seen.sample
        events = tuple(self._changes(seen))
        if self.heal and manifest is not None:
            events = (*events, *self._healed(space, manifest, seen))
        return events

    def _healed(self, space: Workspace, manifest: Manifest, seen: Seen) -> tuple[WatchEvent, ...]:
        clock = self.world.clock.now()
        lasting = {fault: clock - self._since[key] for key, fault in self._faults.items()}
        patients = find_patients(lasting, seen.report, self.now())
        if self._healer is None:
            self._healer = Healer(
                world=self.world, space=space, now=self.now, per_hour=self.per_hour
            )
        return self._healer.heal(manifest, patients, seen.report.status)

    # ── what changed ──────────────────────────────────────────────────────────────────────────

    def _rest(self, why: str, fault: Fault | None = None) -> tuple[WatchEvent, ...]:
        if self._resting == why:
            return ()
        self._resting, self._status, self._sample = why, None, None
        self._since, self._drift = {}, frozenset()  # the faults are kept, to tell who recovers
        return (
            self._event(
                "resting",
                "failed",
                f"{why} It is left alone, and looked at again.",
                fault=fault,
            ),
        )

    def _changes(self, seen: Seen) -> Iterator[WatchEvent]:
        report = seen.report
        faults = {(f.where or "", f.code): f for f in _faults_of(seen)}
        afresh = self._status is None  # the first look, or the first after a rest
        for key, fault in faults.items():
            if afresh or key not in self._faults:
                yield self._event(
                    "fault",
                    report.status,
                    fault.message,
                    service=fault.where,
                    fault=fault,
                    hint=fault.hint,
                )
        # In the order they were seen in; containers without a record of them are no service.
        were = dict.fromkeys(fault.where for fault in self._faults.values() if fault.where)
        for service in were:
            if not any(where == service for where, _ in faults):
                yield self._event(
                    "recovered", report.status, f"{service} works again.", service=service
                )
        if report.status != self._status:
            yield self._event("status", report.status, f"Stack {self.stack}: {report.status}.")
        drift = {d.what: d for d in report.drift}
        for what, one in drift.items():
            if what not in self._drift:
                yield self._event("drift", report.status, what, hint=one.hint)
        self._status, self._faults, self._drift = report.status, faults, frozenset(drift)
        clock = self.world.clock.now()
        self._since = {key: self._since.get(key, clock) for key in faults}

    def _event(
        self,
        kind: EventKind,
        status: Status,
        text: str,
        *,
        service: str | None = None,
        fault: Fault | None = None,
        hint: str = "",
    ) -> WatchEvent:
        return event(self.now(), kind, status, text, service=service, fault=fault, hint=hint)


def _faults_of(seen: Seen) -> tuple[Fault, ...]:
    """What is wrong, services without a container included."""
    named = {fault.where for fault in seen.faults}
    absent = tuple(
        Fault(
            code=check.code or "stack-not-running",
            message=f"{check.where} has no container."
            if check.summary == "is not there"
            else check.summary,
            hint=check.hint,
            where=check.where,
        )
        for check in seen.report.checks
        if check.status == "failed" and check.where not in named and check.hint
    )
    return (*seen.faults, *absent)
