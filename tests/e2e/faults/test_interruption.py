"""Ctrl-C and a killed tool in every phase of `up`; the next one arrives, and nothing is lost."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from tests.e2e import machine
from tests.e2e.faults import gate
from tests.e2e.faults.images import SlowRegistry
from tests.e2e.faults.patient import Patient, exists
from tests.e2e.product import Running, Stack
from tests.hubserver import HubFile
from tests.hubserver import running as hub_running

REPO, NAME = "acme/tiny", "tiny.gguf"

#: A container that is there and never gets ready.
IDLE = """\
services:
  {service}:
    entrypoint: ["sleep", "3600"]
    command: []
"""


@contextmanager
def held_up(patient: Patient, held: gate.Gate) -> Iterator[Running]:
    """An `up` that stands before the gate."""
    with patient.stack.product.start(*patient.stack.up_words, env=held.env) as running:
        held.reached()
        yield running


@contextmanager
def in_preflight(patient: Patient, folder: Path) -> Iterator[Running]:
    """Docker is asked how it is, and takes its time."""
    with gate.before(folder, "info") as held, held_up(patient, held) as running:
        yield running


@contextmanager
def in_images(patient: Patient, folder: Path) -> Iterator[Running]:
    """The registry takes its time."""
    with SlowRegistry().running() as registry:
        how = ("--images", "pull", "--set", f"engine.image={registry.reference}")
        env = {"NO_PROXY": "127.0.0.1"}
        with patient.stack.product.start(*patient.stack.up_words, *how, env=env) as running:
            assert registry.asked.wait(90)
            yield running


@contextmanager
def in_weights(patient: Patient, folder: Path) -> Iterator[Running]:
    """The hub stops in the middle of the file."""
    gate_of_hub = Event()
    with hub_running() as hub, contextlib.ExitStack() as cleanup:
        cleanup.callback(gate_of_hub.set)
        hub.files[f"{REPO}/{NAME}"] = HubFile(b"GGUF" + b"\0" * 10**7, gate=gate_of_hub)
        how = ("--set", f"model.source=hf:{REPO}:{NAME}", "--set", "engine.memory=1GiB")
        env = {"HF_ENDPOINT": hub.url, "NO_PROXY": "127.0.0.1,localhost"}
        with patient.stack.product.start(*patient.stack.up_words, *how, env=env) as running:
            machine.eventually(hub.bodies, within_s=90, what="the download")
            yield running


@contextmanager
def in_start(patient: Patient, folder: Path) -> Iterator[Running]:
    """Docker is told to start the containers."""
    assert patient.stack.down().exit_code == 0
    with gate.before(folder, "compose", "up") as held, held_up(patient, held) as running:
        yield running


@contextmanager
def in_engine(patient: Patient, folder: Path) -> Iterator[Running]:
    """The engine never gets ready."""
    patient.overridden(IDLE.format(service="engine"))
    with patient.stack.start_up() as running:
        running.until("✓ start")
        yield running


@contextmanager
def in_frontend(patient: Patient, folder: Path) -> Iterator[Running]:
    """The frontend never gets ready."""
    patient.overridden(IDLE.format(service="webui"))
    with patient.stack.start_up() as running:
        running.until("✓ engine ready")
        yield running


@contextmanager
def in_proof(patient: Patient, folder: Path) -> Iterator[Running]:
    """The engine stands still as soon as it has said that it is there."""
    assert patient.stack.down().exit_code == 0
    pids: list[int] = []
    try:
        with patient.stack.start_up() as running:
            running.until("✓ engine ready")
            pids = patient.processes("engine")
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            running.until("✓ frontend ready")
            yield running
    finally:
        for pid in filter(exists, pids):
            os.kill(pid, signal.SIGCONT)


Phase = Callable[[Patient, Path], AbstractContextManager[Running]]

PHASES: dict[str, Phase] = {
    "preflight": in_preflight,
    "images": in_images,
    "weights": in_weights,
    "start": in_start,
    "engine": in_engine,
    "frontend": in_frontend,
    "proof": in_proof,
}

#: Phases in the middle of which a Docker client is at work.
CLIENT = ("preflight", "images", "start")


def phases(*short: str) -> list[Any]:
    """All phases, to go through; those that are not ``short`` in the long half only."""
    return [
        name if name in short else pytest.param(name, marks=pytest.mark.long) for name in PHASES
    ]


def at_work(running: Running, home: Path) -> list[str]:
    """The command lines of what the tool has started: processes that know its home."""
    mark = f"DEPLOYCTL_HOME={home}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == running.pid:
            continue
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                found.append(words.decode("utf-8", "replace"))
        except OSError:
            continue  # it ended while it was looked at, or is somebody else's
    return found


def left_behind(patient: Patient) -> list[str]:
    """Files of the stack's folder that are there only while a command works."""
    return [
        str(path.relative_to(patient.stack.folder))
        for path in patient.stack.folder.rglob("*")
        if path.name.startswith((".", "tmp")) and path.name != ".env" and path.is_file()
    ]


@pytest.mark.parametrize("phase", phases("start", "engine", "proof"))
def test_ctrl_c_leaves_nothing_half_and_the_next_up_arrives(
    patient: Patient, tmp_path: Path, phase: str
) -> None:
    secrets, home = patient.stack.secrets(), patient.stack.product.home
    with PHASES[phase](patient, tmp_path) as running:
        assert at_work(running, home) or phase not in CLIENT
        running.interrupt()
        outcome = running.finish()
        assert outcome.exit_code == 130, str(outcome)
        assert at_work(running, home) == []
    assert "[interrupted]" in outcome.stderr
    assert "deployctl up" in outcome.stderr.partition("next:")[2], str(outcome)
    assert "Traceback" not in outcome.stderr
    assert left_behind(patient) == []
    patient.heals()
    assert patient.stack.secrets() == secrets


@pytest.mark.parametrize("phase", phases("start"))
def test_after_a_killed_tool_the_next_up_arrives(
    patient: Patient, tmp_path: Path, phase: str
) -> None:
    secrets = patient.stack.secrets()
    with PHASES[phase](patient, tmp_path) as running:
        running.kill()
        assert running.finish().exit_code == -9
    patient.heals()
    assert patient.stack.secrets() == secrets


def test_ctrl_c_in_the_very_first_up_leaves_secrets_that_the_next_one_uses(
    new_stack: Callable[[str], Stack], images: None, tmp_path: Path
) -> None:
    stack = new_stack("first")
    with (
        gate.before(tmp_path, "compose", "up") as held,
        stack.product.start(*stack.up_words, env=held.env) as running,
    ):
        held.reached()
        secrets = stack.secrets()
        running.interrupt()
        assert running.finish().exit_code == 130
    assert stack.up().data["answer"]["text"].strip()
    assert stack.secrets() == secrets
    assert stack.down("--volumes").exit_code == 0
