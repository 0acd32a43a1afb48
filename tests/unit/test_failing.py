"""What ``up`` does about a stack that does not become ready."""

import json
import stat
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from deployctl.deploy.failing import policy
from deployctl.deploy.up import up
from deployctl.deploy.world import UpReport, UpRequest
from deployctl.errors import AfterFailure, DeployctlError
from deployctl.loopback import Reply
from deployctl.profiles.selection import Selection
from deployctl.proved import last_proved
from deployctl.secret import Secret
from deployctl.workspace import Workspace
from tests.fakes import FakeDocker, FakeHttp, FakeImages
from tests.world import Box

GOOD = UpRequest(stack="s", selection=Selection(profile="smoke"))
BAD = replace(
    GOOD, selection=Selection(profile="smoke", sets=("concurrency=3", "deadlines.engine=5s"))
)
START, DOWN = "start the stack", "stop the stack"


class Picky(FakeHttp):
    """An engine that answers nothing when it is asked for three conversations at once."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def call(
        self, url: str, *, token: Secret | None = None, body: object = None, timeout_s: float
    ) -> Reply:
        self.engine_ready = '- "3"' not in (self.folder / "compose.yaml").read_text()
        return super().call(url, token=token, body=body, timeout_s=timeout_s)


@dataclass
class OwnImages(FakeDocker):
    """Images by name and id; a name may come to mean another."""

    names: str = "first"
    gone: bool = False

    def image_id(self, reference: str) -> str | None:
        if reference.startswith("sha256:"):
            return None if self.gone else reference
        return f"sha256:{self.names}"


@pytest.fixture
def box(tmp_path: Path) -> Box:
    made = Box(home=tmp_path, docker=OwnImages())
    made.http = Picky(space_of(made).folder)
    return made


def space_of(box: Box) -> Workspace:
    return Workspace(box.home, "s")


def bring_up(box: Box, request: UpRequest = GOOD) -> UpReport:
    return up(box.world(), request)


def fail(box: Box, request: UpRequest) -> tuple[str, AfterFailure | None]:
    with pytest.raises(DeployctlError) as failed:
        bring_up(box, request)
    return failed.value.faults[0].code, failed.value.after


def roll_back(box: Box) -> AfterFailure:
    code, after = fail(box, replace(BAD, on_failure="rollback"))
    assert code == "engine-not-ready"
    assert after is not None
    return after


def test_who_is_there_to_look_decides_unless_told() -> None:
    assert policy(GOOD) == "keep"
    assert policy(replace(GOOD, unattended=True)) == "down"
    assert policy(replace(GOOD, unattended=True, on_failure="rollback")) == "rollback"


def test_only_what_was_asked_for_is_repeated_in_hints() -> None:
    assert "--on-failure" not in replace(GOOD, unattended=True).again
    assert replace(GOOD, on_failure="down").again.endswith("--on-failure down")


def test_what_failed_is_kept_to_be_looked_at(box: Box) -> None:
    code, after = fail(box, BAD)
    assert (code, after and after.did) == ("engine-not-ready", "kept")
    assert after is not None
    assert after.hint.startswith("deployctl status --stack s")
    assert DOWN not in box.runner.labels
    assert set(box.docker.states) == {"engine", "webui"}


def test_down_takes_it_down_and_the_chats_stay(box: Box) -> None:
    code, after = fail(box, replace(BAD, unattended=True))
    assert (code, after and after.did) == ("engine-not-ready", "taken-down")
    assert after is not None
    assert "(the chats)" in after.text
    assert "--set concurrency=3 --set deadlines.engine=5s --stack s --on-failure keep" in after.hint
    assert "--volumes" not in box.runner.commands[-1].argv
    assert box.docker.states == {}
    assert space_of(box).has_secrets


def test_a_down_that_fails_says_so_beside_the_first_error(box: Box) -> None:
    box.runner.fail[DOWN] = "Error response from daemon: no"
    code, after = fail(box, replace(BAD, on_failure="down"))
    assert (code, after and after.did) == ("engine-not-ready", "take-down-failed")
    assert after is not None
    assert after.faults[0].details == ("Error response from daemon: no",)


def test_rollback_brings_back_what_answered_and_asks_it_again(box: Box) -> None:
    bring_up(box)
    folder = space_of(box).folder
    before = {name: (folder / name).read_text() for name in ("compose.yaml", ".env")}
    record, manifest = last_proved(space_of(box)), space_of(box).manifest()
    box.http.calls.clear()
    after = roll_back(box)
    assert (after.did, after.profile) == ("rolled-back", "smoke")
    assert "has answered" in after.text
    assert {name: (folder / name).read_text() for name in before} == before
    assert stat.S_IMODE((folder / ".env").stat().st_mode) == 0o600
    assert (last_proved(space_of(box)), space_of(box).manifest()) == (record, manifest)
    assert box.runner.labels.count(START) == 3
    assert any("chat/completions" in url for url in box.http.calls)
    assert not bring_up(box).changed


def test_without_a_proof_there_is_nothing_to_go_back_to(box: Box) -> None:
    after = roll_back(box)
    assert after.did == "no-rollback"
    assert "has answered yet" in after.text
    assert DOWN not in box.runner.labels


def test_what_answered_last_is_not_its_own_way_back(box: Box) -> None:
    bring_up(box)
    box.http = FakeHttp()
    box.http.engine_ready = False
    _, after = fail(box, replace(GOOD, on_failure="rollback"))
    assert after is not None
    assert after.did == "no-rollback"
    assert "the very stack that answered last" in after.text


def test_a_rollback_that_fails_says_why(box: Box) -> None:
    bring_up(box)
    (space_of(box).folder / "compose.override.yaml").write_text("services: {}\n")
    box.http = FakeHttp()
    box.http.engine_ready = False
    after = roll_back(box)
    assert after.did == "rollback-failed"
    assert "compose.override.yaml has changed" in after.text
    assert [fault.code for fault in after.faults] == ["engine-not-ready"]


def test_an_image_whose_name_moved_is_taken_by_its_id(box: Box) -> None:
    assert isinstance(box.docker, OwnImages)
    bring_up(box)
    box.docker.names = "second"
    after = roll_back(box)
    assert after.did == "rolled-back"
    assert "The engine runs by the id of its image" in after.text
    assert "DEPLOYCTL_IMAGE_ENGINE='sha256:first'" in (space_of(box).folder / ".env").read_text()


def test_an_image_that_is_gone_is_said(box: Box) -> None:
    assert isinstance(box.docker, OwnImages)
    bring_up(box)
    box.docker.names, box.docker.gone = "second", True
    after = roll_back(box)
    assert (after.did, after.faults[0].code) == ("rollback-failed", "image-missing")
    assert after.faults[0].details == ("its id then: sha256:first",)


def test_a_model_file_that_is_another_one_now_is_said(box: Box) -> None:
    bring_up(box)
    box.weights.identity = "another"
    after = roll_back(box)
    assert (after.did, after.faults[0].code) == ("rollback-failed", "weights-not-found")
    assert after.faults[0].where == "/models/SmolLM2-135M-Instruct.Q4_1.gguf"


def test_the_operators_own_file_is_left_alone_and_said(box: Box) -> None:
    bring_up(box)
    override = space_of(box).folder / "compose.override.yaml"
    override.write_text("services: {}\n")
    after = roll_back(box)
    assert after.did == "rolled-back"
    assert "compose.override.yaml has changed" in after.text
    assert override.read_text() == "services: {}\n"


def test_before_anything_was_touched_the_old_stack_runs_on(box: Box) -> None:
    bring_up(box)
    commands = len(box.runner.commands)
    box.images = FakeImages(error=DeployctlError("no", code="image-missing", hint="x"))
    code, after = fail(box, replace(BAD, on_failure="down"))
    assert (code, after and after.did) == ("image-missing", "untouched")
    assert len(box.runner.commands) == commands
    box.images.error = None
    box.runner.fail["check the stack's files"] = "yaml: line 2"
    code, after = fail(box, replace(BAD, on_failure="rollback"))
    assert (code, after and after.did) == ("render-invalid", "untouched")
    assert DOWN not in box.runner.labels


def test_before_anything_runs_there_is_nothing_to_say(box: Box) -> None:
    box.images = FakeImages(error=DeployctlError("no", code="image-missing", hint="x"))
    assert fail(box, replace(GOOD, on_failure="down")) == ("image-missing", None)


def test_a_stack_that_somebody_else_works_on_is_left_to_them(box: Box) -> None:
    bring_up(box)
    with space_of(box).lock("down"):
        assert fail(box, replace(BAD, on_failure="down")) == ("stack-locked", None)


def test_an_interruption_is_no_failure(box: Box) -> None:
    box.runner.interrupt_at = START
    with pytest.raises(KeyboardInterrupt):
        bring_up(box, replace(GOOD, on_failure="down"))
    assert DOWN not in box.runner.labels


def test_a_refused_start_is_rolled_back_too(box: Box) -> None:
    bring_up(box)
    box.runner.fail_once = START
    code, after = fail(box, replace(BAD, on_failure="rollback"))
    assert (code, after and after.did) == ("compose-failed", "rolled-back")


def test_only_a_proof_goes_on_record_without_secrets_and_once(box: Box) -> None:
    fail(box, BAD)
    path = space_of(box).folder / "proved.json"
    assert not path.exists()
    bring_up(box)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text, written = path.read_text(), path.stat().st_mtime_ns
    secrets = space_of(box).secrets()
    for secret in (secrets.engine_key, secrets.webui_secret, secrets.admin_password):
        assert secret.reveal() not in text
    bring_up(box)
    assert path.stat().st_mtime_ns == written


def test_a_damaged_record_is_as_good_as_none(box: Box) -> None:
    bring_up(box)
    path = space_of(box).folder / "proved.json"
    whole = json.loads(path.read_text())
    for text in ("{", "[]", json.dumps({**whole, "version": 99}), json.dumps({**whole, "x": 1})):
        path.write_text(text)
        assert last_proved(space_of(box)) is None
    assert roll_back(box).did == "no-rollback"
