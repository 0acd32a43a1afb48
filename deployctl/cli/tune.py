"""``deployctl tune``."""

from __future__ import annotations

import shlex
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deployctl.cli.options import (
    DebugOption,
    ForceOption,
    ImagesOption,
    ModelOption,
    Output,
    OutputOption,
    OverlayOption,
    ProfileOption,
    QuietOption,
    SetOption,
    chosen,
)
from deployctl.profiles.selection import AUTO

if TYPE_CHECKING:
    from deployctl.cli.session import Session
    from deployctl.deploy.tunereport import TuneReport


class GoalName(StrEnum):
    """What is to become better."""

    THROUGHPUT = "throughput"
    LATENCY = "latency"
    PEOPLE = "people"


def tune(  # one parameter per option
    goal: Annotated[
        GoalName,
        typer.Option(
            "--goal",
            help="throughput: most tokens/s of all together; latency: soonest answers; people: "
            "most at once whose first token comes in time.",
        ),
    ],
    profile: ProfileOption = AUTO,
    overlay: OverlayOption = None,
    model: ModelOption = None,
    set_: SetOption = None,
    slo: Annotated[
        list[str] | None,
        typer.Option(
            "--slo",
            metavar="ttft=TIME|itl=TIME",
            help="What 19 of 20 answers must keep to: time until the first token (people: 2s), "
            "and between tokens (200ms); repeatable.",
        ),
    ] = None,
    streams: Annotated[
        int | None,
        typer.Option(
            "--streams",
            min=1,
            max=256,
            help="Answers at once. Else: latency 1, throughput and people the profile's "
            "concurrency.",
        ),
    ] = None,
    budget: Annotated[
        str,
        typer.Option("--budget", metavar="TIME", help="Measure for 90s, 10m or 2h, downloads not."),
    ] = "10m",
    write: Annotated[
        Path | None,
        typer.Option(
            "--write", metavar="FILE", help="The overlay's file. Else: PROFILE-tuned.yaml, here."
        ),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Measure anew what an earlier run has on record.")
    ] = False,
    force: ForceOption = False,
    images: ImagesOption = "auto",
    output: OutputOption = Output.TEXT,
    quiet: QuietOption = False,
    debug: DebugOption = False,  # noqa: ARG001  # read by the error boundary
) -> int:
    """Find better values for a profile, by measuring them.

    On a stack of its own, which is removed at the end. What is better is written as an overlay;
    nothing is applied.
    """
    from deployctl.cli.retyped import mended
    from deployctl.cli.session import Session
    from deployctl.cli.signals import ended_once, shielded
    from deployctl.deploy.tunereport import STACK, TuneRequest
    from deployctl.deploy.tuning import tune as recipe

    request = TuneRequest(
        goal=goal.value,
        folder=Path.cwd(),
        selection=chosen(profile, overlay, model, set_),
        slo=_slo(slo or [], goal),
        streams=streams,
        budget_s=_seconds(budget),
        write=None if write is None else write.absolute(),
        anew=again,
        images=images,
        force=force,
    )
    session = Session.open("tune", output, quiet=quiet, again=request.again)
    with ended_once():
        report = recipe(session.world(STACK), request, shield=shielded)
    line = shlex.split(request.again)[1:]
    faults = tuple(mended(fault, line) for fault in report.faults)
    return _hand_out(session, replace(report, faults=faults))


def _slo(written: list[str], goal: GoalName) -> tuple[str, ...]:
    from deployctl.profiles.units import UnitError
    from deployctl.tuning.slo import parse_slo

    try:
        parse_slo(written, goal.value)
    except UnitError as problem:
        meant = f"like --slo {problem.suggestion}"
        raise typer.BadParameter(f"--slo {' '.join(written)}: {problem} {meant}") from None
    return tuple(written)


def _seconds(written: str) -> int:
    from deployctl.profiles.units import UnitError, parse_duration

    try:
        return parse_duration(written)
    except UnitError as problem:
        meant = f"like --budget {problem.suggestion}"
        raise typer.BadParameter(f"--budget {written}: {problem} {meant}") from None


def _hand_out(session: Session, report: TuneReport) -> int:
    """Print what there is, and what ended it; returns the exit code."""
    from deployctl.cli.handing import hand_out
    from deployctl.cli.tunetext import text

    return hand_out(
        session.command,
        as_json=session.output is Output.JSON,
        status="failed" if report.faults else "ok",
        data=report,
        text=text(report),
        faults=report.faults,
        warnings=report.warnings,
    )
