"""An engine that does not start, runs out of memory, dies, hangs, or stops again and again."""

from __future__ import annotations

import os

import pytest

from tests.e2e import machine
from tests.e2e.faults.patient import Patient
from tests.e2e.faults.telling import Terminal, commands, noticed, noticed_in_a_loop, told

MLOCK = ("--set", 'engine.extra_args=["--mlock"]')

#: Less than the 92 MiB of weights that are read into memory.
TOO_LITTLE = "64MiB"

#: Fits the engine's own idea of the model; 2 x 8192 tokens take 360 MiB beside the weights.
LONG = ("--set", "model.context=8192", "--set", "engine.memory=256MiB")

LOOP = """\
services:
  engine:
    entrypoint: ["sh", "-c", "echo the flux capacitor is empty >&2; exit 3"]
"""


def test_a_flag_that_is_gone_names_its_replacement_and_the_hint_works_when_typed(
    patient: Patient, terminal: Terminal
) -> None:
    outcome = patient.up(*MLOCK)
    error = told(outcome, 6, "engine-flag-unknown", says=("--mlock",), hint="deployctl up")
    assert error["where"] == "engine"
    assert "--load-mode" in "\n".join((error["message"], error["hint"], *error["details"]))
    noticed_in_a_loop(patient.stack, "engine-flag-unknown", says=("--mlock",))
    patient.intact()
    terminal.follow(error["hint"])
    assert "--mlock" not in patient.stack.container("engine")["Config"]["Cmd"]
    patient.well()


def test_too_long_a_context_for_the_limit_is_warned_of_and_the_hint_works_when_typed(
    patient: Patient, terminal: Terminal
) -> None:
    outcome = patient.up(*LONG)
    # What is predicted is only said; the kernel's limit is what decides.
    warned = outcome.stderr.partition("✗")[0]
    assert "256 MiB" in warned, str(outcome)
    (proposal,) = (line for line in warned.splitlines() if "next:" in line)
    assert "deployctl up" in proposal, str(outcome)
    code = outcome.error["code"]
    assert code in ("engine-oom-killed", "engine-memory-short"), str(outcome)
    error = told(outcome, 6, code, says=("256 MiB",), hint="--set engine.memory=")
    patient.intact()
    terminal.follow(error["hint"])
    patient.well()
    patient.heals()


@pytest.mark.long
def test_an_engine_killed_by_its_memory_limit_is_said_so_and_the_hint_works_when_typed(
    patient: Patient, terminal: Terminal
) -> None:
    outcome = patient.up("--set", f"engine.memory={TOO_LITTLE}", "--force")
    error = told(outcome, 6, "engine-oom-killed", says=("64 MiB",), hint="--set engine.memory=")
    noticed_in_a_loop(patient.stack, "engine-oom-killed")
    patient.intact()
    terminal.follow(error["hint"])
    patient.well()
    patient.heals()


def test_an_engine_killed_while_serving_is_said_so_and_up_heals(patient: Patient) -> None:
    before = patient.stack.identity()
    machine.docker("kill", patient.container("engine"))
    check = noticed(patient.stack.status(), "engine-killed", hint="deployctl up")
    assert check["where"] == "engine"
    patient.intact()  # the frontend still has it all
    patient.heals()
    after = patient.stack.identity()
    assert {name for name in before if before[name] != after[name]} == {"engine"}


def test_the_hint_for_a_killed_engine_works_when_typed(
    patient: Patient, terminal: Terminal
) -> None:
    machine.docker("kill", patient.container("engine"))
    check = noticed(patient.stack.status(), "engine-killed")
    assert terminal.type(commands(check["hint"])[0]).exit_code == 0
    patient.well()


@pytest.mark.skipif(os.geteuid() != 0, reason="stopping a container's process needs root")
def test_an_engine_that_hangs_is_said_so_and_up_heals(patient: Patient) -> None:
    with patient.frozen("engine"):
        check = noticed(patient.stack.status(), "engine-hung", hint="deployctl ")
        assert check["where"] == "engine"
        patient.heals()


@pytest.mark.long
def test_a_restart_loop_of_unknown_cause_is_exit_6_with_the_last_lines(
    patient: Patient, terminal: Terminal
) -> None:
    patient.overridden(LOOP)
    outcome = patient.up()
    error = told(
        outcome,
        6,
        "engine-exited",
        says=("again and again", "unknown", "the flux capacitor is empty"),
        hint=f"deployctl logs engine --stack {patient.name}",
    )
    terminal.follow(error["hint"])
    noticed_in_a_loop(patient.stack, "engine-exited")
    patient.intact()
    patient.heals()


@pytest.mark.long
def test_a_paused_engine_is_noticed_and_up_lets_it_go_on(patient: Patient) -> None:
    machine.docker("pause", patient.container("engine"))
    before = patient.stack.identity()
    check = noticed(
        patient.stack.status(), "stack-not-running", says=("paused",), hint="docker unpause"
    )
    assert check["where"] == "engine"
    patient.heals()
    assert patient.stack.identity() == before


@pytest.mark.long
def test_a_paused_frontend_is_noticed_and_up_lets_it_go_on(patient: Patient) -> None:
    machine.docker("pause", patient.container("webui"))
    before = patient.stack.identity()["webui"]
    check = noticed(
        patient.stack.status(), "stack-not-running", says=("paused",), hint="docker unpause"
    )
    assert check["where"] == "webui"
    patient.heals()
    assert patient.stack.identity()["webui"] == before
