"""``deployctl up``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from deployctl.cli.options import (
    DEFAULT_STACK_NAME,
    DebugOption,
    FitOption,
    ForceOption,
    ImagesOption,
    ModelOption,
    Output,
    OutputOption,
    OverlayOption,
    ProfileOption,
    QuietOption,
    SetOption,
    StackOption,
    WithOption,
    chosen,
)
from deployctl.deploy.names import OnFailure
from deployctl.profiles.selection import AUTO

if TYPE_CHECKING:
    from deployctl.deploy.world import UpReport


def up(  # one parameter per option
    profile: ProfileOption = AUTO,
    overlay: OverlayOption = None,
    with_: WithOption = None,
    model: ModelOption = None,
    set_: SetOption = None,
    fit: FitOption = False,
    force: ForceOption = False,
    images: ImagesOption = "auto",
    on_failure: Annotated[
        OnFailure | None,
        typer.Option(
            "--on-failure",
            help="What to do with a stack that does not become ready: keep it to be looked at, "
            "take it down, or roll back to the last that answered. Default: keep; where CI=true, "
            "down.",
            show_default=False,
        ),
    ] = None,
    stack: StackOption = DEFAULT_STACK_NAME,
    output: OutputOption = Output.TEXT,
    quiet: QuietOption = False,
    debug: DebugOption = False,  # noqa: ARG001  # read by the error boundary
) -> int:
    """Bring the stack up, until its chat window has answered."""
    from deployctl.cli.session import Session
    from deployctl.deploy.up import up as recipe
    from deployctl.deploy.world import UpRequest

    request = UpRequest(
        stack=stack,
        selection=chosen(profile, overlay, model, set_, with_),
        images=images,
        fit=fit,
        force=force,
        on_failure=on_failure,
        unattended=unattended(os.environ),
    )
    session = Session.open("up", output, quiet=quiet, again=request.again)
    report = recipe(session.world(stack), request)
    return session.emit(report, text(report))


def _stopped(report: UpReport) -> tuple[str, ...]:
    kept = ", ".join(report.kept_volumes)
    data = f"; its data stays ({kept}) until `down --volumes`" if kept else ""
    return (f"  Stopped       {', '.join(report.stopped)}{data}",)


def unattended(environment: Mapping[str, str]) -> bool:
    """Whether nobody is there to look: CI services say so, all in the same variable."""
    return environment.get("CI", "").lower() in ("true", "1")


def text(report: UpReport) -> str:
    """Write the report for people."""
    from deployctl.cli.console import duration
    from deployctl.cli.status import reached

    first = report.answer.text.splitlines()[0]
    if not first.endswith((".", "!", "?", "…")):
        first += " …"  # no more of it was waited for
    suffix = "" if report.stack == DEFAULT_STACK_NAME else f" --stack {report.stack}"
    lines = [
        "",
        f"Ready after {duration(report.seconds)}: {report.model} has answered.",
        "",
        *reached(report),
        f"  It said       {first}",
        "",
        f"Next: deployctl status{suffix} · deployctl logs -f{suffix} · deployctl down{suffix}",
    ]
    if report.stopped:
        lines[-2:-2] = ["", *_stopped(report)]
    if report.limits:
        lines[2:2] = ["", f"Not the default model. To get it: {report.limits[-1]}"]
    return "\n".join(lines)
