"""The recipe of ``verify``: gathers what is known of the stack, runs the checks, reports."""

from __future__ import annotations

import difflib
from concurrent.futures import CancelledError, Future, wait
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from deployctl.aside import Aside
from deployctl.deploy.learn import learn_taken
from deployctl.deploy.subject import running, subject_of
from deployctl.errors import DeployctlError
from deployctl.outcomes import CheckResult, Status
from deployctl.sidebyside import apart
from deployctl.verify.nouns import Check, Seen, Subject
from deployctl.verify.registry import NAMES, chosen
from deployctl.verify.wanted import addons_of
from deployctl.workspace import Workspace

if TYPE_CHECKING:
    from deployctl.deploy.world import World
    from deployctl.readiness import Clock
    from deployctl.talk import PhaseTalk

#: Real seconds that checks under way get to clear away what they made, when `verify` is ended in
#: the middle. What waits for the engine longer than that ends with the process.
_GRACE_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """What came of the checks, in the order of their list. ``seconds`` is for all of them."""

    stack: str
    status: Status
    profile: str
    model: str
    engine: str
    passed: int
    warnings: int
    failed: int
    skipped: int
    checks: tuple[CheckResult, ...]
    seconds: float


def verify(world: World, name: str, only: tuple[str, ...] = ()) -> VerifyReport:
    """Run the checks (``only`` these) of a running stack; changes nothing that stays.

    ``usage`` for a check that does not exist, ``stack-unknown`` or ``stack-not-running`` when there
    is nothing to check.
    """
    refuse_unknown(only)
    started = world.clock.now()
    space = Workspace(world.home, name)
    manifest, states = running(world, space)
    subject = subject_of(world, space, manifest, states)
    with world.talk.phase("checks") as phase:
        results = _run(subject, chosen(only, addons_of(subject.wanted)), phase)
        counts = {
            status: sum(result.status == status for result in results)
            for status in ("ok", "warning", "failed", "skipped")
        }
        told = " · ".join(f"{count} {status}" for status, count in counts.items() if count)
        bad = counts["failed"]
        phase.finish(told, ok=not bad)
    if subject.plan is not None:
        learn_taken(world, name, subject.plan)
    return VerifyReport(
        stack=name,
        status="ok" if not bad else "failed" if bad == len(results) else "degraded",
        profile=manifest.profile,
        model=manifest.model,
        engine=subject.wanted.engine,
        passed=counts["ok"],
        warnings=counts["warning"],
        failed=bad,
        skipped=counts["skipped"],
        checks=results,
        seconds=world.clock.now() - started,
    )


def refuse_unknown(only: tuple[str, ...]) -> None:
    """Refuse names that no check has; ``usage`` with the nearest name, and all of them."""
    meant = {name: difflib.get_close_matches(name, NAMES, n=1, cutoff=0.5) for name in only}
    known = ",".join(dict.fromkeys(near[0] for near in meant.values() if near)) or NAMES[0]
    for name in only:
        if name in NAMES:
            continue
        near = meant[name]
        asked = f"; did you mean {near[0]}?" if near else "."
        raise DeployctlError(
            f"There is no check named {name!r}{asked}",
            code="usage",
            where="--only",
            hint=f"deployctl verify --only {known}",
            details=(f"the checks: {', '.join(NAMES)}",),
        )


# ── the checks ────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Under:
    """The checks under way: what came of each, for those who need it, and whether to go on."""

    subject: Subject
    phase: PhaseTalk
    stopped: bool = False
    results: dict[str, Future[CheckResult]] = field(default_factory=dict)
    lanes: list[Future[None]] = field(default_factory=list)

    def stop(self) -> None:
        """Let nothing begin any more, and nobody wait for what has not ended."""
        self.stopped = True
        for result in self.results.values():
            result.cancel()  # leaves what has ended as it is


@dataclass(frozen=True, slots=True)
class _Ending:
    """The clock of the checks: a pause ends a check that nobody waits for any more."""

    clock: Clock
    under: _Under

    def now(self) -> float:
        return self.clock.now()

    def sleep(self, seconds: float) -> None:
        if self.under.stopped:
            raise CancelledError
        self.clock.sleep(seconds)


