"""A frontend whose data is damaged, locked away or has no room; and one that is only slow."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e import machine
from tests.e2e.faults import disk
from tests.e2e.faults.patient import Patient
from tests.e2e.faults.telling import noticed_in_a_loop, told
from tests.e2e.product import Stack

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(os.geteuid() != 0, reason="looking into a volume needs root"),
]

#: Whom the frontend runs as.
USER = 10001

#: Pages of 4096 bytes: the head of the database with its list of tables, and what follows.
SPOILED_BYTES = 8 * 4096

SLOW = """\
services:
  webui:
    entrypoint: ["bash", "-c", "sleep 20; exec bash start.sh"]
    command: []
"""

BOUND = """\
volumes:
  webui-data:
    driver: local
    driver_opts: {{type: none, o: bind, device: "{folder}"}}
"""


@contextmanager
def kept(patient: Patient, aside: Path) -> Iterator[Path]:
    """Stop the frontend, hand out the folder of its data, and put that back as it was."""
    folder = patient.data()
    patient.stop_frontend()
    machine.run("cp", "--archive", str(folder), str(aside))
    try:
        yield folder
    finally:
        patient.stop_frontend()  # whoever writes there meanwhile would spoil it
        for entry in folder.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        machine.run("cp", "--archive", f"{aside}/.", str(folder))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_damaged_database_is_said_so_and_never_replaced(patient: Patient, tmp_path: Path) -> None:
    with kept(patient, tmp_path / "copy") as data:
        database = data / "webui.db"
        for companion in ("webui.db-wal", "webui.db-shm"):
            (data / companion).unlink(missing_ok=True)
        with database.open("r+b") as file:
            file.write(b"\xde\xad\xbe\xef" * (SPOILED_BYTES // 4))
        damaged = digest(database)
        outcome = patient.up()
        error = told(outcome, 6, "frontend-data-damaged", says=("webui",), hint="docker ")
        assert error["where"] == "webui"
        noticed_in_a_loop(patient.stack, "frontend-data-damaged")
        patient.stop_frontend()
        assert digest(database) == damaged
    patient.heals()


def test_data_of_another_user_is_said_so_and_stays(patient: Patient, tmp_path: Path) -> None:
    with kept(patient, tmp_path / "copy") as data:
        before = digest(data / "webui.db")
        machine.run("chown", "--recursive", "0:0", str(data))
        data.chmod(0o700)
        outcome = patient.up()
        told(outcome, 6, "frontend-data-denied", says=("belongs to another",), hint="chown")
        noticed_in_a_loop(patient.stack, "frontend-data-denied")
        patient.stop_frontend()
        assert digest(data / "webui.db") == before
    patient.heals()


def test_a_database_that_may_not_be_written_is_said_so_and_stays(
    patient: Patient, tmp_path: Path
) -> None:
    with kept(patient, tmp_path / "copy") as data:
        before = digest(data / "webui.db")
        machine.run("chown", "--recursive", "0:0", str(data))
        machine.run("chmod", "--recursive", "a+rX,go-w", str(data))
        outcome = patient.up()
        told(outcome, 6, "frontend-data-denied", says=("belongs to another",), hint="chown")
        patient.stop_frontend()
        assert digest(data / "webui.db") == before
    patient.heals()


def test_a_slow_frontend_is_waited_for_and_said_to_be_under_way(patient: Patient) -> None:
    patient.overridden(SLOW)
    with patient.stack.start_up() as running:
        running.until("✓ engine ready")
        outcome = running.finish()
    assert outcome.exit_code == 0, str(outcome)
    meanwhile = outcome.stderr.partition("✓ engine ready")[2].partition("✓ frontend ready")[0]
    said = [line for line in meanwhile.splitlines()[1:] if "frontend" in line]
    assert said, f"nothing was said while it waited:\n{outcome}"
    patient.intact()
    patient.heals()


@pytest.fixture
def small(
    new_stack: Callable[[str], Stack], images: None, tmp_path: Path
) -> Iterator[tuple[Patient, disk.Disk]]:
    """A stack whose data lies on a small disk of its own, up, with a chat."""
    with disk.mounted(tmp_path, owner=USER) as place:
        found = Patient(stack=new_stack(f"disk{os.urandom(2).hex()}"))
        found.stack.folder.mkdir(parents=True)
        found.overridden(BOUND.format(folder=place.folder))
        try:
            outcome = found.stack.up()
            assert outcome.exit_code == 0, str(outcome)
            found.chat = found.write_chat()
            yield found, place
        finally:
            found.stack.clear()  # or the disk stays mounted


def test_a_full_disk_is_said_so_and_with_room_again_the_chats_are_there(
    small: tuple[Patient, disk.Disk],
) -> None:
    patient, place = small
    patient.stack.down()
    # The journal that lies there would be room enough to start with.
    with contextlib.closing(sqlite3.connect(place.folder / "webui.db")) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    place.fill()
    outcome = patient.up()
    error = told(outcome, 6, "frontend-disk-full", says=("full",), hint="docker system df")
    assert error["where"] == "webui"
    assert "volume" not in error["hint"], "the chats lie in one"
    noticed_in_a_loop(patient.stack, "frontend-disk-full")
    place.make_room()
    assert patient.up().data["answer"]["text"].strip()
    # It was in a loop of restarts until a moment ago, and `status` says so for a while.
    machine.eventually(
        lambda: patient.stack.status().exit_code == 0, within_s=120, what="calm after the loop"
    )
    patient.well()
