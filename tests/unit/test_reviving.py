"""What a stack cannot mend itself: hung, paused, without its network, or changed by two at once."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deployctl.deploy.status import status
from deployctl.deploy.up import up
from deployctl.deploy.why import why
from deployctl.deploy.world import UpReport, UpRequest
from deployctl.diagnosis import Way
from deployctl.errors import DeployctlError
from deployctl.loopback import Reply
from deployctl.outcomes import Command, CommandResult
from deployctl.profiles.selection import Selection
from deployctl.secret import Secret
from tests.fakes import FakeHttp, FakeRunner, container, failed
from tests.world import Box

SMOKE = UpRequest(stack="s", selection=Selection(profile="smoke", sets=("deadlines.engine=5s",)))
RESTART, REMOVE, START = "restart what hangs", "remove what lost its network", "start the stack"


@pytest.fixture
def box(tmp_path: Path) -> Box:
    made = Box(home=tmp_path)
    bring_up(made)
    made.runner.commands.clear()
    return made


def bring_up(box: Box) -> UpReport:
    return up(box.world(), SMOKE)


class Hung(FakeHttp):
    """A part of the stack that answers nothing until it is restarted."""

    def __init__(self, runner: FakeRunner, part: str) -> None:
        super().__init__()
        self.runner, self.part = runner, part

    def call(
        self, url: str, *, token: Secret | None = None, body: object = None, timeout_s: float
    ) -> Reply:
        if self.part in url and RESTART not in self.runner.labels:
            return Reply(status=0, text="")
        return super().call(url, token=token, body=body, timeout_s=timeout_s)


@pytest.mark.parametrize(("part", "service"), [(":8000", "engine"), (":7860", "webui")])
def test_what_worked_and_answers_nothing_is_restarted_once(
    box: Box, part: str, service: str
) -> None:
    box.http = Hung(box.runner, part)
    assert bring_up(box).answer.text
    assert box.runner.labels == [RESTART]
    assert box.runner.commands[-1].argv[-1] == service
    assert any("has answered nothing for 10 s" in said for said in box.talk.said)


def test_an_engine_that_is_still_loading_is_left_alone(box: Box) -> None:
    state = box.docker.states["engine"]
    box.docker.states["engine"] = replace(state, health="starting")
    box.http = Hung(box.runner, ":8000")
    with pytest.raises(DeployctlError):
        bring_up(box)
    assert box.runner.labels == []


def test_an_answer_of_any_kind_is_no_silence(box: Box) -> None:
    box.http.engine_ready = False  # HTTP 503
    with pytest.raises(DeployctlError):
        bring_up(box)
    assert RESTART not in box.runner.labels


def test_the_paused_go_on(box: Box) -> None:
    box.docker.states["engine"] = container("engine", "hash-engine", status="paused")

    class Unpausing(FakeRunner):
        def run(
            self, command: Command, *, on_line: Callable[[str], None] | None = None
        ) -> CommandResult:
            if "unpause" in command.argv:
                self.docker.states["engine"] = container("engine", "hash-engine")
            return super().run(command, on_line=on_line)

    box.runner = Unpausing(box.docker)
    assert bring_up(box).changed
    assert box.runner.labels == ["unpause", START]


NET = {"Name": "s_default", "Id": "now"}


def joined(mode: str, **networks: str) -> Mapping[str, Any]:
    return {
        "HostConfig": {"NetworkMode": mode},
        "NetworkSettings": {
            "Networks": {name: {"NetworkID": known} for name, known in networks.items()}
        },
    }


@pytest.mark.parametrize(
    ("found", "lost"),
    [
        (joined("s_default", s_default="now"), False),
        (joined("s_default"), True),  # disconnected, or the network was removed under it
        (joined("s_default", s_default="before"), True),  # it is another network by now
        (joined("s_default", s_default=""), False),  # never started
        (joined("s_default", s_default="now", s_out="gone"), True),
        (joined("mine", mine="other"), False),  # the operator's own, by an override
        (joined("s_default", s_default="now", s_x="other"), False),  # whatever its name is
        (joined("mine", mine="gone"), True),
        (joined("host"), False),
        (joined("container:abc"), False),
        ({"Id": "x"}, False),
    ],
)
def test_a_container_without_its_network_is_made_anew(
    box: Box, found: Mapping[str, Any], lost: bool
) -> None:
    box.docker.nets, box.docker.other_nets = (NET,), ({"Name": "x", "Id": "other"},)
    box.docker.inspected = {"id-engine": found}
    assert bring_up(box).changed is lost
    assert box.runner.labels == ([REMOVE, START] if lost else [])
    if lost:
        assert box.runner.commands[0].argv[-1] == "engine"


BOTH = joined("s_beyond", s_beyond="out", s_default="now")
OUT = joined("s_beyond", s_beyond="out")
IN = joined("s_beyond", s_default="now")


@pytest.mark.parametrize(("found", "lost"), [(BOTH, False), (OUT, True), (IN, True)])
def test_a_container_taken_off_one_of_its_networks_is_made_anew(
    tmp_path: Path, found: Mapping[str, Any], lost: bool
) -> None:
    box, request = Box(home=tmp_path), with_sets(SMOKE, "egress=frontend")
    box.docker.nets = (NET, {"Name": "s_beyond", "Id": "out"})
    up(box.world(), request)
    box.runner.commands.clear()
    box.docker.inspected = {"id-webui": found}
    seen = status(box.world("status"), "s", datetime(2026, 11, 22, tzinfo=UTC)).checks
    assert ("stack-not-running" in {check.code for check in seen}) is lost
    assert up(box.world(), request).changed is lost
    assert box.runner.labels == ([REMOVE, START] if lost else [])


def test_which_networks_are_meant_is_not_known_beside_an_override_that_speaks_of_them(
    tmp_path: Path,
) -> None:
    box, request = Box(home=tmp_path), with_sets(SMOKE, "egress=frontend")
    box.docker.nets = (NET, {"Name": "s_beyond", "Id": "out"})
    override = tmp_path / "stacks" / "s" / "compose.override.yaml"
    override.parent.mkdir(parents=True)
    override.write_text("services: {webui: {networks: !override [beyond]}}\n")
    up(box.world(), request)
    box.docker.inspected = {"id-webui": OUT}
    assert not up(box.world(), request).changed


def with_sets(request: UpRequest, *sets: str) -> UpRequest:
    return replace(request, selection=replace(request.selection, sets=sets))


class Racing(FakeRunner):
    """Somebody else's `docker compose` is still at it, for the first few tries."""

    left = 0
    said = ""

    def run(
        self, command: Command, *, on_line: Callable[[str], None] | None = None
    ) -> CommandResult:
        if command.label == START and self.left:
            self.left -= 1
            self.commands.append(command)
            return failed(command, self.said)
        return super().run(command, on_line=on_line)


