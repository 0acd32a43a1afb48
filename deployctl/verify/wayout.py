"""Looks for a way out from where it runs, and prints what came of each try as one JSON line.

Standard library only, Python 3.9: it is piped into the frontend's image, inside the network of the
container that is looked at. It asks networks that are set aside for documentation (RFC 5737,
RFC 3849), so nobody is ever bothered; nobody answers there either. What tells is who says no: the
first hop, which is this machine, or nobody, because the packet is gone.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

#: Nobody's addresses: whoever answers there is not inside the stack.
BEYOND = ("198.51.100.1", "203.0.113.1")
BEYOND_V6 = "2001:db8::1"

#: A name that every resolver of the world knows.
NAME = "example.com"

#: Seconds for one try, and how often: the kernel limits how many times a second it says no.
WAIT_S, TRIES = 0.6, 4

_RECVERR = getattr(socket, "IP_RECVERR", 11)
_ICMP, _TIME_EXCEEDED = 2, 11


def gateway() -> str:
    """Where this container's packets go first; '' when it has nowhere to send them."""
    for line in Path("/proc/net/route").read_text(encoding="ascii").splitlines()[1:]:
        _, destination, hop, *_ = line.split()
        if destination == "0" * 8:
            return socket.inet_ntoa(struct.pack("<I", int(hop, 16)))
    return ""


def complaint(line: socket.socket) -> tuple[int, str] | None:
    """(ICMP type, who sent it) of the last refusal; ``None`` when it came from no packet."""
    try:
        _, ancillary, _, _ = line.recvmsg(256, 512, socket.MSG_ERRQUEUE)
    except OSError:
        return None
    for _, kind, data in ancillary:
        if kind == _RECVERR and len(data) >= 24 and data[4] == _ICMP:
            return data[5], socket.inet_ntoa(data[20:24])
    return None


def ended(line: socket.socket, problem: OSError, first_hop: str) -> str:
    """One word for how a try ended that failed."""
    said = complaint(line)
    if said is not None and said[1] == first_hop:
        return "stopped" if said[0] == _TIME_EXCEEDED else "unknown-here"
    if said is not None:
        return "far"
    if isinstance(problem, ConnectionRefusedError):
        return "refused"
    return "silent" if isinstance(problem, (TimeoutError, socket.timeout)) else "no-route"


def tried(kind: int, address: str, port: int, first_hop: str) -> str:
    """Send something there once; one word for how that ended."""
    with socket.socket(socket.AF_INET, kind) as line:
        line.setsockopt(socket.IPPROTO_IP, _RECVERR, 1)
        line.settimeout(WAIT_S)
        try:
            line.connect((address, port))
            line.send(b"\0")
            line.recv(1)
        except OSError as problem:
            return ended(line, problem, first_hop)
    return "answered"


def judged(ends: Iterable[str]) -> str:
    """One word for several tries, of which no more are made than it takes.

    Silence is tried again, and so is a refusal of which nobody knows who sent it: a busy kernel may
    have had no room to note that it was this machine. Somebody beyond refuses again.
    """
    refused = False
    for end in ends:
        if end not in ("silent", "refused") or (refused and end == "refused"):
            return end
        refused = refused or end == "refused"
    return "refused" if refused else "silent"


def attempt(kind: int, address: str, port: int, first_hop: str) -> str:
    """Send something there until it is known how that ends."""
    return judged(tried(kind, address, port, first_hop) for _ in range(TRIES))


def attempt_v6() -> str:
    """Whether there is a way out by IPv6 at all."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as line:
        try:
            line.connect((BEYOND_V6, 53))
        except OSError:
            return "no-route"
    return "route"


def resolved() -> str | None:
    """The address of a name of the outside, if somebody tells it."""
    try:
        return str(socket.getaddrinfo(NAME, 80, type=socket.SOCK_STREAM)[0][4][0])
    except OSError:
        return None


def look() -> dict[str, object]:
    """Try every way at once."""
    first_hop = gateway()
    ways = (("TCP", socket.SOCK_STREAM, 443), ("UDP", socket.SOCK_DGRAM, 53))
    # A try that does not end in time has not been stopped by anybody.
    tries = {f"{way} to {address}": "silent" for way, _, _ in ways for address in BEYOND}
    name: list[str | None] = []

    def one(way: str, kind: int, address: str, port: int) -> None:
        tries[f"{way} to {address}"] = attempt(kind, address, port, first_hop)

    work = [
        threading.Thread(target=one, args=(way, kind, address, port))
        for way, kind, port in ways
        for address in BEYOND
    ]
    work.append(threading.Thread(target=lambda: name.append(resolved())))
    for thread in work:
        thread.daemon = True
        thread.start()
    for thread in work:
        thread.join(2 * WAIT_S * TRIES)
    ttl = Path("/proc/sys/net/ipv4/ip_default_ttl").read_text(encoding="ascii")
    return {
        "gateway": first_hop,
        "ttl": int(ttl),
        "tries": dict(tries),
        "ipv6": attempt_v6(),
        "name": name[0] if name else None,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(look()) + "\n")
