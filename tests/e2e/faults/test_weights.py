"""A model file that is cut short, not a model, missing, locked away, too new, or exchanged."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.faults import ggufs
from tests.e2e.faults.patient import Patient
from tests.e2e.faults.telling import Terminal, noticed_in_a_loop, told
from tests.hubserver import HubFile, HubServer, running

#: A repository of nobody's.
REPO, NAME = "acme/tiny", "tiny.gguf"

#: What a model of which nothing is known may take; without it the profile is refused.
ROOM = ("--set", "engine.memory=1GiB")


def from_file(path: Path) -> tuple[str, ...]:
    return ("--set", f"model.source=file:{path}")


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with running() as server:
        yield server


def test_a_truncated_gguf_is_refused_before_anything_starts(
    patient: Patient, model: Path, tmp_path: Path
) -> None:
    cut = ggufs.cut_short(model, tmp_path)
    with patient.untouched():
        outcome = patient.up(*from_file(cut))
    said = told(outcome, 5, "weights-corrupt", says=("cut.gguf is cut off",), hint=str(cut))
    assert said["where"] == f"file:{cut}"


def test_the_way_out_of_a_truncated_gguf_is_to_copy_it_again(
    patient: Patient, terminal: Terminal, model: Path, tmp_path: Path
) -> None:
    cut = ggufs.cut_short(model, tmp_path)
    outcome = patient.up(*from_file(cut))
    hint = told(outcome, 5, "weights-corrupt", says=("cut off",), hint="Copy the file again")[
        "hint"
    ]
    terminal.follow(hint)
    cut.write_bytes(model.read_bytes())
    assert patient.up(*from_file(cut)).data["answer"]["text"].strip()
    patient.well()
    patient.heals()


def test_a_web_page_as_gguf_is_refused_before_anything_starts(
    patient: Patient, tmp_path: Path
) -> None:
    with patient.untouched():
        outcome = patient.up(*from_file(ggufs.page(tmp_path)))
    told(outcome, 3, "model-unreadable", says=("page.gguf", "GGUF", "<!do"), hint="deployctl up")


def test_a_web_page_from_the_hub_is_refused_before_anything_starts(
    patient: Patient, hub: HubServer
) -> None:
    hub.files[f"{REPO}/{NAME}"] = HubFile(ggufs_head(), html=True)
    env = {"HF_ENDPOINT": hub.url, "NO_PROXY": "127.0.0.1,localhost"}
    with patient.untouched():
        outcome = patient.up("--set", f"model.source=hf:{REPO}:{NAME}", *ROOM, env=env)
    told(outcome, 5, "weights-corrupt", says=(NAME,), hint=f"model.source=file:/path/to/{NAME}")


def ggufs_head() -> bytes:
    return b"GGUF" + b"\0" * 4096


def test_missing_weights_are_named_and_nothing_starts(
    patient: Patient, terminal: Terminal, tmp_path: Path
) -> None:
    missing = tmp_path / "missing.gguf"
    with patient.untouched():
        outcome = patient.up(*from_file(missing))
    error = told(
        outcome, 5, "weights-not-found", says=(f"no file {missing}",), hint=f"ls -l {tmp_path}"
    )
    terminal.follow(error["hint"])


def test_missing_weights_of_a_known_size_are_named_and_nothing_starts(
    patient: Patient, terminal: Terminal, tmp_path: Path
) -> None:
    missing = tmp_path / "missing.gguf"
    with patient.untouched():
        outcome = patient.up(*from_file(missing), *ROOM)
    error = told(
        outcome, 5, "weights-not-found", says=(f"no file {missing}",), hint=f"ls -l {tmp_path}"
    )
    terminal.follow(error["hint"])


def test_unreadable_weights_name_the_chmod_and_its_hint_works_when_typed(
    patient: Patient, terminal: Terminal, model: Path, tmp_path: Path
) -> None:
    locked = ggufs.whole(model, tmp_path)
    locked.chmod(0o600)
    if os.geteuid() == 0:
        os.chown(locked, 0, 0)
    with patient.untouched():
        outcome = patient.up(*from_file(locked))
    error = told(outcome, 5, "weights-denied", says=(str(locked),), hint=f"chmod a+r {locked}")
    terminal.follow(error["hint"])
    patient.well()
    assert patient.stack.container("engine")["Mounts"][0]["Source"] == str(locked)
    patient.heals()


def test_an_unknown_architecture_is_named_before_anything_starts(
    patient: Patient, model: Path, tmp_path: Path
) -> None:
    odd = ggufs.of_architecture("odder", model, tmp_path)
    with patient.untouched():
        outcome = patient.up(*from_file(odd))
    told(outcome, 3, "model-unreadable", says=("'odder'",), hint="--set engine.memory=")


def test_an_architecture_that_the_engine_does_not_know_is_said_so_and_the_old_model_comes_back(
    patient: Patient, model: Path, tmp_path: Path
) -> None:
    odd = ggufs.of_architecture("odder", model, tmp_path)
    outcome = patient.up(*from_file(odd), *ROOM)
    told(outcome, 6, "engine-model-unsupported", says=("odder",), hint="deployctl ")
    noticed_in_a_loop(patient.stack, "engine-model-unsupported", says=("odder",))
    patient.intact()
    patient.heals()


@pytest.mark.long
def test_weights_that_change_on_disk_are_noticed_by_the_next_up(
    patient: Patient, model: Path, tmp_path: Path
) -> None:
    own = ggufs.whole(model, tmp_path)
    assert patient.up(*from_file(own)).exit_code == 0
    whole = own.read_bytes()
    with own.open("r+b") as file:  # in place: the mounted file is this one
        file.truncate(len(whole) // 2)
    with patient.untouched():  # what is loaded still answers
        outcome = patient.up(*from_file(own))
    told(outcome, 5, "weights-corrupt", says=("own.gguf is cut off",), hint=str(own))
    own.write_bytes(whole)
    assert patient.up(*from_file(own)).data["answer"]["text"].strip()
    patient.well()
    patient.heals()


@pytest.mark.long
def test_weights_that_are_exchanged_give_a_new_engine_and_the_same_frontend(
    patient: Patient, model: Path, tmp_path: Path
) -> None:
    own = ggufs.whole(model, tmp_path)
    assert patient.up(*from_file(own)).exit_code == 0
    before = patient.stack.identity()
    another = tmp_path / "another"
    another.write_bytes(model.read_bytes())
    another.chmod(0o644)
    another.replace(own)  # a file of the same name, as a download does it
    assert patient.up(*from_file(own)).data["changed"] is True
    after = patient.stack.identity()
    assert {name for name in before if before[name] != after[name]} == {"engine"}
    patient.well()
    patient.heals()
