"""What the operator's own Compose file opens, inwards and outwards: said, never forbidden."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from deployctl.render import DNS, HOP_LIMIT

if TYPE_CHECKING:
    from deployctl.deploy.world import World
    from deployctl.model import Plan
    from deployctl.outcomes import CommandResult
    from deployctl.workspace import Workspace

#: Docker's word for "in this machine's name", on a network's packets that leave it.
MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade"

#: How many hops packets survive where nobody says.
_USUAL_HOPS = 64


def warn_of_exposed(world: World, space: Workspace, plan: Plan, read: CommandResult) -> None:
    """Warn of each port that others reach, and each way out, that the profile did not ask for.

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
    for sentence in ways_out(config, plan):
        world.talk.warn(
            f"{sentence}, by your {space.override}.\n"
            "The profile keeps it in. To let it out on purpose set the profile's egress; "
            f"`deployctl verify --only no-egress --stack {space.stack}` tries what gets out."
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


def ways_out(config: Mapping[str, Any], plan: Plan) -> tuple[str, ...]:
    """Say which services that the plan keeps in have a way out, and by what."""
    services, networks = config.get("services") or {}, config.get("networks") or {}
    found = (
        (service.name, tuple(_opened(services.get(service.name) or {}, networks, service.hops)))
        for service in plan.services
        if not service.egress and service.name in services
    )
    return tuple(f"{name} has a way out ({', '.join(by)})" for name, by in found if by)


def _opened(service: Mapping[str, Any], networks: Mapping[str, Any], hops: int) -> Iterator[str]:
    """What opens it, by the same marks as the check ``no-egress`` goes by."""
    mode = service.get("network_mode")
    if mode is not None:
        if mode != "none":
            yield f"network_mode {mode}"
        return  # what the rest says is of networks that it is not in
    for name in service.get("networks") or ():
        if _leads_out(networks.get(name) or {}):
            yield f"network {name} leads out"
    limit = str((service.get("sysctls") or {}).get(HOP_LIMIT, _USUAL_HOPS))
    if not limit.isdigit() or int(limit) > hops:
        yield f"its packets survive {limit} hops, not {hops}"
    asked = service.get("dns") or ()
    names = (asked,) if isinstance(asked, str) else tuple(asked)
    if names != DNS:
        yield f"its resolver asks {', '.join(names) or 'what this machine asks'}"


def _leads_out(network: Mapping[str, Any]) -> bool:
    """Whether packets of a network are passed on; of one made elsewhere it is not known: yes."""
    options = network.get("driver_opts") or {}
    return not network.get("internal") and str(options.get(MASQUERADE)).lower() != "false"


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
