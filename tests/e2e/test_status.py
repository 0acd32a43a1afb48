"""Whoever looks is told how it is, what was changed behind deployctl's back, and the way back."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from deployctl.services.settings import SETTINGS
from tests.e2e import machine
from tests.e2e.product import Outcome, Stack

MODEL = "smollm2-135m"


class Panel:
    """The admin panel: what its pages send, with the administrator's session."""

    def __init__(self, stack: Stack) -> None:
        self._stack, self._token = stack, stack.sign_in()

    def get(self, path: str) -> Any:
        answer = machine.http("GET", f"{self._stack.webui}{path}", token=self._token)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: object) -> Any:
        url = f"{self._stack.webui}{path}"
        answer = machine.http("POST", url, token=self._token, body=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def change(self, read: str, write: str, **values: object) -> None:
        """Open a page, change some of its fields, save it."""
        self.post(write, {**self.get(read), **values})


@pytest.fixture
def up(stack: Stack) -> Stack:
    """The stack, up and as its profile asks."""
    assert stack.up().exit_code == 0
    return stack


@pytest.fixture
def panel(up: Stack) -> Iterator[Panel]:
    yield Panel(up)
    up.product.run("reconcile", "webui", "--overrides", "--stack", up.name)


def drift(stack: Stack) -> dict[str, dict[str, str]]:
    """What `status` says is not as asked, by name."""
    return {one["name"]: one for one in stack.status().envelope["data"]["drift"]}


def reconcile(stack: Stack, *more: str) -> Outcome:
    words = ("reconcile", "webui", "--stack", stack.name, "--output", "json")
    return stack.product.run(*words, *more)


def failed(outcome: Outcome) -> dict[str, dict[str, Any]]:
    assert outcome.exit_code == 6, str(outcome)
    checks = outcome.envelope["data"]["checks"]
    return {check["name"]: check for check in checks if check["status"] == "failed"}


def answers(stack: Stack) -> bool:
    token = stack.credentials()["API key"]
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}
    try:
        answer = machine.http("POST", f"{stack.engine}/v1/chat/completions", token=token, body=body)
    except OSError:
        return False
    return answer.status_code == 200


def test_a_well_stack_shows_its_figures_and_no_drift(up: Stack) -> None:
    data = up.status().data
    assert data["drift"] == []
    services = {service["service"]: service for service in data["services"]}
    for service in services.values():
        assert 0 < service["memory_bytes"] < service["memory_limit_bytes"]
        assert service["uptime_s"] > 0
        assert service["cpus"] >= 0
        assert service["image_moved"] is False
    engine = data["engine"]
    assert (engine["kind"], engine["context"], engine["conversations"]) == ("llama.cpp", 2048, 2)
    assert engine["tokens_per_s"] > 0
    assert (engine["running"], engine["waiting"], engine["kv_share"]) == (0, 0, None)


def test_the_running_frontend_has_every_setting_as_its_environment_asks(
    panel: Panel, up: Stack
) -> None:
    held = panel.get("/api/v1/configs/export")
    given = dict(word.split("=", 1) for word in up.container("webui")["Config"]["Env"])
    ours = [setting for setting in SETTINGS if setting.variable in given]
    assert len(ours) > 10
    assert {s.key: held[s.key] for s in ours} == {s.key: s.read(given[s.variable]) for s in ours}


def test_what_the_admin_panel_changed_is_shown_and_reconcile_brings_it_back(
    panel: Panel, up: Stack
) -> None:
    chats = panel.get("/api/v1/chats/")
    before = panel.get("/api/v1/configs/export")
    panel.change(
        "/openai/config",
        "/openai/config/update",
        OPENAI_API_BASE_URLS=["http://planted.invalid/v1"],
        OPENAI_API_KEYS=["sk-planted"],
    )
    tasks = "/api/v1/tasks/config"
    panel.change(tasks, f"{tasks}/update", ENABLE_TITLE_GENERATION=True)
    models = "/api/v1/configs/models"
    panel.change(models, models, DEFAULT_MODEL_PARAMS={"temperature": 1.9})
    general = "/api/v1/auths/admin/config"
    panel.change(general, general, ENABLE_SIGNUP=True, DEFAULT_USER_ROLE="user")
    changed = {
        "openai.api_base_urls",
        "openai.api_keys",
        "task.title.enable",
        "models.default_params",
        "ui.enable_signup",
        "ui.default_user_role",
    }
    found = drift(up)
    assert set(found) == changed
    assert up.status().exit_code == 6, "with these connections no model is offered"
    hints = {one["hint"] for one in found.values()}
    assert hints == {f"deployctl reconcile webui --stack {up.name}"}
    assert "sk-planted" not in up.status().stdout

    would = reconcile(up, "--dry-run").data["set_back"]
    assert {one["name"] for one in would} == changed
    assert set(drift(up)) == changed, "a dry run changes nothing"

    outcome = reconcile(up)
    assert outcome.data["set_back"] == would
    assert "sk-planted" not in outcome.stdout
    assert drift(up) == {}
    assert panel.get("/api/v1/configs/export") == before
    assert panel.get("/api/v1/chats/") == chats
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}
    assert panel.post("/api/chat/completions", body)["choices"], "the old connection works again"


