"""How long profiles take, and what becomes of ten thousand spoiled ones.

    python -m benchmarks.profiles [--mutants N] [--compose N] [--write]

Reading, planning and rendering is measured in this process; ``plan`` and ``profile show`` as
processes, from start to end. A mutant must render, or be refused with a place and a hint.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from deployctl.planner import build_plan
from deployctl.profiles.resolve import resolve
from deployctl.profiles.selection import Selection
from deployctl.render import render
from tests.docker.accepting import refused_by_compose
from tests.mutations import mutant, outcome
from tests.profilefiles import CATALOG, Files, readers

RESULTS = Path(__file__).parent / "results" / "profiles.md"

#: Seconds for a thousand profiles, growth of the time for one from 250 to 1000, and milliseconds.
GOAL_THOUSAND_S, GOAL_LINEAR, GOAL_PROCESS_MS = 10.0, 1.3, 150

PROCESSES = (("plan", "--profile", "rtx3060"), ("profile", "show", "rtx3060"))
RUNS = 15


def seconds_for(count: int) -> float:
    """Resolve, plan and render ``count`` profiles that extend the shipped ones in turn."""
    names = CATALOG.shipped_names()
    texts = [
        (f"extends: {names[number % len(names)]}\nports: {{webui: {9000 + number}}}\n")
        for number in range(count)
    ]
    started = time.perf_counter()
    for text in texts:
        profile = resolve(Selection(profile="mine"), readers(Files(mine=text)))
        render(build_plan(profile), CATALOG.templates_dir)
    return time.perf_counter() - started


def process_ms(*words: str) -> float:
    """The median of some runs; the first, which may have to compile, does not count."""
    # As for an operator: compiled files are kept, and no profile of one's own is there.
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    took = []
    with tempfile.TemporaryDirectory() as home:
        for _ in range(RUNS + 1):
            started = time.perf_counter()
            subprocess.run(
                [sys.executable, "-m", "deployctl", *words],
                env={**kept, "DEPLOYCTL_HOME": home},
                check=True,
                capture_output=True,
            )
            took.append((time.perf_counter() - started) * 1000)
    return statistics.median(took[1:])


def tried(count: int, compose: int) -> tuple[Counter[str], dict[int, str], int]:
    """What became of the mutants, what Compose refused, and how many it was shown."""
    became: Counter[str] = Counter()
    valid: dict[int, str] = {}
    for seed in range(count):
        one = outcome(mutant(seed))
        became["renders" if one.stack else one.codes[0]] += 1
        if one.stack:
            valid[seed] = one.stack
    if not shutil.which("docker"):
        return became, {}, 0
    step = max(1, len(valid) // max(1, compose))
    sample = {seed: valid[seed] for seed in list(valid)[::step][:compose]}
    with tempfile.TemporaryDirectory() as folder:
        return became, refused_by_compose(sample, Path(folder)), len(sample)


def table(arguments: argparse.Namespace) -> Iterator[str]:
    """The lines of the result."""
    seconds_for(50)
    few = min(seconds_for(250) for _ in range(3))
    many = min(seconds_for(1000) for _ in range(2))
    yield f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} cores."
    yield ""
    yield "| what | measured | goal |"
    yield "|---|---|---|"
    yield f"| 1000 profiles read, planned and rendered | {many:.1f} s | ≤ {GOAL_THOUSAND_S:.0f} s |"
    growth = (many / 1000) / (few / 250)
    yield f"| one of 1000 against one of 250 | {growth:.2f} | ≤ {GOAL_LINEAR} |"
    for words in PROCESSES:
        goal = f"≤ {GOAL_PROCESS_MS} ms" if words[0] == "plan" else ""
        name = f"deployctl {' '.join(words)}"
        yield f"| `{name}`, median of {RUNS} | {process_ms(*words):.0f} ms | {goal} |"
    started = time.perf_counter()
    became, refused, shown = tried(arguments.mutants, arguments.compose)
    took = time.perf_counter() - started
    yield f"| {arguments.mutants} mutants without a traceback | {took:.0f} s | |"
    yield f"| of {shown} that render, refused by `docker compose config` | {len(refused)} | 0 |"
    yield ""
    yield "| what became of a mutant | how many |"
    yield "|---|---|"
    for what, count in became.most_common():
        yield f"| {what} | {count} |"
    for seed, words_said in refused.items():
        yield f"\nmutant {seed}: {words_said}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=10_000)
    parser.add_argument("--compose", type=int, default=300)
    parser.add_argument("--write", action="store_true", help="keep the table under results/")
    arguments = parser.parse_args()
    lines = ["# Profiles", ""]
    for line in table(arguments):
        print(line, flush=True)
        lines.append(line)
    if arguments.write:
        RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
