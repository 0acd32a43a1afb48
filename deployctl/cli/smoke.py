"""``deployctl smoke``."""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deployctl.cli.options import (
    DebugOption,
    FitOption,
    ForceOption,
    ImagesOption,
    ModelOption,
    Output,
    OverlayOption,
    ProfileOption,
    QuietOption,
    SetOption,
    WithOption,
    chosen,
)
from deployctl.cli.verify import Written
from deployctl.deploy.names import DEFAULT_SMOKE_STACK
from deployctl.profiles.selection import AUTO

if TYPE_CHECKING:
    from deployctl.deploy.smoketest import SmokeReport


def smoke(  # one parameter per option
    profile: ProfileOption = AUTO,
    overlay: OverlayOption = None,
    with_: WithOption = None,
    model: ModelOption = None,
    set_: SetOption = None,
    fit: FitOption = False,
    force: ForceOption = False,
    images: ImagesOption = "auto",
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
    from deployctl.cli.filing import refuse_unwritable
    from deployctl.cli.retyped import mended
    from deployctl.cli.session import Session
    from deployctl.cli.signals import ended_once, shielded
    from deployctl.deploy.smoke import smoke as recipe
    from deployctl.deploy.smoketest import SmokeRequest

    seconds = _seconds(timeout)
    request = SmokeRequest(
        stack=stack,
        selection=chosen(profile, overlay, model, set_, with_),
        images=images,
        fit=fit,
        force=force,
        keep=keep,
        artifacts=None if artifacts is None else artifacts.absolute(),
        timeout_s=seconds,
        environment=os.environ,
    )
    refuse_unwritable(junit)
    talking = Output.JSON if output is Written.JSON else Output.TEXT
    session = Session.open("smoke", talking, quiet=quiet, again=request.again)
    with ended_once(seconds):
        report = recipe(session.world(stack), request, shield=shielded)
    line = shlex.split(request.again)[1:]
    report = replace(report, faults=tuple(mended(fault, line) for fault in report.faults))
    return _hand_out(report, output, junit)


def _seconds(written: str) -> int:
    from deployctl.profiles.units import UnitError, parse_duration

    if written[-1:] in ("s", "m", "h") and written[:-1].strip("0") == "" != written[:-1]:
        raise typer.BadParameter(f"--timeout {written}: it should be more than 0, like 15m.")
    try:
        seconds = parse_duration(written)
    except UnitError as problem:
        raise typer.BadParameter(f"--timeout {written}: {problem}") from None
    return seconds


# ── what came of it ───────────────────────────────────────────────────────────────────────────


def as_junit(report: SmokeReport) -> str:
    """Write every check of every step as one JUnit suite."""
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
    from deployctl.cli.filing import write
    from deployctl.cli.handing import hand_out
    from deployctl.cli.smoketext import text

    xml = as_junit(report)
    kept = report.artifacts and report.artifacts / "junit.xml"
    if junit is not None:
        write(junit, xml)
    if kept is not None and (junit is None or junit.absolute() != kept.absolute()):
        _keep(kept, xml)
    return hand_out(
        "smoke",
        as_json=output is Written.JSON,
        status=report.status,
        data=report,
        text=xml.rstrip("\n") if output is Written.JUNIT else text(report),
        faults=report.faults,
    )


def _keep(path: Path, xml: str) -> None:
    """Write the checks to the evidence, as all of it for its owner alone.

    A disk that is full by now is no failure of the test.
    """
    from deployctl import archive
    from deployctl.cli import console
    from deployctl.errors import DeployctlError

    try:
        archive.lay_out(path.parent, [(path.name, xml)])
    except DeployctlError as problem:
        console.err(f"warning: {problem.faults[0].message}")
