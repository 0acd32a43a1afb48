"""What the operator's own Compose file publishes beyond this machine: said, never forbidden."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deployctl.deploy.world import World
    from deployctl.model import CommandResult, Plan
    from deployctl.workspace import Workspace


def warn_of_exposed(world: World, space: Workspace, plan: Plan, read: CommandResult) -> None:
    """Warn of each port that others reach and that the profile did not ask for.

    ``read`` is what Compose made of all files. What it cannot read it has refused before.
    """
    try:
        config = json.loads(read.stdout)
    except ValueError:
        return
    for sentence in exposed(config, plan):
        world.talk.warn(
            f"{sentence}, by your {space.override}.\n"
            "Whoever reaches it there talks to it in plain HTTP. To keep it on this machine write "
            "127.0.0.1: before the port there."
        )


def exposed(config: Mapping[str, Any], plan: Plan) -> tuple[str, ...]:
    """Say which services others than this machine reach, beyond what the plan publishes."""
    return tuple(_sentences(config, plan))


def _sentences(config: Mapping[str, Any], plan: Plan) -> Iterator[str]:
    asked = {(service.name, port.address) for service in plan.services for port in service.ports}
    for name, service in (config.get("services") or {}).items():
        if service.get("network_mode") == "host":
            yield f"{name} shares all networks of this machine, every port it opens included"
        for port in service.get("ports") or ():
            address = port.get("host_ip") or "0.0.0.0"  # noqa: S104  # Docker's default, not ours
            if (name, address) in asked or _is_loopback(address):
                continue
            published = port.get("published") or "of Docker's choice"
            yield f"Port {published} of {name} is open to {_who(address)}"


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return False


def _who(address: str) -> str:
    try:
        everybody = ipaddress.ip_address(address.strip("[]")).is_unspecified
    except ValueError:
        everybody = False
    return "every network of this machine" if everybody else f"the network of {address}"
