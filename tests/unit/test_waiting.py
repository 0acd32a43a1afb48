"""Waiting for a stack: what ends it at once, what is said meanwhile, what is only passed over."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployctl.aside import Aside
from deployctl.deploy.up import up
from deployctl.deploy.warm import warm_up
from deployctl.deploy.world import UpReport, UpRequest
from deployctl.errors import DeployctlError, Fault
from deployctl.loopback import Reply
from deployctl.model import Plan
from deployctl.outcomes import ContainerState
from deployctl.planner import build_plan
from deployctl.profiles.resolve import resolve
from deployctl.profiles.selection import Selection
from deployctl.readiness import Endpoints
from deployctl.secret import Secret
from deployctl.workspace import Workspace
from tests.fakes import FakeClock, FakeDocker, FakeHttp, container
from tests.world import Box

SMOKE = UpRequest(stack="deployctl", selection=Selection(profile="smoke"))
LOG = (
    "0.00.002.627 I srv  llama_server: initializing ...",
    "0.00.949.466 I load_tensors: loading model tensors, this can take a while...",
    "0.00.952.014 I load_tensors:          CPU model buffer size =    92.10 MiB",
)
DONE = (
    *LOG,
    "0.00.244.909 I llama_kv_cache: size =   90.00 MiB (  2048 cells,  30 layers,  2/2 seqs), K",
    "0.00.384.932 I srv  llama_server: listening on http://0.0.0.0:8080",
)


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(home=tmp_path)


def fault_of(box: Box) -> Fault:
    with pytest.raises(DeployctlError) as ended:
        up(box.world(), SMOKE)
    return ended.value.faults[0]


def plan_of(box: Box) -> Plan:
    world = box.world()
    return build_plan(resolve(SMOKE.selection, world.catalog.readers()))


# ── the whole wait ────────────────────────────────────────────────────────────────────────────


def test_the_summary_says_what_the_engine_said(box: Box) -> None:
    box.docker.tails = {"id-engine": DONE}
    report = up(box.world(), SMOKE)
    said = {phase.name: phase.summary for phase in report.phases}
    assert said["engine ready"] == (
        "serves smollm2-135m · weights 92 MiB · KV 90 MiB for 2 × 2048 tokens"
    )


class Stuck(FakeHttp):
    """A frontend whose answer does not end until something else did; then it breaks off."""

    def __init__(self, docker: FakeDocker, engine: ContainerState) -> None:
        super().__init__()
        self.docker, self.engine = docker, engine

    def stream(self, url: str, *, token: Secret, body: object, timeout_s: float) -> Iterator[str]:
        yield '{"choices":[{"delta":{"content":"Hel"}}]}'
        self.docker.states["engine"] = self.engine
        raise OSError("connection closed")


def test_an_engine_that_dies_in_the_proof_is_the_cause_not_the_answer(box: Box) -> None:
    box.http = Stuck(box.docker, container("engine", status="exited", exit_code=137))
    fault = fault_of(box)
    assert fault.where == "engine"
    assert fault.code.startswith("engine-")


def test_an_answer_that_breaks_off_while_all_lives_is_a_failed_proof(box: Box) -> None:
    box.http = Stuck(box.docker, container("engine", "hash-engine"))
    assert fault_of(box).code == "proof-failed"


def test_an_engine_that_hangs_in_the_proof_is_the_cause_too(box: Box) -> None:
    class Hanging(Stuck):
        def stream(
            self, url: str, *, token: Secret, body: object, timeout_s: float
        ) -> Iterator[str]:
            self.engine_ready = False
            return super().stream(url, token=token, body=body, timeout_s=timeout_s)

    box.http = Hanging(box.docker, container("engine", "hash-engine"))
    fault = fault_of(box)
    assert (fault.code, fault.hint) == ("engine-hung", "deployctl up --profile smoke")


def test_a_deadline_names_the_last_step_and_twice_the_time(box: Box) -> None:
    box.http.engine_ready = False
    box.docker.tails = {"id-engine": LOG}
    fault = fault_of(box)
    assert fault.code == "engine-not-ready"
    assert "last seen: HTTP 503: Loading model. Its last step: loading weights." in fault.message
    assert fault.hint == "deployctl up --profile smoke --set deadlines.engine=360s"
    assert fault.details[-1] == LOG[-1]


def test_what_is_warmed_up_is_measured_and_what_is_left_alone_is_not(box: Box) -> None:
    report = up(box.world(), SMOKE)
    assert report.changed
    again: UpReport = up(box.world(), SMOKE)
    assert again.warm_up is None
    assert not any("8000/v1/chat" in call for call in box.http.calls[-4:])


# ── an up that goes on from one that was interrupted ──────────────────────────────────────────


def test_an_engine_that_an_interrupted_up_left_loading_is_warmed_up_and_learnt_from(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt: list[str] = []
    monkeypatch.setattr(
        "deployctl.deploy.up.learn", lambda _world, stack, _plan: learnt.append(stack)
    )
    up(box.world(), SMOKE)
    assert up(box.world(), SMOKE).warm_up is None
    box.http = Warmed()
    box.http.frontend_ready = False
    box.docker.tails = {"id-engine": DONE}
    box.docker.states["engine"] = container("engine", "hash-engine", health="starting")
    report = up(box.world(), SMOKE)
    assert not report.changed
    assert any("8000/v1/chat" in call for call in box.http.calls)
    assert "weights 92 MiB" in {p.name: p.summary for p in report.phases}["engine ready"]
    assert learnt == ["deployctl", "deployctl"]


class Warmed(FakeHttp):
    """Its frontend is ready once somebody has warmed the engine up."""

    def call(
        self, url: str, *, token: Secret | None = None, body: object = None, timeout_s: float
    ) -> Reply:
        if url.endswith("/v1/chat/completions"):
            self.frontend_ready = True
        return super().call(url, token=token, body=body, timeout_s=timeout_s)


def test_a_frontend_that_is_there_is_asked_at_once(box: Box) -> None:
    """Its question would stand in line behind those that warm the engine up."""
    up(box.world(), SMOKE)
    assert not any("8000/v1/chat" in call for call in box.http.calls)
    assert any("7860/api/chat" in call for call in box.http.calls)


@pytest.mark.parametrize("made_anew", ["engine", "webui"])
def test_a_stack_that_took_the_password_is_not_asked_again(box: Box, made_anew: str) -> None:
    up(box.world(), SMOKE)
    box.http.calls.clear()
    del box.docker.states[made_anew]
    assert up(box.world(), SMOKE).changed
    assert not any(call.endswith("/signin") for call in box.http.calls)


@pytest.mark.parametrize("what", ["setting", "image", "override", "secrets", "no record"])
def test_a_frontend_that_may_be_another_must_take_the_password(box: Box, what: str) -> None:
    up(box.world(), SMOKE)
    box.http.calls.clear()
    space = Workspace(box.home, "deployctl")
    selection = Selection(profile="smoke")
    if what == "setting":
        selection = Selection(profile="smoke", sets=("concurrency=3",))
    elif what == "image":
        box.docker.image_suffix = "-of-another"
    elif what == "override":
        (space.folder / "compose.override.yaml").write_text("services: {webui: {cpus: 2}}\n")
    elif what == "secrets":
        os.utime(space.secrets_file)
    else:
        (space.folder / "proved.json").unlink()
    del box.docker.states["webui"]
    up(box.world(), UpRequest(stack="deployctl", selection=selection))
    assert any(call.endswith("/signin") for call in box.http.calls)


def test_a_deadline_beyond_dockers_patience_is_waited_for_again_as_it_is(box: Box) -> None:
    """With a longer one the container would be another, and what was loaded would be lost."""
    box.http.engine_ready = False
    for said, hint in (
        ("360s", "deployctl up --profile smoke --set deadlines.engine=720s"),
        ("720s", "deployctl up --profile smoke --set deadlines.engine=720s  # goes on waiting"),
    ):
        selection = Selection(profile="smoke", sets=(f"deadlines.engine={said}",))
        with pytest.raises(DeployctlError) as ended:
            up(box.world(), UpRequest(stack="deployctl", selection=selection))
        assert ended.value.faults[0].hint == hint


def test_what_the_engine_said_to_the_frontend_is_shown_without_secrets(box: Box) -> None:
    key = Workspace(box.home, "deployctl").make_secrets().engine_key.reveal()
    box.http = Erring(key)
    fault = fault_of(box)
    assert (fault.code, fault.details) == ("proof-failed", ("no such key: ***",))


class Erring(FakeHttp):
    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key

    def stream(self, url: str, *, token: Secret, body: object, timeout_s: float) -> Iterator[str]:
        yield json.dumps({"error": f"no such key: {self.key}"})


# ── aside, warm-up ────────────────────────────────────────────────────────────────────────────


def test_what_fails_aside_fails_where_it_is_asked_for() -> None:
    def fail() -> int:
        raise DeployctlError("no", code="proof-failed", hint="x")

    work = Aside(fail)
    assert work.done(10)
    with pytest.raises(DeployctlError, match="no"):
        work.result()
    assert Aside(lambda: 7).result() == 7


AT = Endpoints(
    stack="s",
    secrets_file="/s",
    webui="http://w",
    engine="http://e",
    served_name="m",
    engine_key=Secret("k"),
    admin_email="a",
    admin_password=Secret("p"),
    again="deployctl up --profile x --stack s",
)


class Answering(FakeHttp):
    def __init__(self, reply: Reply) -> None:
        super().__init__()
        self.reply = reply
        self.bodies: list[Any] = []

    def call(
        self, url: str, *, token: Secret | None = None, body: object = None, timeout_s: float
    ) -> Reply:
        self.bodies.append(body)
        return self.reply


def test_ctrl_c_meets_none_of_pythons_locks_that_it_breaks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that comes inside a Condition ends in "RuntimeError: release unlocked lock" at times."""
    monkeypatch.setattr("threading.Condition", None)
    work = Aside(lambda: 7)
    assert work.done(10)
    assert work.result() == 7


def test_the_warm_up_asks_for_everybody_twice_and_shortly() -> None:
    http = Answering(Reply(status=200, text='{"timings":{"predicted_per_second":144.4}}'))
    warm = warm_up(http, AT, clock=FakeClock(), concurrency=16, enough=lambda: False)
    assert warm is not None
    assert (warm.requests, warm.tokens_per_s) == (8, 144.4)
    assert {body["max_tokens"] for body in http.bodies} == {8}


def test_the_warm_up_ends_after_the_round_in_which_it_was_enough() -> None:
    http = Answering(Reply(status=200, text="{}"))
    warm = warm_up(http, AT, clock=FakeClock(), concurrency=2, enough=lambda: True)
    assert warm is not None
    assert (warm.requests, warm.tokens_per_s) == (2, None)


def test_an_engine_that_refuses_to_be_warmed_up_is_the_proofs_to_judge() -> None:
    http = Answering(Reply(status=500, text="{}"))
    assert warm_up(http, AT, clock=FakeClock(), concurrency=2, enough=lambda: False) is None
