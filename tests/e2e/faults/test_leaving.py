"""What `--on-failure` leaves: the stack that was proved, or nothing but the chats."""

from __future__ import annotations

import stat

import pytest

from tests.e2e.faults.patient import Patient
from tests.e2e.faults.telling import told

MLOCK = ("--set", 'engine.extra_args=["--mlock"]')

STRANGE = """\
services:
  engine:
    entrypoint: ["sh", "-c", "echo strange; exit 3"]
    command: []
"""


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
    kept = patient.stack.folder / "failed" / "engine.log"
    assert "invalid argument: --mlock" in kept.read_text(encoding="utf-8")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert str(kept) in outcome.envelope["data"]["after_failure"]["text"]
    volume = f"{patient.name}_webui-data"
    assert patient.stack.leftovers() == {"containers": [], "networks": [], "volumes": [volume]}
    patient.heals()


@pytest.mark.long
def test_an_engine_nobody_understands_is_not_looked_for_once_it_is_gone(patient: Patient) -> None:
    patient.overridden(STRANGE)
    outcome = patient.up("--on-failure", "down")
    told(outcome, 6, "engine-exited", says=("strange",), hint="--on-failure keep")
    patient.heals()


@pytest.mark.long
def test_ctrl_c_in_a_rollback_says_what_had_failed_and_the_next_up_arrives(
    patient: Patient,
) -> None:
    words = (*patient.stack.up_words, *MLOCK, "--on-failure", "rollback")
    with patient.stack.product.start(*words) as running:
        running.until("going back to profile")
        running.interrupt()
        outcome = running.finish()
    assert outcome.exit_code == 130, str(outcome)
    assert "[interrupted]" in outcome.stderr
    assert "error: The engine does not know `--mlock`" in outcome.stderr
    patient.heals()


@pytest.mark.long
def test_keep_leaves_the_failed_engine_to_be_looked_at(patient: Patient) -> None:
    outcome = patient.up(*MLOCK, "--on-failure", "keep")
    told(outcome, 6, "engine-flag-unknown", says=("--mlock",), hint="deployctl up")
    assert "--mlock" in patient.stack.container("engine")["Config"]["Cmd"]
    patient.heals()
