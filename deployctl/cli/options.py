"""The options that several commands share, declared once."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from deployctl.deploy.world import DEFAULT_STACK


class Output(StrEnum):
    """How the result is written to stdout."""

    TEXT = "text"
    JSON = "json"


StackOption = Annotated[
    str,
    typer.Option(
        "--stack",
        metavar="NAME",
        envvar="DEPLOYCTL_STACK",
        help="Which stack. Its name is independent of the profile, so the chats stay.",
    ),
]
OutputOption = Annotated[
    Output, typer.Option("--output", "-o", help="text for people, json for programs.")
]
DebugOption = Annotated[
    bool, typer.Option("--debug", help="Show a traceback when deployctl itself is wrong.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing while working.")]

DEFAULT_STACK_NAME = DEFAULT_STACK
