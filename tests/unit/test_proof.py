"""The proof within ``up``: who is to blame, and what is no failure once the stack has answered."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployctl.deploy.up import up
from deployctl.deploy.world import UpReport, UpRequest
from deployctl.errors import DeployctlError, Fault
from deployctl.loopback import Reply
from deployctl.profiles.selection import Selection
from deployctl.proved import last_proved
from deployctl.secret import Secret
from deployctl.workspace import Workspace
from tests.fakes import FakeHttp
from tests.world import Box

SMOKE = UpRequest(stack="s", selection=Selection(profile="smoke"))


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(home=tmp_path)


def bring_up(box: Box, request: UpRequest = SMOKE) -> UpReport:
    return up(box.world(), request)


def fault_of(box: Box, request: UpRequest = SMOKE) -> Fault:
    with pytest.raises(DeployctlError) as ended:
        bring_up(box, request)
    assert ended.value.exit_code == 6
    return ended.value.faults[0]


@pytest.mark.parametrize(
    ("line", "code", "hint"),
    [
        ("sqlite3.OperationalError: attempt to write a readonly database", "data-denied", "chown"),
        ("sqlite3.OperationalError: database or disk is full", "disk-full", "docker system df"),
    ],
)
def test_why_a_chat_cannot_be_saved_is_read_from_the_frontends_log(
    box: Box, line: str, code: str, hint: str
) -> None:
    box.http.saves = False
    box.docker.tails = {"id-webui": (line,)}
    fault = fault_of(box)
    assert (fault.code, fault.where) == (f"frontend-{code}", "webui")
    assert hint in fault.hint
    assert line in fault.details


def test_where_its_log_says_nothing_of_data_the_chat_that_is_not_saved_is_the_fault(
    box: Box,
) -> None:
    box.http.saves = False
    box.docker.tails = {"id-webui": ("ModuleNotFoundError: No module named 'x'",)}
    assert fault_of(box).code == "chats-unsaved"


@pytest.mark.parametrize("damaged", [b"\xff\xfe{", b"[]", b"{}", b'{"version": 1}'])
def test_a_damaged_record_of_the_last_proof_is_none(box: Box, damaged: bytes) -> None:
    bring_up(box)
    space = Workspace(box.home, "s")
    (space.folder / "proved.json").write_bytes(damaged)
    assert last_proved(space) is None
    assert bring_up(box).answer.text
    assert last_proved(space) is not None


class Limited(FakeHttp):
    """A frontend that takes no more sign-ins."""

    token = "t0ken"

    def call(
        self, url: str, *, token: Secret | None = None, body: object = None, timeout_s: float
    ) -> Reply:
        if url.endswith("/signin"):
            self.calls.append(url)
            return Reply(status=429, text="")
        if url.endswith("/api/models") and token != Secret(self.token):
            return Reply(status=401, text="")
        return super().call(url, token=token, body=body, timeout_s=timeout_s)


def test_too_many_sign_ins_are_passed_over_where_the_session_of_before_has_answered(
    box: Box,
) -> None:
    bring_up(box)
    box.docker.states.pop("webui")
    (Workspace(box.home, "s").folder / "proved.json").unlink()  # so it is signed in to anew
    box.http = Limited()
    assert bring_up(box).changed
    assert any(call.endswith("/signin") for call in box.http.calls)
    assert Workspace(box.home, "s").session() == Secret("t0ken")


class Refusing(FakeHttp):
    """A frontend that takes the session of before, and not the stored password."""

    def call(
        self, url: str, *, token: Secret | None = None, body: object = None, timeout_s: float
    ) -> Reply:
        if url.endswith("/signin"):
            return Reply(status=400, text="")
        return super().call(url, token=token, body=body, timeout_s=timeout_s)


def test_a_password_that_was_edited_is_tried_though_nothing_is_started(box: Box) -> None:
    bring_up(box)
    os.utime(Workspace(box.home, "s").secrets_file)
    box.http = Refusing()
    for _ in range(2):  # what was refused once is not good the next time
        assert "admin_password" in fault_of(box).hint
    box.http = FakeHttp()
    assert not bring_up(box).changed
    assert any(call.endswith("/signin") for call in box.http.calls)
    box.http.calls.clear()
    bring_up(box)  # taken now
    assert not any(call.endswith("/signin") for call in box.http.calls)


def test_too_many_sign_ins_are_a_failure_where_no_session_is_good_any_more(box: Box) -> None:
    bring_up(box)
    box.http = Limited()
    box.http.token = "another"
    fault = fault_of(box)
    assert (fault.code, fault.hint) == ("sign-in-limited", "sleep 180; deployctl status --stack s")


def test_a_session_that_cannot_be_kept_fails_nothing_that_has_answered(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_space: Workspace, _token: Secret) -> None:
        raise DeployctlError("No space left on device.", code="workspace-unwritable", hint="df")

    monkeypatch.setattr(Workspace, "keep_session", full)
    assert bring_up(box).answer.text
    assert last_proved(Workspace(box.home, "s")) is not None


def test_the_override_on_record_is_the_one_that_was_started_with(box: Box) -> None:
    override = Workspace(box.home, "s").folder / "compose.override.yaml"
    override.parent.mkdir(parents=True)
    override.write_text("services: {}\n")

    class Meanwhile(FakeHttp):
        def stream(
            self, url: str, *, token: Secret, body: object, timeout_s: float
        ) -> Iterator[str]:
            override.write_text("services: {webui: {environment: {A: b}}}\n")
            return super().stream(url, token=token, body=body, timeout_s=timeout_s)

    bring_up(box)
    first = last_proved(Workspace(box.home, "s"))
    override.write_text("services: {}\n")
    box.http = Meanwhile()
    bring_up(box)
    second, manifest = last_proved(Workspace(box.home, "s")), Workspace(box.home, "s").manifest()
    assert first is not None
    assert second is not None
    assert manifest is not None
    assert second.override == manifest.override == first.override
