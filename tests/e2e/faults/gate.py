"""A Docker client that waits where it is told to, so that a phase lasts as long as a test needs.

It changes nothing else: once the gate is open, the real client runs with the same words.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e import machine

_CLIENT = """\
#!/bin/sh
case " $* " in
  {pattern}) : > '{folder}/reached'; while [ ! -e '{folder}/open' ]; do sleep 0.05; done ;;
esac
exec '{docker}' "$@"
"""


@dataclass(frozen=True, kw_only=True)
class Gate:
    """Where the client waits."""

    folder: Path

    @property
    def env(self) -> dict[str, str]:
        return {"PATH": f"{self.folder}:{os.environ['PATH']}"}

    def reached(self) -> None:
        """Wait until the client stands before the gate."""
        path = self.folder / "reached"
        machine.eventually(path.exists, within_s=90, what="the client at the gate")

    def open(self) -> None:
        (self.folder / "open").touch()


@contextmanager
def before(folder: Path, *words: str) -> Iterator[Gate]:
    """A client that waits before a command that has these words in this order, none adjacent."""
    docker = shutil.which("docker")
    assert docker is not None
    pattern = "".join(f'*" {word} "' for word in words) + "*"
    client = folder / "docker"
    client.write_text(
        _CLIENT.format(pattern=pattern, folder=folder, docker=docker), encoding="utf-8"
    )
    client.chmod(0o755)
    gate = Gate(folder=folder)
    try:
        yield gate
    finally:
        gate.open()
