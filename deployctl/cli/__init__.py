"""The command line: the Typer app and the one boundary at which errors become exit codes."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated

import typer

from deployctl.cli.boundary import guarded
from deployctl.cli.commandlist import COMMANDS, GROUPS

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


def _register() -> None:
    """Make a command of each module's function of the same name, or, of a built-in's, ``open_``."""
    for name in COMMANDS:
        module = import_module(f"deployctl.cli.{name}")
        app.command(name)(getattr(module, name, None) or getattr(module, f"{name}_"))
    for name in GROUPS:
        app.add_typer(import_module(f"deployctl.cli.{name}").group)


_register()


def run(arguments: list[str]) -> int:
    """Run one command line; returns its exit code. Nothing escapes but a bug under ``--debug``."""
    return guarded(lambda: app(args=arguments or ["--help"], standalone_mode=False), arguments)
