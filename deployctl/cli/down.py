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
        typer.Option(
            "--volumes", help="Remove the chats, the credentials and what the engine compiled too."
        ),
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
        kept = f"{', '.join(report.kept_volumes)} {_what(report.kept_volumes)}"
        said = f"Stack {stack} is down. Kept: {kept}."
    else:
        said = f"Stack {stack} is down; nothing of it is left on Docker."
    return session.emit(report, said)


def _what(volumes: tuple[str, ...]) -> str:
    """What is in them, for people."""
    from deployctl.deploy.enginecache import in_words

    return in_words(volumes)
