"""Whether ``up`` and ``down`` leave anything behind: containers, networks, volumes, descriptors.

Brings the smoke profile up until it has answered and takes it down with its data, again and again,
and counts before and after: what Docker lists, and the file descriptors of its daemon and of
containerd. Those of the tool itself are counted in one process that runs the same cycles through
its command line's own entry point: a process per command would start from nothing every time.

    python -m benchmarks.cycles [--cycles N] [--write]
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.lifecycle import machine

STACK = "deployctl-cycles"
PORTS = ("--set", "ports.webui=17862", "--set", "ports.engine=18002")
RESULTS = Path(__file__).parent / "results" / "cycles.md"

#: Processes of Docker whose descriptors are counted, by their names.
DAEMONS = ("dockerd", "containerd")

#: Cycles before anything is counted: caches and connections are opened once.
WARM_UP = 2

#: Docker lets go of a container's pipes and of its own connections a little after `down` is back.
SETTLE_S = 5.0


_OTHERS = "running containers of others"


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What was there at one moment. ``descriptors``: of whose process → how many.

    ``others``: running containers that are not ours; Docker holds some files open for each.
    """

    containers: int
    networks: int
    volumes: int
    others: int
    descriptors: Mapping[str, int]

    def rows(self) -> dict[str, int]:
        of_docker = {
            "containers": self.containers,
            "networks": self.networks,
            "volumes": self.volumes,
        }
        descriptors = {f"descriptors of {who}": n for who, n in self.descriptors.items()}
        return of_docker | {_OTHERS: self.others} | descriptors


def output(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def listed(*words: str, stack: str) -> int:
    """How many things of ours Docker lists; those of others come and go meanwhile."""
    label = f"label=com.docker.compose.project={stack}"
    return len(output("docker", *words, "--quiet", "--filter", label).split())


def named(name: str) -> list[int]:
    """The processes of this name that this user may look into."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            if (folder / "comm").read_text().strip() == name:
                found.append(int(folder.name))
    return sorted(found)


def descriptors(pids: list[int]) -> int | None:
    """How many files these processes hold open; ``None`` where that is not ours to see."""
    try:
        return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids)
    except (PermissionError, FileNotFoundError):
        return None


def count(stack: str) -> Counted:
    """Count everything, once Docker has settled: the least of some looks."""
    gc.collect()  # what is lost for good is counted, not what Python has not got round to closing
    deadline, least = time.monotonic() + SETTLE_S, dict[str, int]()
    looked_at = {name: named(name) for name in DAEMONS} | {"deployctl": [os.getpid()]}
    while True:
        for name, pids in looked_at.items():
            if pids and (now := descriptors(pids)) is not None:
                least[name] = min(now, least.get(name, now))
        if time.monotonic() >= deadline:
            break
        time.sleep(0.5)
    return Counted(
        containers=listed("container", "ls", "--all", stack=stack),
        networks=listed("network", "ls", stack=stack),
        volumes=listed("volume", "ls", stack=stack),
        others=len(output("docker", "container", "ls", "--quiet").split()),
        descriptors=least,
    )


@contextlib.contextmanager
def unheard() -> Iterator[io.StringIO]:
    """Keep what the tool says, to show it should it fail."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        yield said


def deployctl(stack: str, *words: str) -> None:
    """Run one command line in this process; a failure ends the benchmark."""
    from deployctl.cli import run

    with unheard() as said:
        code = run([*words, "--stack", stack, "--quiet"])
    if code:
        sys.exit(f"deployctl {' '.join(words)}: exit code {code}\n{said.getvalue()}")


def cycle(stack: str) -> float:
    """One up and down; returns its seconds."""
    started = time.perf_counter()
    deployctl(stack, "up", "--profile", "smoke", *PORTS)
    deployctl(stack, "down", "--volumes")
    return time.perf_counter() - started


def measure(stack: str, cycles: int) -> tuple[Counted, Counted, Counted, list[float]]:
    """Counted before, half-way and after; and the seconds of each cycle."""
    for _ in range(WARM_UP):
        cycle(stack)
    before = half = count(stack)
    seconds = []
    for number in range(1, cycles + 1):
        seconds.append(cycle(stack))
        print(f"{number}/{cycles}: {seconds[-1]:.1f} s", file=sys.stderr, flush=True)
        if number == cycles // 2:
            half = count(stack)
    return before, half, count(stack), seconds


def report(before: Counted, half: Counted, after: Counted, seconds: list[float]) -> str:
    cycles = len(seconds)
    lines = [
        "# What up and down leave behind",
        "",
        f"Made by `python -m benchmarks.cycles --cycles {cycles}`. Counted before, after half of,",
        f"and after {cycles} cycles of `up --profile smoke`, which ends with an answer, and",
        f"`down --volumes`. A cycle took {statistics.median(seconds):.1f} s (measured, median).",
        f"Machine: {machine()}.",
        "",
        f"| what | before | after {cycles // 2} | after {cycles} | difference |",
        "|---|---|---|---|---|",
    ]
    for name, first in before.rows().items():
        middle, last = half.rows()[name], after.rows()[name]
        lines.append(f"| {name} | {first} | {middle} | {last} | {last - first:+d} |")
    return "\n".join(lines) + "\n"


def grown(before: Counted, after: Counted, cycles: int) -> list[str]:
    """What is more than before: of ours anything, of Docker's descriptors one for each cycle."""
    first, last = before.rows(), after.rows()
    swaying = {f"descriptors of {name}" for name in DAEMONS}
    return [
        name
        for name in first
        if name != _OTHERS and last[name] - first[name] >= (cycles if name in swaying else 1)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=50)
    parser.add_argument("--stack", default=STACK)
    parser.add_argument("--write", action="store_true", help="keep the table in benchmarks/results")
    parser.add_argument("--home", type=Path, help="a DEPLOYCTL_HOME that has the weights already")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["DEPLOYCTL_HOME"] = str(arguments.home or Path(temporary))
        try:
            before, half, after, seconds = measure(arguments.stack, arguments.cycles)
        finally:
            deployctl(arguments.stack, "down", "--volumes")
    text = report(before, half, after, seconds)
    print(text)
    if arguments.write:
        RESULTS.write_text(text, encoding="utf-8")
    if more := grown(before, after, arguments.cycles):
        sys.exit(f"more than before: {', '.join(more)}")


if __name__ == "__main__":
    main()
