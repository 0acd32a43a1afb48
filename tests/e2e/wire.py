"""What the frontend really sends to the engine, read from the wire inside the engine's network."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e import machine

_TAP = Path(__file__).parent / "tap.py"


def problem() -> str | None:
    """Why nothing can be read here; ``None`` when it can."""
    if os.geteuid() != 0:
        return "reading the wire needs root"
    return None if shutil.which("nsenter") else "reading the wire needs nsenter (util-linux)"


class Wire:
    """The requests that arrived so far."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def bodies(self, path: str) -> list[dict[str, Any]]:
        """The JSON bodies of all requests for ``path``, in no particular order."""
        streams: dict[int, dict[int, bytes]] = defaultdict(dict)
        for line in self._log.read_text(encoding="utf-8").splitlines()[1:]:
            piece = json.loads(line)
            streams[piece["source"]][piece["place"]] = base64.b64decode(piece["data"])
        found = []
        for pieces in streams.values():
            whole = b"".join(data for _, data in sorted(pieces.items()))
            found += [json.loads(body) for body in _bodies(whole, path)]
        return found


def _bodies(stream: bytes, path: str) -> Iterator[bytes]:
    for start in re.finditer(rb"POST " + re.escape(path.encode()) + rb" HTTP/1\.1\r\n", stream):
        head, _, rest = stream[start.start() :].partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        assert length is not None, head
        yield rest[: int(length[1])]


@contextmanager
def listening(container: dict[str, Any], port: int) -> Iterator[Wire]:
    """Read along what arrives at a port of a container, as long as the body runs."""
    words = ["nsenter", "--target", str(container["State"]["Pid"]), "--net"]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "pieces"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*words, sys.executable, str(_TAP), str(port)], stdout=output
            )
        try:
            machine.eventually(lambda: log.stat().st_size > 0, within_s=60, what="the tap")
            yield Wire(log)
        finally:
            process.kill()
            process.wait()
