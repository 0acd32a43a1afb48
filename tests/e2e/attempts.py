"""Trying to get out of a container: every way once, what came of it, and what arrived there."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e import machine
from tests.e2e.outside import Outside
from tests.e2e.product import Stack

#: The program that tries.
REACH = (Path(__file__).parent / "reach.py").read_text(encoding="utf-8")

WAYS = ("tcp", "dns_over_udp", "dns_over_tcp", "ping")
ALL = dict.fromkeys(WAYS, True)
NONE = dict.fromkeys(WAYS, False)


def inside(stack: Stack, service: str, program: str, *words: str) -> str:
    """Run a Python program in the service's container, as its own user.

    Where the image brings no Python, one of the frontend's joins its network instead: the same
    interfaces, routes and resolver.
    """
    name = stack.container(service)["Id"]
    if machine.attempt("docker", "exec", name, "python3", "-V")[0] == 0:
        return machine.docker("exec", "-i", name, "python3", "-", *words, stdin=program)
    return beside(stack, f"container:{name}", program, *words)


def beside(stack: Stack, network: str, program: str, *words: str, options: str = "") -> str:
    """Run a Python program in a container of its own on a network."""
    image = stack.container("webui")["Image"]
    given = ("run", "--rm", "-i", "--user", "10001:10001", "--cap-drop", "ALL")
    entry = ("--network", network, *options.split(), "--entrypoint", "python3", image, "-")
    return machine.docker(*given, *entry, *words, stdin=program)


def reached(text: str) -> dict[str, bool]:
    """Way → whether it led there, of what the program printed."""
    return {way: outcome["reached"] for way, outcome in json.loads(text).items()}


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """Every way out tried once from one container: what came of it here, what arrived there."""

    outcomes: dict[str, dict[str, Any]]
    arrived: list[dict[str, Any]]  # with an address of the stack: masqueraded ones are not told

    @property
    def reached(self) -> dict[str, bool]:
        return {way: outcome["reached"] for way, outcome in self.outcomes.items()}


def attempt(stack: Stack, place: Outside, service: str, *hop_limit: str) -> Attempt:
    """Try to get from a service's container to a place."""
    networks = [machine.inspect(network) for network in machine.network_ids(stack.name)]
    config = [entry for network in networks for entry in network["IPAM"]["Config"]]
    subnets = [ipaddress.ip_network(entry["Subnet"]) for entry in config]
    before = len(place.packets())
    said = inside(stack, service, REACH, place.address, *hop_limit)
    arrived = [
        packet
        for packet in place.packets()[before:]
        if any(ipaddress.ip_address(packet["source"]) in subnet for subnet in subnets)
    ]
    return Attempt(outcomes=json.loads(said), arrived=arrived)
