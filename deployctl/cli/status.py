"""``deployctl status``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployctl.cli.options import (
    DEFAULT_STACK_NAME,
    DebugOption,
    Output,
    OutputOption,
    StackOption,
)

if TYPE_CHECKING:
    from deployctl.deploy.world import StatusReport, UpReport


def status(
    stack: StackOption = DEFAULT_STACK_NAME,
    output: OutputOption = Output.TEXT,
    debug: DebugOption = False,  # noqa: ARG001  # read by the error boundary
) -> int:
    """Say how the stack is now; exit 6 when it is not well."""
    from deployctl.cli.session import Session
    from deployctl.deploy.status import status as recipe
    from deployctl.errors import ExitCode

    session = Session.open("status", output, quiet=True)
    report = recipe(session.world(stack), stack)
    code = ExitCode.OK if report.status == "ok" else ExitCode.NOT_READY
    return session.emit(report, text(report), status=report.status, exit_code=code)


def text(report: StatusReport) -> str:
    """Write the report for people."""
    head = f"Stack {report.stack}: {report.status}"
    if report.profile:
        head += f" · profile {report.profile} · {report.model}"
    lines = [head]
    for check in report.checks:
        mark = "✓" if check.status == "ok" else "✗"
        lines.append(f"  {mark} {check.name:<18} {check.summary}")
        if check.hint:
            lines.append(f"    next: {check.hint}")
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
    )
