"""What is done about a failure harms nothing that worked, and hides nothing that was found."""

import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from deployctl.deploy.lastwords import without_containers
from deployctl.deploy.up import up
from deployctl.deploy.world import UpReport, UpRequest
from deployctl.diagnosis.docker import SIGNS
from deployctl.errors import CODES, DOCKER_PROBLEMS, DeployctlError, ExitCode, Fault
from deployctl.loopback import Reply
from deployctl.profiles.selection import Selection
from deployctl.secret import Secret
from deployctl.workspace import Workspace
from tests.fakes import FakeHttp, FakeTalk, container
from tests.world import Box

GOOD = UpRequest(stack="s", selection=Selection(profile="smoke"))
BAD = replace(
    GOOD, selection=Selection(profile="smoke", sets=("concurrency=3", "deadlines.engine=5s"))
)
START, DOWN, RESTART = "start the stack", "stop the stack", "restart what hangs"
LOOK_AGAIN = (
    "deployctl up --profile smoke --set concurrency=3 --set deadlines.engine=5s --stack s "
    "--on-failure keep  # leaves it to be looked at"
)


@pytest.fixture
def box(tmp_path: Path) -> Box:
    made = Box(home=tmp_path)
    made.http = Asked(space_of(made).folder)
    return made


class Asked(FakeHttp):
    """An engine that fails when it is asked for three at once; ``then`` happens when it does."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.then: Callable[[], object] = lambda: None

    def call(
        self, url: str, *, token: Secret | None = None, body: object = None, timeout_s: float
    ) -> Reply:
        self.engine_ready = '- "3"' not in (self.folder / "compose.yaml").read_text()
        if not self.engine_ready:
            self.then()
        return super().call(url, token=token, body=body, timeout_s=timeout_s)


class GoingBack(FakeTalk):
    """Has something happen at the moment at which a rollback begins."""

    def __init__(self, then: Callable[[], object]) -> None:
        super().__init__()
        self.then = then

    def say(self, text: str) -> None:
        super().say(text)
        if text.startswith("going back"):
            self.then()


def space_of(box: Box) -> Workspace:
    return Workspace(box.home, "s")


def bring_up(box: Box, request: UpRequest = GOOD) -> UpReport:
    return up(box.world(), request)


def fail(box: Box, request: UpRequest) -> DeployctlError:
    with pytest.raises(DeployctlError) as ended:
        bring_up(box, request)
    return ended.value


def did(error: DeployctlError) -> str | None:
    return None if error.after is None else error.after.did


# ── what worked is left alone ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("policy", ["down", "rollback"])
def test_a_disk_that_is_full_before_anything_starts_costs_no_container(
    box: Box, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    bring_up(box)
    states, commands = dict(box.docker.states), box.runner.labels

    def full(*_: object) -> None:
        raise DeployctlError("No space left on device.", code="workspace-unwritable", hint="df")

    monkeypatch.setattr(Workspace, "write", full)
    error = fail(box, replace(BAD, on_failure=policy))  # type: ignore[arg-type]
    assert (error.faults[0].code, did(error)) == ("workspace-unwritable", "untouched")
    assert error.after is not None
    assert error.after.text == "No container was touched: the stack that ran before runs on."
    assert box.docker.states == states
    assert box.runner.labels == [*commands, "check the stack's files"]


def test_a_stack_that_did_not_work_is_not_said_to_run_on(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring_up(box)
    box.docker.states["engine"] = replace(box.docker.states["engine"], restarts=7, oom_killed=True)

    def full(*_: object) -> None:
        raise DeployctlError("No space left on device.", code="workspace-unwritable", hint="df")

    monkeypatch.setattr(Workspace, "write", full)
    error = fail(box, BAD)
    assert error.after is not None
    assert error.after.text == "No container was touched: the stack is as it was before."


def test_a_stack_that_this_up_did_not_start_is_not_taken_down_by_it(box: Box) -> None:
    bring_up(box)
    states, box.http.listed = dict(box.docker.states), False
    error = fail(box, replace(GOOD, unattended=True))
    assert (error.faults[0].code, did(error)) == ("proof-failed", "kept")
    assert error.after is not None
    assert "nothing was started" in error.after.text
    assert box.docker.states == states
    assert DOWN not in box.runner.labels


def test_one_that_was_restarted_is_taken_down_if_that_was_no_help(box: Box) -> None:
    bring_up(box)

    class Silent(FakeHttp):
        def call(
            self, url: str, *, token: Secret | None = None, body: object = None, timeout_s: float
        ) -> Reply:
            return Reply(status=0, text="")

    box.http = Silent()
    assert did(fail(box, replace(GOOD, unattended=True))) == "taken-down"
    assert box.runner.labels[-2:] == [RESTART, DOWN]


def test_killed_between_two_files_the_record_does_not_say_applied(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring_up(box)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Workspace, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            bring_up(box, BAD)
    manifest = space_of(box).manifest()
    assert manifest is not None
    assert manifest.standing == "unfinished"
    box.http = FakeHttp()
    assert bring_up(box, BAD).changed


# ── the cause is said whatever comes of it ────────────────────────────────────────────────────


def test_ctrl_c_in_a_rollback_still_shows_why_there_was_one(box: Box) -> None:
    bring_up(box)

    def stop() -> None:
        box.runner.interrupt_at = START

    box.talk = GoingBack(stop)
    error = fail(box, replace(BAD, on_failure="rollback"))
    assert [fault.code for fault in error.faults] == ["interrupted", "engine-not-ready"]
    assert error.exit_code == ExitCode.INTERRUPTED
    assert isinstance(error.__context__, KeyboardInterrupt)
    assert any("was not ready within 5 s" in said for said in box.talk.warned)


def test_a_bug_in_what_is_done_about_it_does_not_hide_the_cause(box: Box) -> None:
    bring_up(box)

    def bug() -> None:
        raise ValueError("oh")

    box.talk = GoingBack(bug)
    error = fail(box, replace(BAD, on_failure="rollback"))
    assert (error.faults[0].code, error.exit_code, did(error)) == (
        "engine-not-ready",
        6,
        "rollback-failed",
    )
    assert error.after is not None
    assert (error.after.faults[0].code, "oh" in error.after.faults[0].message) == ("bug", True)
    assert error.__notes__ == ["What was to be done about it failed: ValueError: oh"]


def test_a_manifest_that_cannot_be_read_by_then_does_not_hide_the_cause(box: Box) -> None:
    bring_up(box)
    path = space_of(box).folder / "manifest.json"

    def spoil() -> None:
        if path.is_file():
            path.unlink()
            path.mkdir()

    assert isinstance(box.http, Asked)
    box.http.then = spoil
    error = fail(box, replace(BAD, on_failure="rollback"))
    assert (error.faults[0].code, did(error)) == ("engine-not-ready", "rollback-failed")
    assert error.after is not None
    assert error.after.faults[0].code == "workspace-unwritable"


# ── exit codes ────────────────────────────────────────────────────────────────────────────────


def test_a_docker_that_is_lost_while_the_stack_starts_is_no_exit_4(box: Box) -> None:
    def lose() -> None:
        box.docker.down = True

    assert isinstance(box.http, Asked)
    box.http.then = lose
    unlimited = replace(GOOD, selection=Selection(profile="smoke", sets=("concurrency=3",)))
    error = fail(box, unlimited)
    assert (error.faults[0].code, error.exit_code) == ("start-docker-lost", ExitCode.APPLY)


def test_a_docker_that_is_lost_where_nothing_was_started_is_exit_4(box: Box) -> None:
    bring_up(box)
    box.http.frontend_ready = False

    def lose(seconds: float) -> None:
        box.clock.seconds += seconds
        box.docker.down = box.clock.seconds > 1

    box.clock.sleep = lose  # type: ignore[method-assign]
    error = fail(box, GOOD)
    assert (error.faults[0].code, error.exit_code) == ("docker-unreachable", ExitCode.PREFLIGHT)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("Range of CPUs is from 0.01 to 2.00, as there are only 2", "start-cpus-too-many"),
        (
            "Error starting userland proxy: listen tcp4 203.0.113.9:7860: bind: cannot assign "
            "requested address",
            "start-address-missing",
        ),
        ("Cannot connect to the Docker daemon at unix:///x.sock.", "start-docker-lost"),
        ("permission denied while trying to connect to the Docker daemon", "start-docker-lost"),
    ],
)
def test_what_docker_refuses_in_the_middle_is_exit_5(box: Box, said: str, code: str) -> None:
    box.runner.fail[START] = f"Error response from daemon: {said}"
    error = fail(box, GOOD)
    assert (error.faults[0].code, error.exit_code) == (code, ExitCode.APPLY)


def test_no_refusal_of_a_start_is_exit_4() -> None:
    early = {sign.code for sign in SIGNS if CODES[sign.code][0] < ExitCode.APPLY}
    assert early <= set(DOCKER_PROBLEMS)


# ── hints that hold, and the last words ───────────────────────────────────────────────────────


def dead(box: Box) -> None:
    """The engine's container ends, says a secret, and nobody knows why."""
    box.docker.states["engine"] = container("engine", "hash-engine", status="exited", exit_code=3)
    secret = space_of(box).make_secrets().engine_key.reveal()
    box.docker.tails = {"id-engine": (f"key is {secret}", "oh no")}


