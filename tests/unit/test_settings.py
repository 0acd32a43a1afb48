"""What the environment asks of Open WebUI, against what it holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deployctl.drift import of_override, of_setting, persistent_settings
from deployctl.model import Variable
from deployctl.services import webui
from deployctl.services.overrides import Override, global_functions, model_override
from deployctl.services.settings import NO_SETTINGS, SETTINGS, Difference, differences
from tests.profilefiles import CATALOG, shipped

#: The keys that a running Open WebUI 0.12.4 exported.
KEYS = frozenset(
    (Path(__file__).parent / "records" / "open-webui-0.12.4-settings.txt").read_text().split()
)


def environment(name: str = "smoke", *sets: str) -> dict[str, str]:
    """What a profile's frontend is started with, secrets made up."""
    found = webui.service(shipped(name, *sets).spec).environment
    return {key: f"made-up-{key}" if isinstance(value, Variable) else value for key, value in found}


def held(asked: dict[str, str]) -> dict[str, Any]:
    """What Open WebUI holds when nobody has changed anything."""
    settings = {s.key: s.read(asked[s.variable]) for s in SETTINGS if s.variable in asked}
    return {**settings, "openai.enable": True, "openai.api_configs": {}}


@pytest.mark.parametrize("name", CATALOG.shipped_names())
@pytest.mark.parametrize("sets", [(), ("egress=frontend",), ("egress=all",)])
def test_every_variable_is_a_setting_or_has_a_reason_not_to_be(
    name: str, sets: tuple[str, ...]
) -> None:
    known = {setting.variable for setting in SETTINGS}
    assert not known & set(NO_SETTINGS)
    assert set(environment(name, *sets)) <= known | set(NO_SETTINGS)


def test_every_key_is_one_that_open_webui_has() -> None:
    assert {setting.key for setting in SETTINGS} <= KEYS
    assert {"openai.enable", "openai.api_configs"} <= KEYS
    assert len({setting.key for setting in SETTINGS}) == len(SETTINGS)


def test_nothing_differs_where_nobody_changed_anything() -> None:
    asked = environment("smoke", "egress=frontend")
    assert differences(asked, held(asked)) == ()
    assert differences(asked, {}) == (), "another version's keys: nothing can be said"


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda s: s.key)
def test_each_changed_setting_is_found(setting: Any) -> None:
    asked = {**environment("smoke", "egress=frontend"), "WEBUI_URL": "http://10.0.0.1:7860"}
    now = held(asked)
    old = now[setting.key]
    now[setting.key] = (not old) if isinstance(old, bool) else "changed"
    (found,) = differences(asked, now)
    assert (found.key, found.now, found.asked) == (setting.key, now[setting.key], old)


def test_secrets_are_compared_and_never_shown() -> None:
    asked = environment()
    now = {**held(asked), "openai.api_keys": ["sk-planted"]}
    (found,) = differences(asked, now)
    said = of_setting(found, persistent=False, stack_option=" --stack s")
    assert found.words == ("***", "***")
    for text in (said.what, said.lasts, said.hint):
        assert "planted" not in text
        assert "made-up" not in text


def test_a_password_inside_an_address_is_not_shown() -> None:
    asked = environment()
    now = {**held(asked), "openai.api_base_urls": ["https://me:hunter2@example.invalid/v1"]}
    (found,) = differences(asked, now)
    assert "hunter2" not in found.words[0]
    assert "***@example.invalid" in found.words[0]


def test_a_connection_saved_without_a_change_is_no_difference() -> None:
    asked = environment()
    usual = {"enable": True, "tags": [], "prefix_id": "", "model_ids": [], "auth_type": "bearer"}
    usual["connection_type"] = "external"
    assert differences(asked, {**held(asked), "openai.api_configs": {"0": usual}}) == ()


