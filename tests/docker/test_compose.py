"""The checked-in stacks are read by the real Compose: valid, safe, and useless without secrets."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployctl.addons import SECRETS as ADDON_SECRETS
from deployctl.catalog import Catalog
from deployctl.planner import build_plan
from deployctl.profiles.resolve import resolve
from deployctl.profiles.selection import Selection
from deployctl.render import render
from deployctl.stacksecrets import variable
from tests.docker.tiny import import_image

COMPOSE = Path(__file__).parents[2] / "compose"
STACKS = sorted(COMPOSE.glob("*.yaml"))
#: The same with every add-on, each in a folder of its own.
WITH_ADDONS = sorted(COMPOSE.glob("addons/*/compose.yaml"))
EXAMPLE = COMPOSE / "example.env"

#: Without these nothing may start.
SECRETS = (
    "DEPLOYCTL_ENGINE_KEY",
    "DEPLOYCTL_WEBUI_SECRET",
    "DEPLOYCTL_ADMIN_EMAIL",
    "DEPLOYCTL_ADMIN_PASSWORD",
    *map(variable, ADDON_SECRETS),
)

#: Nothing of this shell's that could fill in for a file.
BARE = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/nonexistent"}


def compose(*words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run ``docker compose`` with no variable but those given."""
    return subprocess.run(
        ["docker", "compose", *words],
        capture_output=True,
        text=True,
        check=False,
        env={**BARE, **(env or {})},
        timeout=60,
    )


