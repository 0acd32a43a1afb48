"""Judges the network of this machine: ports, forwarding, firewall, proxies, names. Pure."""

from __future__ import annotations

import ipaddress
import shlex
from collections.abc import Iterator, Mapping

from deployctl.doctor.nouns import Machine, Proxies, System
from deployctl.doctor.results import failed, ok, skipped, warning
from deployctl.outcomes import CheckResult
from deployctl.secretshapes import MASK

_STUB = "127.0.0.53"  # systemd-resolved; Docker knows it and looks behind it


def judge_network(machine: Machine) -> tuple[CheckResult, ...]:
    """Ports, forwarding, firewall, proxies, DNS, IPv6."""
    return (
        *_ports(machine),
        _forwarding(machine.system),
        _firewall(machine),
        _proxies(machine.proxies, docker=bool(machine.facts.docker.server_version)),
        _names(machine),
        _resolvers(machine.system),
        _ipv6(machine),
    )


def _ports(machine: Machine) -> Iterator[CheckResult]:
    elsewhere = f"{machine.up} {' '.join(_moved(machine))}"
    for number, role in machine.ports.items():
        name = f"port {number}"
        holder = machine.facts.busy_ports.get(number)
        if holder is None:
            yield ok(name, f"free for {role}, or this stack's own")
            continue
        if machine.facts.docker.problem is not None:  # it may be the stack itself
            yield skipped(name, f"held by {holder}; whose that is Docker would have to say")
            continue
        why = f"{role.capitalize()} is to be reached there."
        if holder == "an unknown process" and machine.system.uid:
            why += " Whose it is only root may see."
        yield failed(
            name,
            f"held by {holder}",
            why,
            elsewhere,
            code="port-taken",
        )


def _moved(machine: Machine) -> Iterator[str]:
    """The options that move every port that is held, each to one of its own: in one command."""
    taken = {*machine.facts.busy_ports, *machine.ports}
    for number, role in machine.ports.items():
        if number in machine.facts.busy_ports:
            free = next(n for n in range(number + 1, 65536 + 1) if n not in taken)
            taken.add(free)
            yield f"--set ports.{role}={free}"


def _forwarding(system: System) -> CheckResult:
    value = system.settings.get("net.ipv4.ip_forward")
    if value is None:
        return skipped("forwarding", "cannot be seen on this system")
    if value == "1":
        return ok("forwarding", "on")
    return warning(
        "forwarding",
        "off (net.ipv4.ip_forward)",
        "Other machines do not reach published ports, and containers do not get out. Docker turns "
        "it on when it starts; something has turned it off since.",
        "sudo sysctl -w net.ipv4.ip_forward=1",
    )


def _firewall(machine: Machine) -> CheckResult:
    system = machine.system
    tables = system.iptables or "no iptables on the PATH"
    if system.docker_chain is False and machine.facts.docker.server_version:
        return warning(
            "firewall",
            f"{tables}; Docker's own rules are gone",
            "Something has emptied the tables since Docker started: the next container with a "
            "published port does not start.",
            "sudo systemctl restart docker",
        )
    unseen = "; its rules only root can see" if system.docker_chain is None and system.uid else ""
    open_to_lan = _open_to_lan(machine)
    if system.firewalld:
        return ok("firewall", f"firewalld, {tables}; {open_to_lan}{unseen}")
    if system.ufw:
        bypass = "ports that Docker publishes bypass it"
        return ok("firewall", f"ufw, {tables}; {bypass}; {open_to_lan}{unseen}")
    return ok("firewall", f"{tables}; {open_to_lan}{unseen}")


def _open_to_lan(machine: Machine) -> str:
    """Whom a firewall matters for: a stack with `exposure: lan` listens on more than loopback."""
    names = [found.name for found in machine.state.stacks if found.lan]
    if not names:
        return "a stack listens on 127.0.0.1, unless its profile says `exposure: lan`"
    return f"listening in the LAN: {', '.join(names)}; every other stack on 127.0.0.1 only"


# ── proxies ───────────────────────────────────────────────────────────────────────────────────


