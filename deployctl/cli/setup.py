"""``deployctl setup``."""

from __future__ import annotations

from typing import Annotated

import typer

from deployctl.cli.options import DebugOption, Output, OutputOption, QuietOption


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
    from deployctl.cli import console, setting_up
    from deployctl.cli.session import Session

    session = Session.open("setup", output, quiet=quiet)
    return setting_up.run(session, check=check, ask=not yes and console.can_ask())
