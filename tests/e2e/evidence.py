"""What a failed scenario leaves under ``artifacts/``: bundle, ps, logs, events. No secrets."""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path

from tests.e2e import machine

#: Files of a stack's folder that may be shown to others.
_SHOWN = ("compose.yaml", "compose.override.yaml", "manifest.json", "deployctl.log")

_LABEL = "com.docker.compose.project"


def folder_name(node: str) -> str:
    """A test's id as a folder name."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", node.removeprefix("tests/e2e/")).strip("-")[:120]


def keep(folder: Path, *, home: Path | None, since: float, failure: str) -> None:
    """Write down how things were when the test failed; ``since`` is seconds since the epoch."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "failure.txt", failure)
    for stack in sorted((home / "stacks").glob("*")) if home else ():
        _bundle(stack, folder / stack.name)
    _write(folder / "ps.txt", machine.attempt("docker", "ps", "--all", "--no-trunc")[1])
    now = str(time.time())
    window = ("--since", str(since), "--until", now)
    _write(folder / "events.txt", machine.attempt("docker", "events", *window)[1])
    listed = machine.attempt(
        *("docker", "ps", "--all", "--filter", f"label={_LABEL}"),
        *("--format", f'{{{{.ID}}}} {{{{.Label "{_LABEL}"}}}} {{{{.Names}}}}'),
    )[1]
    for line in listed.splitlines():
        _container(folder, *line.split(" ", 2))


def _bundle(stack: Path, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for name in _SHOWN:
        if (stack / name).is_file():
            shutil.copyfile(stack / name, folder / name)


def _container(folder: Path, identity: str, project: str, name: str) -> None:
    if not project.startswith("dctl-e2e-"):
        return
    said = machine.attempt("docker", "logs", "--timestamps", "--tail", "400", identity)[1]
    _write(folder / f"{name}.log", said)
    exit_code, text = machine.attempt("docker", "inspect", identity)
    if exit_code == 0:  # the environment holds secrets and stays out
        state = {key: json.loads(text)[0][key] for key in ("State", "HostConfig", "RestartCount")}
        _write(folder / f"{name}.json", json.dumps(state, indent=1))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
