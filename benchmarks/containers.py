"""Docker as benchmarks use it: they end, and say why, where it fails."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request


def docker(*words: str) -> str:
    """Run a command of Docker; what it wrote to stdout."""
    done = subprocess.run(
        ("docker", *words), check=False, capture_output=True, text=True, timeout=120
    )
    if done.returncode:
        sys.exit(f"docker {words[0]} failed:\n{done.stderr}")
    return done.stdout.strip()


def log(container: str) -> str:
    """What a container wrote, both streams as they came."""
    return subprocess.run(
        ("docker", "logs", container),
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    ).stdout


def wait_for(url: str, container: str, *, patience_s: float) -> None:
    """Until the address answers 200; ends where the container has ended before."""
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            pass
        refuse_ended(container)
        time.sleep(0.1)
    sys.exit(f"The engine was not ready within {patience_s:.0f} s.")


def refuse_ended(container: str) -> None:
    """End with its last lines where a container runs no more."""
    if docker("inspect", "--format", "{{.State.Running}}", container) != "true":
        sys.exit(f"The engine ended:\n{log(container)[-2000:]}")
