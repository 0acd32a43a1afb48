"""What stays when the stack comes again: everything that should."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e import machine
from tests.e2e.browser import Conversation
from tests.e2e.product import Stack
from tests.e2e.test_access import sign_up


def test_up_again_changes_nothing_and_still_ends_with_a_fresh_answer(stack: Stack) -> None:
    before = stack.identity()
    asked_before = stack.engine_counter(stack.kind.answer_tokens)
    outcome = stack.up()
    assert outcome.data["changed"] is False
    assert stack.identity() == before
    assert outcome.data["answer"]["text"].strip()
    assert stack.engine_counter(stack.kind.answer_tokens) > asked_before


def test_down_leaves_nothing_but_the_data_volume(stack: Stack) -> None:
    report = stack.down().data
    volume = f"{stack.name}_webui-data"
    assert stack.leftovers() == {"containers": [], "networks": [], "volumes": [volume]}
    assert report["kept_volumes"] == [volume]
    for port in (stack.webui_port, stack.engine_port):
        assert not machine.listens("127.0.0.1", port)


def test_status_of_a_stack_that_is_down_is_exit_6_and_says_how_to_bring_it_up(stack: Stack) -> None:
    stack.down()
    outcome = stack.status()
    assert (outcome.exit_code, outcome.envelope["status"]) == (6, "failed")
    hints = {check["hint"] for check in outcome.envelope["data"]["checks"]}
    ports = f"--set ports.webui={stack.webui_port} --set ports.engine={stack.engine_port}"
    assert hints == {f"deployctl up --profile {stack.profile} {ports} --stack {stack.name}"}


def test_down_of_a_stack_that_is_down_is_exit_0(stack: Stack) -> None:
    stack.down()
    assert stack.down().data["removed"] == []


def test_after_down_and_up_the_chat_of_the_browser_is_still_there_for_the_same_credentials(
    conversation: Conversation, stack: Stack
) -> None:
    sheet = (stack.folder / "credentials").read_bytes()
    stack.down()
    assert stack.up().data["changed"] is True
    assert (stack.folder / "credentials").read_bytes() == sheet
    token = stack.sign_in()
    listed = machine.http("GET", f"{stack.webui}/api/v1/chats/", token=token).json()
    kept = [
        machine.http("GET", f"{stack.webui}/api/v1/chats/{chat['id']}", token=token).text
        for chat in listed
    ]
    assert any(conversation.question in text for text in kept)


def test_a_session_of_before_is_still_signed_in_after_down_and_up(
    conversation: Conversation, stack: Stack
) -> None:
    stack.up()
    assert stack.container("webui")["State"]["StartedAt"] > conversation.frontend_started_at
    answer = machine.http("GET", f"{stack.webui}/api/v1/auths/", token=conversation.token)
    assert answer.status_code == 200


def test_sign_up_stays_closed_when_the_frontend_starts_again(stack: Stack) -> None:
    stack.up()
    assert sign_up(stack) == 403
    machine.docker("restart", stack.container("webui")["Id"])
    machine.eventually(stack.frontend_ready, within_s=180, what="the frontend after its restart")
    assert sign_up(stack) == 403


@pytest.fixture
def engine_killed(stack: Stack) -> Stack:
    stack.up()
    machine.docker("kill", stack.container("engine")["Id"])
    return stack


def test_status_with_a_dead_engine_is_degraded_and_names_it(engine_killed: Stack) -> None:
    outcome = engine_killed.status()
    assert (outcome.exit_code, outcome.envelope["status"]) == (6, "degraded")
    checks = {check["name"]: check for check in outcome.envelope["data"]["checks"]}
    assert checks["container engine"]["status"] == "failed"
    assert checks["container engine"]["code"] == "engine-killed"
    assert checks["container engine"]["hint"].startswith("deployctl up --profile smoke")
    assert checks["frontend answers"]["status"] == "ok"


def test_up_brings_a_dead_engine_back_and_leaves_the_frontend_alone(engine_killed: Stack) -> None:
    before = engine_killed.identity()["webui"]
    outcome = engine_killed.up()
    assert outcome.data["changed"] is True
    assert outcome.data["answer"]["text"].strip()
    assert engine_killed.identity()["webui"] == before


OVERRIDE = "services: {engine: {labels: {example.invalid/owner: me}}}\n"


@pytest.fixture
def planning(stack: Stack) -> Iterator[Stack]:
    """The stack, up, and its override gone afterwards."""
    assert stack.up().exit_code == 0
    yield stack
    stack.override.unlink(missing_ok=True)


def planned(stack: Stack) -> dict[str, str]:
    """What `plan` says of each service, with a Docker that nobody answers for."""
    _, _, profile, *_ = stack.up_words
    asked = ("plan", "--profile", profile, "--stack", stack.name, "--output", "json")
    ports = (f"ports.webui={stack.webui_port}", f"ports.engine={stack.engine_port}")
    sets = [word for port in ports for word in ("--set", port)]
    env = {"DOCKER_HOST": "unix:///nowhere.sock"}
    found = stack.product.run(*asked, *sets, env=env).data["changes"]
    return {change["service"]: change["action"] for change in found}


def test_the_plan_knows_without_docker_what_up_and_down_did(planning: Stack) -> None:
    before = planning.identity()
    assert planned(planning) == {"engine": "keep", "webui": "keep"}
    planning.override.write_text(OVERRIDE, encoding="utf-8")
    said = planned(planning)
    assert said == {"engine": "recreate", "webui": "keep"}
    planning.up()
    after = planning.identity()
    assert {name for name in before if after[name] != before[name]} == {"engine"}
    assert planned(planning) == {"engine": "keep", "webui": "keep"}
    planning.down()
    assert planned(planning) == {"engine": "create", "webui": "create"}
