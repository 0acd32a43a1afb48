"""``deployctl verify``."""

from __future__ import annotations

import textwrap
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from deployctl.cli.options import (
    DEFAULT_STACK_NAME,
    DebugOption,
    Output,
    QuietOption,
    StackOption,
)

if TYPE_CHECKING:
    from deployctl.deploy.verify import VerifyReport
    from deployctl.errors import Fault
    from deployctl.outcomes import CheckResult

#: Columns for the text of a check, after its mark, name and seconds.
_WIDTH, _NAME = 100, 19  # more, where a check has a longer name

_MARKS = {"ok": "✓", "warning": "!", "failed": "✗", "skipped": "–"}


class Written(StrEnum):
    """How the result is written to stdout."""

    TEXT = "text"
    JSON = "json"
    JUNIT = "junit"


def verify(
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only", metavar="NAME,…", help="Only these checks, separated by commas; repeatable."
        ),
    ] = None,
    stack: StackOption = DEFAULT_STACK_NAME,
    output: Annotated[
        Written,
        typer.Option("--output", "-o", help="text for people, json for programs, junit for CI."),
    ] = Written.TEXT,
    quiet: QuietOption = False,
    debug: DebugOption = False,  # noqa: ARG001  # read by the error boundary
) -> int:
    """Check a running stack by what it does.

    Exit 6 when a check fails.
    """
    from deployctl.cli import console
    from deployctl.cli.session import Session
    from deployctl.deploy.verify import verify as recipe
    from deployctl.errors import DeployctlError, ExitCode

    written = Output.JSON if output is Written.JSON else Output.TEXT
    session = Session.open("verify", written, quiet=quiet)
    names = tuple(name for word in only or () for name in word.replace(",", " ").split())
    if only and not names:
        raise DeployctlError(
            "--only names no check.", code="usage", where="--only", hint="--only chat"
        )
    try:
        report = recipe(session.world(stack), stack, names)
    except DeployctlError as problem:
        if output is Written.JUNIT and problem.exit_code is not ExitCode.USAGE:
            console.out(not_verified(stack, problem.faults))
        raise
    code = ExitCode.NOT_READY if report.failed else ExitCode.OK
    if output is Written.JUNIT:
        console.out(xml(report))
        return int(code)
    return session.emit(
        report, text(report), status=report.status, exit_code=code, faults=faults(report)
    )


def text(report: VerifyReport) -> str:
    """Write the report for people."""
    counts = [f"{report.passed} of {len(report.checks)} checks passed"]
    counts += [f"{report.failed} failed"] if report.failed else []
    counts += [f"{report.warnings} to be looked at"] if report.warnings else []
    counts += [f"{report.skipped} skipped"] if report.skipped else []
    head = f"Stack {report.stack}: {', '.join(counts)} · {report.seconds:.1f} s"
    lines = [f"{head} · profile {report.profile} · {report.model}"]
    column = max(_NAME, *(len(check.name) + 1 for check in report.checks))
    for check in report.checks:
        lines += _told(check, column)
    return "\n".join(lines)


def _told(check: CheckResult, column: int) -> list[str]:
    """One check: what was seen, and where it is not good the evidence and the next command."""
    start = f"  {_MARKS[check.status]} {check.name:<{column}}{check.seconds:5.1f} s  "
    why = "skipped: " if check.status == "skipped" else ""
    lines = textwrap.wrap(
        f"{why}{check.summary}",
        _WIDTH - len(start),
        break_on_hyphens=False,
        break_long_words=False,
    ) or [""]
    told = [start + lines[0], *(" " * len(start) + line for line in lines[1:])]
    if check.status in ("failed", "warning"):
        told += [f"    | {line}" for line in check.details]
        told += [f"    next: {check.hint}"]
    return told


def faults(report: VerifyReport) -> tuple[Fault, ...]:
    """Every failed check as an error of the envelope."""
    from deployctl.errors import Fault

    return tuple(
        Fault(
            code="check-failed",
            message=f"Check {check.name}: {check.summary.removesuffix('.')}.",
            hint=check.hint,
            where=check.where,
            details=check.details,
        )
        for check in report.checks
        if check.status == "failed"
    )


def xml(report: VerifyReport) -> str:
    """Write the report as JUnit XML."""
    from deployctl.junit import junit

    properties = {
        "stack": report.stack,
        "profile": report.profile,
        "model": report.model,
        "engine": report.engine,
    }
    return junit(
        report.checks, suite="deployctl verify", properties=properties, seconds=report.seconds
    )


def not_verified(stack: str, problems: tuple[Fault, ...]) -> str:
    """Write as JUnit XML that nothing could be checked: a CI system shows what it finds there."""
    from deployctl.junit import junit
    from deployctl.outcomes import CheckResult

    checks = tuple(
        CheckResult(
            name="stack",
            status="failed",
            summary=problem.message,
            hint=problem.hint,
            code=problem.code,
            where=problem.where,
            details=problem.details,
        )
        for problem in problems
    )
    return junit(checks, suite="deployctl verify", properties={"stack": stack}, seconds=0.0)
