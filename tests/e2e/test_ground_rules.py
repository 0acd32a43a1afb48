"""What every container of the stack is kept to: as Docker was told, and as seen from inside."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e import machine
from tests.e2e.product import Stack


@pytest.fixture(params=["engine", "webui"])
def service(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def seen(stack: Stack, service: str) -> dict[str, Any]:
    return stack.container(service)


def inside(seen: dict[str, Any], script: str) -> tuple[int, str]:
    """Run a shell line in the container as its own user."""
    return machine.attempt("docker", "exec", seen["Id"], "sh", "-c", script)


def test_the_container_is_healthy_by_our_own_healthcheck(seen: dict[str, Any]) -> None:
    assert seen["State"]["Health"]["Status"] == "healthy"
    assert seen["Config"]["Healthcheck"]["Test"][0] == "CMD"
    assert seen["Config"]["Healthcheck"]["StartInterval"] == 10**9


def test_the_container_runs_as_a_user_that_the_host_does_not_have(seen: dict[str, Any]) -> None:
    assert seen["Config"]["User"] == "10001:10001"
    assert inside(seen, "id -u; id -g") == (0, "10001\n10001\n")


def test_the_root_file_system_cannot_be_written(seen: dict[str, Any]) -> None:
    assert seen["HostConfig"]["ReadonlyRootfs"] is True
    for folder in ("/", "/usr/bin", "/etc", "/var/lib"):
        exit_code, said = inside(seen, f": > {folder}/probe")
        assert exit_code != 0
        assert "Read-only file system" in said or "Permission denied" in said
    # A folder that everybody may write to, where the image has it: only the mount says no.
    assert inside(seen, ": > /var/tmp/probe")[0] != 0


def test_all_capabilities_are_gone_and_none_can_be_gained(seen: dict[str, Any]) -> None:
    host = seen["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert host["Privileged"] is False
    assert "no-new-privileges:true" in host["SecurityOpt"]
    for process in ("1", "self"):
        _, said = inside(seen, f"cat /proc/{process}/status")
        status = dict(line.split(":\t", 1) for line in said.splitlines() if ":\t" in line)
        for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(status[name], 16) == 0, name
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == "2"


def test_memory_and_processes_are_limited_and_swap_is_no_way_around(seen: dict[str, Any]) -> None:
    host = seen["HostConfig"]
    assert host["Memory"] > 0
    assert host["MemorySwap"] == host["Memory"]
    assert host["PidsLimit"] > 0
    assert not host["OomKillDisable"]


def test_ports_are_published_on_loopback_only(seen: dict[str, Any], stack: Stack) -> None:
    bindings = [b for given in seen["HostConfig"]["PortBindings"].values() for b in given]
    assert [binding["HostIp"] for binding in bindings] == ["127.0.0.1"]
    (port,) = (int(binding["HostPort"]) for binding in bindings)
    assert port in (stack.webui_port, stack.engine_port)
    assert machine.listens("127.0.0.1", port)
    for address in machine.own_addresses():
        assert not machine.listens(address, port), address


def test_the_container_shares_no_namespace_device_or_docker_socket_with_the_host(
    seen: dict[str, Any],
) -> None:
    host = seen["HostConfig"]
    assert "host" not in (host["NetworkMode"], host["PidMode"], host["IpcMode"], host["UTSMode"])
    assert not host["Devices"]
    assert not host["DeviceRequests"]
    assert not any("docker.sock" in str(mount) for mount in seen["Mounts"])


def test_no_secret_is_on_a_command_line_or_in_a_label(seen: dict[str, Any], stack: Stack) -> None:
    config = seen["Config"]
    said = [seen["Path"], *seen["Args"], *(config["Cmd"] or ()), *(config["Entrypoint"] or ())]
    said += [*config["Healthcheck"]["Test"], *config["Labels"].values()]
    for secret in stack.secrets().values():
        assert not any(secret in word for word in said)


def test_the_only_thing_mounted_from_the_host_is_the_model_and_read_only(stack: Stack) -> None:
    engine, webui = (stack.container(name)["Mounts"] for name in ("engine", "webui"))
    (model,) = engine
    assert (model["Type"], model["RW"]) == ("bind", False)
    assert model["Source"].startswith(str(stack.product.home / "models"))
    assert model["Destination"].endswith(".gguf")
    exit_code, _ = inside(stack.container("engine"), f": >> {model['Destination']}")
    assert exit_code != 0
    (data,) = webui
    assert (data["Type"], data["Name"]) == ("volume", f"{stack.name}_webui-data")


def test_the_containers_live_on_one_network_of_their_own(stack: Stack) -> None:
    (network,) = machine.network_ids(stack.name)
    seen = machine.inspect(network)
    assert seen["Options"]["com.docker.network.bridge.enable_ip_masquerade"] == "false"
    assert set(seen["Containers"]) == {stack.container(n)["Id"] for n in ("engine", "webui")}
    for name in ("engine", "webui"):
        assert len(stack.container(name)["NetworkSettings"]["Networks"]) == 1