RACE = (
    'Error response from daemon: Conflict. The container name "/s-engine-1" is already in use by '
    'container "abc".'
)


@pytest.mark.parametrize(
    ("said", "left", "starts"),
    [(RACE, 2, 3), ("Error response from daemon: no such device", 9, 1), (RACE, 99, 5)],
)
def test_a_start_beside_somebody_elses_is_tried_again(
    tmp_path: Path, said: str, left: int, starts: int
) -> None:
    box = Box(home=tmp_path)
    box.runner = Racing(box.docker)
    box.runner.left, box.runner.said = left, said
    if left == 2:
        bring_up(box)
    else:
        with pytest.raises(DeployctlError):
            bring_up(box)
    assert box.runner.labels.count(START) == starts


def test_what_the_kernel_killed_since_the_start_is_evidence(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = Way(stack="s", selection=SMOKE.selection, again=SMOKE.again_with)
    seen: list[int] = []
    monkeypatch.setattr(
        "deployctl.diagnosis.diagnose.diagnose",
        lambda evidence, way: seen.append(evidence.oom_kills),
    )
    box.facts.facts = replace(box.facts.facts, oom_kills=7)
    for before in (None, 7, 5, 9):
        world = replace(box.world(), oom_kills=before)
        why(world, way, "engine", engine="llama.cpp", state=None)
    assert seen == [0, 0, 2, 0]
