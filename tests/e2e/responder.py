"""Runs inside the test's network namespace: answers TCP and DNS, and writes down every packet.

Standard library only. Usage: python responder.py ADDRESS. One JSON line per IPv4 packet that
arrives on the wire goes to stdout: source, protocol number, destination port. The packet is noted
before anything looks at it, so what is not listed never arrived.
"""

import json
import socket
import struct
import sys
import threading

TCP_PORT = 8080
DNS_PORT = 53

#: The address that every name has here (192.0.2.0/24 is for documentation).
ANSWER = "192.0.2.53"


def note(seen: object) -> None:
    sys.stdout.write(json.dumps(seen) + "\n")
    sys.stdout.flush()


def note_packets() -> None:
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
    note({"listening": True})
    while True:
        packet, address = wire.recvfrom(65535)
        if address[2] == socket.PACKET_OUTGOING:  # type: ignore[attr-defined,unused-ignore]
            continue
        header = (packet[0] & 15) * 4
        protocol = packet[9]
        has_ports = protocol in (socket.IPPROTO_TCP, socket.IPPROTO_UDP)
        port = struct.unpack("!H", packet[header + 2 : header + 4])[0] if has_ports else None
        seen = {"source": socket.inet_ntoa(packet[12:16]), "protocol": protocol, "port": port}
        note(seen)


def dns_answer(query: bytes) -> bytes:
    """One A record for whatever was asked."""
    flags = struct.pack("!HHHHH", 0x8180, 1, 1, 0, 0)
    end = query.index(b"\0", 12) + 5  # the name's end, type and class
    record = struct.pack("!HHHIH", 0xC00C, 1, 1, 30, 4) + socket.inet_aton(ANSWER)
    return query[:2] + flags + query[12:end] + record


def serve_udp(address: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, DNS_PORT))
        while True:
            query, peer = server.recvfrom(4096)
            server.sendto(dns_answer(query), peer)


def serve_tcp(address: str, port: int) -> None:
    with socket.create_server((address, port)) as server:
        while True:
            peer, _ = server.accept()
            with peer:
                peer.settimeout(5)
                try:
                    if port == DNS_PORT:
                        answer = dns_answer(peer.recv(4096)[2:])
                        peer.sendall(struct.pack("!H", len(answer)) + answer)
                    else:
                        peer.sendall(b"reached\n")
                except OSError:
                    continue


if __name__ == "__main__":
    where = sys.argv[1]
    for target, arguments in (
        (serve_udp, (where,)),
        (serve_tcp, (where, DNS_PORT)),
        (serve_tcp, (where, TCP_PORT)),
    ):
        threading.Thread(target=target, args=arguments, daemon=True).start()
    note_packets()
