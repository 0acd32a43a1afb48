"""``deployctl down``."""

from __future__ import annotations

from typing import Annotated

import typer

from deployctl.cli.options import (
    DEFAULT_STACK_NAME,
    DebugOption,
    Output,
    OutputOption,
    QuietOption,
    StackOption,
)


def down(
    volumes: Annotated[
        bool,
        typer.Option("--volumes", help="Remove the chats and the generated credentials too."),
    ] = False,
    stack: StackOption = DEFAULT_STACK_NAME,
    output: OutputOption = Output.TEXT,
    quiet: QuietOption = False,
    debug: DebugOption = False,  # noqa: ARG001  # read by the error boundary
) -> int:
    """Stop and remove the stack. The chats stay, unless --volumes is given."""
    from deployctl.cli.session import Session
    from deployctl.deploy.down import down as recipe

    session = Session.open("down", output, quiet=quiet)
    report = recipe(session.world(stack), stack, volumes=volumes)
    if not report.known:
        said = f"There is no stack {stack}; nothing to do."
    elif report.kept_volumes:
        said = f"Stack {stack} is down. Kept: {', '.join(report.kept_volumes)} (the chats)."
    else:
        said = f"Stack {stack} is down; nothing of it is left on Docker."
    return session.emit(report, said)
