"""What Docker says of a container that will not become ready by waiting, in a sentence."""

from typing import Any

import pytest

from deployctl.trouble import trouble
from tests.fakes import container


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, None),
        ({"health": "starting"}, None),
        ({"status": "created"}, "was made and not started"),
        (
            {"status": "created", "error": "no such device"},
            "was made and not started: no such device",
        ),
        ({"status": "paused"}, "is paused"),
        ({"status": "exited", "exit_code": 1}, "stopped with exit code 1"),
        ({"status": "restarting", "exit_code": 1}, "keeps restarting (exit code 1, 0 restarts)"),
        ({"restarts": 1}, "keeps restarting (exit code 0, 1 restart)"),
        ({"restarts": 2}, "keeps restarting (exit code 0, 2 restarts)"),
        ({"oom_killed": True}, "was killed for want of memory"),
    ],
)
def test_trouble(changes: dict[str, Any], said: str | None) -> None:
    assert trouble(container("engine", **changes)) == said