def _run(subject: Subject, checks: tuple[Check, ...], phase: PhaseTalk) -> tuple[CheckResult, ...]:
    """Run the engine's checks one after another, and beside them the others.

    None of the threads holds the process, and this one waits on a bare lock (see ``Aside``), so
    that Ctrl-C ends it whatever the checks are at.
    """
    under = _Under(subject=subject, phase=phase)
    clock = _Ending(subject.ports.clock, under)
    under.subject = replace(subject, ports=replace(subject.ports, clock=clock))
    under.results = {check.name: Future() for check in checks}
    work = Aside(lambda: _all(under, checks))
    try:
        return work.result()
    finally:  # all is done; or Ctrl-C, or a bug
        under.stop()
        Aside(lambda: wait(under.lanes)).done(_GRACE_S)


def _all(under: _Under, checks: tuple[Check, ...]) -> tuple[CheckResult, ...]:
    lanes = [[check for check in checks if check.lane == "engine"]]
    lanes += [[check] for check in checks if check.lane != "engine"]
    for lane in lanes:
        under.lanes.append(apart(partial(_settle_all, under, lane), name="verify"))
    return tuple(under.results[check.name].result() for check in checks)


def _settle_all(under: _Under, checks: list[Check]) -> None:
    for check in checks:
        _settle(under, check)


def _settle(under: _Under, check: Check) -> None:
    """Run one check and hand its result to whoever waits for it, whatever it is."""
    if under.stopped:
        return
    result = under.results[check.name]
    found: CheckResult | BaseException
    try:
        broken = _broken(under, check)
        found = _blocked(check, broken) if broken else _look(under.subject, check)
    except BaseException as bug:  # who waits for it raises it
        found = bug
    if not result.set_running_or_notify_cancel():
        return  # nobody waits any more
    if isinstance(found, BaseException):
        result.set_exception(found)
        return
    result.set_result(found)
    done = sum(each.done() for each in under.results.values())
    under.phase(check.name, done=done, total=len(under.results))


def _look(subject: Subject, check: Check) -> CheckResult:
    """Run one check and time it. What Docker or the stack does wrong fails it."""
    clock = subject.ports.clock
    started = clock.now()
    try:
        seen = check.look(subject)
    except DeployctlError as problem:
        fault = problem.faults[0]
        seen = Seen(status="failed", summary=fault.message, hint=fault.hint, details=fault.details)
    return _result(check, of_running(subject, check, seen), clock.now() - started)


def of_running(subject: Subject, check: Check, seen: Seen) -> Seen:
    """What was seen; where a container of the add-on does not run, that and the way back."""
    if seen.status != "failed" or check.addon is None:
        return seen
    own = {s.name for s in subject.wanted.services if s.addon == check.addon}
    down = [c for c in subject.containers if c.service in own and c.state.status != "running"]
    if not down:
        return seen
    said = ", ".join(f"{each.service} is {each.state.status}" for each in down)
    return replace(seen, summary=f"{seen.summary}; {said}", hint=subject.up)


def _broken(under: _Under, check: Check) -> str | None:
    """What this check needs and did not get; waits for it where it is still under way.

    A check that was skipped for such a reason passes it on, and no other reason.
    """
    for name in check.needs:
        needed = under.results.get(name)
        if needed is None:
            continue  # not asked for
        found = needed.result()
        if found.status == "failed":
            return name
        if found.status == "skipped" and found.summary.endswith(_FAILED):
            return found.summary.removesuffix(_FAILED)
    return None


_FAILED = " failed"


def _blocked(check: Check, broken: str) -> CheckResult:
    return _result(check, Seen(status="skipped", summary=f"{broken}{_FAILED}"), 0.0)


def _result(check: Check, seen: Seen, seconds: float) -> CheckResult:
    bad = seen.status == "failed"
    return CheckResult(
        name=check.name,
        status=seen.status,
        summary=seen.summary,
        hint=seen.hint,
        code="check-failed" if bad else None,
        where=(seen.where or check.where) if bad else None,
        details=seen.details,
        seconds=seconds,
    )
