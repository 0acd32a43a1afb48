"""Commands that only look never make secrets where the old ones are gone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deployctl.deploy.chat import connect
from deployctl.deploy.open import Seat, open_window
from deployctl.deploy.reconcile import reconcile
from deployctl.deploy.report import ReportRequest, Writers, report
from deployctl.deploy.status import status
from deployctl.deploy.up import up
from deployctl.deploy.verify import verify
from deployctl.deploy.watch import Watcher
from deployctl.deploy.world import UpRequest, World
from deployctl.errors import DeployctlError
from deployctl.profiles.selection import Selection
from deployctl.workspace import Workspace
from tests.world import Box

NAME = "deployctl"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def box(tmp_path: Path) -> Box:
    box = Box(home=tmp_path)
    up(box.world(), UpRequest(stack=NAME, selection=Selection(profile="smoke")))
    (tmp_path / "stacks" / NAME / "secrets.json").unlink()
    return box


def untouched(box: Box) -> bool:
    return not Workspace(box.home, NAME).has_secrets


LOOKING: dict[str, Callable[[World], object]] = {
    "status": lambda world: status(world, NAME, NOW),
    "status --profile": lambda world: status(world, NAME, NOW, profile=True),
    "verify": lambda world: verify(world, NAME),
    "chat": lambda world: connect(world, NAME),
    "open": lambda world: open_window(
        world, NAME, Seat(environment={}, platform="linux", user="u")
    ),
    "reconcile --dry-run": lambda world: reconcile(world, NAME, dry_run=True, overrides=False),
}


def test_another_name_is_for_the_same_stack(box: Box) -> None:
    box.docker.kept_volumes = (f"{NAME}_data",)
    with pytest.raises(DeployctlError) as refused:
        up(box.world(), UpRequest(stack=NAME, selection=Selection(profile="smoke")))
    (fault,) = refused.value.faults
    assert fault.code == "secrets-lost"
    assert f"name: deployctl up --profile smoke --stack {NAME}2; " in fault.hint


@pytest.mark.parametrize("verb", LOOKING)
def test_a_command_that_looks_says_that_they_are_lost(box: Box, verb: str) -> None:
    with pytest.raises(DeployctlError) as refused:
        LOOKING[verb](box.world(verb))
    (fault,) = refused.value.faults
    assert fault.code == "secrets-lost"
    assert fault.hint.startswith("put secrets.json back there, or use another name: deployctl up")
    assert untouched(box)


def test_a_watcher_rests_and_a_report_goes_without(box: Box) -> None:
    watcher = Watcher(world=box.world("watch"), stack=NAME, now=lambda: NOW, heal=True)
    (event,) = watcher.look()
    assert (event.kind, event.code) == ("resting", "secrets-lost")
    writers = Writers(plain=str, doctor=lambda: "", plan=str)
    request = ReportRequest(stack=NAME, environment={}, folder=box.home, now=NOW)
    made = report(box.world("report"), request, writers)
    assert any("secrets-lost" in line for line in made.missing)
    assert untouched(box)


def test_up_after_a_look_refuses_as_before_it(box: Box) -> None:
    env = box.home / "stacks" / NAME / ".env"
    before = env.read_text()
    with pytest.raises(DeployctlError):
        status(box.world("status"), NAME, NOW)
    box.docker.kept_volumes = (f"{NAME}_webui-data",)
    with pytest.raises(DeployctlError) as refused:
        up(box.world(), UpRequest(stack=NAME, selection=Selection(profile="smoke")))
    assert refused.value.faults[0].code == "secrets-lost"
    assert untouched(box)
    assert env.read_text() == before
