"""``deployctl setup``."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated

import typer

from deployctl.cli.options import DebugOption, Output, OutputOption, QuietOption

if TYPE_CHECKING:
    from deployctl.deploy.setup import SetupReport
    from deployctl.provision.model import SetupPlan


def setup(
    check: Annotated[
        bool, typer.Option("--check", help="Only look; exit 4 when something is missing.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask before changing this machine.")
    ] = False,
    output: OutputOption = Output.TEXT,
    quiet: QuietOption = False,
    debug: DebugOption = False,  # noqa: ARG001  # read by the error boundary
) -> int:
    """Give this machine a working Docker, if it has none.

    A Docker that works is never touched.
    """
    from deployctl.cli import console
    from deployctl.cli.session import Session
    from deployctl.clock import SystemClock
    from deployctl.deploy.setup import setup as recipe
    from deployctl.errors import ExitCode
    from deployctl.folders import home_folder
    from deployctl.log import Log
    from deployctl.runner import SubprocessRunner

    session = Session.open("setup", output, quiet=quiet)
    home = home_folder(session.environment)
    with contextlib.suppress(OSError):  # then there is no log; the set-up itself does not need it
        home.mkdir(parents=True, exist_ok=True)
    silent = yes or output is Output.JSON or not console.can_ask()

    def agree(plan: SetupPlan) -> bool:
        if silent:
            return True
        console.err(str(plan))
        return typer.confirm("Do this now?", default=True, err=True)

    report = recipe(
        SubprocessRunner(Log(home / "setup.log")),
        session.talk(),
        SystemClock(),
        session.environment,
        check=check,
        agree=agree,
    )
    if report.missing:
        return session.emit(report, text(report), status="failed", exit_code=ExitCode.PREFLIGHT)
    return session.emit(report, text(report))


def text(report: SetupReport) -> str:
    """Write the report for people."""
    docker = report.docker
    if report.missing:
        lines = ["Docker does not work here yet:", *(f"  {reason}" for reason in report.missing)]
        lines.append("Next: deployctl setup")
    else:
        said = "works now" if report.done else "works; nothing to do"
        versions = f"Docker {docker.server_version} with Compose {docker.compose_version}"
        lines = [f"{versions} {said}."]
    return "\n".join([*lines, *(f"Note: {note}" for note in report.notes)])
