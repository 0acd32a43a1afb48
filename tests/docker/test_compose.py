"""The checked-in stacks are read by the real Compose: valid, safe, and useless without secrets."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

COMPOSE = Path(__file__).parents[2] / "compose"
STACKS = sorted(COMPOSE.glob("*.yaml"))
EXAMPLE = COMPOSE / "example.env"

#: Without these nothing may start.
SECRETS = ("DEPLOYCTL_ENGINE_KEY", "DEPLOYCTL_WEBUI_SECRET", "DEPLOYCTL_ADMIN_PASSWORD")


def config(stack: Path, env_file: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """``docker compose config``, with nothing of this shell's that could fill in for the file."""
    bare = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/nonexistent"}
    return subprocess.run(
        ["docker", "compose", "-f", str(stack), "--env-file", str(env_file), "config", *words],
        capture_output=True,
        text=True,
        check=False,
        env=bare,
        timeout=60,
    )


@pytest.fixture
def read(request: pytest.FixtureRequest) -> dict[str, Any]:
    done = config(request.param, EXAMPLE, "--format", "json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


every_stack = pytest.mark.parametrize("stack", STACKS, ids=lambda path: path.stem)
every_stack_read = pytest.mark.parametrize(
    "read", STACKS, ids=lambda path: path.stem, indirect=True
)


def test_there_is_a_stack_for_every_profile() -> None:
    profiles = {path.stem for path in (COMPOSE.parent / "profiles").glob("*.yaml")}
    assert {path.stem for path in STACKS} == profiles


@every_stack
def test_compose_accepts_the_stack_with_the_example_environment(stack: Path) -> None:
    done = config(stack, EXAMPLE, "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@every_stack
@pytest.mark.parametrize("name", SECRETS)
def test_compose_refuses_the_stack_when_a_secret_is_empty(
    stack: Path, tmp_path: Path, name: str
) -> None:
    emptied, count = re.subn(rf"(?m)^{name}=.+$", f"{name}=", EXAMPLE.read_text(encoding="utf-8"))
    assert count == 1
    env_file = tmp_path / "emptied.env"
    env_file.write_text(emptied, encoding="utf-8")
    done = config(stack, env_file, "--quiet")
    assert done.returncode != 0
    assert name in done.stderr


@every_stack_read
def test_every_service_keeps_the_ground_rules_as_compose_reads_them(read: dict[str, Any]) -> None:
    assert set(read["services"]) == {"engine", "webui"}
    for service in read["services"].values():
        assert service["user"] == "10001:10001"
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert int(service["mem_limit"]) == int(service["memswap_limit"]) > 0
        assert service["pids_limit"] > 0
        assert [port["host_ip"] for port in service["ports"]] == ["127.0.0.1"]
        for forbidden in ("privileged", "cap_add", "devices", "network_mode", "pid", "ipc"):
            assert forbidden not in service


@every_stack_read
def test_the_network_lets_nothing_out_and_the_weights_cannot_be_written(
    read: dict[str, Any],
) -> None:
    options = read["networks"]["default"]["driver_opts"]
    assert options == {"com.docker.network.bridge.enable_ip_masquerade": "false"}
    weights = [m for m in read["services"]["engine"]["volumes"] if m["type"] == "bind"]
    assert [mount["read_only"] for mount in weights] == [True]


@every_stack_read
def test_no_compose_profiles_are_used(read: dict[str, Any]) -> None:
    assert all("profiles" not in service for service in read["services"].values())


@every_stack_read
def test_the_operators_proxies_are_not_for_containers(read: dict[str, Any]) -> None:
    for service in read["services"].values():
        told = service["environment"]
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY"):
            assert told[name] == told[name.lower()] == ""
        assert told["NO_PROXY"] == told["no_proxy"] == "*"
    check = read["services"]["engine"]["healthcheck"]["test"]
    assert check[check.index("--noproxy") + 1] == "*"
