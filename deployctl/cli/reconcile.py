"""``deployctl reconcile``."""

from __future__ import annotations

from enum import StrEnum
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
    from deployctl.deploy.reconcile import ReconcileReport, SetBack


class Part(StrEnum):
    """What can be reconciled by itself; everything else is what ``up`` does."""

    WEBUI = "webui"


def reconcile(
    part: Annotated[Part, typer.Argument(help="webui: the chat window's settings.")],  # noqa: ARG001
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be set back, and do nothing.")
    ] = False,
    overrides: Annotated[
        bool,
        typer.Option(
            "--overrides",
            help="Also remove the model's own values, and take functions off every chat.",
        ),
    ] = False,
    stack: StackOption = DEFAULT_STACK_NAME,
    output: OutputOption = Output.TEXT,
    debug: DebugOption = False,  # noqa: ARG001  # read by the error boundary
) -> int:
    """Set the chat window's settings back to the profile's.

    Chats stay as they are.
    """
    from deployctl.cli.session import Session
    from deployctl.deploy.reconcile import reconcile as recipe

    session = Session.open("reconcile", output, quiet=True)
    report = recipe(session.world(stack), stack, dry_run=dry_run, overrides=overrides)
    return session.emit(report, text(report))


def text(report: ReconcileReport) -> str:
    """Write the report for people."""
    if not report.set_back and not report.left:
        return f"The chat window of stack {report.stack} is as its profile asks."
    lines = []
    if report.set_back:
        lines.append("Would be set back:" if report.dry_run else "Set back, and read again:")
        lines += [_line(each) for each in report.set_back]
    if report.left:
        lines.append("Left as it is, since it may be meant so:")
        lines += [f"  {each.where}: {each.name}: {each.before}" for each in report.left]
        lines.append(f"  next: deployctl reconcile webui --overrides --stack {report.stack}")
    return "\n".join(lines)


def _line(each: SetBack) -> str:
    told = f"{each.before} → {each.after}"
    if each.before == each.after:  # they differ, and both are masked
        told = "(a secret; not shown)"
    return f"  {each.where} ({each.name}): {told}"
