"""``deployctl smoke``."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deployctl.cli.options import (
    DebugOption,
    ModelOption,
    Output,
    OverlayOption,
    ProfileOption,
    QuietOption,
    SetOption,
    chosen,
)
from deployctl.cli.verify import Written
from deployctl.deploy.names import DEFAULT_SMOKE_STACK, ImageMode
from deployctl.profiles.selection import AUTO

if TYPE_CHECKING:
    from deployctl.deploy.smoketest import SmokeReport


def smoke(  # one parameter per option
    profile: ProfileOption = AUTO,
    overlay: OverlayOption = None,
    model: ModelOption = None,
    set_: SetOption = None,
    fit: Annotated[
        bool, typer.Option("--fit", help="Where it does not fit, take the nearest values that do.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Go on where only an estimate says no.")
    ] = False,
    images: Annotated[
        ImageMode,
        typer.Option("--images", help="Where images may come from: auto is local, pull, build."),
    ] = "auto",
    stack: Annotated[
        str,
        typer.Option("--stack", metavar="NAME", help="The test's own stack, made and removed."),
    ] = DEFAULT_SMOKE_STACK,
    junit: Annotated[
        Path | None,
        typer.Option("--junit", metavar="FILE", help="Write the checks as JUnit XML, too."),
    ] = None,
    artifacts: Annotated[
        Path | None,
        typer.Option(
            "--artifacts",
            metavar="DIR",
            help="Keep files, states, logs and events here; a failed test always keeps them.",
        ),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the stack; the next smoke test removes it.")
    ] = False,
    timeout: Annotated[
        str, typer.Option("--timeout", metavar="TIME", help="Give up after 90s, 15m or 2h.")
    ] = "1h",
    output: Annotated[
        Written,
        typer.Option("--output", "-o", help="text for people, json for programs, junit for CI."),
    ] = Written.TEXT,
    quiet: QuietOption = False,
    debug: DebugOption = False,  # noqa: ARG001  # read by the error boundary
) -> int:
    """Up, verify and down in one command, for CI.

    Nothing of it is left but model files and images.
    """
    from deployctl.cli.session import Session
    from deployctl.deploy.smoke import smoke as recipe
    from deployctl.deploy.smoketest import SmokeRequest

    request = SmokeRequest(
        stack=stack,
        selection=chosen(profile, overlay, model, set_),
        images=images,
        fit=fit,
        force=force,
        keep=keep,
        artifacts=None if artifacts is None else artifacts.absolute(),
        environment=os.environ,
    )
    seconds = _seconds(timeout)
    _writable(junit)
    talking = Output.JSON if output is Written.JSON else Output.TEXT
    session = Session.open("smoke", talking, quiet=quiet, again=request.again)
    with _within(seconds):
        report = recipe(session.world(stack), request, shield=_shielded)
    return _hand_out(report, output, junit)


def _seconds(written: str) -> int:
    from deployctl.profiles.units import UnitError, parse_duration

    try:
        seconds = parse_duration(written)
    except UnitError as problem:
        raise typer.BadParameter(f"--timeout {written}: {problem}") from None
    if seconds <= 0:
        raise typer.BadParameter(f"--timeout {written}: no test ends in no time.")
    return seconds


def _writable(junit: Path | None) -> None:
    """Find out before minutes of work that its result has nowhere to go."""
    from deployctl.archive import unwritable

    if junit is None:
        return
    try:
        junit.absolute().parent.mkdir(parents=True, exist_ok=True)
        with junit.open("a"):
            pass
    except OSError as problem:
        raise unwritable(junit.absolute(), problem) from problem


# ── signals ───────────────────────────────────────────────────────────────────────────────────


def _here() -> bool:
    """Only the main thread may ask for signals."""
    return threading.current_thread() is threading.main_thread()


@contextlib.contextmanager
def _within(seconds: int) -> Iterator[None]:
    """End the test as Ctrl-C would, when its time is up."""
    from deployctl.deploy.smoketest import TimeUpError

    def late(_number: int, _frame: object) -> None:
        raise TimeUpError

    if not _here():
        yield
        return
    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _shielded() -> Iterator[None]:
    """Take down to the end, whatever comes: CI sends a second signal soon after the first."""
    from deployctl.cli import console

    if not _here():
        yield
        return
    signal.setitimer(signal.ITIMER_REAL, 0)

    def later(_number: int, _frame: object) -> None:
        console.err("taking the stack down first; that takes seconds")

    kept = {n: signal.signal(n, later) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


# ── what came of it ───────────────────────────────────────────────────────────────────────────


def as_junit(report: SmokeReport) -> str:
    """Write every check of every step as one JUnit suite."""
    from dataclasses import replace

    from deployctl.junit import junit

    checks = [
        replace(check, name=f"{step.name}: {check.name}")
        for step in report.steps
        for check in step.checks
    ]
    properties = {
        "stack": report.stack,
        "profile": report.profile or "unknown",
        "model": report.model or "unknown",
    }
    return junit(checks, suite="deployctl smoke", properties=properties, seconds=report.seconds)


def _hand_out(report: SmokeReport, output: Written, junit: Path | None) -> int:
    """Write the result wherever it is wanted; returns the exit code."""
    from deployctl.cli import console
    from deployctl.cli.boundary import words
    from deployctl.cli.envelope import envelope, plain
    from deployctl.errors import CODES, ExitCode
    from deployctl.visible import harmless

    code = CODES[report.faults[0].code][0] if report.faults else ExitCode.OK
    xml = as_junit(report)
    for path in (junit, report.artifacts and report.artifacts / "junit.xml"):
        if path is not None:
            _keep(path, xml)
    if output is Written.JSON:
        console.out(
            envelope(
                command="smoke",
                status=report.status,
                exit_code=code,
                data={key: value for key, value in plain(report).items() if key != "faults"},
                faults=report.faults,
            )
        )
    else:
        console.out(xml.rstrip("\n") if output is Written.JUNIT else harmless(text(report)))
        if report.faults:
            console.err("\n\n".join(words(fault) for fault in report.faults))
    return int(code)


def _keep(path: Path, xml: str) -> None:
    """Write the checks beside; a disk that is full by now is no failure of the test."""
    from deployctl.cli import console

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(xml, encoding="utf-8")
    except OSError as problem:
        console.err(f"warning: {path} could not be written: {problem.strerror}")


_MARKS = {"ok": "✓", "warning": "!", "failed": "✗", "skipped": "–"}


def text(report: SmokeReport) -> str:
    """Write the report for people: every check in a line, what stays, and how long it took."""
    from deployctl.cli.console import duration

    checks = [check for step in report.steps for check in step.checks]
    width = max(len(check.name) for check in checks)
    lines = []
    for check in checks:
        took = duration(check.seconds) if check.status != "skipped" else ""
        first = check.summary.splitlines()[0] if check.summary else ""
        lines.append(f"{_MARKS[check.status]} {check.name:<{width}} {took:>12}  {first}".rstrip())
        if check.status == "warning" and check.hint:  # those of failures are in the errors
            lines.append(f"  next: {check.hint}")
    of = "" if report.profile is None else f" of profile {report.profile} ({report.model})"
    how = "passed" if report.status == "ok" else "failed"
    lines += ["", f"Smoke test{of}: {how} after {duration(report.seconds)}"]
    if report.kept:
        lines.append(f"Stack {report.stack} is kept; the next smoke test removes it.")
    if report.artifacts:
        lines.append(f"Evidence: {report.artifacts}")
    lines.append(f"A cache for the next run: {report.models}")
    lines += [f"                          image {reference}" for reference in report.images]
    return "\n".join(lines)
