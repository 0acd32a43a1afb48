"""``deployctl render``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deployctl.cli.options import (
    DEFAULT_STACK_NAME,
    DebugOption,
    ModelOption,
    Output,
    OutputOption,
    OverlayOption,
    ProfileOption,
    SetOption,
    WithOption,
    chosen,
)
from deployctl.profiles.selection import AUTO

if TYPE_CHECKING:
    from deployctl.deploy.render import RenderReport


def render(
    context: typer.Context,
    profile: ProfileOption = AUTO,
    every: Annotated[bool, typer.Option("--all", help="Every shipped profile.")] = False,
    overlay: OverlayOption = None,
    with_: WithOption = None,
    model: ModelOption = None,
    set_: SetOption = None,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            metavar="DIR",
            help="Write PROFILE.yaml into this folder; with add-ons PROFILE/compose.yaml.",
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Compare with the files in --to DIR; exit 3 on a difference."),
    ] = False,
    output: OutputOption = Output.TEXT,
    debug: DebugOption = False,  # noqa: ARG001  # read by the error boundary
) -> int:
    """Write a profile as a plain Compose file."""
    from deployctl.cli.session import Session
    from deployctl.deploy.render import render as recipe

    session = Session.open("render", output, quiet=True)
    source = context.get_parameter_source("profile")
    if every and source is not None and source.name == "ENVIRONMENT":
        profile = AUTO  # the operator's usual one, from the environment, is not asked for here
    report = recipe(
        session.world(DEFAULT_STACK_NAME),
        chosen(profile, overlay, model, set_, with_),
        every=every,
        to=to,
        check=check,
    )
    return session.emit(report, text(report))


#: What a stack leaves open, and how to fill it in.
_GUIDE = "docs/operating.md#with-plain-docker-compose"


def text(report: RenderReport) -> str:
    """Write the report for people: the file itself, or what became of the files."""
    if report.folder is None:
        # Several are YAML documents of one stream.
        return "\n---\n".join(file.text.rstrip("\n") for file in report.files)
    verb = "is current" if report.checked else "written"
    every = (*report.files, *report.beside)
    lines = [f"{report.folder / file.name} {verb}" for file in every]
    if not report.checked:
        lines += ("", f"What plain `docker compose` needs besides: {_GUIDE}")
    return "\n".join(lines)
