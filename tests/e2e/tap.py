"""Runs inside a container's network: writes down every piece of TCP that arrives at a port.

Standard library only. Usage: python tap.py PORT. One JSON line per piece: the sender's port, its
place in the stream, and the bytes in base64.
"""

import base64
import json
import socket
import struct
import sys


def pieces(port: int) -> None:
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
    say({"listening": True})
    while True:
        packet, _ = wire.recvfrom(1 << 17)
        header = (packet[0] & 15) * 4
        if packet[9] != socket.IPPROTO_TCP:
            continue
        source, target, place = struct.unpack("!HHI", packet[header : header + 8])
        length = struct.unpack("!H", packet[2:4])[0] or len(packet)
        data = packet[header + (packet[header + 12] >> 4) * 4 : length]
        if target == port and data:
            say({"source": source, "place": place, "data": base64.b64encode(data).decode()})


def say(line: object) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    pieces(int(sys.argv[1]))
