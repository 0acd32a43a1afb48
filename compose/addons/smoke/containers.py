"""What the containers of one stack take, for Prometheus, from the kernel's own accounts.

Mounted into a container of the stack, with the machine's cgroups at /host/cgroup and the stack's
list of containers at /exported/containers.json, both read-only. Docker is never asked: who may ask
it is root. Containers that are not in the list are not reported; without a list none is. Needs
nothing but Python. Names as cAdvisor's, which says the same of containers; sizes are bytes.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path("/host/cgroup")
LIST = Path("/exported/containers.json")
PORT = 9101

#: Where Docker puts a container's group: by its own driver, by systemd's, for one user only, and
#: below a group that its daemon was given (cgroup-parent), where that is not nested.
#: Version 1 of cgroups has a tree for each of memory and processors, version 2 one for all.
PLACES = (
    "docker/{id}",
    "system.slice/docker-{id}.scope",
    "user.slice/user-*.slice/user@*.service/*/docker-{id}.scope",
    "*/docker/{id}",
    "*/{id}",
    "*/docker-{id}.scope",
)
MEMORY, CPU = ("memory", "."), ("cpuacct", "cpu,cpuacct", ".")

#: Seconds between two looks for containers that were started again: shorter than any lives that
#: does something before it fails.
LOOK_EVERY_S = 0.25


def wanted(file: Path) -> dict[str, str]:
    """Id of a container → its service, as deployctl wrote it; empty where nothing can be read."""
    try:
        listed = json.loads(file.read_text(encoding="utf-8"))["containers"]
        found = {identity: str(entry["service"]) for identity, entry in listed.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return {i: name for i, name in found.items() if len(i) == 64 and set(i) <= _HEX}


_HEX = set("0123456789abcdef")


def group(root: Path, trees: tuple[str, ...], identity: str) -> Path | None:
    """The folder of a container's accounts in the first of the trees that has it."""
    for tree in trees:
        for place in PLACES:
            for found in (root / tree).glob(place.format(id=identity)):
                return found
    return None


def value(folder: Path, *names: str, key: str = "") -> float | None:
    """The number in the first of the files that is there; ``key`` picks a line of several.

    Version 1 of cgroups has a line for the group alone and one, ``total_``, with all below it.
    """
    for name in names:
        try:
            text = (folder / name).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if key:
            lines = dict(line.split()[:2] for line in text.splitlines() if " " in line)
            text = lines.get(f"total_{key}", lines.get(key, "max"))
        return None if text == "max" else float(text)
    return None


class Starts:
    """How often each container was started since this began, and when the last time.

    Every start makes the group anew, with a number of its own. The folder's time is when somebody
    first looked at it, which is early enough: this looks all the time.
    """

    def __init__(self, root: Path, listed: Callable[[], Mapping[str, str]]) -> None:
        self._root, self._listed = root, listed
        self._groups: dict[str, int] = {}
        self._folders: dict[str, Path] = {}
        self.counts: dict[str, int] = {}
        self.began: dict[str, float] = {}

    def look(self) -> None:
        """Notice what was started since the last look."""
        listed = self._listed()
        for gone in set(self._groups) - set(listed):
            for kept in (self._groups, self._folders, self.counts, self.began):
                kept.pop(gone, None)
        for identity in listed:
            seen = self._seen(identity)
            if seen is None or self._groups.get(identity) == seen.st_ino:
                continue
            self.counts[identity] = self.counts.get(identity, -1) + 1
            self._groups[identity] = seen.st_ino
            self.began[identity] = seen.st_ctime

    def _seen(self, identity: str) -> os.stat_result | None:
        """What there is of its folder; where that was the last time is looked at first."""
        folder = self._folders.get(identity)
        if folder is None or not folder.is_dir():
            folder = group(self._root, MEMORY, identity)
        if folder is None:
            return None
        self._folders[identity] = folder
        try:
            return folder.stat()
        except OSError:  # it went in this moment
            return None

    def watch(self) -> None:
        """Look again and again; never returns."""
        while True:
            self.look()
            time.sleep(LOOK_EVERY_S)


def samples(root: Path, identity: str, starts: Starts) -> Iterator[tuple[str, float]]:
    """(name, value) of all that is known of one container."""
    if identity in starts.counts:
        yield "container_starts_total", starts.counts[identity]
    memory, cpu = group(root, MEMORY, identity), group(root, CPU, identity)
    yield "container_running", float(memory is not None)
    if memory is None or cpu is None:
        return
    if identity in starts.began:
        yield "container_start_time_seconds", starts.began[identity]
    used = value(memory, "memory.current", "memory.usage_in_bytes")
    idle = value(memory, "memory.stat", key="inactive_file")
    limit = value(memory, "memory.max", "memory.limit_in_bytes")
    kills = value(memory, "memory.events", "memory.oom_control", key="oom_kill")
    microseconds = value(cpu, "cpu.stat", key="usage_usec")
    nanoseconds = value(cpu, "cpuacct.usage") if microseconds is None else microseconds * 1e3
    if used is not None:
        yield "container_memory_working_set_bytes", max(0.0, used - (idle or 0.0))
    if limit is not None and limit < 1 << 60:  # beyond any memory: there is no limit
        yield "container_spec_memory_limit_bytes", limit
    if kills is not None:
        yield "container_oom_events_total", kills
    if nanoseconds is not None:
        yield "container_cpu_usage_seconds_total", nanoseconds / 1e9


def page(root: Path, listed: Mapping[str, str], starts: Starts) -> str:
    """All samples as Prometheus reads them, each name with its type once."""
    found: dict[str, list[str]] = {}
    for identity, service in sorted(listed.items(), key=lambda item: item[1]):
        label = json.dumps(service)
        for name, number in samples(root, identity, starts):
            found.setdefault(name, []).append(f"{name}{{service={label}}} {number!r}")
    lines = [f"# TYPE containers_listed gauge\ncontainers_listed {len(listed)}"]
    for name, rows in found.items():
        kind = "counter" if name.endswith("_total") else "gauge"
        lines += [f"# TYPE {name} {kind}", *rows]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Answer until the container is stopped."""
    starts = Starts(ROOT, lambda: wanted(LIST))
    starts.look()
    threading.Thread(target=starts.watch, daemon=True).start()

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = page(ROOT, wanted(LIST), starts).encode()
            self.send_response(200 if self.path == "/metrics" else 404)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nobody reads that it was asked every few seconds."""

    sys.stderr.write(f"answers at port {PORT}\n")
    ThreadingHTTPServer(("", PORT), Answer).serve_forever()


if __name__ == "__main__":
    main()
