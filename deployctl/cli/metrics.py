"""``deployctl metrics``."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated

import typer

from deployctl.cli.options import (
    DEFAULT_STACK_NAME,
    DebugOption,
    Output,
    OutputOption,
    StackOption,
)

if TYPE_CHECKING:
    from deployctl.cli.session import Session
    from deployctl.deploy.metrics import MetricsReport
    from deployctl.deploy.world import World


def metrics(
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Look again and again, until Ctrl-C.")
    ] = False,
    interval: Annotated[
        float,
        typer.Option(
            "--interval",
            metavar="SECONDS",
            min=0.2,
            max=3600,
            help="The time between two looks, over which rates are measured.",
        ),
    ] = 2.0,
    stack: StackOption = DEFAULT_STACK_NAME,
    output: OutputOption = Output.TEXT,
    debug: DebugOption = False,  # noqa: ARG001  # read by the error boundary
) -> int:
    """Print the figures that matter, without any add-on.

    What the engine and each container do now, in the seconds between two looks, and since the
    engine's start; exit 6 when the engine tells nothing.
    """
    from deployctl.cli.handing import hand_out
    from deployctl.cli.session import Session
    from deployctl.clock import utc_now
    from deployctl.deploy.metrics import metrics as recipe
    from deployctl.errors import ExitCode

    session = Session.open("metrics", output, quiet=True)
    world = session.world(stack)
    if watch:
        with contextlib.suppress(KeyboardInterrupt):  # which is how one leaves it
            _watch(session, world, stack, interval)
        return ExitCode.INTERRUPTED
    report = recipe(world, stack, utc_now, interval_s=interval).report
    return hand_out(
        "metrics",
        as_json=output is Output.JSON,
        status=report.status,
        data=report,
        text=text(report),
        faults=report.faults,
    )


def _watch(session: Session, world: World, stack: str, interval_s: float) -> None:
    """Look until interrupted: redrawn on a terminal, a line each elsewhere, an envelope as JSON."""
    from deployctl.cli import console
    from deployctl.cli.envelope import envelope, plain
    from deployctl.cli.handing import code_of
    from deployctl.cli.metricstext import compact
    from deployctl.clock import utc_now
    from deployctl.deploy.metrics import metrics as recipe

    before = None
    while True:
        seen = recipe(world, stack, utc_now, interval_s=interval_s, before=before)
        before, report = seen.last, seen.report
        if session.output is Output.JSON:
            data = plain(report)
            data.pop("faults")  # the envelope has them
            line = envelope(
                command="metrics",
                status=report.status,
                exit_code=code_of(report.faults),
                data=data,
                faults=report.faults,
                compact=True,
            )
            console.pass_on(line)
        elif console.can_redraw(session.environment):
            told = "".join(f"\n\n{f.message} [{f.code}]\nnext: {f.hint}" for f in report.faults)
            console.redraw(f"{text(report)}{told}\n\n{report.at} · Ctrl-C ends it")
        else:
            console.pass_on(compact(report))


def text(report: MetricsReport) -> str:
    """Write the report for people."""
    from deployctl.cli import console
    from deployctl.cli.metricstext import lines_of

    return "\n".join(lines_of(report, console.columns()))
