"""Places outside the stack that the test makes: network namespaces behind veth pairs.

One is this machine's neighbour; another may lie behind that neighbour, which is its router. Each
has a default route back, so that even a packet which nobody masqueraded is answered: whatever keeps
a container from reaching it is the container's doing. Forwarding on this machine is as Docker has
set it. Needs root, iproute2, iptables and nothing of the product.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import machine

HERE = Path(__file__).parent

#: Networks for documentation and benchmarks: nobody's own.
_CANDIDATES = ("198.51.100.0/30", "203.0.113.0/30", "198.18.250.0/30", "10.251.250.0/30")


@dataclass(frozen=True, kw_only=True)
class Outside:
    """The reachable place: its address, its router's there, and every packet that arrived."""

    address: str
    router: str
    namespace: str
    log: Path

    def run(self, program: str, *words: str) -> str:
        """Run a Python program there, given as text; returns its stdout."""
        inside = ("ip", "netns", "exec", self.namespace, sys.executable, "-", *words)
        return machine.run(*inside, stdin=program)

    def packets(self) -> list[dict[str, Any]]:
        """All packets so far. A last one of our own is sent and awaited: what came before is in."""
        port = machine.free_port()
        words = [sys.executable, "-c", _SEND, self.address, str(port)]
        machine.run(*words)
        seen = machine.eventually(
            lambda: (found := self._noted())[-1:] and found[-1]["port"] == port and found,
            within_s=60,
            what="the marker packet",
        )
        assert isinstance(seen, list)
        return seen[:-1]

    def _noted(self) -> list[dict[str, Any]]:
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines[1:]]


_SEND = (
    "import socket, sys; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM);"
    "s.sendto(b'marker', (sys.argv[1], int(sys.argv[2])))"
)


@contextlib.contextmanager
def opened() -> Iterator[Outside]:
    """Make a neighbour and what answers there; both are gone afterwards, whatever happens."""
    _need_tools()
    with contextlib.ExitStack() as cleanup:
        yield _place(cleanup, f"dctl-e2e-{os.getpid()}", _free_network(), ("ip",))


@contextlib.contextmanager
def behind(router: Outside) -> Iterator[Outside]:
    """Make a place one hop further, in a network of which ``router`` is the only way in."""
    network = _free_network()
    forward = "echo 1 > /proc/sys/net/ipv4/ip_forward"
    machine.run("ip", "netns", "exec", router.namespace, "sh", "-c", forward)
    with contextlib.ExitStack() as cleanup:
        there = ("ip", "-n", router.namespace)
        found = _place(cleanup, f"{router.namespace}-far", network, there)
        machine.run("ip", "route", "add", str(network), "via", router.address)
        cleanup.callback(machine.attempt, "ip", "route", "del", str(network))
        yield found


def _place(
    cleanup: contextlib.ExitStack,
    name: str,
    network: ipaddress.IPv4Network,
    router_ip: tuple[str, ...],
) -> Outside:
    """A namespace, linked to where ``router_ip`` (a form of ``ip``) works, and its responder."""
    here, there = (str(address) for address in network.hosts())
    link = f"dctl{os.getpid() % 10**7}"
    machine.run("ip", "netns", "add", name)
    cleanup.callback(machine.attempt, "ip", "netns", "del", name)
    inner = ("type", "veth", "peer", "name", "outside", "netns", name)
    machine.run(*router_ip, "link", "add", link, *inner)
    cleanup.callback(machine.attempt, *router_ip, "link", "del", link)
    for words in (
        (*router_ip, "address", "add", f"{here}/30", "dev", link),
        (*router_ip, "link", "set", link, "up"),
        ("ip", "-n", name, "link", "set", "lo", "up"),
        ("ip", "-n", name, "address", "add", f"{there}/30", "dev", "outside"),
        ("ip", "-n", name, "link", "set", "outside", "up"),
        ("ip", "-n", name, "route", "add", "default", "via", here),
    ):
        machine.run(*words)
    log = Path(cleanup.enter_context(tempfile.TemporaryDirectory())) / "packets"
    _respond(cleanup, name, there, log)
    return Outside(address=there, router=here, namespace=name, log=log)


def _respond(cleanup: contextlib.ExitStack, name: str, address: str, log: Path) -> None:
    words = ["ip", "netns", "exec", name, sys.executable, str(HERE / "responder.py"), address]
    output = cleanup.enter_context(log.open("wb"))
    process = subprocess.Popen(words, stdout=output, stderr=subprocess.STDOUT)
    cleanup.callback(process.wait)
    cleanup.callback(process.kill)
    machine.eventually(
        lambda: "listening" in log.read_text(encoding="utf-8"), within_s=60, what="the responder"
    )


def _free_network() -> ipaddress.IPv4Network:
    """A small network that no address and no route of this machine touches."""
    taken = []
    for row in json.loads(machine.run("ip", "-json", "-4", "route")):
        if row["dst"] != "default":
            taken.append(ipaddress.ip_network(row["dst"], strict=False))
    for candidate in map(ipaddress.IPv4Network, _CANDIDATES):
        if not any(candidate.overlaps(network) for network in taken):
            return candidate
    pytest.skip(f"all of {', '.join(_CANDIDATES)} are in use on this machine")


def _need_tools() -> None:
    """Skip without root; install what is missing on a system with apt, and say so."""
    if os.geteuid() != 0:
        pytest.skip("making a network namespace needs root")
    packages = {"ip": "iproute2", "iptables": "iptables"}
    missing = [package for tool, package in packages.items() if shutil.which(tool) is None]
    if not missing:
        return
    if shutil.which("apt-get") is None:
        pytest.skip(f"needs {' and '.join(missing)}; next: install them with your system's tool")
    sys.stderr.write(f"installing {' '.join(missing)} for the egress tests\n")
    machine.run("apt-get", "update", "-qq", timeout_s=300)
    install = ("apt-get", "install", "-qq", "-y", "--no-install-recommends")
    machine.run(*install, *missing, timeout_s=300)
