"""``deployctl report``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deployctl.cli.options import (
    DEFAULT_STACK_NAME,
    DebugOption,
    Output,
    OutputOption,
    QuietOption,
    StackOption,
)

if TYPE_CHECKING:
    from deployctl.deploy.report import Report


def report(
    file: Annotated[
        Path | None,
        typer.Option(
            "--file", metavar="PATH", help="Where to write it; else a new file in this folder."
        ),
    ] = None,
    stack: StackOption = DEFAULT_STACK_NAME,
    output: OutputOption = Output.TEXT,
    quiet: QuietOption = False,
    debug: DebugOption = False,  # noqa: ARG001  # read by the error boundary
) -> int:
    """Pack what a bug report needs into one file, without secrets.

    Versions, facts, doctor, plan, rendered stack, container states, events, ends of logs.

    Works on a broken stack, and without one. Nothing is sent anywhere.
    """
    from datetime import UTC, datetime

    from deployctl.cli import doctor as doctors
    from deployctl.cli.envelope import plain
    from deployctl.cli.plan import text as plan_text
    from deployctl.cli.session import Session
    from deployctl.deploy.doctor import doctor, of_stack
    from deployctl.deploy.report import ReportRequest, Writers
    from deployctl.deploy.report import report as recipe

    session = Session.open("report", output, quiet=quiet)
    world = session.world(stack)
    around = doctors.surroundings_of(session.environment)
    made = recipe(
        world,
        ReportRequest(
            stack=stack,
            environment=session.environment,
            folder=Path.cwd(),
            now=datetime.now(UTC),
            file=file,
            root=around.root,
        ),
        Writers(
            plain=plain,
            doctor=lambda: doctors.data(
                of_stack(doctor(world, around, stack=stack, selection=None))
            ),
            plan=plan_text,
        ),
    )
    return session.emit(made, text(made))


def text(made: Report) -> str:
    """Say where it is, and what to look at before it is sent."""
    import shlex

    from deployctl.deploy.report import worth_a_look

    lines = [
        f"{made.path} ({made.size_bytes / 1000:.0f} kB, {len(made.files)} files, for you alone)",
        f"Redacted: {made.secrets_looked_for} known secrets, and whatever looks like one.",
    ]
    if made.missing:
        lines.append("Could not be had:")
        lines += [f"  {line}" for line in made.missing]
    if look := worth_a_look(made.files):
        lines.append(f"Before you send it, look at {' and '.join(look)} in it:")
        lines.append(f"  tar -xzOf {shlex.quote(str(made.path))} | less")
    return "\n".join(lines)
