"""The Docker daemon stops in the middle of `up`, and starts again under a running stack.

These stop this machine's daemon, and with it every container: they run last, refuse where
containers are not the tests' own, and always leave a daemon that answers.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e import machine
from tests.e2e.faults import daemon, gate
from tests.e2e.faults.patient import Patient
from tests.e2e.faults.telling import told

pytestmark = [pytest.mark.long, pytest.mark.daemon]


@pytest.fixture(autouse=True)
def _alone(patient: Patient) -> None:
    daemon.refuse_unless_alone("dctl-e2e-")


def test_a_daemon_that_stops_in_the_middle_of_up_is_said_so_and_the_next_up_arrives(
    patient: Patient, tmp_path: Path
) -> None:
    product = patient.stack.product
    assert patient.stack.down().exit_code == 0
    with gate.before(tmp_path, "compose", "up") as held:
        words = (*patient.stack.up_words, "--output", "json")
        with product.start(*words, env=held.env) as running:
            held.reached()
            with daemon.stopped(product):
                held.open()
                outcome = running.finish()
    told(outcome, 5, "start-docker-lost", says=("Docker daemon",), hint="deployctl setup")
    patient.heals()


def test_a_daemon_that_stops_while_the_engine_loads_is_said_so_and_the_next_up_arrives(
    patient: Patient,
) -> None:
    product = patient.stack.product
    patient.overridden('services: {engine: {entrypoint: ["sleep", "3600"], command: []}}\n')
    with product.start(*patient.stack.up_words) as running:
        running.until("✓ start")
        with daemon.stopped(product):
            outcome = running.finish()
    assert outcome.exit_code == 5, str(outcome)
    assert "[start-docker-lost]" in outcome.stderr
    assert "deployctl setup" in outcome.stderr.partition("next:")[2]
    patient.heals()


def test_after_a_restart_of_the_daemon_the_stack_is_there_again_by_itself(
    patient: Patient,
) -> None:
    with daemon.stopped(patient.stack.product):
        status = patient.stack.status()
        told(status, 4, "docker-unreachable", says=("Docker daemon",), hint="deployctl setup")
    machine.eventually(
        lambda: patient.stack.status().exit_code == 0, within_s=180, what="the stack, by itself"
    )
    patient.well()
    patient.heals()