def test_what_was_set_for_the_model_itself_is_left_unless_asked(panel: Panel, up: Stack) -> None:
    row = {"id": MODEL, "base_model_id": None, "name": MODEL, "is_active": True}
    panel.post(
        "/api/v1/models/create",
        {**row, "meta": {"hidden": True}, "params": {"system": "You are a pirate."}},
    )
    found = drift(up)[MODEL]
    assert "hidden, a system prompt of 17 characters" in found["what"]
    assert [one["name"] for one in reconcile(up).data["left"]] == [MODEL]
    assert set(drift(up)) == {MODEL}
    reconcile(up, "--overrides")
    assert drift(up) == {}
    assert panel.get("/api/v1/models/base") == []


def test_files_changed_by_hand_and_an_image_s_name_that_moved_are_shown(up: Stack) -> None:
    file = up.folder / "compose.yaml"
    image = up.container("webui")["Config"]["Image"]
    other = up.container("engine")["Config"]["Image"]
    real = machine.docker("image", "inspect", "--format", "{{.Id}}", image).strip()
    text = file.read_text(encoding="utf-8")
    try:
        file.write_text(f"{text}# mine\n", encoding="utf-8")
        machine.docker("tag", other, image)
        assert set(drift(up)) == {"compose.yaml", "webui"}
    finally:
        machine.docker("tag", real, image)
        file.write_text(text, encoding="utf-8")
    assert drift(up) == {}


def test_a_killed_engine_is_named_and_the_hint_brings_it_back(up: Stack) -> None:
    machine.docker("kill", up.container("engine")["Id"])
    (check,) = failed(up.status()).values()
    assert (check["name"], check["code"]) == ("container engine", "engine-killed")
    program, *words = shlex.split(check["hint"])
    assert program == "deployctl"
    assert up.product.run(*words).exit_code == 0
    assert up.status().exit_code == 0


def hang(stack: Stack) -> None:
    """Stop every process of the engine but its first, which nobody can stop."""
    machine.docker("exec", stack.container("engine")["Id"], "sh", "-c", "kill -STOP -1")


def test_a_hung_engine_is_named_and_a_watcher_heals_it(up: Stack) -> None:
    hang(up)
    (check,) = failed(up.status()).values()
    assert (check["name"], check["code"]) == ("engine answers", "engine-hung")
    words = ("watch", "--heal", "--interval", "1", "--stack", up.name, "--output", "json")
    with up.product.start(*words) as watching:
        machine.eventually(lambda: answers(up), within_s=90, what="the engine healed")
        machine.eventually(lambda: up.status().exit_code == 0, within_s=30, what="all well")
        watching.interrupt()
        outcome = watching.finish()
    assert outcome.exit_code == 130
    events = [json.loads(line)["data"] for line in outcome.stdout.splitlines()]
    kinds = [event["kind"] for event in events]
    assert [kind for kind in kinds if kind.startswith("heal")] == ["healing", "healed"]
    assert "[engine-hung]" in (up.folder / "deployctl.log").read_text(encoding="utf-8")


def test_a_watcher_leaves_alone_what_was_taken_down(up: Stack) -> None:
    up.down()
    words = ("watch", "--heal", "--interval", "0.5", "--stack", up.name)
    with up.product.start(*words) as watching:
        said = watching.line()
        watching.interrupt()
        outcome = watching.finish()
    assert "taken down" in said
    assert (outcome.exit_code, outcome.stdout) == (130, "")
    assert machine.container_ids(up.name) == []


def test_watching_as_json_is_one_envelope_in_each_line(up: Stack) -> None:
    words = ("status", "--watch", "--interval", "0.3", "--stack", up.name, "--output", "json")
    with up.product.start(*words) as watching:
        lines = [watching.line() for _ in range(3)]
        watching.interrupt()
        assert watching.finish().exit_code == 130
    found = [json.loads(line) for line in lines]
    assert {(one["command"], one["exit_code"]) for one in found} == {("status", 0)}
