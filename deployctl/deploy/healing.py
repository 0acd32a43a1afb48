"""Restarts the one service of a stack that does not work, at most so many times an hour.

The times are kept in the stack's folder, so that they count across watchers. Everything is read
again once the stack is held: what another command has done meanwhile is not undone. Owns
``healed-card`` there: the start of an engine that was made because it did not use its card.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from deployctl.atomic import write
from deployctl.deploy import stack
from deployctl.deploy.card import start_key
from deployctl.deploy.kept import kept_request
from deployctl.deploy.watchevent import WatchEvent, event
from deployctl.errors import DeployctlError, Fault
from deployctl.files import text_of
from deployctl.outcomes import Command, ContainerState
from deployctl.vitals import moment, relapsed, uptime_s

if TYPE_CHECKING:
    from deployctl.deploy.watchevent import EventKind
    from deployctl.deploy.world import StatusReport, World
    from deployctl.outcomes import Status
    from deployctl.workspace import Manifest, Workspace

_HOUR = timedelta(hours=1)

#: What is restarted; the first that needs it.
_HEALED = ("engine", "webui")

#: For how long something must have been wrong, by the clock, seconds. Open WebUI answers nothing
#: for half a minute and more while it takes in a long document, and goes on by itself.
_LASTING_S = {
    "engine-hung": 15.0,
    "frontend-hung": 60.0,
    "engine-gpu-lost": 10.0,
    "engine-gpu-unused": 10.0,
}

#: An engine without a healthcheck may be starting for so long, seconds.
_STARTING_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """A service that a restart may help, why, and its container as it was seen."""

    service: str
    fault: Fault
    state: ContainerState | None


def find_patients(
    faults: Mapping[Fault, float], report: StatusReport, now: datetime
) -> tuple[Patient, ...]:
    """What a restart may help, the first first. ``faults``: and for how many seconds each lasts.

    Docker's healthcheck looks every half minute: it may call ill what answers again.
    """
    states = {state.service: state for state in report.containers}
    good = {c.where for c in report.checks if c.name.endswith(" answers") and c.status == "ok"}
    return tuple(
        Patient(service=service, fault=fault, state=states.get(service))
        for service in _HEALED
        for fault, seconds in faults.items()
        if fault.where == service
        and not (service in good and fault.code.endswith("-hung"))
        and _restartable(states.get(service), fault, seconds, now)
    )


def _restartable(state: ContainerState | None, fault: Fault, seconds: float, now: datetime) -> bool:
    """Whether a restart may help: not where Docker restarts it already, nor where it was paused.

    Nor while it is starting: Docker calls it so until its healthcheck has succeeded once, or its
    deadline has passed.
    """
    if state is None or state.status in ("exited", "dead", "created"):
        return True
    if state.status != "running" or fault.code not in _LASTING_S or relapsed(state, now):
        return False
    up = uptime_s(state, now)
    starting = state.health is None and up is not None and up < _STARTING_S
    return not starting and state.health != "starting" and seconds >= _LASTING_S[fault.code]


@dataclass(slots=True)
class Healer:
    """Restarts for one watcher; ``now`` is the time of day."""

    world: World
    space: Workspace
    now: Callable[[], datetime]
    per_hour: int
    _said: set[str] = field(default_factory=set)  # why something is not restarted, each once

    def heal(
        self, manifest: Manifest, patients: tuple[Patient, ...], status: Status
    ) -> tuple[WatchEvent, ...]:
        """Restart the first that may be; say once why another is not.

        ``manifest`` is what they were judged by.
        """
        if not patients:
            self._said.clear()
        events: tuple[WatchEvent, ...] = ()
        for patient in patients:
            if not self._in_vain(patient):
                return (*events, *self._heal(manifest, patient, status))
            why = "it was, for the same reason, and that did not help."
            events += self._refused(patient, status, why, patient.fault)
        return events

    def _heal(self, manifest: Manifest, patient: Patient, status: Status) -> tuple[WatchEvent, ...]:
        spent, service, fault = self._spent(), patient.service, patient.fault
        if len(spent) >= self.per_hour:
            then = moment(spent[0])
            again = "" if then is None else f", again from {then + _HOUR:%H:%M} UTC"
            why = f"{len(spent)} times this hour is all that is allowed{again}."
            return self._refused(patient, status, why, fault)
        text = f"Restarting {service}: {fault.message} [{fault.code}]"
        start = self._event("healing", status, text, patient)
        log = self.space.open_log()
        try:
            with self.space.lock(self.world.doing):
                if not self._still(manifest, patient):
                    return ()  # somebody was faster; the next look says how it is
                command = self._command(manifest, patient)
                self.space.keep_healed_at((*spent, self.now().isoformat()))
                log(str(start))
                end = self._restarted(command, patient, status, self.per_hour - len(spent) - 1)
                log(str(end))
        except DeployctlError as problem:
            first = problem.faults[0]
            return self._refused(patient, status, first.message, first)
        self._said.clear()
        return (start, end)

    def _refused(
        self, patient: Patient, status: Status, why: str, fault: Fault
    ) -> tuple[WatchEvent, ...]:
        if why in self._said:
            return ()
        self._said.add(why)
        text = f"{patient.service} is not restarted: {why}"
        return (self._event("not-healed", status, text, patient, fault, hint=fault.hint),)

    def _event(
        self,
        kind: EventKind,
        status: Status,
        text: str,
        patient: Patient,
        fault: Fault | None = None,
        hint: str = "",
    ) -> WatchEvent:
        return event(
            self.now(), kind, status, text, service=patient.service, fault=fault, hint=hint
        )

    def _spent(self) -> tuple[str, ...]:
        """When something was restarted during the last hour."""
        now = self.now()
        return tuple(
            text
            for text in self.space.healed_at()
            if (then := moment(text)) is not None and timedelta(0) <= now - then < _HOUR
        )

    def _in_vain(self, patient: Patient) -> bool:
        """Whether this start of the engine was made because it did not use its card before."""
        if patient.state is None or patient.fault.code != "engine-gpu-unused":
            return False
        return text_of(self.space.folder / "healed-card").strip() == start_key(patient.state)

    def _still(self, manifest: Manifest, patient: Patient) -> bool:
        """Whether all is as it was seen, now that nobody else works on the stack."""
        states = self.world.docker.containers(self.space.stack)
        stack.refuse_foreign(self.space, states, doing="watch --heal")
        found = {state.service: state for state in states}
        return (
            self.space.manifest() == manifest
            and manifest.standing != "down"
            and found.get(patient.service) == patient.state
        )

    def _command(self, manifest: Manifest, patient: Patient) -> Command:
        """What starts it again; ``stack-not-running`` where only ``up`` may."""
        if patient.state is None:
            self._refuse_edited(manifest, patient.service)
            return stack.project(self.space).up_alone(patient.service)
        # The same container, whatever the files say by now. What hangs is not asked for long.
        return Command(
            argv=("docker", "restart", "--time", "5", patient.state.id),
            label=f"restart {patient.service}",
            timeout_s=120,
        )

    def _restarted(
        self, command: Command, patient: Patient, status: Status, left: int
    ) -> WatchEvent:
        service = patient.service
        result = self.world.runner.run(command)
        if not result.ok:
            said = " ".join(result.tail(2))
            text = f"Docker could not start {service} again: {said}"
            fault = Fault(code="compose-failed", message=text, hint=patient.fault.hint)
            return self._event("not-healed", status, text, patient, fault, hint=fault.hint)
        if patient.state is None:
            self._export_names()
        if patient.fault.code == "engine-gpu-unused":
            self._keep_start(service)
        text = f"{service} was started again; restarts still allowed this hour: {left}."
        return self._event("healed", status, text, patient)

    def _export_names(self) -> None:
        """Tell those that measure containers of the new one; what healed is not to fail for it."""
        from deployctl.deploy.addons import export_names  # with all that add-ons are

        with contextlib.suppress(DeployctlError):
            export_names(self.world, self.space)

    def _keep_start(self, service: str) -> None:
        """Note which start of the engine this is: where the card is not used again, it is left."""
        for state in self.world.docker.containers(self.space.stack):
            if state.service == service:
                write(self.space.folder / "healed-card", start_key(state) + "\n", 0o600)

    def _refuse_edited(self, manifest: Manifest, service: str) -> None:
        """Refuse to make a container of files that are not the ones applied: ``up`` does that."""
        from deployctl.deploy.changed import identities

        edited = [
            name
            for name, same in (
                ("compose.yaml", self.space.compose_text() == manifest.compose),
                (
                    "compose.override.yaml",
                    identities(self.space.override_text()) == manifest.override,
                ),
            )
            if not same
        ]
        if not edited:
            # And all that Compose reads besides: variables, files that an override names.
            found = self.world.runner.run(stack.project(self.space).check("compose.yaml"))
            hashes = stack.config_hashes(found.stdout) if found.ok else {}
            if hashes.get(service) == manifest.hashes.get(service):
                return
        what = f"{' and '.join(edited)} differs from" if edited else "its files differ from"
        raise DeployctlError(
            f"{service} has no container, and {what} what was applied.",
            code="stack-not-running",
            where=service,
            hint=kept_request(self.space.stack, manifest).again,
        )
