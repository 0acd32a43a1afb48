"""``deployctl watch``."""

from __future__ import annotations

from typing import Annotated

import typer

from deployctl.cli.options import (
    DEFAULT_STACK_NAME,
    DebugOption,
    Output,
    OutputOption,
    StackOption,
)


def watch(
    heal: Annotated[
        bool, typer.Option("--heal", help="Restart a service that does not work.")
    ] = False,
    max_restarts: Annotated[
        int,
        typer.Option("--max-restarts", metavar="N", min=1, help="With --heal: at most, per hour."),
    ] = 3,
    interval: Annotated[
        float, typer.Option("--interval", metavar="SECONDS", min=0.2, help="How often to look.")
    ] = 5.0,
    stack: StackOption = DEFAULT_STACK_NAME,
    output: OutputOption = Output.TEXT,
    debug: DebugOption = False,  # noqa: ARG001  # read by the error boundary
) -> int:
    """Say what changes on the stack, until Ctrl-C.

    With --heal what does not work is restarted.
    """
    from deployctl.cli import console
    from deployctl.cli.envelope import envelope
    from deployctl.cli.session import Session
    from deployctl.clock import utc_now
    from deployctl.deploy.watch import Watcher
    from deployctl.errors import ExitCode

    session = Session.open("watch", output, quiet=True)
    world = session.world(stack)
    watcher = Watcher(world=world, stack=stack, now=utc_now, heal=heal, per_hour=max_restarts)
    watcher.begin()
    while True:
        for event in watcher.look():
            if output is Output.JSON:
                code = ExitCode.OK if event.status == "ok" else ExitCode.NOT_READY
                line = envelope(
                    command="watch",
                    status=event.status,
                    exit_code=code,
                    data=event,
                    compact=True,
                )
            else:
                line = str(event)
            console.pass_on(line)
        world.clock.sleep(interval)
