"""What Docker is missing, is refused, or had taken away: images, ports, networks, containers."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from pathlib import Path

import pytest

from tests.e2e import machine
from tests.e2e.faults import gate, images
from tests.e2e.faults.patient import Patient
from tests.e2e.faults.telling import Terminal, noticed, told
from tests.e2e.product import Product

NOBODY = 65534


def test_a_port_taken_before_is_refused_and_the_hint_works_when_typed(
    patient: Patient, terminal: Terminal
) -> None:
    port = machine.free_port()
    with socket.create_server(("127.0.0.1", port)):
        with patient.untouched():
            outcome = patient.up("--set", f"ports.webui={port}")
        error = told(
            outcome,
            4,
            "port-taken",
            says=(f"Port {port} ", f"(pid {os.getpid()})"),
            hint=f"--set ports.webui={port + 1}",
        )
        terminal.follow(error["hint"])
        listening = patient.stack.container("webui")["HostConfig"]["PortBindings"]
        assert [row["HostPort"] for rows in listening.values() for row in rows] == [str(port + 1)]
    patient.heals()


@pytest.mark.long
def test_a_port_taken_between_plan_and_start_is_exit_5_and_the_hint_works_when_typed(
    patient: Patient, terminal: Terminal, tmp_path: Path
) -> None:
    assert patient.stack.down().exit_code == 0
    port = patient.stack.webui_port
    with gate.before(tmp_path, "compose", "up") as held:
        words = (*patient.stack.up_words, "--output", "json")
        with patient.stack.product.start(*words, env=held.env) as running:
            held.reached()
            with socket.create_server(("127.0.0.1", port)):
                held.open()
                outcome = running.finish()
                hint = "--set ports.webui="
                error = told(outcome, 5, "start-port-taken", says=(str(port),), hint=hint)
                terminal.follow(error["hint"])
    patient.heals()


def test_an_image_that_is_not_here_and_cannot_be_built_is_named(patient: Patient) -> None:
    image = "localhost/nobody/engine:none"
    with patient.untouched():
        outcome = patient.up("--images", "local", "--set", f"engine.image={image}")
    error = told(outcome, 5, "image-missing", says=(image,), hint="deployctl up")
    assert error["where"] == "engine"


@pytest.mark.long
def test_an_image_for_another_processor_is_said_so(patient: Patient) -> None:
    reference = f"localhost/dctl-e2e/foreign:{os.getpid()}"
    with images.for_another_processor(reference):
        patient.overridden(f'services: {{engine: {{image: "{reference}"}}}}\n')
        outcome = patient.up()
        told(outcome, 5, "start-platform", says=("Exec format error",), hint="deployctl recommend")
        patient.intact()
        patient.heals()


@pytest.mark.long
def test_a_platform_that_an_image_does_not_have_is_said_so(patient: Patient) -> None:
    reference = f"localhost/dctl-e2e/foreign:{os.getpid()}"
    with images.for_another_processor(reference), patient.untouched():
        own = machine.docker("version", "--format", "{{.Server.Os}}/{{.Server.Arch}}").strip()
        patient.overridden(
            f'services: {{engine: {{image: "{reference}", platform: {own}, pull_policy: never}}}}\n'
        )
        outcome = patient.up()
        told(outcome, 5, "start-platform", says=(reference,), hint="deployctl recommend")
    patient.heals()


def test_a_network_that_was_removed_is_noticed_and_up_heals(patient: Patient) -> None:
    (network,) = machine.network_ids(patient.name)
    for service in ("engine", "webui"):
        machine.docker("network", "disconnect", "--force", network, patient.container(service))
    machine.docker("network", "rm", network)
    noticed(
        patient.stack.status(), "stack-not-running", says=("lost its network",), hint="deployctl up"
    )
    patient.heals()


def test_a_container_that_was_removed_is_noticed_and_the_hint_works_when_typed(
    patient: Patient, terminal: Terminal
) -> None:
    machine.docker("rm", "--force", patient.container("engine"))
    check = noticed(
        patient.stack.status(),
        "stack-not-running",
        says=("not there",),
        hint="deployctl up",
    )
    assert check["where"] == "engine"
    terminal.follow(check["hint"])
    patient.well()


@pytest.mark.long
def test_a_frontend_that_was_removed_comes_back_with_its_chats(
    patient: Patient, terminal: Terminal
) -> None:
    machine.docker("rm", "--force", patient.container("webui"))
    check = noticed(
        patient.stack.status(), "stack-not-running", says=("not there",), hint="deployctl up"
    )
    assert check["where"] == "webui"
    terminal.follow(check["hint"])
    patient.well()


@pytest.mark.skipif(os.path.exists("/dev/nvidia0"), reason="this machine has a card")  # noqa: PTH110
def test_a_card_that_is_not_here_is_refused_and_the_hint_works_when_typed(
    patient: Patient, terminal: Terminal
) -> None:
    with patient.untouched():
        words = [word.replace("smoke", "rtx3060") for word in patient.stack.up_words]
        outcome = patient.stack.product.run(*words, "--output", "json")
    error = told(
        outcome, 4, "gpu-missing", says=("rtx3060", "shows none"), hint="deployctl recommend"
    )
    terminal.follow(error["hint"])


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming somebody else needs root")
def test_a_user_who_may_not_use_docker_is_told_how_to_and_changes_nothing(
    patient: Patient, tmp_path: Path
) -> None:
    setpriv = shutil.which("setpriv")
    assert setpriv is not None
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    # May read whatever lies where, as a user with a home of his own could; may not write there,
    # and to talk to a socket is to write.
    reading = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
    user = (f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *reading)
    stranger = Product(
        argv=(setpriv, *user, sys.executable, "-m", "deployctl"),
        home=home,
        cwd=Path("/"),
        environment={**patient.stack.product.environment, "HOME": str(home)},
    )
    with patient.untouched():
        outcome = stranger.run(*patient.stack.up_words, "--output", "json")
    told(outcome, 4, "docker-denied", says=("may not talk",), hint="sudo usermod -aG docker")