def _proxies(proxies: Proxies, *, docker: bool) -> CheckResult:
    here = {name for name in proxies.environment if name != "no_proxy"}
    there = {name for name in proxies.daemon if name != "no_proxy"}
    if docker and here and not there:
        return warning(
            "proxies",
            f"{_said(proxies.environment)} here, none for the daemon",
            "It is the daemon that pulls images, and it goes past the proxy.",
            "sudo systemctl edit docker  # [Service] Environment=HTTPS_PROXY=…, then restart it",
        )
    if docker and there and not here:
        return warning(
            "proxies",
            f"{_said(proxies.daemon)} for the daemon, none here",
            "Models are downloaded by deployctl itself, which goes past the proxy.",
            _export(proxies),
        )
    if here and not _spares_loopback(proxies.environment.get("no_proxy", "")):
        return warning(
            "proxies",
            f"{_said(proxies.environment)}, and no_proxy lacks 127.0.0.1",
            "deployctl asks the stack directly; other programs (curl, clients) ask the proxy for "
            "it, which does not have it.",
            "export no_proxy=localhost,127.0.0.1,::1 NO_PROXY=localhost,127.0.0.1,::1",
        )
    if proxies.client:
        return ok(
            "proxies",
            f"{_said(proxies.client)} for every container, by ~/.docker/config.json; a stack's "
            "own are switched off",
        )
    return ok("proxies", _said(proxies.environment) if here else "none")


def _export(proxies: Proxies) -> str:
    """Take over the daemon's proxy; its password was left out, and only its unit tells it."""
    address = next(a for name, a in proxies.daemon.items() if name != "no_proxy")
    if MASK not in address:
        return f"export https_proxy={shlex.quote(address)}"
    return (
        f"export https_proxy={shlex.quote(address.replace(MASK, 'USER:PASSWORD'))}"
        "  # both are in: systemctl show docker --property=Environment"
    )


def _said(proxies: Mapping[str, str]) -> str:
    return ", ".join(f"{k}={v}" for k, v in sorted(proxies.items()) if k != "no_proxy")


def _spares_loopback(no_proxy: str) -> bool:
    parts = {part.strip() for part in no_proxy.split(",")}
    return bool(parts & {"*", "127.0.0.1", "127.0.0.0/8", "127."})


# ── names ─────────────────────────────────────────────────────────────────────────────────────


def _names(machine: Machine) -> CheckResult:
    outside = machine.outside
    if outside.resolves is None or not outside.asked_name:
        return skipped("names", "nobody was asked for one")
    if outside.resolves:
        return ok("names", f"{outside.asked_name} resolves")
    return warning(
        "names",
        f"{outside.asked_name} does not resolve",
        "Images and models cannot be fetched from there. What is here already works without.",
        f"getent hosts {outside.asked_name}; cat /etc/resolv.conf",
    )


def _resolvers(system: System) -> CheckResult:
    """Whose name servers a container with a way out would get."""
    servers = system.nameservers
    if not servers:
        return skipped("name servers", "/etc/resolv.conf names none")
    seen = ", ".join(servers)
    local = [server for server in servers if _is_loopback(server)]
    if len(local) < len(servers):
        return ok("name servers", seen)
    if _STUB in local and system.resolved_servers:
        return ok("name servers", f"{seen}, behind it {', '.join(system.resolved_servers)}")
    return warning(
        "name servers",
        f"{seen}, on this machine's own loopback",
        "A container does not reach it, and Docker takes public ones instead. Only profiles with "
        "a way out need any.",
        'sudoedit /etc/docker/daemon.json  # add "dns": ["ADDRESS-OF-YOUR-SERVER"], then: '
        "sudo systemctl restart docker",
    )


def _is_loopback(text: str) -> bool:
    try:
        return ipaddress.ip_address(text.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _ipv6(machine: Machine) -> CheckResult:
    off = machine.system.settings.get("net.ipv6.conf.all.disable_ipv6") in (None, "1")
    seen = "off" if off else "on"
    return ok("IPv6", f"{seen}; a stack is reached by 127.0.0.1, not by `localhost`")