def config(stack: Path, env_file: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """``docker compose config`` with the variables of a file."""
    return compose("-f", str(stack), "--env-file", str(env_file), "config", *words)


def told(stack: Path, env_file: Path) -> dict[str, str]:
    """Every environment variable of every container, as ``service.NAME``."""
    done = config(stack, env_file, "--format", "json")
    assert done.returncode == 0, done.stderr
    return {
        f"{name}.{key}": value
        for name, service in json.loads(done.stdout)["services"].items()
        for key, value in service["environment"].items()
    }


@pytest.fixture
def read(request: pytest.FixtureRequest) -> dict[str, Any]:
    done = config(request.param, EXAMPLE, "--format", "json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def name_of(stack: Path) -> str:
    """The profile, and whether its add-ons are there."""
    return f"{stack.parent.name}-addons" if stack in WITH_ADDONS else stack.stem


every_stack = pytest.mark.parametrize("stack", STACKS + WITH_ADDONS, ids=name_of)
every_stack_read = pytest.mark.parametrize("read", STACKS + WITH_ADDONS, ids=name_of, indirect=True)


def test_there_is_a_stack_for_every_profile() -> None:
    profiles = {path.stem for path in (COMPOSE.parent / "profiles").glob("*.yaml")}
    assert {path.stem for path in STACKS} == profiles


@every_stack
def test_compose_accepts_the_stack_with_the_example_environment(stack: Path) -> None:
    done = config(stack, EXAMPLE, "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@every_stack
def test_compose_reads_the_stack_with_no_environment_at_all(stack: Path) -> None:
    done = compose("-f", str(stack), "config", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@every_stack
def test_what_holds_a_secret_cannot_be_given_to_a_process_without_it(
    stack: Path, tmp_path: Path
) -> None:
    example = EXAMPLE.read_text(encoding="utf-8")
    assert set(re.findall(r"(?m)^(\w+)=", example)) == set(SECRETS)
    marked, emptied = tmp_path / "marked.env", tmp_path / "emptied.env"
    marked.write_text(re.sub(r"(?m)^(\w+)=.*$", r"\1=<\1>", example), encoding="utf-8")
    emptied.write_text(re.sub(r"(?m)^(\w+)=.*$", r"\1=", example), encoding="utf-8")
    holders = {key: value for key, value in told(stack, marked).items() if "<" in value}
    needed = set(SECRETS) if stack in WITH_ADDONS else set(SECRETS[:4])
    assert {value.strip("<>") for value in holders.values()} == needed
    without = told(stack, emptied)
    for key, value in holders.items():
        name = value.strip("<>")
        assert without[key] == f"\0{name} is missing; deployctl up generates it", key


PROJECT = f"dctl-test-compose-{os.getpid()}"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What makes ``smoke.yaml`` run nothing but a shell, and every secret."""
    model = tmp_path_factory.mktemp("model") / "model.gguf"
    model.touch()
    image = f"{PROJECT}:1"
    import_image(image)
    images = {"DEPLOYCTL_IMAGE_ENGINE": image, "DEPLOYCTL_IMAGE_WEBUI": image}
    yield {**images, "DEPLOYCTL_MODEL": str(model), **dict.fromkeys(SECRETS, "given")}
    compose("--project-name", PROJECT, "down", "--volumes")
    subprocess.run(["docker", "image", "rm", image], capture_output=True, check=True, timeout=60)


def start(service: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Start a service's container, as the stack describes it but for its ports and command."""
    words = ("run", "--rm", "--no-deps", "--no-TTY", "--entrypoint", "sh", service, "-c", ":")
    smoke = ("--project-name", PROJECT, "--file", str(COMPOSE / "smoke.yaml"))
    return compose(*smoke, *words, env=env)


@pytest.mark.parametrize("service", ["engine", "webui"])
def test_control_docker_starts_the_service_with_its_secrets(
    tiny: dict[str, str], service: str
) -> None:
    done = start(service, tiny)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("service", "secret", "holder"),
    [
        ("engine", "DEPLOYCTL_ENGINE_KEY", "LLAMA_API_KEY"),
        ("webui", "DEPLOYCTL_ENGINE_KEY", "OPENAI_API_KEY"),
        ("webui", "DEPLOYCTL_WEBUI_SECRET", "WEBUI_SECRET_KEY"),
        ("webui", "DEPLOYCTL_ADMIN_EMAIL", "WEBUI_ADMIN_EMAIL"),
        ("webui", "DEPLOYCTL_ADMIN_PASSWORD", "WEBUI_ADMIN_PASSWORD"),
    ],
)
def test_docker_does_not_start_the_service_without_one_of_them_and_names_it(
    tiny: dict[str, str], service: str, secret: str, holder: str
) -> None:
    done = start(service, {**tiny, secret: ""})
    assert done.returncode != 0
    assert holder in done.stderr


@every_stack_read
def test_every_service_keeps_the_ground_rules_as_compose_reads_them(read: dict[str, Any]) -> None:
    assert set(read["services"]) >= {"engine", "webui"}
    for service in read["services"].values():
        assert service["user"] == "10001:10001"
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert int(service["mem_limit"]) == int(service["memswap_limit"]) > 0
        assert service["pids_limit"] > 0
        assert {port["host_ip"] for port in service.get("ports", ())} <= {"127.0.0.1"}
        for forbidden in ("privileged", "cap_add", "network_mode", "pid", "ipc"):
            assert forbidden not in service
        for device in service.get("devices", ()):
            assert '"/dev/dri' in json.dumps(device)  # newer Composes spell it out


@every_stack_read
def test_the_network_lets_nothing_out_and_the_weights_cannot_be_written(
    read: dict[str, Any],
) -> None:
    assert list(read["networks"]) == ["default"]
    options = read["networks"]["default"]["driver_opts"]
    assert options == {"com.docker.network.bridge.enable_ip_masquerade": "false"}
    ours = [m for m in read["services"]["engine"]["volumes"] if m["type"] == "bind"]
    assert any(mount["target"].startswith("/models/") for mount in ours)
    assert all(mount["read_only"] for mount in ours)


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
        check = " ".join(service["healthcheck"]["test"])
        ways = ("--noproxy *", "ProxyHandler({})", "-Y off", "/dev/tcp/127.0.0.1/", "--version")
        assert any(way in check for way in ways), check


@pytest.mark.parametrize("access", ["reservation", "cdi", "runtime"])
def test_every_way_to_a_card_is_read_as_it_is_meant(access: str, tmp_path: Path) -> None:
    catalog = Catalog({"HOME": "/nonexistent"})
    selection = Selection(profile="gpu-4gb", sets=(f"engine.gpu_access={access}",))
    bundle = render(build_plan(resolve(selection, catalog.readers())), catalog.templates_dir)
    stack = tmp_path / "compose.yaml"
    stack.write_text(bundle.text("compose.yaml"))
    done = config(stack, EXAMPLE, "--format", "json")
    assert done.returncode == 0, done.stderr
    engine = json.loads(done.stdout)["services"]["engine"]
    reserved = engine.get("deploy", {}).get("resources", {}).get("reservations", {})
    asked = reserved.get("devices", [])
    assert [device["driver"] for device in asked] == {
        "reservation": ["nvidia"],
        "cdi": ["cdi"],
        "runtime": [],
    }[access]
    named = [device.get("device_ids") for device in asked]
    assert named == {"reservation": [None], "cdi": [["nvidia.com/gpu=all"]], "runtime": []}[access]
    assert engine.get("runtime") == ("nvidia" if access == "runtime" else None)
