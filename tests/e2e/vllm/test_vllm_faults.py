"""Faults on real vLLM: each named by its cause, with a way out that works when it is typed.

An engine that has nothing to do with the faults costs its start, half a minute: those that do not
even start are done one after the other, and healed once.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.e2e import machine
from tests.e2e.faults.patient import Patient
from tests.e2e.faults.telling import Terminal, noticed, told
from tests.e2e.product import Stack
from tests.e2e.vllm.conftest import model_mount

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="signals to a container need root")

#: More than the model was made for, and more than any machine has memory for.
TOO_LONG = ("--set", "model.context=1000000")


def process(patient: Patient, program: str) -> int:
    """The id of one of vLLM's processes, as this machine counts."""
    rows = machine.docker("top", patient.container("engine"), "-eo", "pid,comm").splitlines()[1:]
    (pid,) = (int(row.split()[0]) for row in rows if row.split()[1].startswith(program))
    return pid


# ── in every run ──────────────────────────────────────────────────────────────────────────────


def test_a_context_of_a_million_is_caught_in_the_plan_with_what_is_possible(vllm: Stack) -> None:
    words = ("plan", "--profile", vllm.profile, "--stack", vllm.name, *TOO_LONG)
    found = vllm.product.run(*words, "--output", "json").data
    (check,) = (check for check in found["checks"] if check["code"] == "context-too-long")
    assert check["status"] == "failed"
    assert "--set model.context=8192" in check["hint"]
    before = vllm.identity()
    error = told(
        vllm.up(*TOO_LONG), 4, "context-too-long", says=("1000000", "8192"), hint="deployctl up"
    )
    assert "--set model.context=8192" in error["hint"]
    assert vllm.identity() == before


def test_forced_into_it_vllm_s_own_refusal_is_explained_and_the_hint_works_when_typed(
    vllm_patient: Patient, terminal: Terminal
) -> None:
    outcome = vllm_patient.up(*TOO_LONG, "--force")
    error = told(
        outcome,
        6,
        "engine-context-too-long",
        says=("1000000", "8192", "User-specified max_model_len"),
        hint="--set model.context=8192",
    )
    assert error["where"] == "engine"
    vllm_patient.intact()
    terminal.follow(error["hint"])
    command = vllm_patient.stack.container("engine")["Config"]["Cmd"]
    assert command[command.index("--max-model-len") + 1] == "8192"
    vllm_patient.well()


@ROOT_ONLY
def test_an_engine_process_that_is_killed_inside_is_named_and_up_arrives(
    vllm_patient: Patient,
) -> None:
    """vLLM's server ends itself then, with exit code 0, and Docker starts it again."""
    frontend = vllm_patient.stack.identity()["webui"]
    os.kill(process(vllm_patient, "VLLM::EngineCor"), signal.SIGKILL)
    machine.eventually(
        lambda: vllm_patient.stack.container("engine")["RestartCount"],
        within_s=60,
        what="Docker's restart",
    )
    check = noticed(
        vllm_patient.stack.status(), "engine-crashed", says=("engine",), hint="deployctl up"
    )
    assert check["where"] == "engine"
    vllm_patient.heals()
    assert vllm_patient.stack.identity()["webui"] == frontend


# ── the long half: what does not start ────────────────────────────────────────────────────────


@pytest.mark.long
@pytest.mark.parametrize(
    ("sets", "code", "says", "hint"),
    [
        (
            ("engine.extra_args=[--swap-space, '4']",),
            "engine-flag-unknown",
            ("--swap-space", "not swapped out any more"),
            "engine.extra_args=[]",
        ),
        (
            ("engine.extra_args=[--performance-mode, zebra]",),
            "engine-value-invalid",
            ("--performance-mode", "zebra", "balanced"),
            "engine.extra_args=[]",
        ),
        (("engine.memory=512MiB",), "engine-oom-killed", ("512 MiB",), "--set engine.memory="),
        (
            # The engine fits, its conversations do not: less than the files it has read beside it.
            ("engine.memory=3GiB", "engine.kv_cache=2560MiB"),
            "engine-kv-short",
            ("2.5", "requested memory for kv"),
            "--set engine.memory=",
        ),
    ],
    ids=["flag", "value", "limit", "pool"],
)
def test_what_does_not_start_says_why(
    vllm: Stack, sets: tuple[str, ...], code: str, says: tuple[str, ...], hint: str
) -> None:
    words = [word for each in sets for word in ("--set", each)]
    error = told(vllm.up(*words, "--force"), 6, code, says=says, hint=hint)
    assert error["where"] == "engine"


@pytest.mark.long
@pytest.mark.parametrize(
    ("file", "code", "says"),
    [
        ("model.safetensors", "weights-corrupt", "model.safetensors"),
        ("config.json", "weights-not-found", "config.json"),
    ],
)
def test_a_damaged_folder_is_refused_before_anything_starts(
    vllm: Stack, tmp_path: Path, file: str, code: str, says: str
) -> None:
    mount = model_mount(vllm)
    folder = tmp_path / "model"
    shutil.copytree(mount["Source"], folder)
    if file == "config.json":
        (folder / file).unlink()
    else:
        os.truncate(folder / file, 1_000_000)
    before = vllm.identity()
    error = told(vllm.up("--set", f"model.source=file:{folder}"), 5, code, says=(says,))
    assert str(folder) in error["hint"]
    assert vllm.identity() == before


@pytest.mark.long
def test_weights_that_are_gone_under_the_engine_are_said_in_vllm_s_words(
    vllm: Stack, tmp_path: Path
) -> None:
    """An override mounts an empty folder where the model is looked for."""
    mount = model_mount(vllm)
    tmp_path.chmod(0o755)
    entry = f"{tmp_path}:{mount['Destination']}:ro"
    vllm.override.write_text(f"services: {{engine: {{volumes: ['{entry}']}}}}\n", encoding="utf-8")
    try:
        told(vllm.up(), 6, "engine-weights-missing", says=("/models/",), hint="deployctl up")
    finally:
        vllm.override.unlink()


# ── the long half: what ends while it serves ──────────────────────────────────────────────────


@pytest.mark.long
def test_an_engine_that_was_killed_is_said_so_and_up_heals(vllm_patient: Patient) -> None:
    machine.docker("kill", vllm_patient.container("engine"))
    noticed(vllm_patient.stack.status(), "engine-killed", hint="deployctl up")
    vllm_patient.heals()


@pytest.mark.long
@ROOT_ONLY
def test_an_engine_that_hangs_is_said_so_and_up_heals(vllm_patient: Patient) -> None:
    vllm_patient.stack.settled()
    with vllm_patient.frozen("engine"):
        noticed(vllm_patient.stack.status(), "engine-hung", hint="deployctl ")
        vllm_patient.heals()


@pytest.mark.long
def test_watch_says_that_the_engine_was_killed_and_heals_it(vllm_patient: Patient) -> None:
    stack = vllm_patient.stack
    words = ("watch", "--heal", "--interval", "1", "--stack", stack.name, "--output", "json")
    with stack.product.start(*words, patience_s=stack.patience_s) as watching:
        said = [watching.line()]  # how it is now: from here on it looks
        machine.docker("kill", vllm_patient.container("engine"))
        while said[-1] and '"recovered"' not in said[-1]:
            said.append(watching.line())
        watching.interrupt()
        watching.finish()
    events = [json.loads(line)["data"] for line in said if line.strip()]
    assert "engine-killed" in {event["code"] for event in events}, events
    assert "healed" in {event["kind"] for event in events}, events
    vllm_patient.well()
