"""Where the Docker client looks for its daemon, from the files it keeps."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from deployctl.endpoint import Endpoint, context_name, docker_endpoint


def configure(folder: Path, used: str = "", **contexts: str) -> dict[str, str]:
    """A configuration folder with these contexts; the environment that names it."""
    if used:
        (folder / "config.json").write_text(json.dumps({"currentContext": used}))
    for name, address in contexts.items():
        meta = folder / "contexts/meta" / hashlib.sha256(name.encode()).hexdigest()
        meta.mkdir(parents=True)
        told = {"Name": name, "Endpoints": {"docker": {"Host": address, "SkipTLSVerify": False}}}
        (meta / "meta.json").write_text(json.dumps(told))
    return {"DOCKER_CONFIG": str(folder)}


def test_nothing_configured_is_the_usual_socket(tmp_path: Path) -> None:
    assert docker_endpoint({"HOME": str(tmp_path)}) == Endpoint(address="")
    assert docker_endpoint(configure(tmp_path, used="default")) == Endpoint(address="")


def test_host_wins_over_context_and_context_over_the_one_in_use(tmp_path: Path) -> None:
    environment = configure(tmp_path, used="a", a="unix:///a.sock", b="unix:///b.sock")
    assert docker_endpoint(environment) == Endpoint(address="unix:///a.sock")
    environment["DOCKER_CONTEXT"] = "b"
    assert docker_endpoint(environment) == Endpoint(address="unix:///b.sock")
    environment["DOCKER_HOST"] = "unix:///c.sock"
    assert docker_endpoint(environment) == Endpoint(address="unix:///c.sock")


def test_a_context_is_found_without_a_config_file(tmp_path: Path) -> None:
    environment = configure(tmp_path, b="unix:///b.sock") | {"DOCKER_CONTEXT": "b"}
    assert docker_endpoint(environment) == Endpoint(address="unix:///b.sock")


def test_a_context_brings_its_certificates(tmp_path: Path) -> None:
    environment = configure(tmp_path, used="tls", tls="tcp://127.0.0.1:2376")
    folder = tmp_path / "contexts/tls" / hashlib.sha256(b"tls").hexdigest() / "docker"
    folder.mkdir(parents=True)
    (folder / "cert.pem").touch()
    assert docker_endpoint(environment) == Endpoint(
        address="tcp://127.0.0.1:2376", certificates=folder
    )


def test_a_context_that_is_gone_is_no_address(tmp_path: Path) -> None:
    assert docker_endpoint(configure(tmp_path, used="gone")) is None
    assert context_name(configure(tmp_path)) == "gone"


def test_a_broken_configuration_is_none(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("[")
    assert docker_endpoint({"DOCKER_CONFIG": str(tmp_path)}) == Endpoint(address="")


@pytest.mark.parametrize(
    ("address", "here"),
    [
        ("", True),
        ("unix:///run/user/1000/docker.sock", True),
        ("tcp://127.0.0.1:2375", True),
        ("tcp://localhost:2375", True),
        ("tcp://[::1]:2375", True),
        ("localhost:2375", True),
        ("tcp://:2375", True),
        ("ssh://box", False),
        ("ssh://me@localhost", False),
        ("tcp://docker:2375", False),
        ("10.0.0.2:2375", False),
    ],
)
def test_only_this_machine_is_here(address: str, here: bool) -> None:
    assert Endpoint(address=address).here is here
