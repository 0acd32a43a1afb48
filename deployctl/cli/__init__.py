"""The command line: the Typer app and the one boundary at which errors become exit codes."""

from __future__ import annotations

import typer

from deployctl.cli import down, logs, setup, status, up
from deployctl.cli.boundary import guarded

app = typer.Typer(
    name="deployctl",
    help="Takes a box to a local-LLM chat window that has already answered.",
    epilog="Start here: deployctl up",
    no_args_is_help=True,
    add_completion=False,
    # Plain help: Rich would double the time of every --help.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", help="Print the version and leave.", is_eager=True
    ),
) -> None:
    if version:
        from deployctl import __version__

        typer.echo(f"deployctl {__version__}")
        raise typer.Exit


for _command in (setup, up, status, logs, down):
    app.command()(getattr(_command, _command.__name__.rsplit(".", 1)[-1]))


def run(arguments: list[str]) -> int:
    """Run one command line; returns its exit code. Nothing escapes but a bug under ``--debug``."""
    return guarded(lambda: app(args=arguments, standalone_mode=False), arguments)
