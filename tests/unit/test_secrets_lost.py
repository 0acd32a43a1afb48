"""Secrets that are gone or damaged, and data of others: nothing is lost, nothing made anew."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deployctl.deploy.chat import connect
from deployctl.deploy.down import down
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
from tests.fakes import container
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
    beside, _, rest = fault.hint.partition("  # ")
    assert beside == f"deployctl up --profile smoke --stack {NAME}2"
    harmless, _, last = rest.partition("; to give the chats up for good: ")
    assert harmless.startswith("under another name; or put secrets.json back into ")
    assert last == f"deployctl down --volumes --stack {NAME}"


@pytest.mark.parametrize("verb", LOOKING)
def test_a_command_that_looks_says_that_they_are_lost(box: Box, verb: str) -> None:
    with pytest.raises(DeployctlError) as refused:
        LOOKING[verb](box.world(verb))
    (fault,) = refused.value.faults
    assert fault.code == "secrets-lost"
    assert fault.hint.startswith(f"deployctl up --profile smoke --stack {NAME}2  # under another")
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


def test_lost_secrets_are_found_before_anything_is_downloaded_or_built(box: Box) -> None:
    box.docker.kept_volumes = (f"{NAME}_webui-data",)
    box.weights.here, box.weights.fetched = False, set()
    box.talk.phases.clear()
    with pytest.raises(DeployctlError):
        up(box.world(), UpRequest(stack=NAME, selection=Selection(profile="smoke")))
    assert (box.talk.phases, box.weights.fetched) == (["preflight"], set())


# ── damaged ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def damaged(tmp_path: Path) -> Box:
    """A running stack whose operator wrote a new password, and a comma too many."""
    box = Box(home=tmp_path)
    up(box.world(), UpRequest(stack=NAME, selection=Selection(profile="smoke", sets=(SET,))))
    space = Workspace(box.home, NAME)
    old = space.secrets().admin_password.reveal()
    text = space.secrets_file.read_text().replace(old, "new").replace('"\n}', '",\n}')
    space.secrets_file.write_text(text)
    return box


SET = "ports.webui=7901"
AGAIN = f"deployctl up --profile smoke --set {SET}"


@pytest.mark.parametrize("verb", LOOKING)
def test_a_command_that_looks_says_what_is_damaged_and_that_up_mends_it(
    damaged: Box, verb: str
) -> None:
    file = Workspace(damaged.home, NAME).secrets_file
    before = file.read_text()
    with pytest.raises(DeployctlError) as refused:
        LOOKING[verb](damaged.world(verb))
    (fault,) = refused.value.faults
    assert fault.code == "secrets-damaged"
    assert fault.where is not None
    assert fault.where.startswith(f"{file}:")
    assert fault.hint.startswith(f"{AGAIN}  # puts them back as they were; an edit of admin_pass")
    assert file.read_text() == before


def test_up_puts_damaged_secrets_back_and_says_so(damaged: Box) -> None:
    space = Workspace(damaged.home, NAME)
    before, env = space.secrets_file.read_text(), (space.folder / ".env").read_text()
    selection = Selection(profile="smoke", sets=(SET,))
    report = up(damaged.world(), UpRequest(stack=NAME, selection=selection))
    assert not report.changed
    said = damaged.talk.warned[0]
    assert "An edit of admin_password is to be made again." in said
    assert "secrets.json.damaged" in said
    assert (space.folder / "secrets.json.damaged").read_text() == before
    assert space.secrets().admin_password.reveal() in env


def test_up_does_not_guess_where_nothing_else_has_the_secrets(damaged: Box) -> None:
    space = Workspace(damaged.home, NAME)
    (space.folder / ".env").unlink()
    before = space.secrets_file.read_text()
    with pytest.raises(DeployctlError) as refused:
        up(damaged.world(), UpRequest(stack=NAME, selection=Selection(profile="smoke")))
    (fault,) = refused.value.faults
    assert fault.code == "secrets-damaged"
    assert fault.hint.startswith('"${EDITOR:-vi}" ')
    assert "--volumes" not in fault.hint
    assert space.secrets_file.read_text() == before
    assert damaged.talk.phases[-1] == "preflight"


# ── the manifest ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("proved", [True, False])
def test_a_damaged_manifest_leaves_the_command_in_the_record_of_the_proof(
    damaged: Box, proved: bool
) -> None:
    folder = Workspace(damaged.home, NAME).folder
    (folder / "manifest.json").write_text("{{{")
    if not proved:
        (folder / "proved.json").write_text("{{{")
    again = AGAIN if proved else "deployctl up"
    (told,) = (
        check
        for check in status(damaged.world("status"), NAME, NOW).checks
        if check.status == "failed"
    )
    assert (told.code, told.hint) == ("stack-unknown", again)
    with pytest.raises(DeployctlError) as refused:
        verify(damaged.world("verify"), NAME)
    assert refused.value.faults[0].hint == told.hint


# ── another state folder's ────────────────────────────────────────────────────────────────────


def test_data_of_another_state_folder_is_not_removed_from_here(tmp_path: Path) -> None:
    box = Box(home=tmp_path)
    box.docker.kept_volumes = (f"{NAME}_webui-data",)
    with pytest.raises(DeployctlError) as refused:
        up(box.world(), UpRequest(stack=NAME, selection=Selection(profile="smoke")))
    (fault,) = refused.value.faults
    assert fault.code == "secrets-lost"
    assert "--volumes" not in fault.hint
    with pytest.raises(DeployctlError) as refused:
        down(box.world("down"), NAME, volumes=True)
    (fault,) = refused.value.faults
    assert fault.code == "stack-foreign"
    assert fault.hint.startswith(f"docker volume inspect {NAME}_webui-data  # or set DEPLOYCTL_")
    assert fault.hint.endswith(f"for good: docker volume rm {NAME}_webui-data")
    assert box.runner.commands == []
    assert down(box.world("down"), NAME, volumes=False).kept_volumes == box.docker.kept_volumes


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda world: down(world, NAME, volumes=False), "down"),
        (lambda world: status(world, NAME, NOW), "status"),
        (lambda world: verify(world, NAME), "verify"),
        (
            lambda world: reconcile(world, NAME, dry_run=True, overrides=False),
            "reconcile webui",
        ),
    ],
)
def test_a_stack_of_another_folder_is_to_be_asked_there(
    tmp_path: Path, ask: Callable[[World], object], words: str
) -> None:
    box = Box(home=tmp_path)
    folder = f"/home/a b/d/stacks/{NAME}"
    box.docker.states = {s: container(s, working_dir=folder) for s in ("engine", "webui")}
    with pytest.raises(DeployctlError) as refused:
        ask(box.world(words))
    (fault,) = refused.value.faults
    assert fault.code == "stack-foreign"
    assert fault.hint == f"DEPLOYCTL_HOME='/home/a b/d' deployctl {words} --stack {NAME}"


@pytest.mark.parametrize(
    ("folder", "rest"),
    [
        (
            f"/d/stacks/{NAME}",
            f"  # or look at that one: DEPLOYCTL_HOME=/d deployctl status --stack {NAME}",
        ),
        ("/srv/theirs", ""),  # no stack of ours at all
    ],
)
def test_beside_a_stack_of_another_folder_the_same_is_brought_up(
    tmp_path: Path, folder: str, rest: str
) -> None:
    box = Box(home=tmp_path)
    box.docker.states = {"engine": container("engine", working_dir=folder)}
    with pytest.raises(DeployctlError) as refused:
        up(box.world(), UpRequest(stack=NAME, selection=Selection(profile="smoke", sets=(SET,))))
    assert refused.value.faults[0].hint == f"{AGAIN} --stack {NAME}2{rest}"


def test_chats_of_another_folder_are_offered_last_and_as_what_they_are(tmp_path: Path) -> None:
    box = Box(home=tmp_path)
    box.docker.states = {"engine": container("engine", working_dir=f"/d/stacks/{NAME}")}
    with pytest.raises(DeployctlError) as refused:
        down(box.world("down"), NAME, volumes=True)
    look, _, last = refused.value.faults[0].hint.partition("  # ")
    assert look == f"DEPLOYCTL_HOME=/d deployctl status --stack {NAME}"
    assert last.startswith("to remove its chats for good: DEPLOYCTL_HOME=/d deployctl down --volu")
