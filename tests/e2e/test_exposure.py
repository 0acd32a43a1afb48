"""Who reaches the stack from outside, tried by a neighbour of this machine.

The neighbour is a network namespace with an address and a cable to this machine. What it is refused
means something because of what it is given: the chat window, where a profile says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import machine, outside
from tests.e2e.attempts import ALL, NONE, REACH, attempt, beside, reached
from tests.e2e.outside import Outside
from tests.e2e.product import Stack

VISIT = (Path(__file__).parent / "visit.py").read_text(encoding="utf-8")

#: Where the services listen inside their containers.
PORT_INSIDE = 8080

#: What a browser says to begin the live connection that answers come by.
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


@pytest.fixture(scope="module")
def neighbour() -> Iterator[Outside]:
    with outside.opened() as found:
        yield found


@pytest.fixture(scope="module")
def far_away(neighbour: Outside) -> Iterator[Outside]:
    """A place behind the neighbour: one router further."""
    with outside.behind(neighbour) as found:
        yield found


@pytest.fixture(scope="module")
def shared(changing: Stack, neighbour: Outside) -> Stack:
    """A stack that is there for the neighbours."""
    address = ("--set", "exposure=lan", "--set", f"ports.address={neighbour.router}")
    outcome = changing.up(*address)
    assert outcome.exit_code == 0, str(outcome)
    return changing


def visit(place: Outside, *requests: dict[str, Any]) -> list[dict[str, Any]]:
    """Make requests from a place, one after the other."""
    found: list[dict[str, Any]] = json.loads(place.run(VISIT, json.dumps(requests)))
    return found


def window(stack: Stack, neighbour: Outside, path: str = "/") -> str:
    """The chat window's address as the neighbour knows it."""
    return f"http://{neighbour.router}:{stack.webui_port}{path}"


def published(stack: Stack, neighbour: Outside) -> list[dict[str, Any]]:
    """Requests for the stack's ports at this machine's address in the neighbour's network."""
    ports = {"/": stack.webui_port, "/v1/models": stack.engine_port}
    return [{"url": f"http://{neighbour.router}:{port}{path}"} for path, port in ports.items()]


def containers(stack: Stack, *services: str) -> list[dict[str, Any]]:
    """Requests for the containers themselves: the neighbour's way to them is this machine."""
    return [
        {"url": f"http://{network['IPAddress']}:{PORT_INSIDE}/health"}
        for service in services
        for network in stack.container(service)["NetworkSettings"]["Networks"].values()
    ]


def statuses(answers: list[dict[str, Any]]) -> list[int | None]:
    return [answer["status"] for answer in answers]


# ── a stack for this machine alone ────────────────────────────────────────────────────────────


def test_a_neighbour_reaches_no_port_of_a_stack_for_this_machine_alone(
    stack: Stack, neighbour: Outside
) -> None:
    assert statuses(visit(neighbour, *published(stack, neighbour))) == [None, None]


def test_a_neighbour_does_not_reach_the_containers_by_their_own_addresses(
    stack: Stack, neighbour: Outside
) -> None:
    asked = containers(stack, "webui", "engine")
    assert statuses(visit(neighbour, *asked)) == [None, None]


# ── a stack for the network ───────────────────────────────────────────────────────────────────


def test_a_neighbour_gets_the_page_of_the_chat_window(shared: Stack, neighbour: Outside) -> None:
    (page,) = visit(neighbour, {"url": window(shared, neighbour)})
    assert page["status"] == 200
    assert "<title>Open WebUI</title>" in page["text"]


def test_a_neighbour_signs_in_with_what_the_sheet_says(shared: Stack, neighbour: Outside) -> None:
    sheet = shared.credentials()
    assert sheet["in the network"].split()[0] == window(shared, neighbour, "")
    body = {"email": sheet["email"], "password": sheet["password"]}
    url = window(shared, neighbour, "/api/v1/auths/signin")
    right, wrong = visit(
        neighbour,
        {"method": "POST", "url": url, "body": body},
        {"method": "POST", "url": url, "body": {**body, "password": "wrong"}},
    )
    assert right["status"] == 200
    assert json.loads(right["text"])["role"] == "admin"
    assert wrong["status"] == 400


