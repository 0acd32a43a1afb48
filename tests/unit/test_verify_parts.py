"""The parts of ``verify`` that stand alone: JUnit, what was wanted, the look for a way out."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployctl.catalog import Catalog
from deployctl.commands import beside, inside
from deployctl.junit import junit
from deployctl.loopback import Reply, RequestsHttp
from deployctl.model import Plan
from deployctl.outcomes import CheckResult
from deployctl.planner import build_plan
from deployctl.profiles.resolve import resolve
from deployctl.profiles.selection import Selection
from deployctl.render import render
from deployctl.secret import Secret
from deployctl.verify import wayout
from deployctl.verify.ask import dig, told
from deployctl.verify.registry import CHECKS
from deployctl.verify.tools import fault_of
from deployctl.verify.wanted import Wanted, leads_out, wanted_of

ROOT = Path(__file__).parents[2]

# ── JUnit ─────────────────────────────────────────────────────────────────────────────────────

RESULTS = (
    CheckResult(name="chat", status="ok", summary="“Hello”", seconds=0.25),
    CheckResult(name="memory", status="warning", summary="much", hint="deployctl plan"),
    CheckResult(name="tool", status="skipped", summary="no place for tools"),
    CheckResult(
        name="no-egress",
        status="failed",
        summary='out & "away" <here>',
        hint="deployctl up",
        code="check-failed",
        where="engine",
        details=("engine: \x1b[31mTCP\x00 out",),
        seconds=1.5,
    ),
)


def test_junit_has_a_case_for_each_check_and_counts_them() -> None:
    text = junit(RESULTS, suite="deployctl verify", properties={"stack": "s"}, seconds=2.0)
    whole = ET.fromstring(text)
    (suite,) = whole
    # Jenkins' schema (junit-10.xsd of its xUnit plugin) has `skipped` for each suite alone.
    assert set(whole.attrib) == {"name", "tests", "failures", "errors", "time"}
    assert suite.attrib == {
        "name": "deployctl verify",
        "tests": "4",
        "failures": "1",
        "errors": "0",
        "skipped": "1",
        "time": "2.000",
    }
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases] == ["chat", "memory", "tool", "no-egress"]
    assert [[part.tag for part in case] for case in cases] == [
        ["system-out"],
        ["system-out"],
        ["skipped"],
        ["failure"],
    ]
    failure = cases[3].find("failure")
    assert failure is not None
    assert failure.attrib == {"message": 'out & "away" <here>', "type": "check-failed"}
    assert failure.text == (
        'out & "away" <here>\nwhere: engine\nengine: \\x1b[31mTCP\\x00 out\nnext: deployctl up'
    )
    assert cases[0].get("time") == "0.250"
    (stack,) = suite.findall("properties/property")
    assert stack.attrib == {"name": "stack", "value": "s"}


@given(st.text(), st.text(), st.sampled_from(["ok", "failed", "skipped", "warning"]))
def test_junit_is_xml_whatever_is_written_in_it(one: str, other: str, status: str) -> None:
    check = CheckResult(
        name=one or "x",
        status=status,  # type: ignore[arg-type]
        summary=other,
        details=(one, other),
        where=other,
    )
    text = junit((check,), suite=one, properties={one: other}, seconds=0.1)
    (suite,) = ET.fromstring(text)
    assert len(suite.findall("testcase")) == 1
    assert text.isascii()


# ── what was wanted ───────────────────────────────────────────────────────────────────────────


def planned(profile: str, *sets: str) -> tuple[Plan, Wanted]:
    catalog = Catalog({"HOME": "/nonexistent"})
    plan = build_plan(resolve(Selection(profile=profile, sets=sets), catalog.readers()))
    text = render(plan, catalog.templates_dir).text("compose.yaml")
    return plan, wanted_of(text, {"DEPLOYCTL_THREADS": "6"})


@pytest.mark.parametrize("profile", Catalog({"HOME": "/nonexistent"}).shipped_names())
def test_every_shipped_stack_is_read_back_as_it_was_planned(profile: str) -> None:
    plan, wanted = planned(profile)
    assert (wanted.engine, wanted.context) == (plan.engine, plan.context)
    assert (wanted.concurrency, wanted.max_tokens) == (plan.concurrency, plan.max_tokens)
    for service in plan.services:
        read = wanted.service(service.name)
        assert read is not None
        assert (read.egress, read.memory_bytes) == (service.egress, service.memory_bytes)
        assert read.hops == service.hops
        assert read.published == tuple((p.address, p.host_port) for p in service.ports)
    device = "cuda" if plan.service("engine").gpu else "cpu"
    assert wanted.device == ("vulkan" if plan.service("engine").devices else device)


def test_what_the_profile_opens_is_read_back() -> None:
    _, wanted = planned("smoke", "exposure=lan", "ports.address=192.168.1.20", "egress=frontend")
    webui, engine = wanted.service("webui"), wanted.service("engine")
    assert webui is not None
    assert engine is not None
    assert webui.published == (("127.0.0.1", 7860), ("192.168.1.20", 7860))
    assert (webui.egress, engine.egress, engine.hops) == (True, False, 1)


def test_threads_are_the_machines_unless_the_profile_says() -> None:
    assert planned("smoke")[1].threads == 6
    assert planned("smoke", "engine.cpus=3")[1].threads == 3


@pytest.mark.parametrize(
    "text", ["", "[]", "services: {}", "services: {engine: 1}", "\x00", "a: ["]
)
def test_what_is_no_file_of_ours_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a stack's file"):
        wanted_of(text, {})


def test_a_network_leads_out_unless_it_says_that_it_does_not() -> None:
    masquerade = "com.docker.network.bridge.enable_ip_masquerade"
    assert leads_out({"Options": {}})
    assert leads_out({"Options": None})
    assert leads_out({"Options": {masquerade: "true"}})
    assert not leads_out({"Options": {masquerade: "false"}})
    assert not leads_out({"Internal": True})


# ── small readers ─────────────────────────────────────────────────────────────────────────────


def test_digging_into_what_is_not_there_finds_nothing() -> None:
    assert dig({"a": [{"b": 1}]}, "a", 0, "b") == 1
    for path in (("x",), ("a", 1, "b"), ("a", "b"), ("a", 0, "b", "c")):
        assert dig({"a": [{"b": 1}]}, *path) is None


@given(st.sampled_from(["red", "green", "blue"]), st.integers())
def test_every_instance_of_the_schema_is_taken(colour: str, count: int) -> None:
    assert fault_of(json.dumps({"colour": colour, "count": count})) is None


@given(st.text())
def test_other_text_is_not(text: str) -> None:
    assert fault_of(text) is not None


def test_the_commands_say_what_they_may() -> None:
    assert inside("c1", "id", label="x").argv == ("docker", "exec", "c1", "sh", "-c", "id")
    command = beside("c1", "sha256:i", "print()", label="x")
    assert command.stdin == "print()"
    assert command.argv[:4] == ("docker", "run", "--rm", "--interactive")
    assert command.argv[-2:] == ("sha256:i", "-")
    for pair in (("--network", "container:c1"), ("--cap-drop", "ALL"), ("--pull", "never")):
        assert command.argv[command.argv.index(pair[0]) + 1] == pair[1]


# ── the look for a way out ────────────────────────────────────────────────────────────────────


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


@pytest.fixture
def open_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            peer, _ = server.accept()
            peer.sendall(b"x")
            peer.close()

        thread = threading.Thread(target=answer)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def test_a_try_that_is_answered_or_refused_is_told_apart(open_port: int, closed_port: int) -> None:
    assert wayout.attempt(socket.SOCK_STREAM, "127.0.0.1", open_port, "10.0.0.1") == "answered"
    assert wayout.attempt(socket.SOCK_STREAM, "127.0.0.1", closed_port, "10.0.0.1") == "refused"


@pytest.mark.parametrize(
    ("ends", "verdict", "left"),
    [
        (["stopped", "answered"], "stopped", 1),
        (["silent", "silent", "stopped", "x"], "stopped", 1),
        (["silent", "silent"], "silent", 0),
        (["refused", "stopped", "x"], "stopped", 1),  # by this machine, as the second note says
        (["refused", "silent", "refused", "x"], "refused", 1),
        (["refused", "silent", "silent"], "refused", 0),  # at least somebody said no
        (["refused", "answered"], "answered", 0),
    ],
)
def test_what_tells_nothing_is_tried_again(ends: list[str], verdict: str, left: int) -> None:
    tries = iter(ends)
    assert wayout.judged(tries) == verdict
    assert len(list(tries)) == left


@pytest.mark.parametrize(
    ("said", "problem", "ends"),
    [
        ((11, "10.0.0.1"), OSError(113, "no route"), "stopped"),
        ((3, "10.0.0.1"), OSError(113, "no route"), "unknown-here"),
        ((11, "10.0.9.9"), OSError(113, "no route"), "far"),
        (None, ConnectionRefusedError(), "refused"),
        (None, TimeoutError(), "silent"),
        (None, OSError(101, "unreachable"), "no-route"),
    ],
)
def test_who_said_no_decides(said: tuple[int, str] | None, problem: OSError, ends: str) -> None:
    class Line:
        """A socket whose last refusal is known."""

        def recvmsg(self, *_: int) -> object:
            if said is None:
                raise BlockingIOError
            kind, address = said
            data = bytes((113, 0, 0, 0, 2, kind, 0, 0)) + bytes(8)
            data += b"\x02\x00\x00\x00" + socket.inet_aton(address) + bytes(8)
            return b"", [(socket.IPPROTO_IP, 11, data)], 0, None

    assert wayout.ended(Line(), problem, "10.0.0.1") == ends  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (
            "HTTPConnectionPool(host='127.0.0.1', port=8888): Max retries exceeded with url: /api "
            "(Caused by NewConnectionError('<x>: Failed to establish a new connection: [Errno 111] "
            "Connection refused'))",
            "no answer (Connection refused)",
        ),
        ("HTTPConnectionPool(host='h'): Read timed out. (timeout=10)", "no answer (not in time)"),
        ("Remote end closed connection", "no answer (Remote end closed connection)"),
    ],
)
def test_no_answer_is_told_in_the_system_s_words(problem: str, words: str) -> None:
    assert told(Reply(status=0, text=problem)) == words


def test_connecting_and_deleting_over_the_real_client(open_port: int, closed_port: int) -> None:
    http = RequestsHttp()
    assert http.listens("127.0.0.1", open_port, timeout_s=5)
    assert not http.listens("127.0.0.1", closed_port, timeout_s=5)
    url = f"http://127.0.0.1:{closed_port}/x"
    assert http.request("DELETE", url, token=Secret("t"), timeout_s=5).status == 0


# ── documentation ─────────────────────────────────────────────────────────────────────────────


def test_the_table_of_checks_is_the_registry() -> None:
    text = (ROOT / "docs/verify.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert rows == [f"| `{check.name}` | {check.promise} |" for check in CHECKS]
