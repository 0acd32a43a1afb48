"""Tries every way out from where it runs, and prints what came of each as JSON.

Standard library only: it is piped into a container's own Python. Usage: python - ADDRESS [TTL].
With a TTL every socket sets it itself, as a program may that wants out.
"""

import json
import socket
import struct
import sys
import time
from collections.abc import Callable

WAIT_S = 1.0


def opened(kind: int, protocol: int = 0) -> socket.socket:
    made = socket.socket(socket.AF_INET, kind, protocol)
    made.settimeout(WAIT_S)
    if len(sys.argv) > 2:
        made.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, int(sys.argv[2]))
    return made


def query() -> bytes:
    name = b"".join(bytes([len(part)]) + part for part in (b"outside", b"test")) + b"\0"
    return struct.pack("!HHHHHH", 4242, 0x0100, 1, 0, 0, 0) + name + struct.pack("!HH", 1, 1)


def tcp(address: str) -> bool:
    with opened(socket.SOCK_STREAM) as line:
        line.connect((address, 8080))
        return line.recv(100) == b"reached\n"


def dns_over_udp(address: str) -> bool:
    with opened(socket.SOCK_DGRAM) as line:
        line.sendto(query(), (address, 53))
        return line.recv(4096)[:2] == query()[:2]


def dns_over_tcp(address: str) -> bool:
    with opened(socket.SOCK_STREAM) as line:
        line.connect((address, 53))
        line.sendall(struct.pack("!H", len(query())) + query())
        return line.recv(4096)[2:4] == query()[:2]


def ping(address: str) -> bool:
    with opened(socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as line:
        line.sendto(struct.pack("!BBHHH", 8, 0, 0, 0, 1), (address, 0))
        return bool(line.recv(4096))


def outcome(way: Callable[[str], bool], address: str) -> dict[str, object]:
    started = time.monotonic()
    try:
        reached, why = way(address), ""
    except OSError as problem:
        reached, why = False, str(problem)
    seconds = round(time.monotonic() - started, 2)
    return {"reached": reached, "why": why, "seconds": seconds}


if __name__ == "__main__":
    ways = (tcp, dns_over_udp, dns_over_tcp, ping)
    sys.stdout.write(json.dumps({way.__name__: outcome(way, sys.argv[1]) for way in ways}))
