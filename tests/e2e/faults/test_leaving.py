"""What `--on-failure` leaves: the stack that was proved, or nothing but the chats."""

from __future__ import annotations

import pytest

from tests.e2e.faults.patient import Patient
from tests.e2e.faults.telling import told

MLOCK = ("--set", 'engine.extra_args=["--mlock"]')


def test_rollback_brings_back_the_stack_that_was_proved_and_says_why_the_new_one_failed(
    patient: Patient,
) -> None:
    before = patient.stack.container("engine")["Config"]["Cmd"]
    outcome = patient.up(*MLOCK, "--on-failure", "rollback")
    told(outcome, 6, "engine-flag-unknown", says=("--mlock",), hint="deployctl up")
    assert patient.stack.container("engine")["Config"]["Cmd"] == before
    patient.well()
    with patient.untouched():  # what the tool believes is what runs
        patient.heals()


@pytest.mark.long
def test_down_leaves_nothing_but_the_chats(patient: Patient) -> None:
    outcome = patient.up(*MLOCK, "--on-failure", "down")
    told(outcome, 6, "engine-flag-unknown", says=("--mlock",), hint="deployctl up")
    volume = f"{patient.name}_webui-data"
    assert patient.stack.leftovers() == {"containers": [], "networks": [], "volumes": [volume]}
    patient.heals()


@pytest.mark.long
def test_keep_leaves_the_failed_engine_to_be_looked_at(patient: Patient) -> None:
    outcome = patient.up(*MLOCK, "--on-failure", "keep")
    told(outcome, 6, "engine-flag-unknown", says=("--mlock",), hint="deployctl up")
    assert "--mlock" in patient.stack.container("engine")["Config"]["Cmd"]
    patient.heals()
