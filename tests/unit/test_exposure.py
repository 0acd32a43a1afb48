"""Who reaches a stack and whom it reaches: from the profile to its sentences and its rendering."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deployctl.catalog import Catalog
from deployctl.deploy.stack import lan_url
from deployctl.model import Plan, Variable
from deployctl.planner import build_plan
from deployctl.reach import url, who_can_reach
from deployctl.render import render, variables_of
from deployctl.services.common import reach
from tests.profilefiles import shipped
from tests.yamltext import parsed

LAN = ("exposure=lan", "ports.address=192.168.1.20")
IPV6 = ("exposure=lan", "ports.address=fd00::20")


def plan(*sets: str) -> Plan:
    return build_plan(shipped("smoke", *sets))


def rendered(wanted: Plan) -> dict[str, Any]:
    text = render(wanted, Catalog({"HOME": "/nonexistent"}).templates_dir).text("compose.yaml")
    found: dict[str, Any] = parsed(text)
    return found


def services(*sets: str) -> dict[str, Any]:
    found: dict[str, Any] = rendered(plan(*sets))["services"]
    return found


# ── reach ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("sets", "engine", "webui"),
    [
        ((), (1, False), (1, False)),
        (LAN, (1, False), (2, False)),
        (("egress=frontend",), (1, False), (1, True)),
        (("egress=all",), (1, True), (1, True)),
        ((*LAN, "egress=frontend"), (1, False), (2, True)),
    ],
)
def test_how_far_each_service_reaches(
    sets: tuple[str, ...], engine: tuple[int, bool], webui: tuple[int, bool]
) -> None:
    spec = shipped("smoke", *sets).spec
    assert (reach(spec, "engine"), reach(spec, "webui")) == (engine, webui)
    for name, expected in (("engine", engine), ("webui", webui)):
        service = plan(*sets).service(name)
        assert (service.hops, service.egress) == expected


# ── sentences ─────────────────────────────────────────────────────────────────────────────────


def test_a_stack_for_this_machine_alone_in_sentences() -> None:
    assert who_can_reach(shipped("smoke").spec) == (
        "Only this machine reaches the chat window (http://127.0.0.1:7860) "
        "and the API (http://127.0.0.1:8000/v1).",
        "Neither the chat window nor the engine may reach out.",
    )


def test_a_stack_for_the_network_in_sentences() -> None:
    assert who_can_reach(shipped("smoke", *LAN).spec) == (
        "Every machine in the network of 192.168.1.20 reaches the chat window at "
        "http://192.168.1.20:7860; this machine also at http://127.0.0.1:7860.",
        "It is plain HTTP: passwords and chats can be read by whoever can listen in that network.",
        "Nobody uses the chat window without signing in, and nobody can sign up.",
        "Only this machine reaches the API (http://127.0.0.1:8000/v1).",
        "Neither the chat window nor the engine may reach out: packets of the chat window get as "
        "far as the machines of this machine's own networks and end there.",
    )


@pytest.mark.parametrize(
    ("egress", "sentence"),
    [
        (
            "frontend",
            "The chat window may reach out, to this machine's networks and the internet, and can "
            "search the web, with DuckDuckGo; the engine may not.",
        ),
        (
            "all",
            "The chat window and the engine may reach out, to this machine's networks and the "
            "internet; the chat window can search the web, with DuckDuckGo.",
        ),
    ],
)
def test_who_may_reach_out_in_a_sentence(egress: str, sentence: str) -> None:
    assert who_can_reach(shipped("smoke", f"egress={egress}").spec)[-1] == sentence


def test_an_address_of_ipv6_stands_in_brackets() -> None:
    assert url("fd00::20", 7860) == "http://[fd00::20]:7860"
    assert services(*IPV6)["webui"]["ports"] == ["127.0.0.1:7860:8080", "[fd00::20]:7860:8080"]
    assert services(*IPV6)["webui"]["environment"]["WEBUI_URL"] == "http://[fd00::20]:7860"


def test_other_machines_are_told_an_address_only_where_they_reach_one() -> None:
    assert lan_url(plan()) is None
    assert lan_url(plan(*LAN)) == "http://192.168.1.20:7860"


# ── rendering ─────────────────────────────────────────────────────────────────────────────────


def test_only_the_frontend_is_published_beyond_loopback_and_knows_its_own_address() -> None:
    found = services(*LAN)
    assert found["engine"]["ports"] == ["127.0.0.1:8000:8080"]
    assert found["webui"]["ports"] == ["127.0.0.1:7860:8080", "192.168.1.20:7860:8080"]
    told = found["webui"]["environment"]
    assert told["WEBUI_URL"] == "http://192.168.1.20:7860"
    assert told["CORS_ALLOW_ORIGIN"].split(";") == [
        "http://192.168.1.20:7860",
        "http://127.0.0.1:7860",
        "http://localhost:7860",
    ]
    assert (told["WEBUI_AUTH"], told["ENABLE_SIGNUP"]) == ("true", "false")
    assert "WEBUI_URL" not in services()["webui"]["environment"]


def test_who_may_not_reach_out_has_a_hop_limit_and_no_resolver() -> None:
    for sets, hops in (((), "1"), (LAN, "2")):
        webui = services(*sets)["webui"]
        assert webui["sysctls"] == {"net.ipv4.ip_default_ttl": hops}
        assert (webui["dns"], webui["networks"]) == (["127.0.0.1"], ["default"])
    assert list(rendered(plan())["networks"]) == ["default"]


def test_who_may_reach_out_has_a_network_for_it_and_the_other_has_not() -> None:
    whole = rendered(plan("egress=frontend"))
    assert whole["networks"]["beyond"] == {}
    engine, webui = whole["services"]["engine"], whole["services"]["webui"]
    assert webui["networks"] == ["beyond", "default"]
    assert "sysctls" not in webui
    assert "dns" not in webui
    assert engine["networks"] == ["default"]
    assert engine["sysctls"] == {"net.ipv4.ip_default_ttl": "1"}
    # Docker takes the first network by name for a container's way out.
    assert sorted(whole["networks"]) == ["beyond", "default"]


def test_reaching_out_switches_web_search_on_and_nothing_that_reports_home() -> None:
    shut, out = (services(*sets)["webui"]["environment"] for sets in ((), ("egress=frontend",)))
    assert "ENABLE_WEB_SEARCH" not in shut
    assert (out["ENABLE_WEB_SEARCH"], out["WEB_SEARCH_ENGINE"]) == ("true", "duckduckgo")
    for name in ("OFFLINE_MODE", "ENABLE_VERSION_UPDATE_CHECK", "ANONYMIZED_TELEMETRY"):
        assert out[name] == shut[name]


def test_what_only_some_engines_need_is_rendered_for_them_alone() -> None:
    bare = plan()
    engine, webui = bare.services
    group = Variable(name="GROUP", default="10001")
    equipped = replace(
        engine, cpus=2.5, gpu=True, devices=("/dev/dri",), groups=(group,), shm_bytes=4096
    )
    whole = replace(bare, services=(equipped, webui))
    seen = rendered(whole)["services"]
    assert seen["engine"]["cpus"] == "2.5"
    assert seen["engine"]["shm_size"] == 4096
    assert seen["engine"]["devices"] == ["/dev/dri"]
    assert seen["engine"]["group_add"] == ["${GROUP:-10001}"]
    assert seen["engine"]["deploy"] == {
        "resources": {
            "reservations": {"devices": [{"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}]}
        }
    }
    assert dict(variables_of(whole))["GROUP"] == "10001"
    for absent in ("cpus", "shm_size", "devices", "group_add", "deploy"):
        assert absent not in seen["webui"]
