"""``deployctl open``."""

from __future__ import annotations

import sys
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
    from deployctl.deploy.open import OpenReport


def open_(
    page: Annotated[
        str | None,
        typer.Argument(
            metavar="PAGE",
            help="An add-on or one of its pages: jupyter, prometheus, grafana; the chat window "
            "if none.",
            show_default=False,
        ),
    ] = None,
    stack: StackOption = DEFAULT_STACK_NAME,
    output: OutputOption = Output.TEXT,
    debug: DebugOption = False,  # noqa: ARG001  # read by the error boundary
) -> int:
    """Open the chat window, or an add-on's page.

    In this desktop's browser; without a desktop it says where the page is, and how to reach it
    over SSH.
    """
    from deployctl.cli.session import Session
    from deployctl.deploy.open import Seat, open_window

    session = Session.open("open", output, quiet=True)
    seat = Seat(environment=session.environment, platform=sys.platform, user=_user())
    report = open_window(session.world(stack), stack, seat, page)
    return session.emit(report, text(report))


def _user() -> str:
    """Who somebody at home signs in as. In a container a user need not have a name."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "USER"


def text(report: OpenReport) -> str:
    """Write the report for people."""
    lines = [
        f"{report.page:<14}{report.url}",
        *((f"In the LAN    {report.lan_url}",) if report.lan_url else ()),
        *((f"Sign in with  {report.credentials_file}",) if report.credentials_file else ()),
    ]
    if report.opened_with:
        lines.append(f"Opened with   {report.opened_with}")
    if report.tried and not report.opened_with:
        lines.append(
            f"Not opened    {', '.join(report.tried)} could not; open the address yourself"
        )
    if report.ssh_command:
        lines += [
            "",
            "You are here over SSH. At home, in another terminal, type this and leave it open:",
            f"  {report.ssh_command}",
            f"then open {report.url} there.",
        ]
    return "\n".join(lines)
