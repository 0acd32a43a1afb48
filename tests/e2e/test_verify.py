"""``verify`` passes on the stack as it is made, and fails for exactly what an override breaks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree as ET

import pytest

from tests.e2e import machine
from tests.e2e.product import Outcome, Stack

#: What an operator writes to let a container out: a network of the ordinary kind, and hops.
OUT_BY_NETWORK = """\
services:
  webui: {networks: {default: {}, internet: {}}}
networks: {internet: {}}
"""

OUT_BY_HOPS = """\
services:
  engine: {sysctls: {"net.ipv4.ip_default_ttl": "64"}}
  webui: {sysctls: {"net.ipv4.ip_default_ttl": "64"}}
"""

SOFT = """\
services:
  engine:
    read_only: false
    ports: ["0.0.0.0:{port}:8080"]
"""

TOOLS = """\
services:
  webui:
    environment:
      DEFAULT_MODEL_PARAMS: '{"max_tokens":512}'
      DEFAULT_MODEL_METADATA: '{}'
"""

OPEN_DOORS = """\
services:
  engine: {environment: {LLAMA_API_KEY: "", LLAMA_ARG_THREADS: "1"}}
  webui: {environment: {ENABLE_SIGNUP: "true"}}
"""


def verify(stack: Stack, *words: str) -> Outcome:
    return stack.product.run("verify", "--stack", stack.name, "--quiet", *words)


def failed(outcome: Outcome) -> list[str]:
    assert outcome.exit_code == 6, str(outcome)
    checks = outcome.envelope["data"]["checks"]
    return [check["name"] for check in checks if check["status"] == "failed"]


@pytest.fixture(scope="module")
def seen(stack: Stack) -> tuple[Outcome, set[str], set[str]]:
    """All checks of the stack as it is made, and the chats that are there before and after."""
    before = chats(stack)
    outcome = verify(stack, "--output", "junit")
    return outcome, before, chats(stack)


def chats(stack: Stack) -> set[str]:
    """The ids of all chats, pinned ones and those in folders too."""
    url = f"{stack.webui}/api/v1/chats/?include_pinned=true&include_folders=true"
    return {row["id"] for row in machine.http("GET", url, token=stack.sign_in()).json()}


def test_all_checks_pass_on_the_stack_as_it_is_made(
    seen: tuple[Outcome, set[str], set[str]],
) -> None:
    outcome, _, _ = seen
    assert outcome.exit_code == 0, str(outcome)
    (suite,) = ET.fromstring(outcome.stdout)
    assert int(suite.attrib["tests"]) >= 18
    assert (suite.attrib["failures"], suite.attrib["errors"]) == ("0", "0")
    skipped = [
        case.get("name") for case in suite.iter("testcase") if case.find("skipped") is not None
    ]
    assert skipped == ["tool-call-forced", "tool-call-auto", "model-on-gpu"]


def test_the_history_of_chats_is_left_as_it_was(
    stack: Stack, seen: tuple[Outcome, set[str], set[str]]
) -> None:
    _, before, after = seen
    assert after == before
    made = machine.http(
        "POST", f"{stack.webui}/api/v1/chats/new", body={"chat": {}}, token=stack.sign_in()
    ).json()["id"]
    assert chats(stack) == before | {made}  # one that stayed would be seen
    machine.http("DELETE", f"{stack.webui}/api/v1/chats/{made}", token=stack.sign_in())


def test_what_was_seen_is_in_numbers(stack: Stack) -> None:
    outcome = verify(stack, "--only", "memory,concurrency,no-egress")
    assert outcome.exit_code == 0, str(outcome)
    assert re.search(r"engine \d+ MiB measured, \d+ MiB predicted, limit \d+ MiB", outcome.stdout)
    assert "2 at the same time (measured)" in outcome.stdout
    assert "8 stopped at the first hop" in " ".join(outcome.stdout.split())


@pytest.fixture
def own(changing: Stack) -> Iterator[Stack]:
    """A stack whose override a test writes; it is taken away afterwards."""
    yield changing
    changing.override.unlink(missing_ok=True)


def with_override(stack: Stack, text: str) -> None:
    if not stack.folder.is_dir():
        assert stack.up().exit_code == 0
    stack.override.write_text(text, encoding="utf-8")
    outcome = stack.up()
    assert outcome.exit_code == 0, str(outcome)


@pytest.mark.parametrize("override", [OUT_BY_NETWORK, OUT_BY_HOPS], ids=["network", "hops"])
def test_egress_opened_by_an_override_fails_exactly_that_check(own: Stack, override: str) -> None:
    with_override(own, override)
    outcome = verify(own, "--output", "json")
    assert failed(outcome) == ["no-egress"]
    (error,) = outcome.envelope["errors"]
    assert error["code"] == "check-failed"
    assert "compose.override.yaml" in error["hint"]


def test_a_root_that_can_be_written_and_a_port_for_all_fail_theirs(own: Stack) -> None:
    port = machine.free_port()
    with_override(own, SOFT.replace("{port}", str(port)))
    outcome = verify(own, "--output", "json", "--only", "hardening,published-loopback,chat")
    assert failed(outcome) == ["published-loopback", "hardening"]
    published, hardening = outcome.envelope["errors"]
    assert any("a file could be written in" in line for line in hardening["details"])
    assert any(f"0.0.0.0:{port}" in line for line in published["details"])
    tried = [line for line in published["details"] if "(tried)" in line]
    assert len(tried) >= 1 or not machine.own_addresses()


def test_tools_that_the_page_sends_fail_the_browsers_path(own: Stack) -> None:
    with_override(own, TOOLS)
    assert failed(verify(own, "--output", "json", "--only", "ui-answer,ui-browser-path")) == [
        "ui-browser-path"
    ]


def test_doors_left_open_fail_theirs(own: Stack) -> None:
    with_override(own, OPEN_DOORS)
    only = "key-required,key-wrong,sign-up-closed,processor-threads,chat"
    found = failed(verify(own, "--output", "json", "--only", only))
    assert found == ["key-required", "key-wrong", "sign-up-closed", "processor-threads"]
    signed_up = machine.http("GET", f"{own.webui}/api/v1/users/", token=own.sign_in()).json()
    users = signed_up["users"] if isinstance(signed_up, dict) else signed_up
    assert len(users) == 1  # looking did not make an account


def test_a_stack_that_was_stopped_is_exit_6_and_says_what_to_type(own: Stack) -> None:
    with_override(own, "services: {}\n")
    machine.docker("stop", "--time", "1", own.container("engine")["Id"])
    outcome = verify(own, "--output", "json")
    assert (outcome.exit_code, outcome.error["code"]) == (6, "stack-not-running")
    assert outcome.error["hint"].startswith("deployctl up ")
    assert own.up().exit_code == 0
