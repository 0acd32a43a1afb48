"""``deployctl logs``."""

from __future__ import annotations

from typing import Annotated

import typer

from deployctl.cli.options import DEFAULT_STACK_NAME, DebugOption, StackOption


def logs(
    services: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SERVICE|ADDON",
            help="engine, webui, or an add-on for all its services: monitoring; all if none.",
        ),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on printing until Ctrl-C.")
    ] = False,
    tail: Annotated[
        str, typer.Option("--tail", metavar="N|all", help="How many lines from the end.")
    ] = "100",
    stack: StackOption = DEFAULT_STACK_NAME,
    debug: DebugOption = False,  # noqa: ARG001  # read by the error boundary
) -> int:
    """Print what the containers wrote."""
    from deployctl.cli import console
    from deployctl.cli.options import Output
    from deployctl.cli.session import Session
    from deployctl.deploy.logs import logs as recipe

    if tail != "all" and not tail.isdecimal():
        raise typer.BadParameter(f"{tail!r} is neither a number of lines nor `all`.")
    session = Session.open("logs", Output.TEXT, quiet=True)
    recipe(
        session.world(stack),
        stack,
        tuple(services or ()),
        follow=follow,
        tail=tail,
        on_line=console.pass_on,
    )
    return 0