def test_before_it_is_taken_down_its_last_words_are_kept_and_no_hint_looks_at_what_is_gone(
    box: Box,
) -> None:
    dead(box)
    error = fail(box, replace(BAD, unattended=True))
    assert (error.faults[0].code, did(error)) == ("engine-exited", "taken-down")
    assert error.faults[0].hint == LOOK_AGAIN
    path = space_of(box).folder / "failed" / "engine.log"
    assert error.after is not None
    assert str(path) in error.after.text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == "key is ***\noh no\n"


def test_last_words_are_replaced_each_time(box: Box) -> None:
    dead(box)
    old = space_of(box).folder / "failed" / "stray.log"
    old.parent.mkdir()
    old.write_text("of another time")
    fail(box, replace(BAD, unattended=True))
    assert not old.exists()


def test_after_a_rollback_no_hint_looks_at_the_engine_that_runs_again(box: Box) -> None:
    bring_up(box)
    assert isinstance(box.http, Asked)
    box.http.then = lambda: dead(box)

    def revive() -> None:
        box.docker.states["engine"] = container("engine", "hash-engine")

    box.talk = GoingBack(revive)
    error = fail(box, replace(BAD, on_failure="rollback"))
    assert (error.faults[0].code, did(error)) == ("engine-exited", "rolled-back")
    assert error.faults[0].hint == LOOK_AGAIN
    assert error.after is not None
    assert f"{space_of(box).folder}/failed/engine.log" in error.after.text


