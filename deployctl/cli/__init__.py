"""The command line: the Typer app and the one boundary at which errors become exit codes."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated

import typer

from deployctl.cli.boundary import guarded
from deployctl.cli.commandlist import COMMANDS, GROUPS


def _say_version(asked: bool) -> None:
    if asked:
        from deployctl import __version__
        from deployctl.cli import console

        console.out(f"deployctl {__version__}")
        raise typer.Exit


def _root(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_say_version, is_eager=True, help="Print the version and leave."
        ),
    ] = False,
) -> None:
    """Declare the options that stand before a command."""


def app(name: str | None = None) -> typer.Typer:
    """The command line, or as much of it as the command ``name`` needs.

    Importing and registering all of them takes a tenth of a second, of which `status` has four.
    """
    made = typer.Typer(
        name="deployctl",
        help="Takes a box to a local-LLM chat window that has already answered.",
        epilog="Start here: deployctl up",
        context_settings={"help_option_names": ["-h", "--help"]},
        add_completion=False,
        # Plain help: Rich would double the time of every --help.
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        callback=_root,
    )
    for command in COMMANDS:
        if name in (None, command):
            plain = command.replace("-", "")
            module = import_module(f"deployctl.cli.{plain}")
            # Of a built-in's name: ``open_``.
            made.command(command)(getattr(module, plain, None) or getattr(module, f"{plain}_"))
    for group in GROUPS:
        if name in (None, group):
            made.add_typer(import_module(f"deployctl.cli.{group}").group)
    return made


def run(arguments: list[str]) -> int:
    """Run one command line; returns its exit code. Nothing escapes but a bug under ``--debug``."""
    name = arguments[0] if arguments and arguments[0] in (*COMMANDS, *GROUPS) else None
    return guarded(
        lambda: app(name)(args=arguments or ["--help"], standalone_mode=False), arguments
    )
