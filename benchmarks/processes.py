"""Programs of others as processes of this machine: obtained, started, weighed, and gone afterwards.

What they are made of goes to the cache folder at its first use: Python's packages into a virtual
environment, Debian's unpacked and not installed.
"""

from __future__ import annotations

import os
import platform
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

#: Where Debian has libraries, below the folder that packages were unpacked into.
LIBRARIES = f"usr/lib/{platform.machine()}-linux-gnu"


def libraries(root: Path) -> dict[str, str]:
    """The environment in which programs of unpacked packages find their libraries."""
    return {"LD_LIBRARY_PATH": f"{root / LIBRARIES}:{root / LIBRARIES.removeprefix('usr/')}"}


def cache_folder() -> Path:
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "deployctl-benchmarks"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def from_debian(name: str, packages: tuple[str, ...]) -> Path:
    """The folder that Debian's packages were unpacked into."""
    folder = cache_folder() / name
    if not (folder / ".unpacked").exists():
        folder.mkdir(parents=True, exist_ok=True)
        _say(f"downloading {' '.join(packages)} into {folder}")
        _done(("apt-get", "download", *packages), folder)
        for package in sorted(folder.glob("*.deb")):
            _done(("dpkg", "-x", str(package), str(folder / "root")), folder)
        (folder / ".unpacked").touch()
    return folder / "root"


def from_python(name: str, requirement: str) -> Path:
    """The virtual environment that has a package."""
    folder = cache_folder() / name
    if not (folder / ".installed").exists():
        _say(f"installing {requirement} into {folder}")
        venv.create(folder, with_pip=True, clear=True)
        _done((str(folder / "bin/pip"), "install", "--quiet", requirement), folder)
        (folder / ".installed").touch()
    return folder


def _done(argv: tuple[str, ...], folder: Path) -> None:
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=1200)
    if done.returncode:
        sys.exit(f"{' '.join(argv)} ended with {done.returncode}:\n{done.stderr[-2000:]}")


def disk(folder: Path) -> int:
    """Bytes that files below a folder take, without pip, which only installs."""
    files = (each for each in folder.rglob("*") if "/site-packages/pip" not in str(each))
    return sum(each.lstat().st_blocks * 512 for each in files if not each.is_dir())


@contextmanager
def process(
    argv: tuple[str, ...], folder: Path, environment: Mapping[str, str] | None = None
) -> Iterator[int]:
    """A process with those that it starts; what it says goes to FOLDER/PROGRAM.log."""
    with (folder / f"{Path(argv[0]).name}.log").open("wb") as log:
        running = subprocess.Popen(
            argv,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield running.pid
        finally:
            _end(running)


def _end(running: subprocess.Popen[bytes]) -> None:
    """End a process and those of its group, gently first; one that was stopped goes on for it."""
    for how in (signal.SIGCONT, signal.SIGTERM):
        with suppress(ProcessLookupError):
            os.killpg(running.pid, how)
    with suppress(subprocess.TimeoutExpired):
        running.wait(20)
    with suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGKILL)
    running.wait()


def wait_until_answers(url: str, pid: int, log: Path, *, patience_s: float = 120) -> None:
    """Until the address answers 200; ends, with what the process said, where it has ended."""
    until = time.monotonic() + patience_s
    while time.monotonic() < until and _state(pid) != "Z":
        with suppress(urllib.error.URLError, OSError), urllib.request.urlopen(url, timeout=5) as it:
            if it.status == 200:
                return
        time.sleep(0.02)
    sys.exit(f"{url} does not answer:\n{log.read_text(errors='replace')[-3000:]}")


def _state(pid: int) -> str:
    return _after_name(Path(f"/proc/{pid}/stat"))[0]


def _after_name(stat: Path) -> list[str]:
    """Fields of /proc/PID/stat behind the name, which may hold anything: state, parent, …"""
    return stat.read_text().rsplit(")", 1)[1].split()


def memory(pids: Mapping[str, int]) -> dict[str, int]:
    """Bytes (proportional set size) of each process with all below it, now."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(stat.parent.name)] = int(_after_name(stat)[1])
    return {
        name: sum(_pss(each) for each in parents if _is_below(each, pid, parents))
        for name, pid in pids.items()
    }


def _is_below(pid: int, ancestor: int, parents: Mapping[int, int]) -> bool:
    while pid in parents and pid != ancestor:
        pid = parents[pid]
    return pid == ancestor


def _pss(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    return 1024 * int(found[1]) if found else 0
