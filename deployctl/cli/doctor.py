"""``deployctl doctor``."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployctl.cli.options import (
    DEFAULT_STACK_NAME,
    DebugOption,
    Output,
    OutputOption,
    StackOption,
    chosen,
)

if TYPE_CHECKING:
    from deployctl.deploy.doctor import DoctorReport, Surroundings
    from deployctl.doctor.nouns import Group
    from deployctl.errors import Fault
    from deployctl.outcomes import CheckResult

_MARKS = {"ok": "✓", "warning": "!", "failed": "✗", "skipped": "·"}


def doctor(
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile",
            "-p",
            metavar="NAME|FILE",
            help="Also say whether this machine can run this profile.",
        ),
    ] = None,
    problems: Annotated[
        bool, typer.Option("--problems", help="Show only what is not as it should be.")
    ] = False,
    stack: StackOption = DEFAULT_STACK_NAME,
    output: OutputOption = Output.TEXT,
    debug: DebugOption = False,  # noqa: ARG001  # read by the error boundary
) -> int:
    """Check this machine: what is wrong, and what to type.

    Docker, kernel, memory, disk, ports, proxies, names, clock, cards, network, state folder.

    Changes nothing and needs neither root nor Docker. Exit 4 when no stack can come up here.
    """
    from deployctl.cli.session import Session
    from deployctl.deploy.doctor import doctor as recipe
    from deployctl.errors import ExitCode

    session = Session.open("doctor", output, quiet=True)
    selection = chosen(profile, None, None, None) if profile is not None else None
    around = surroundings_of(session.environment)
    report = recipe(session.world(stack), around, stack=stack, selection=selection)
    words = text(report, problems=problems)
    if report.count("failed"):
        return session.emit(
            data(report),
            words,
            status="failed",
            exit_code=ExitCode.PREFLIGHT,
            faults=faults(report),
        )
    return session.emit(data(report), words)


def surroundings_of(environment: Mapping[str, str]) -> Surroundings:
    """Where to look: this machine, unless a test has put another there."""
    return _around.get()(environment)


def _here(environment: Mapping[str, str]) -> Surroundings:
    """This machine, as it is."""
    from datetime import UTC, datetime

    from deployctl.cli.detect import hub_host
    from deployctl.deploy.doctor import Surroundings

    return Surroundings(
        environment=environment, hub=hub_host(environment), now=lambda: datetime.now(UTC)
    )


_around: ContextVar[Callable[[Mapping[str, str]], Surroundings]] = ContextVar(
    "surroundings", default=_here
)


@contextlib.contextmanager
def looking_at(maker: Callable[[Mapping[str, str]], Surroundings]) -> Iterator[None]:
    """Look at what ``maker`` makes for a while: how tests put another machine there."""
    token = _around.set(maker)
    try:
        yield
    finally:
        _around.reset(token)


def data(report: DoctorReport) -> dict[str, Any]:
    """The checks for programs: why a check matters is the first of its details."""
    kinds = ("ok", "warning", "failed", "skipped")
    return {
        "stack": report.stack,
        "profile": report.profile,
        "counts": {kind: report.count(kind) for kind in kinds},
        "groups": report.groups,
        "seconds": report.seconds,
    }


def faults(report: DoctorReport) -> tuple[Fault, ...]:
    """Every failed check as an error of the envelope."""
    from deployctl.errors import Fault

    return tuple(
        Fault(
            code=check.code,
            message=f"Check {check.name}: {check.summary.removesuffix('.')}.",
            hint=check.hint,
            where=check.where,
            details=check.details,
        )
        for check in report.checks
        if check.status == "failed" and check.code is not None
    )


def text(report: DoctorReport, *, problems: bool = False) -> str:
    """Write the checks for people, in groups; those that found something with what to type."""
    lines: list[str] = []
    for group in report.groups:
        lines += _group(group, problems=problems)
    return "\n".join([*lines, _verdict(report)])


def _group(group: Group, *, problems: bool) -> Iterator[str]:
    wanted = ("warning", "failed") if problems else tuple(_MARKS)
    checks = [check for check in group.checks if check.status in wanted]
    if not checks:
        return
    yield group.name
    width = max(16, *(len(check.name) for check in checks))
    for check in checks:
        yield from _check(check, width)


def _check(check: CheckResult, width: int) -> Iterator[str]:
    yield f"  {_MARKS[check.status]} {check.name:<{width}}  {check.summary}"
    if check.status in ("warning", "failed"):
        yield from (f"      {line}" for line in check.details if line)
        if check.hint:
            yield f"      next: {check.hint}"


def _verdict(report: DoctorReport) -> str:
    counts = (report.count("ok"), report.count("warning"), report.count("failed"))
    said = f"{counts[0]} ok, {counts[1]} to look at, {counts[2]} in the way"
    skipped = report.count("skipped")
    rest = f", {skipped} not here or not to be seen" if skipped else ""
    end = f"{said}{rest} ({report.seconds:.1f} s, measured)"
    if report.profile_failed:
        return f"{end}\nProfile {report.profile} cannot run here.\nNext: deployctl recommend"
    if report.count("failed"):
        return f"{end}\nA stack cannot come up here yet: mend what is marked ✗."
    return f"{end}\nNext: {report.up}"
