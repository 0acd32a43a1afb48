"""What every ``docker compose`` command is protected from."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployctl.commands import Project

PROJECT = Project(name="s", folder=Path("/stacks/s"), variables=(("A", "1"),), override=False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("COMPOSE_FILE", ""),
        ("COMPOSE_PROFILES", ""),
        ("COMPOSE_PROJECT_NAME", ""),
        ("COMPOSE_ENV_FILES", ""),
        ("COMPOSE_DISABLE_ENV_FILE", "false"),  # Compose refuses an empty one
        ("COMPOSE_IGNORE_ORPHANS", "false"),
        ("A", "1"),
    ],
)
def test_the_shells_settings_for_other_projects_do_not_reach_ours(name: str, value: str) -> None:
    for command in (
        PROJECT.check("compose.yaml"),
        PROJECT.up(),
        PROJECT.down(volumes=False),
        PROJECT.logs(follow=False, tail="10"),
        PROJECT.restart("engine"),
        PROJECT.remove("engine"),
        PROJECT.read(),
    ):
        assert dict(command.env)[name] == value


def test_who_hands_a_volume_over_may_change_owners_and_no_more() -> None:
    """Only the owner may write without other rights: the folder is taken before it is given."""
    argv = PROJECT.own("one", "/data", user="10001:10001").argv
    rights = [argv[at + 1] for at, word in enumerate(argv) if word == "--cap-add"]
    assert rights == ["CHOWN"]
    assert argv[-4:-3] + argv[-2:] == ("-c", "10001:10001", "/data")
    script = argv[-3]
    assert script.index("chown 0:0") < script.index("touch") < script.index("chown -R")
    assert script.count("&&") == 2
