"""The recipe of ``watch``: looks at a stack every few seconds, says what changes, heals it if told.

Healing is a restart of the one service that does not work, at most so many times an hour; the times
are kept in the stack's folder, so that they count across watchers. What the operator took down, and
what another command is working on, is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from deployctl.deploy import stack
from deployctl.deploy.kept import kept_request
from deployctl.deploy.status import see
from deployctl.errors import DeployctlError, Fault
from deployctl.model import Command, Status
from deployctl.vitals import moment
from deployctl.workspace import Workspace

if TYPE_CHECKING:
    from deployctl.deploy.figures import Sample
    from deployctl.deploy.status import Seen
    from deployctl.deploy.world import World
    from deployctl.model import ContainerState
    from deployctl.workspace import Manifest

_HOUR = timedelta(hours=1)

#: What is restarted; the first that needs it.
_HEALED = ("engine", "webui")

EventKind = Literal[
    "status", "fault", "recovered", "drift", "resting", "healing", "healed", "not-healed"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchEvent:
    """One thing that changed, or was done. ``code`` and ``hint`` are a fault's."""

    at: str  # RFC 3339, in UTC
    kind: EventKind
    status: Status
    text: str
    service: str | None = None
    code: str | None = None
    hint: str = ""

    def __str__(self) -> str:
        code = f" [{self.code}]" if self.code else ""
        hint = f" · next: {self.hint}" if self.hint else ""
        return f"{self.at} {self.kind}: {self.text}{code}{hint}"


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
    _drift: frozenset[str] = frozenset()
    _resting: str = ""  # why it does not look
    _sample: Sample | None = None
    _refused: bool = False  # it was said that no more restarts are allowed

    def look(self) -> tuple[WatchEvent, ...]:
        """Look once, heal if told and needed; what is worth saying."""
        space = Workspace(self.world.home, self.stack)
        try:
            space.refuse_unfinished()
            manifest = space.manifest()
            if manifest is not None and manifest.standing == "down":
                return self._rest("The stack was taken down with `deployctl down`.")
            seen = see(self.world, self.stack, self.now(), before=self._sample)
        except DeployctlError as problem:
            # Another command is at work, Docker restarts, the stack is gone: it may come again.
            first = problem.faults[0]
            return self._rest(first.message, first)
        self._resting, self._sample = "", seen.sample
        before = set(self._faults)
        events = tuple(self._changes(seen))
        if self.heal and manifest is not None and (sick := self._sick(seen, before)):
            events = (*events, *self._healed(space, manifest, seen, *sick))
        return events

    # ── what changed ──────────────────────────────────────────────────────────────────────────

    def _rest(self, why: str, fault: Fault | None = None) -> tuple[WatchEvent, ...]:
        if self._resting == why:
            return ()
        self._resting, self._status, self._sample = why, None, None
        self._faults, self._drift = {}, frozenset()
        return (
            self._event(
                "resting",
                "failed",
                f"{why} It is left alone, and looked at again.",
                code=fault.code if fault else None,
            ),
        )

    def _changes(self, seen: Seen) -> Iterator[WatchEvent]:
        report = seen.report
        faults = {(f.where or "", f.code): f for f in _faults_of(seen)}
        for key, fault in faults.items():
            if key not in self._faults:
                yield self._event(
                    "fault",
                    report.status,
                    fault.message,
                    service=fault.where,
                    code=fault.code,
                    hint=fault.hint,
                )
        for key, fault in self._faults.items():
            if key not in faults and not any(where == key[0] for where, _ in faults):
                yield self._event(
                    "recovered", report.status, f"{key[0]} works again.", service=fault.where
                )
        if report.status != self._status:
            yield self._event("status", report.status, f"Stack {self.stack}: {report.status}.")
        drift = {d.what: d for d in report.drift}
        for what, one in drift.items():
            if what not in self._drift:
                yield self._event("drift", report.status, what, hint=one.hint)
        self._status, self._faults, self._drift = report.status, faults, frozenset(drift)

    def _event(
        self,
        kind: EventKind,
        status: Status,
        text: str,
        *,
        service: str | None = None,
        code: str | None = None,
        hint: str = "",
    ) -> WatchEvent:
        return WatchEvent(
            at=f"{self.now():%Y-%m-%dT%H:%M:%SZ}",
            kind=kind,
            status=status,
            text=text,
            service=service,
            code=code,
            hint=hint,
        )

    # ── healing ───────────────────────────────────────────────────────────────────────────────

    def _sick(
        self, seen: Seen, before: set[tuple[str, str]]
    ) -> tuple[str, Fault, ContainerState | None] | None:
        """The service to restart, why, and its container; ``None`` when nothing needs it.

        One that is silent may only be slow: it must have been so at the look before as well.
        """
        states = {state.service: state for state in seen.report.containers}
        for service in _HEALED:
            for fault in self._faults.values():
                if fault.where != service:
                    continue
                state = states.get(service)
                twice = (service, fault.code) in before
                if _restartable(state, fault, twice=twice):
                    return service, fault, state
        return None

    def _healed(
        self,
        space: Workspace,
        manifest: Manifest,
        seen: Seen,
        service: str,
        fault: Fault,
        state: ContainerState | None,
    ) -> tuple[WatchEvent, ...]:
        status = seen.report.status
        spent = self._spent(space)
        if len(spent) >= self.per_hour:
            return self._refuse(status, spent, service, fault)
        self._refused = False
        log = space.open_log()
        cause = f"{fault.message} [{fault.code}]"
        start = self._event("healing", status, f"Restarting {service}: {cause}", service=service)
        try:
            with space.lock(self.world.doing):
                stack.refuse_foreign(space, seen.report.containers)
                space.keep_healed_at((*spent, self.now().isoformat()))
                log(str(start))
                self._restart(space, manifest, service, state)
        except DeployctlError as problem:
            first = problem.faults[0]
            end = self._event("not-healed", status, first.message, service=service, code=first.code)
        else:
            left = self.per_hour - len(spent) - 1
            end = self._event(
                "healed",
                status,
                f"{service} was started again; restarts still allowed this hour: {left}.",
                service=service,
            )
        log(str(end))
        return (start, end)

    def _spent(self, space: Workspace) -> tuple[str, ...]:
        """When something was restarted during the last hour."""
        now = self.now()
        return tuple(
            text
            for text in space.healed_at()
            if (then := moment(text)) is not None and timedelta(0) <= now - then < _HOUR
        )

    def _refuse(
        self, status: Status, spent: tuple[str, ...], service: str, fault: Fault
    ) -> tuple[WatchEvent, ...]:
        if self._refused:
            return ()
        self._refused = True
        then = moment(spent[0])
        again = "" if then is None else f", again from {then + _HOUR:%H:%M} UTC"
        return (
            self._event(
                "not-healed",
                status,
                f"{service} is not restarted: {len(spent)} times this hour is all that is "
                f"allowed{again}.",
                service=service,
                code=fault.code,
                hint=fault.hint,
            ),
        )

    def _restart(
        self, space: Workspace, manifest: Manifest, service: str, state: ContainerState | None
    ) -> None:
        if state is None:
            # Files that were edited by hand since are the operator's to apply.
            if space.compose_text() != manifest.compose:
                raise DeployctlError(
                    f"{service} has no container, and compose.yaml is not the one applied.",
                    code="stack-not-running",
                    where=service,
                    hint=kept_request(space.stack, manifest).again,
                )
            command = stack.project(space).up()
        else:
            # The same container, whatever the files say by now. What hangs is not asked for long.
            command = Command(
                argv=("docker", "restart", "--time", "5", state.id),
                label=f"restart {service}",
                timeout_s=120,
            )
        result = self.world.runner.run(command)
        if not result.ok:
            raise DeployctlError(
                f"Docker could not start {service} again: {' '.join(result.tail(2))}",
                code="compose-failed",
                where=service,
                hint=kept_request(space.stack, manifest).again,
                details=result.tail(),
            )


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


def _restartable(state: ContainerState | None, fault: Fault, *, twice: bool) -> bool:
    """Whether a restart may help: not where Docker restarts it already, nor where it was paused."""
    if state is None or state.status in ("exited", "dead", "created"):
        return True
    if fault.code in ("engine-gpu-lost", "engine-gpu-unused"):
        return True
    return state.status == "running" and fault.code.endswith("-hung") and twice
