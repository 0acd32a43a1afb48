"""``deployctl status``."""

from __future__ import annotations

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
    from deployctl.deploy.world import StatusReport, UpReport, World


def status(
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Look again and again, until Ctrl-C.")
    ] = False,
    interval: Annotated[
        float,
        typer.Option("--interval", metavar="SECONDS", min=0.2, help="With --watch: how often."),
    ] = 2.0,
    profile: Annotated[
        bool,
        typer.Option(
            "--against-profile", help="Say too what the profile would change by now; slower."
        ),
    ] = False,
    stack: StackOption = DEFAULT_STACK_NAME,
    output: OutputOption = Output.TEXT,
    debug: DebugOption = False,  # noqa: ARG001  # read by the error boundary
) -> int:
    """Say how the stack is now; exit 6 when it is not well."""
    from deployctl.cli.session import Session
    from deployctl.clock import utc_now
    from deployctl.deploy.status import status as recipe
    from deployctl.errors import ExitCode

    session = Session.open("status", output, quiet=True)
    world = session.world(stack)
    if watch:
        _watch(session, world, stack, interval, profile=profile)
    report = recipe(world, stack, utc_now(), profile=profile)
    code = ExitCode.OK if report.status == "ok" else ExitCode.NOT_READY
    return session.emit(report, text(report), status=report.status, exit_code=code)


def _watch(session: Session, world: World, stack: str, interval_s: float, *, profile: bool) -> None:
    """Look until interrupted: redrawn on a terminal, a line each elsewhere, an envelope as JSON."""
    from deployctl.cli import console
    from deployctl.cli.envelope import envelope
    from deployctl.cli.vitalstext import compact
    from deployctl.clock import utc_now
    from deployctl.deploy.status import see
    from deployctl.errors import ExitCode

    before = None
    while True:
        now = utc_now()
        seen = see(world, stack, now, before=before, profile=profile)
        before, report = seen.sample, seen.report
        if session.output is Output.JSON:
            code = ExitCode.OK if report.status == "ok" else ExitCode.NOT_READY
            line = envelope(
                command="status", status=report.status, exit_code=code, data=report, compact=True
            )
            console.pass_on(line)
        elif console.can_redraw(session.environment):
            console.redraw(f"{text(report)}\n\n{now:%H:%M:%S} UTC · Ctrl-C ends it")
        else:
            console.pass_on(compact(report, f"{now:%Y-%m-%dT%H:%M:%SZ}"))
        world.clock.sleep(interval_s)


def text(report: StatusReport) -> str:
    """Write the report for people."""
    from deployctl.cli import console
    from deployctl.cli.vitalstext import lines_of

    lines = lines_of(report, console.columns())
    if report.webui_url and report.status == "ok":
        lines += reached(report)
    return "\n".join(lines)


def reached(report: UpReport | StatusReport) -> tuple[str, ...]:
    """Where a stack is reached, and with what."""
    return (
        f"  Chat window   {report.webui_url}",
        *((f"  In the LAN    {report.lan_url}",) if report.lan_url else ()),
        f"  Sign in with  {report.credentials_file}",
        f"  OpenAI API    {report.engine_url}",
        *(f"  {label:<14}{at}" for label, at in report.pages),
    )
