"""What Docker says of a container that will not become ready by waiting, in a sentence."""

from typing import Any

import pytest

from deployctl.trouble import stopped_by_hand, trouble
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
        ({"restarts": 1}, "keeps restarting (1 restart)"),  # while it runs, its exit code is 0
        ({"restarts": 2}, "keeps restarting (2 restarts)"),
        ({"status": "exited", "exit_code": 0}, "stopped with exit code 0"),
        ({"status": "exited", "exit_code": 130}, "was stopped by somebody (exit code 130)"),
        ({"status": "exited", "exit_code": 143}, "was stopped by somebody (exit code 143)"),
        ({"status": "exited", "exit_code": 137}, "was killed by somebody (exit code 137)"),
        (
            {"status": "restarting", "exit_code": 143},
            "keeps restarting (exit code 143, 0 restarts)",
        ),
        (
            {"status": "exited", "exit_code": 137, "oom_killed": True},
            "was killed for want of memory",
        ),
        ({"oom_killed": True}, "was killed for want of memory"),
    ],
)
def test_trouble(changes: dict[str, Any], said: str | None) -> None:
    assert trouble(container("engine", **changes)) == said


@pytest.mark.parametrize(
    ("changes", "so"),
    [
        ({"status": "exited"}, True),
        ({"status": "exited", "exit_code": 143}, True),
        ({"status": "exited", "exit_code": 1}, False),
        ({"status": "exited", "exit_code": 137, "oom_killed": True}, False),
        ({"status": "restarting", "exit_code": 143}, False),
        ({}, False),
    ],
)
def test_what_docker_does_not_start_again_somebody_stopped(
    changes: dict[str, Any], so: bool
) -> None:
    assert stopped_by_hand(container("engine", **changes)) is so
