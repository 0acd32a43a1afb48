"""How long after the first possible answer through the chat window ``up`` says that it is ready.

A prober of its own, in a thread of its own, asks for an answer all the time while ``deployctl up``
runs: sign in (unless it has a session), list the models, ask. The first word of its first answer is
the first possible answer; ready is when `up` prints its result. Their requests take time from each
other, so the tool is not faster for being watched.

Two starts: the first one of a stack, with an empty database, in which everybody has to sign in;
and one over a database that is there, in which the prober has a session of before.

    python -m benchmarks.ready [--rounds N] [--write]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

from benchmarks.lifecycle import machine, run

TOOL = (sys.executable, "-m", "deployctl")
STACK = "deployctl-bench-ready"
WEBUI, ENGINE = 17862, 18002
URL = f"http://127.0.0.1:{WEBUI}"
RESULTS = Path(__file__).parent / "results" / "ready.md"
GOAL_MS = 300
MODEL = "smollm2-135m"


@dataclass(frozen=True, slots=True)
class Round:
    start: str
    first_s: float  # seconds from the start of `up` to the first word of the prober's first answer
    ready_s: float  # seconds from the start of `up` to its result
    proof_s: float | None  # the tool's own phase
    warm: dict[str, Any] | None

    @property
    def late_ms(self) -> float:
        return 1000 * (self.ready_s - self.first_s)


def opened(path: str, token: str | None, body: object = None) -> HTTPResponse:
    request = urllib.request.Request(
        f"{URL}{path}",
        None if body is None else json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    answer: HTTPResponse = urllib.request.urlopen(request, timeout=60)
    return answer


def ask(path: str, token: str | None, body: object = None) -> dict[str, Any]:
    with opened(path, token, body) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


class Prober(threading.Thread):
    """Asks until it is answered; ``first`` is when that was."""

    def __init__(self, secrets: Path, token: str | None) -> None:
        super().__init__(daemon=True)
        self.secrets, self.token = secrets, token
        self.first: float | None = None
        self.stop = threading.Event()

    def run(self) -> None:
        while not self.stop.wait(0.01):
            try:
                self._try()
            except (OSError, ValueError, KeyError, urllib.error.URLError):
                continue
            return

    def _try(self) -> None:
        if self.token is None:
            password = json.loads(self.secrets.read_text())["admin_password"]
            body = {"email": "admin@deployctl.invalid", "password": password}
            self.token = ask("/api/v1/auths/signin", None, body)["token"]
        listed = ask("/api/models", self.token)
        if MODEL not in [row["id"] for row in listed["data"]]:
            raise ValueError(listed)
        body = {
            "model": MODEL,
            "messages": [{"role": "user", "content": "Say hello in one short sentence."}],
            "max_tokens": 16,
            "stream": True,
        }
        self._first_word(body)

    def _first_word(self, body: object) -> None:
        with opened("/api/chat/completions", self.token, body) as stream:
            for line in stream:
                if not line.startswith(b"data: {"):
                    continue
                choices = json.loads(line.removeprefix(b"data: ")).get("choices") or [{}]
                if (choices[0].get("delta") or {}).get("content"):
                    self.first = time.monotonic()
                    return
        raise ValueError("an answer without a word")


def measure(start: str, home: Path, token: str | None) -> tuple[Round, str]:
    """Bring up once, watched; returns the figures and the prober's session."""
    secrets = home / "stacks" / STACK / "secrets.json"
    prober = Prober(secrets, token)
    began = time.monotonic()
    words = ("up", "--profile", "smoke", "--stack", STACK, "--output", "json")
    ports = ("--set", f"ports.webui={WEBUI}", "--set", f"ports.engine={ENGINE}")
    up = subprocess.Popen(
        (*TOOL, *words, *ports),
        env={**os.environ, "DEPLOYCTL_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    prober.start()
    assert up.stdout is not None
    said = up.stdout.readline()  # the envelope begins: the stack is ready
    ready = time.monotonic()
    said += up.stdout.read()
    data = json.loads(said)
    if up.wait() != 0:
        sys.exit(f"up failed: {data['errors']}")
    prober.join(30)
    prober.stop.set()
    if prober.first is None or prober.token is None:
        sys.exit("The prober was never answered.")
    phases = {phase["name"]: phase["seconds"] for phase in data["data"]["phases"]}
    found = Round(
        start, prober.first - began, ready - began, phases["proof"], data["data"]["warm_up"]
    )
    return found, prober.token


def rounds(count: int, home: Path) -> list[Round]:
    env = {"DEPLOYCTL_HOME": str(home)}

    def down(*words: str) -> None:
        run(*TOOL, "down", "--stack", STACK, "--quiet", *words, env=env)

    found = []
    try:
        for _ in range(count):
            first, token = measure("first start", home, None)
            down()
            again, _ = measure("start over data", home, token)
            down("--volumes")  # the next start is a first one again
            found += [first, again]
    finally:  # whatever ended it
        down("--volumes")
    return found


def report(found: list[Round]) -> str:
    lines = [
        "# From the first possible answer to ready",
        "",
        f"Made by `python -m benchmarks.ready --write`. Measured, {len(found) // 2} rounds, warm "
        "images, profile smoke.",
        f"Machine: {machine()}.",
        "",
        "An independent prober hammers the chat window's own API while `up` runs; the first word",
        "it gets is the first possible answer. `up` may be sooner: both go the same way.",
        "",
        "| start | first possible answer, s | ready, s | ratio | ready after it, ms: median"
        " | worst | goal |",
        "|---|---|---|---|---|---|---|",
    ]
    for start in ("first start", "start over data"):
        these = [one for one in found if one.start == start]
        first = statistics.median(one.first_s for one in these)
        ready = statistics.median(one.ready_s for one in these)
        late = [one.late_ms for one in these]
        lines.append(
            f"| {start} | {first:.2f} | {ready:.2f} | {ready / first:.3f} | "
            f"{statistics.median(late):.0f} | {max(late):.0f} | ≤ {GOAL_MS} |"
        )
    warm = [one.warm for one in found if one.warm]
    if warm:
        first = statistics.median(1000 * one["first_s"] for one in warm)
        last = statistics.median(1000 * one["last_s"] for one in warm)
        lines += [
            "",
            f"Warm-up, while the frontend starts: the first round's slowest answer took "
            f"{first:.0f} ms, the last round's {last:.0f} ms (medians).",
        ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="keep the table in benchmarks/results")
    parser.add_argument("--home", type=Path, help="a DEPLOYCTL_HOME that has the weights already")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        text = report(rounds(arguments.rounds, arguments.home or Path(temporary)))
    print(text)
    if arguments.write:
        RESULTS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
