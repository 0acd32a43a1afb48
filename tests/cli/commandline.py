"""The command line over a box of fakes."""

from deployctl.cli import run
from deployctl.cli.session import building
from tests.world import Box


def deployctl(box: Box, *arguments: str) -> int:
    with building(lambda session, _stack: box.world(session.command)):
        return run(list(arguments))
