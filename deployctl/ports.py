"""Who listens on a TCP port of this machine, and what Docker knows about it.

Reads ``/proc`` under a given root and runs one ``docker ps`` when a port is taken; changes nothing.
"""

from __future__ import annotations

import ipaddress
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from deployctl.files import text_of
from deployctl.outcomes import Command

if TYPE_CHECKING:
    from deployctl.runner import Runner

#: State 0A of /proc/net/tcp: listening.
_LISTEN = "0A"

#: Local addresses, as the kernel writes them (little-endian words), that keep 127.0.0.1 from being
#: bound: 0.0.0.0, 127.0.0.1, [::] (it takes IPv4 too unless the program asked for IPv6 only), and
#: the IPv6-mapped forms of the first two.
_BLOCKING = frozenset(
    {
        "00000000",
        "0100007F",
        "0" * 32,
        "0000000000000000FFFF000000000000",
        "0000000000000000FFFF00000100007F",
    }
)

_UNKNOWN = "an unknown process"


def listeners(root: Path, ports: tuple[int, ...]) -> dict[int, int]:
    """The ports among ``ports`` that cannot be bound on 127.0.0.1 → inode of the socket there.

    Without ``/proc`` (not Linux) nothing is known and the result is empty.
    """
    found: dict[int, int] = {}
    for name in ("tcp", "tcp6"):
        try:
            text = (root / "proc/net" / name).read_text(encoding="ascii")
        except OSError:
            continue
        for line in text.splitlines()[1:]:
            fields = line.split()
            if len(fields) < 10 or fields[3] != _LISTEN:
                continue
            address, _, port = fields[1].partition(":")
            if address in _BLOCKING and int(port, 16) in ports:
                found.setdefault(int(port, 16), int(fields[9]))
    return found


def holder(runner: Runner, address: str, port: int, *, root: Path) -> str | None:
    """Who listens at an address of this machine, in words, if it is no container of Docker's.

    ``None`` where nobody does (something passes the packets on instead), and where it is Docker.
    """
    wanted = _written(address)
    for name in ("tcp", "tcp6"):
        for line in text_of(root / "proc/net" / name).splitlines()[1:]:
            fields = line.split()
            if len(fields) < 10 or fields[3] != _LISTEN:
                continue
            place, _, number = fields[1].partition(":")
            if place not in wanted or int(number, 16) != port:
                continue
            inode = int(fields[9])
            who = processes(root, frozenset({inode})).get(inode, _UNKNOWN)
            if "docker-proxy" in who:
                return None
            docker = shutil.which("docker")
            # Docker's proxies are root's, whose sockets only root can tell.
            if who == _UNKNOWN and docker and _publishes(_docker_ps(runner, docker), address, port):
                return None
            return who
    return None


def _publishes(text: str, address: str, port: int) -> bool:
    """Whether a container of ``docker ps`` is published at this very address, or at all of them."""
    places = {address, f"[{address}]", "0.0.0.0", "[::]"}  # noqa: S104  # as Docker says it
    return any(
        place in places and int(first) <= port <= int(last or first)
        for place, first, last in re.findall(
            r"([\d.]+|\[[^\]]*\]):(\d+)(?:-(\d+))?->[\d-]+/tcp", text
        )
    )


def _written(address: str) -> frozenset[str]:
    """An address and "every address", as the kernel writes them."""
    packed = ipaddress.ip_address(address).packed
    words = [packed[at : at + 4][::-1].hex().upper() for at in range(0, len(packed), 4)]
    mapped = {"0" * 16 + "FFFF0000" + words[0]} if len(packed) == 4 else set()
    return frozenset({"".join(words), "0" * 8, "0" * 32} | mapped)


def local_addresses(root: Path) -> tuple[str, ...]:
    """The addresses of this machine, as the kernel's routing says; empty when it says nothing."""
    found = set()
    last = ""
    for line in text_of(root / "proc/net/fib_trie").splitlines():
        if leaf := re.match(r"\s*\|-- ([0-9.]+)$", line):
            last = leaf[1]
        elif "host LOCAL" in line:
            found.add(last)
    for line in text_of(root / "proc/net/if_inet6").splitlines():
        found.add(str(ipaddress.IPv6Address(int(line.split()[0], 16))))
    return tuple(sorted(found))


def processes(root: Path, inodes: frozenset[int]) -> dict[int, str]:
    """Socket inode → ``process nginx (pid 812)``, for those this user may see."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[int, str] = {}
    try:
        folders = [entry for entry in (root / "proc").iterdir() if entry.name.isdigit()]
    except OSError:
        return found
    for folder in folders:
        if len(found) == len(wanted):
            break
        for link in _sockets(folder) & wanted.keys():
            found.setdefault(wanted[link], f"process {_name(folder)} (pid {folder.name})")
    return found


def _sockets(process: Path) -> set[str]:
    """What the process's descriptors point to; nothing when it is another user's or gone."""
    links: set[str] = set()
    try:
        for descriptor in (process / "fd").iterdir():
            with suppress(OSError):  # closed meanwhile
                links.add(str(descriptor.readlink()))
    except OSError:
        return links
    return links


def _name(process: Path) -> str:
    """The process's short name."""
    try:
        return (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "?"


def published(text: str) -> dict[int, tuple[str, str]]:
    """Host port → (container, Compose project or ``""``), from the lines of ``docker ps``.

    Lines are ``name TAB project TAB ports`` with ports like
    ``127.0.0.1:7860->8080/tcp, [::]:9000-9002->9000-9002/tcp``.
    """
    found: dict[int, tuple[str, str]] = {}
    for line in text.splitlines():
        name, project, ports = (*line.split("\t"), "", "")[:3]
        for first, last in re.findall(r":(\d+)(?:-(\d+))?->[\d-]+/tcp", ports):
            for port in range(int(first), int(last or first) + 1):
                found.setdefault(port, (name, project))
    return found


def busy_ports(
    runner: Runner,
    *,
    root: Path,
    ports: tuple[int, ...],
    docker: str | None,
    own_project: str | None,
) -> Mapping[int, str]:
    """The ports that are taken → who holds them, in words.

    ``docker`` is the client's path when the daemon answers. Ports published by containers of the
    Compose project ``own_project`` are ours and therefore left out.
    """
    taken = listeners(root, ports)
    if not taken:
        return {}
    containers = published(_docker_ps(runner, docker)) if docker else {}
    strangers = frozenset(inode for port, inode in taken.items() if port not in containers)
    names = processes(root, strangers) if strangers else {}
    holders: dict[int, str] = {}
    for port in sorted(taken):
        name, project = containers.get(port, ("", ""))
        if not name:
            holders[port] = names.get(taken[port], _UNKNOWN)
        elif project != own_project:
            holders[port] = f"container {name}"
    return holders


def _docker_ps(runner: Runner, docker: str) -> str:
    """Names, projects and ports of the running containers; nothing when Docker fails."""
    template = '{{.Names}}\t{{.Label "com.docker.compose.project"}}\t{{.Ports}}'
    result = runner.run(
        Command(
            argv=(docker, "ps", "--format", template),
            label="Docker's published ports",
            timeout_s=10,
            private=True,  # all containers of this machine, and logs are sent to others
        )
    )
    return result.stdout if result.ok else ""
