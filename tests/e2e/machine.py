"""This machine as the tests look at it: Docker through its client, ports, and HTTP without proxies.

Independent of the code under test on purpose: what is proved here is not proved with itself.
"""

from __future__ import annotations

import json
import random
import socket
import subprocess
import time
from collections.abc import Callable
from typing import Any, TypeVar

import requests

T = TypeVar("T")


def run(*words: str, stdin: str | None = None, timeout_s: float = 120) -> str:
    """Run a program to its end and return its stdout; anything but exit 0 fails the test."""
    done = subprocess.run(
        words, input=stdin, capture_output=True, text=True, check=False, timeout=timeout_s
    )
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}{done.stderr}"
    return done.stdout


def attempt(*words: str, timeout_s: float = 60) -> tuple[int, str]:
    """Run a program that may well fail; returns (exit code, stdout and stderr)."""
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=timeout_s)
    return done.returncode, done.stdout + done.stderr


def docker(*words: str, stdin: str | None = None, timeout_s: float = 120) -> str:
    return run("docker", *words, stdin=stdin, timeout_s=timeout_s)


def inspect(name: str) -> dict[str, Any]:
    """What ``docker inspect`` says of one container, network or volume."""
    found: list[dict[str, Any]] = json.loads(docker("inspect", name))
    return found[0]


def of_project(kind: str, project: str, *options: str) -> list[str]:
    """The ids (volumes: names) of a Compose project's containers, networks or volumes."""
    label = f"label=com.docker.compose.project={project}"
    return docker(kind, "ls", *options, "--quiet", "--filter", label).split()


def container_ids(project: str) -> list[str]:
    return sorted(of_project("container", project, "--all", "--no-trunc"))


def network_ids(project: str) -> list[str]:
    return of_project("network", project)


def volume_names(project: str) -> list[str]:
    return of_project("volume", project)


def free_port() -> int:
    """A TCP port nobody listens on now, whose neighbour is free as well.

    Not one of those that the kernel gives to connections: between this look and its use any
    program of the machine may get one of them.
    """
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as first, socket.socket() as second:
            try:
                first.bind(("127.0.0.1", port))
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


def listens(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=3):
            return True
    except OSError:
        return False


def own_addresses() -> list[str]:
    """This machine's IPv4 addresses other than loopback."""
    rows = json.loads(run("ip", "-json", "-4", "address"))
    found = [entry["local"] for row in rows for entry in row["addr_info"]]
    return [address for address in found if not address.startswith("127.")]


def eventually(look: Callable[[], T], *, within_s: float, what: str) -> T:
    """Look until it is true; fails the test when that takes longer than ``within_s`` seconds."""
    deadline = time.monotonic() + within_s
    while True:
        seen = look()
        if seen:
            return seen
        assert time.monotonic() < deadline, f"{what}: not within {within_s:.0f} s, last: {seen!r}"
        time.sleep(0.1)


def http(
    method: str, url: str, *, token: str | None = None, body: object = None, timeout_s: float = 30
) -> requests.Response:
    """One request straight to the loopback, on a connection of its own."""
    headers = {"Connection": "close"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    with requests.Session() as session:
        session.trust_env = False
        return session.request(method, url, json=body, headers=headers, timeout=timeout_s)
