"""Stops and starts this machine's Docker daemon, and never leaves it stopped. Needs root."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e import machine
from tests.e2e.faults.patient import exists
from tests.e2e.product import Product

_PID = Path("/var/run/docker.pid")
_SYSTEMD = Path("/run/systemd/system")

#: A daemon with a few containers ends and starts within seconds; a slow machine may take longer.
_PATIENCE_S = 120

#: Set it to stop the daemon even though other containers run on it.
FORCE = "DEPLOYCTL_TEST_DAEMON"


def refuse_unless_alone(*own: str) -> None:
    """Skip where it would stop containers that are not the tests' own."""
    if os.geteuid() != 0:
        pytest.skip("stopping the Docker daemon needs root")
    if not _SYSTEMD.exists() and not _PID.exists():
        pytest.skip(f"neither systemd nor {_PID}: it is not known how Docker is started here")
    project = '{{.Label "com.docker.compose.project"}} {{.Names}}'
    rows = [row.split(" ", 1) for row in machine.docker("ps", "--format", project).splitlines()]
    others = [name for owner, name in rows if not owner.startswith(own)]
    if others and not os.environ.get(FORCE):
        pytest.skip(f"it would stop {', '.join(others)}; next: {FORCE}=1 make test-faults")


def answers() -> bool:
    return machine.attempt("docker", "version", "--format", "{{.Server.Version}}")[0] == 0


def stop() -> None:
    """Stop the daemon and wait until it is gone."""
    if _SYSTEMD.exists():
        machine.run("systemctl", "stop", "docker.socket", "docker.service")
    else:
        pid = int(_PID.read_text(encoding="utf-8"))
        os.kill(pid, signal.SIGTERM)
        machine.eventually(lambda: not exists(pid), within_s=_PATIENCE_S, what="the daemon's end")
    assert not answers()


def start(product: Product) -> None:
    """Start the daemon as the product does; where that fails, as plainly as can be."""
    said = ""
    for words in (("setup", "--yes"), ("setup", "--yes")):
        if answers():
            return
        said += str(product.run(*words))
    if not answers() and not _SYSTEMD.exists():
        machine.attempt("sh", "-c", "setsid dockerd >/dev/null 2>&1 </dev/null &")
    machine.eventually(answers, within_s=_PATIENCE_S, what=f"the daemon again\n{said}")


@contextmanager
def stopped(product: Product) -> Iterator[None]:
    """No daemon in the body; one afterwards, whatever happened."""
    try:
        stop()
        yield
    finally:
        start(product)
