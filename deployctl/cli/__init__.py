"""The command line: the Typer app and the one boundary at which errors become exit codes."""

from __future__ import annotations

from typing import Annotated

import typer

from deployctl.cli import detect, down, logs, plan, profile, recommend, render, setup, status, up
from deployctl.cli.boundary import guarded

app = typer.Typer(
    name="deployctl",
    help="Takes a box to a local-LLM chat window that has already answered.",
    epilog="Start here: deployctl up",
    add_completion=False,
    # Plain help: Rich would double the time of every --help.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _say_version(asked: bool) -> None:
    if asked:
        from deployctl import __version__
        from deployctl.cli import console

        console.out(f"deployctl {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_say_version, is_eager=True, help="Print the version and leave."
        ),
    ] = False,
) -> None:
    """Declare the options that stand before a command."""


for _command in (setup, detect, recommend, plan, up, status, logs, down, render):
    app.command()(getattr(_command, _command.__name__.rsplit(".", 1)[-1]))
app.add_typer(profile.group)


def run(arguments: list[str]) -> int:
    """Run one command line; returns its exit code. Nothing escapes but a bug under ``--debug``."""
    return guarded(lambda: app(args=arguments or ["--help"], standalone_mode=False), arguments)
