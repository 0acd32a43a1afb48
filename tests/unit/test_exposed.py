"""Ports that an override opens beyond this machine."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deployctl.catalog import Catalog
from deployctl.deploy.exposed import exposed, ways_out
from deployctl.deploy.up import up
from deployctl.deploy.world import UpRequest
from deployctl.model import Plan
from deployctl.outcomes import Command, CommandResult
from deployctl.planner import build_plan
from deployctl.profiles.resolve import resolve
from deployctl.profiles.selection import Selection
from deployctl.workspace import Workspace
from tests.fakes import FakeRunner, ok
from tests.world import Box


@pytest.fixture(scope="module")
def plan() -> Plan:
    return build_plan(resolve(Selection(profile="smoke"), Catalog({}).readers()))


def port(published: str | None, address: str | None = None) -> dict[str, Any]:
    made = {"mode": "ingress", "target": 8080, "protocol": "tcp"}
    if published is not None:
        made["published"] = published
    return made if address is None else {**made, "host_ip": address}


@pytest.mark.parametrize(
    ("service", "said"),
    [
        ({"ports": [port("8000", "127.0.0.1"), port("8000", "::1"), port("1", "[::1]")]}, None),
        ({"ports": [port("9000")]}, "Port 9000 of engine is open to every network of this machine"),
        (
            {"ports": [port("9000", "::")]},
            "Port 9000 of engine is open to every network of this machine",
        ),
        (
            {"ports": [port("9000", "192.0.2.7")]},
            "Port 9000 of engine is open to the network of 192.0.2.7",
        ),
        (
            {"ports": [port(None)]},
            "Port of Docker's choice of engine is open to every network of this machine",
        ),
        (
            {"network_mode": "host"},
            "engine shares all networks of this machine, every port it opens included",
        ),
        ({}, None),
    ],
)
def test_what_others_reach_is_said(plan: Plan, service: dict[str, Any], said: str | None) -> None:
    found = exposed({"services": {"engine": service}}, plan)
    assert found == (() if said is None else (said,))


class Reading(FakeRunner):
    def run(
        self, command: Command, *, on_line: Callable[[str], None] | None = None
    ) -> CommandResult:
        if "json" in command.argv:
            self.commands.append(command)
            assert command.private  # the files hold the secrets
            return ok(command, json.dumps({"services": {"engine": {"ports": [port("9000")]}}}))
        return super().run(command, on_line=on_line)


def test_up_warns_and_only_an_override_costs_the_look(tmp_path: Path) -> None:
    box = Box(home=tmp_path)
    box.runner = Reading(box.docker)
    request = UpRequest(stack="s", selection=Selection(profile="smoke"))
    up(box.world(), request)
    assert "read the files" not in box.runner.labels
    override = Workspace(tmp_path, "s").folder / "compose.override.yaml"
    override.write_text("services: {}\n")
    up(box.world(), request)
    warning, out = box.talk.warned
    assert warning.startswith(
        f"Port 9000 of engine is open to every network of this machine, by your {override}."
    )
    assert out.startswith("engine has a way out (")
    assert f", by your {override}.\n" in out


CLOSED = {"sysctls": {"net.ipv4.ip_default_ttl": "1"}, "dns": ["127.0.0.1"]}
NETWORKS = {
    "default": {"driver_opts": {"com.docker.network.bridge.enable_ip_masquerade": "false"}},
    "mine": {"name": "s_mine"},
    "inside": {"internal": True},
}


@pytest.mark.parametrize(
    ("changes", "by"),
    [
        ({}, None),
        ({"networks": {"default": None, "inside": None}}, None),
        ({"networks": {"default": None, "mine": None}}, "network mine leads out"),
        ({"networks": {"elsewhere": None}}, "network elsewhere leads out"),
        ({"sysctls": {"net.ipv4.ip_default_ttl": "64"}}, "its packets survive 64 hops, not 1"),
        ({"sysctls": None}, "its packets survive 64 hops, not 1"),
        ({"dns": ["127.0.0.1", "192.0.2.53"]}, "its resolver asks 127.0.0.1, 192.0.2.53"),
        ({"network_mode": "host", "networks": None}, "network_mode host"),
        ({"network_mode": "none", "networks": None}, None),
    ],
)
def test_a_way_out_is_said(plan: Plan, changes: dict[str, Any], by: str | None) -> None:
    service = {**CLOSED, "networks": {"default": None}, **changes}
    found = ways_out({"services": {"engine": service}, "networks": NETWORKS}, plan)
    assert found == (() if by is None else (f"engine has a way out ({by})",))


def test_a_network_that_is_masqueraded_lets_out_all_that_are_in_it(plan: Plan) -> None:
    service = {**CLOSED, "networks": {"default": None}}
    config = {"services": {"engine": service, "webui": service}, "networks": {"default": {}}}
    assert [said.split()[0] for said in ways_out(config, plan)] == ["engine", "webui"]
    free = build_plan(
        resolve(Selection(profile="smoke", sets=("egress=all",)), Catalog({}).readers())
    )
    assert ways_out(config, free) == ()