def test_where_it_is_kept_the_hint_looks_at_it(box: Box) -> None:
    dead(box)
    error = fail(box, BAD)
    assert error.faults[0].hint == "deployctl logs engine --stack s"
    assert not (space_of(box).folder / "failed").exists()


def test_without_room_for_last_words_it_is_taken_down_all_the_same(box: Box) -> None:
    dead(box)
    (space_of(box).folder / "failed").write_text("in the way")
    error = fail(box, replace(BAD, unattended=True))
    assert did(error) == "taken-down"
    assert error.after is not None
    assert "said last" not in error.after.text


@pytest.mark.parametrize(
    ("hint", "bound"),
    [
        ("deployctl logs engine --stack s", True),
        ("sleep 180; deployctl status --stack s", True),
        ("docker restart s-engine-1 && deployctl up --stack s", True),
        ("docker cp s-webui-1:/app/backend/data s-data-copy && deployctl down --volumes", True),
        ("docker kill other-s-engine-1", False),
        ("docker run --rm -v s_webui-data:/data image -R 10001 /data && deployctl up", False),
        ("deployctl up --set concurrency=1  # then: deployctl status", False),
        ("docker system df  # what to delete: docker image prune", False),
        ("deployctl setup", False),
    ],
)
def test_only_hints_that_need_the_containers_are_replaced(hint: str, bound: bool) -> None:
    fault = Fault(code="engine-exited", message="x", hint=hint)
    found = without_containers(fault, "s", "again").hint
    assert found == ("again  # leaves it to be looked at" if bound else hint)
