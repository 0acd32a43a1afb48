"""How much ``up``, a no-op ``up`` and ``down`` cost over raw Compose on the same rendered file.

Raw ``docker compose up --wait`` waits for two healthchecks and proves nothing; ours ends with an
answer. Both run in turn, in one session, on warm images; what is compared is the median ratio.

    python -m benchmarks.lifecycle [--rounds N] [--write]
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

STACK = "deployctl-bench"
PORTS = ("--set", "ports.webui=17860", "--set", "ports.engine=18000")
RESULTS = Path(__file__).parent / "results" / "lifecycle.md"

#: What each ratio may be at most.
GOALS = {"up": 1.10, "up, nothing to do": 1.20, "down": 1.10}
START_GOALS_MS = {"deployctl --version": 60, "deployctl --help": 120}


def run(*argv: str, env: dict[str, str] | None = None, cwd: Path | None = None) -> float:
    """Run to the end; returns wall seconds. A failure ends the benchmark."""
    started = time.perf_counter()
    done = subprocess.run(
        argv, env={**os.environ, **(env or {})}, cwd=cwd, capture_output=True, text=True
    )
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        sys.exit(f"{' '.join(argv)}\n{done.stdout}{done.stderr}\nexit code {done.returncode}")
    return seconds


def console_script() -> str:
    return str(Path(sys.executable).parent / "deployctl")


def lifecycle(rounds: int, home: Path) -> dict[str, tuple[list[float], list[float]]]:
    """Seconds of (ours, raw) per action, in turn."""
    env = {"DEPLOYCTL_HOME": str(home)}
    folder = home / "stacks" / STACK

    def ours(*words: str) -> float:
        return run(console_script(), *words, "--stack", STACK, "--quiet", env=env)

    def raw(*words: str) -> float:
        return run("docker", "compose", "--project-name", STACK, *words, cwd=folder)

    up = ("up", "--profile", "smoke", *PORTS)
    actions: dict[str, tuple[Callable[[], float], Callable[[], float]]] = {
        "up": (lambda: ours(*up), lambda: raw("up", "--detach", "--wait")),
        "up, nothing to do": (lambda: ours(*up), lambda: raw("up", "--detach", "--wait")),
        "down": (lambda: ours("down"), lambda: raw("down")),
    }
    seconds: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in actions}
    try:
        ours(*up)  # images, weights and the rendered folder; not counted
        ours("down")
        for number in range(rounds):
            for which in ((0, 1), (1, 0))[number % 2]:
                for name, pair in actions.items():
                    seconds[name][which].append(pair[which]())
    finally:  # whatever ended it
        ours("down", "--volumes")
    return seconds


def start_up(rounds: int) -> dict[str, list[float]]:
    """Milliseconds until a command that does nothing is back."""
    commands = {
        "docker compose version": ("docker", "compose", "version"),
        "deployctl --version": (console_script(), "--version"),
        "deployctl --help": (console_script(), "--help"),
    }
    found: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, argv in commands.items():
            found[name].append(1000 * run(*argv))
    return found


def report(
    seconds: dict[str, tuple[list[float], list[float]]], start: dict[str, list[float]]
) -> str:
    lines = [
        "# up, no-op up and down against raw Compose",
        "",
        "Made by `make bench`. Measured, medians of "
        f"{len(next(iter(seconds.values()))[0])} rounds in turn, warm images, profile smoke.",
        f"Machine: {machine()}.",
        "",
        "| action | deployctl, s | raw compose, s | ratio | goal |",
        "|---|---|---|---|---|",
    ]
    for name, (ours, raw) in seconds.items():
        a, b = statistics.median(ours), statistics.median(raw)
        lines.append(f"| {name} | {a:.2f} | {b:.2f} | {a / b:.2f} | ≤ {GOALS[name]:.2f} |")
    lines += ["", "| start-up | median, ms | goal |", "|---|---|---|"]
    for name, times in start.items():
        goal = f"≤ {START_GOALS_MS[name]}" if name in START_GOALS_MS else ""
        lines.append(f"| {name} | {statistics.median(times):.0f} | {goal} |")
    return "\n".join(lines) + "\n"


def machine() -> str:
    cpu = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    return f"{cpu}, {os.cpu_count()} cores, {gib:.0f} GiB, Linux {platform.release()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="keep the table in benchmarks/results")
    parser.add_argument("--home", type=Path, help="a DEPLOYCTL_HOME that has the weights already")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        text = report(lifecycle(arguments.rounds, arguments.home or Path(temporary)), start_up(20))
    print(text)
    if arguments.write:
        RESULTS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
