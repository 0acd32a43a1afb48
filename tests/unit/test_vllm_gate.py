"""The file that keeps vLLM's server shut to whoever has no key."""

from __future__ import annotations

import asyncio
import runpy
import shutil
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest

from deployctl.planner import build_plan
from deployctl.render import render
from deployctl.services.common import FILES_LABEL
from tests.profilefiles import shipped
from tests.yamltext import parsed

GATE = Path(__file__).parents[2] / "templates/vllm_gate.py"

KEY = "sk-of-the-stack"


async def app(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})


def asked(path: str, *headers: tuple[str, str], method: str = "GET", kind: str = "http") -> Any:
    """What is sent first to who asks this."""
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def receive() -> MutableMapping[str, Any]:
        return {}

    scope = {
        "type": kind,
        "path": path,
        "method": method,
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
    }
    gate = runpy.run_path(str(GATE))["Gate"](app)
    asyncio.run(gate(scope, receive, send))
    return sent[0]


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_API_KEY", KEY)


@pytest.mark.parametrize("path", ["/v1/models", "/invocations", "/metrics", "/tokenize", "/docs"])
def test_nothing_is_for_everybody(path: str) -> None:
    assert asked(path)["status"] == 401
    assert asked(path, ("Authorization", f"Bearer {KEY}x"))["status"] == 401
    assert asked(path, ("Authorization", KEY))["status"] == 401
    assert asked(path, ("Authorization", f"Basic {KEY}"))["status"] == 401
    assert asked(path, ("Authorization", f"Bearer {KEY}"))["status"] == 200
    assert asked(path, ("authorization", f"bearer {KEY}"))["status"] == 200


def test_the_healthcheck_needs_no_key_and_what_looks_like_it_does() -> None:
    assert asked("/health")["status"] == 200
    for path in ("/health/", "//health", "/health/../invocations", "/HEALTH"):
        assert asked(path)["status"] == 401


def test_a_browser_may_ask_what_it_may_ask_and_nobody_else_that_way() -> None:
    origin, wish = ("Origin", "https://x.example"), ("Access-Control-Request-Method", "POST")
    assert asked("/v1/models", origin, wish, method="OPTIONS")["status"] == 200
    assert asked("/metrics", method="OPTIONS")["status"] == 401
    assert asked("/metrics", origin, method="OPTIONS")["status"] == 401
    assert asked("/metrics", origin, wish)["status"] == 401
    assert asked("/health", method="POST")["status"] == 401


def test_the_first_of_two_keys_decides() -> None:
    wrong, right = ("Authorization", "Bearer x"), ("Authorization", f"Bearer {KEY}")
    assert asked("/metrics", wrong, right)["status"] == 401


def test_sockets_are_closed_and_the_start_of_the_server_passes() -> None:
    assert asked("/v1/realtime", kind="websocket") == {"type": "websocket.close", "code": 1008}
    assert asked("", kind="lifespan")["status"] == 200


def test_an_empty_key_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_API_KEY", "")
    with pytest.raises(RuntimeError, match="VLLM_API_KEY is empty"):  # and so does the server
        runpy.run_path(str(GATE))


def test_another_gate_is_another_container(tmp_path: Path) -> None:
    """Compose does not look into files that are mounted."""
    shutil.copytree(GATE.parent, tmp_path / "templates")
    plan = build_plan(shipped("smoke-vllm"))

    def label() -> str:
        services = parsed(render(plan, tmp_path / "templates").text("compose.yaml"))
        return str(services["services"]["engine"]["labels"][FILES_LABEL])

    before = label()
    assert label() == before
    (tmp_path / "templates" / GATE.name).write_text(GATE.read_text() + "\n# another one\n")
    assert label() != before
