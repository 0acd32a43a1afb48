"""Waiting for a stack: what ends it at once, what is said meanwhile, what is only passed over."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployctl.deploy.aside import Aside
from deployctl.deploy.up import up
from deployctl.deploy.vigil import Vigil
from deployctl.deploy.warm import warm_up
from deployctl.deploy.world import UpReport, UpRequest
from deployctl.diagnosis import Way
from deployctl.errors import DeployctlError, Fault
from deployctl.loopback import Reply
from deployctl.model import ContainerState, Plan, Secret
from deployctl.planner import build_plan
from deployctl.profiles.resolve import resolve
from deployctl.profiles.selection import Selection
from deployctl.readiness import Endpoints
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


# ── the vigil ─────────────────────────────────────────────────────────────────────────────────


class Phase:
    def __init__(self) -> None:
        self.steps: list[tuple[str, int | None]] = []

    def __call__(self, text: str, *, done: int | None = None, total: int | None = None) -> None:
        pass

    def step(self, name: str, *, done: int | None = None, **_more: object) -> None:
        self.steps.append((name, done))

    def finish(self, summary: str) -> None:
        pass


def vigil_of(box: Box, before: Mapping[str, int] | None = None) -> Vigil:
    box.docker.states.setdefault("engine", container("engine"))
    box.docker.states.setdefault("webui", container("webui"))
    way = Way(stack="deployctl", selection=SMOKE.selection, again=SMOKE.again_with)
    return Vigil(box.world(), way, plan_of(box), before or {}, listen=True)


def watch(box: Box, vigil: Vigil, seconds: float, service: str = "engine") -> Phase:
    phase = Phase()
    until = box.clock.now() + seconds
    while box.clock.now() < until:
        vigil.turn(service, phase)
        box.clock.sleep(0.5)
    return phase


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "exited", "exit_code": 1},
        {"status": "restarting", "exit_code": 1},
        {"restarts": 1},
        {"oom_killed": True},
        {"health": "unhealthy"},
        {"status": "dead"},
    ],
)
@pytest.mark.parametrize("service", ["engine", "webui"])
def test_a_container_that_will_not_work_is_known_at_once(
    box: Box, service: str, changes: dict[str, Any]
) -> None:
    vigil = vigil_of(box)
    box.docker.states[service] = replace(container(service), **changes)
    with pytest.raises(DeployctlError) as ended:
        watch(box, vigil, 60)
    assert ended.value.faults[0].where == service
    assert box.clock.now() < 3  # 0.5 s until it is known; a loop is looked at for 2 s at most


def test_restarts_of_before_are_history(box: Box) -> None:
    box.docker.states["engine"] = container("engine", restarts=3)
    watch(box, vigil_of(box, {"id-engine": 3}), 5)


@pytest.mark.parametrize("replaced", [False, True])
def test_a_container_that_was_taken_away_is_said(box: Box, replaced: bool) -> None:
    vigil = vigil_of(box)
    if replaced:
        box.docker.states["webui"] = container("webui", id="another")
    else:
        del box.docker.states["webui"]
    with pytest.raises(DeployctlError) as ended:
        watch(box, vigil, 60)
    (fault,) = ended.value.faults
    what = "replaced by another one" if replaced else "removed"
    assert fault.message == f"The frontend's container was {what} while it was waited for."
    assert (fault.code, fault.hint) == ("stack-not-running", "deployctl up --profile smoke")
    assert box.clock.now() < 2


def test_silence_is_said_once_and_then_ever_more_seldom(box: Box) -> None:
    box.docker.tails = {"id-engine": LOG[:1]}
    watch(box, vigil_of(box), 100)
    said = [text.split(" in the step")[0] for text in box.talk.warned]
    assert said == [
        "The engine has been silent for 10 s",
        "The engine has been silent for 20 s",
        "The engine has been silent for 40 s",
        "The engine has been silent for 80 s",
    ]
    assert box.talk.warned[0] == (
        "The engine has been silent for 10 s in the step `starting`; up to 10 s are usual there "
        "(predicted).\nIts last line: 0.00.002.627 I srv  llama_server: initializing ..."
    )


def test_a_new_line_ends_a_silence(box: Box) -> None:
    vigil = vigil_of(box)
    watch(box, vigil, 9)
    box.docker.tails = {"id-engine": LOG[:1]}
    watch(box, vigil, 9)
    assert box.talk.warned == []


def test_weights_that_grow_in_memory_are_a_share_and_no_silence(box: Box) -> None:
    box.docker.tails = {"id-engine": LOG}
    vigil = vigil_of(box)
    steps = []
    for used in range(10, 110, 10):
        box.docker.used = {"id-engine": used * 1024**2}
        steps += watch(box, vigil, 5).steps
    shares = [done for name, done in steps if name == "loading weights" and done is not None]
    assert shares == sorted(shares)
    assert shares[-1] == round(92.1 * 1024**2)
    assert box.talk.warned == []


def test_a_daemon_may_be_away_for_a_moment(box: Box) -> None:
    vigil = vigil_of(box)
    box.docker.down = True
    watch(box, vigil, 10)
    box.docker.down = False
    box.docker.states["engine"] = container("engine", status="exited")  # it comes back with Docker
    watch(box, vigil, 3)
    box.docker.states["engine"] = container("engine")
    watch(box, vigil, 10)
    assert box.talk.warned[0] == "Docker does not answer any more; waiting up to 15 s for it."
    assert box.talk.said == ["Docker answers again."]


def test_a_daemon_that_stays_away_ends_it(box: Box) -> None:
    vigil = vigil_of(box)
    box.docker.down = True
    with pytest.raises(DeployctlError) as ended:
        watch(box, vigil, 60)
    assert ended.value.faults[0].code == "docker-unreachable"
    assert 15 <= box.clock.now() < 17


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