@pytest.mark.parametrize(
    ("change", "shown"),
    [({"enable": False}, '{"enable":false}'), ({"prefix_id": "x"}, '{"prefix_id":"x"}')],
)
def test_a_connection_that_is_off_or_renamed_is(change: dict[str, Any], shown: str) -> None:
    asked = environment()
    (found,) = differences(asked, {**held(asked), "openai.api_configs": {"0": change}})
    assert shown in found.words[0]


def test_headers_of_a_connection_are_not_shown() -> None:
    asked = environment()
    config = {"headers": {"Authorization": "Bearer planted"}}
    (found,) = differences(asked, {**held(asked), "openai.api_configs": {"0": config}})
    assert "planted" not in found.words[0]


def test_the_connection_switched_off_is_found() -> None:
    asked = environment()
    (found,) = differences(asked, {**held(asked), "openai.enable": False})
    assert found.words == ("off", "on")


def test_nothing_and_null_and_unreadable_are_no_difference() -> None:
    assert differences({"WEBUI_URL": ""}, {"webui.url": None}) == ()
    assert differences({"DEFAULT_MODEL_PARAMS": "{"}, {"models.default_params": {}}) == ()


def test_the_finding_says_what_becomes_of_it() -> None:
    one = Difference(key="ui.enable_signup", panel="General > New Sign Ups", now=True, asked=False)
    lost = of_setting(one, persistent=False, stack_option=" --stack s")
    assert lost.what == (
        "Admin Settings > General > New Sign Ups (ui.enable_signup) is on; "
        "the profile asks for off."
    )
    assert lost.lasts == "It is lost when the chat window starts again."
    assert lost.hint == "deployctl reconcile webui --stack s"
    kept = of_setting(one, persistent=True, stack_option="")
    assert kept.lasts.startswith("It stays")
    assert not persistent_settings(environment())
    assert persistent_settings({})


ROW = {"id": "m", "is_active": True, "params": {}, "meta": {"capabilities": {"vision": True}}}


def test_a_model_s_row_that_changes_nothing_is_no_finding() -> None:
    assert model_override([ROW], "m", {}) is None
    assert model_override([{**ROW, "id": "other", "is_active": False}], "m", {}) is None
    assert model_override({"detail": "no"}, "m", {}) is None


def test_a_model_s_row_is_told_without_the_texts_in_it() -> None:
    row = {
        **ROW,
        "is_active": False,
        "params": {"system": "You are secret.", "temperature": 1.9, "top_p": None},
        "meta": {"hidden": True, "capabilities": {"builtin_tools": True}, "toolIds": ["x"]},
    }
    found = model_override([row], "m", {})
    assert found == Override(
        kind="model",
        id="m",
        says="switched off, hidden, a system prompt of 15 characters, temperature=1.9, "
        "builtin_tools=true, toolIds attached",
    )
    assert of_override(found, stack_option="").hint == "deployctl reconcile webui --overrides"


@pytest.mark.parametrize("asked", [False, True])
def test_whether_the_model_is_sent_tools_is_held_against_what_was_asked(asked: bool) -> None:
    metadata = json.dumps({"capabilities": {"builtin_tools": asked}})
    for sent in (False, True):
        row = {**ROW, "meta": {"capabilities": {"builtin_tools": sent}}}
        found = model_override([row], "m", {"DEFAULT_MODEL_METADATA": metadata})
        assert (found is None) == (sent is asked)
        assert found is None or found.says == f"builtin_tools={str(sent).lower()}"


def test_only_functions_that_are_on_for_every_chat_count() -> None:
    rows = [
        {"id": "a", "type": "filter", "name": "A", "is_active": True, "is_global": True},
        {"id": "b", "type": "filter", "name": "B", "is_active": True, "is_global": False},
        {"id": "c", "type": "filter", "name": "C", "is_active": False, "is_global": True},
    ]
    assert [found.id for found in global_functions(rows)] == ["a"]
    assert global_functions(None) == ()