def test_a_neighbour_cannot_sign_up_and_sees_no_model_without_signing_in(
    shared: Stack, neighbour: Outside
) -> None:
    body = {"name": "Eve", "email": "eve@example.invalid", "password": "a-long-password"}
    signup = window(shared, neighbour, "/api/v1/auths/signup")
    up, models = visit(
        neighbour,
        {"method": "POST", "url": signup, "body": body},
        {"url": window(shared, neighbour, "/api/models")},
    )
    assert up["status"] == 403
    assert models["status"] in (401, 403)


def test_a_neighbour_reaches_nothing_of_the_engine(shared: Stack, neighbour: Outside) -> None:
    asked = [published(shared, neighbour)[1], *containers(shared, "engine")]
    assert statuses(visit(neighbour, *asked)) == [None] * len(asked)


def test_only_the_frontend_is_published_beyond_loopback(shared: Stack, neighbour: Outside) -> None:
    def addresses(service: str) -> list[str]:
        given = shared.container(service)["HostConfig"]["PortBindings"].values()
        return [binding["HostIp"] for bindings in given for binding in bindings]

    assert addresses("webui") == ["127.0.0.1", neighbour.router]
    assert addresses("engine") == ["127.0.0.1"]
    assert machine.http("GET", f"{shared.webui}/ready").status_code == 200


def test_pages_of_elsewhere_may_not_speak_for_who_is_signed_in(
    shared: Stack, neighbour: Outside
) -> None:
    own, other = window(shared, neighbour, ""), "http://elsewhere.invalid"
    live = window(shared, neighbour, "/ws/socket.io/?EIO=4&transport=websocket")
    config = window(shared, neighbour, "/api/config")
    answers = visit(
        neighbour,
        *({"url": live, "headers": {**UPGRADE, "Origin": origin}} for origin in (own, other)),
        *({"url": config, "headers": {"Origin": origin}} for origin in (own, other)),
    )
    assert [status == 101 for status in statuses(answers[:2])] == [True, False]
    allowed = [answer["headers"].get("access-control-allow-origin") for answer in answers[2:]]
    assert allowed == [own, None]


def test_who_is_behind_a_router_does_not_reach_the_chat_window(
    shared: Stack, neighbour: Outside, far_away: Outside
) -> None:
    asked = {"url": window(shared, neighbour)}
    assert statuses(visit(far_away, asked)) == [None]


# ── and what such a stack reaches itself ──────────────────────────────────────────────────────


def test_control_without_our_hop_limit_a_container_reaches_who_is_behind_the_router(
    shared: Stack, far_away: Outside
) -> None:
    """A container on a network of Docker's own making."""
    assert reached(beside(shared, "bridge", REACH, far_away.address)) == ALL


@pytest.mark.parametrize("service", ["engine", "webui"])
def test_a_shared_stack_reaches_nobody_behind_a_router(
    shared: Stack, far_away: Outside, service: str
) -> None:
    tried = attempt(shared, far_away, service)
    assert (tried.reached, tried.arrived) == (NONE, [])


def test_the_engine_of_a_shared_stack_does_not_reach_the_neighbour_either(
    shared: Stack, neighbour: Outside
) -> None:
    tried = attempt(shared, neighbour, "engine")
    assert (tried.reached, tried.arrived) == (NONE, [])


def test_a_shared_stack_has_only_the_network_without_a_way_out(shared: Stack) -> None:
    for service in ("engine", "webui"):
        networks = shared.container(service)["NetworkSettings"]["Networks"]
        assert list(networks) == [f"{shared.name}_default"]


def test_down_takes_along_what_an_earlier_profile_had(shared: Stack) -> None:
    """Last of all: it ends the stack."""
    former = f"{shared.name}_beyond"  # there already where test_egress ran before
    label = "com.docker.compose"
    labels = (f"{label}.project={shared.name}", f"{label}.network=beyond")
    given = [word for text in labels for word in ("--label", text)]
    machine.attempt("docker", "network", "create", *given, former)
    assert machine.inspect(former)["Containers"] == {}
    assert shared.down("--volumes").exit_code == 0
    assert shared.leftovers() == {"containers": [], "networks": [], "volumes": []}
