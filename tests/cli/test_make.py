"""The Makefile and its scripts on machines that lack things; stand-ins are first on the PATH."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

#: What Debian's smallest installation has, of what the scripts use.
ESSENTIAL = ("sh", "awk", "env", "cat", "touch", "rm", "mkdir")

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="no make on PATH")


class Machine:
    """A folder that is the whole PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"
        for name in ESSENTIAL:
            self.link(name)

    def link(self, name: str) -> None:
        (self.folder / name).symlink_to(shutil.which(name) or f"/usr/bin/{name}")

    def stand_in(self, name: str, script: str) -> None:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": str(self.folder), "LOG": str(self.log)}
        return subprocess.run(
            words,
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @property
    def logged(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    folder = tmp_path / "bin"
    folder.mkdir()
    return Machine(folder)


APT = 'echo "apt-get $1 frontend=${DEBIAN_FRONTEND:-}" >>"$LOG"'
OLD_PYTHON = 'case "$*" in *version_info*) exit 1 ;; *) echo Python 3.9 ;; esac'
NO_VENV = 'case "$*" in *version_info*) exit 0 ;; *ensurepip*) exit 1 ;; *) exit 9 ;; esac'


@needs_make
def test_help_needs_no_more_than_the_smallest_system_has(machine: Machine) -> None:
    machine.link("make")
    done = machine.run("make")
    assert (done.returncode, done.stderr) == (0, "")
    assert "  test-e2e       From nothing to a browser chat" in done.stdout


@needs_make
def test_an_old_python_is_said_with_the_goal_that_was_asked_for(
    machine: Machine, tmp_path: Path
) -> None:
    machine.link("make")
    machine.stand_in("python3", OLD_PYTHON)
    done = machine.run("make", "lint", f"VENV={tmp_path}/a venv")
    assert done.returncode == 2
    assert "python3 is Python 3.9" in done.stderr
    assert "next:  make PYTHON=/path/to/python3.11 lint" in done.stderr


@needs_make
def test_a_folder_and_a_profile_may_have_spaces(machine: Machine, tmp_path: Path) -> None:
    machine.link("make")
    folder = tmp_path / "a venv"
    (folder / "bin").mkdir(parents=True)
    for name in ("python", "deployctl"):
        path = folder / "bin" / name
        path.write_text('#!/bin/sh\nprintf "<%s>" "$@" >>"$LOG"; echo >>"$LOG"\n')
        path.chmod(0o755)
    done = machine.run(
        "make", "up", f"VENV={folder}", f"PYTHON={sys.executable}", "PROFILE=a b.yaml"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (folder / ".installed").exists()
    assert machine.logged[-1] == "<up><--profile><a b.yaml><--stack><deployctl>"
    assert machine.run("make", "status", f"VENV={folder}").returncode == 0
    assert [line for line in machine.logged if "install" in line] == machine.logged[1:2]


@needs_make
@pytest.mark.parametrize(
    ("code", "words", "said"),
    [
        (0, ("up",), "; make status, make logs and make down work too"),
        (0, ("up", "STACK=s2"), "; make status STACK=s2, make logs STACK=s2 and make down STACK=s2 "
         "work too"),
        (0, ("status",), None),
        (5, ("up",), ""),
        (6, ("status",), ""),
        (5, ("down",), ""),
    ],
)  # fmt: skip
def test_it_says_where_the_program_of_the_hints_is(
    machine: Machine, tmp_path: Path, code: int, words: tuple[str, ...], said: str | None
) -> None:
    machine.link("make")
    folder = tmp_path / "venv"
    (folder / "bin").mkdir(parents=True)
    for name, script in (("python", "exit 0"), ("deployctl", f'[ "$1" = setup ] || exit {code}')):
        (folder / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / "bin" / name).chmod(0o755)
    variables = (f"VENV={folder}", f"PYTHON={sys.executable}")
    done = machine.run("make", *words, *variables)
    assert done.returncode == (2 if code else 0)
    line = f"(deployctl is {folder}/bin/deployctl here{said})\n"
    assert done.stdout == ("" if code or said is None else line)
    assert (line in done.stderr) == bool(code)
    assert f"Error {code}" in done.stderr or not code
    machine.stand_in("deployctl", "")  # on the PATH the hints are right as they are
    assert "here" not in (again := machine.run("make", *words, *variables)).stdout + again.stderr


@pytest.mark.parametrize("script", ["browser", "python"])
def test_without_sudo_it_says_what_to_do(machine: Machine, script: str) -> None:
    machine.stand_in("id", "echo 1000")
    machine.stand_in("apt-get", APT)
    machine.stand_in("python3", NO_VENV)
    done = machine.run("sh", f".ci/{script}", "python3", "/nonexistent/venv", "up")
    assert done.returncode == 4
    assert "  next:  as root: apt-get update; apt-get install " in done.stderr
    assert machine.logged == []


@pytest.mark.parametrize("script", ["browser", "python"])
def test_sudo_and_no_question(machine: Machine, script: str) -> None:
    machine.stand_in("id", "echo 1000")
    machine.stand_in("sudo", f'exec env -i PATH="{machine.folder}" LOG="$LOG" "$@"')
    machine.stand_in("apt-get", APT)
    machine.stand_in("python3", NO_VENV)
    machine.run("sh", f".ci/{script}", "python3", "/nonexistent/venv", "up")
    assert machine.logged[1:] == ["apt-get install frontend=noninteractive"]


@pytest.mark.parametrize("script", ["browser", "python"])
def test_a_failing_update_ends_it(machine: Machine, script: str) -> None:
    machine.stand_in("id", "echo 0")
    machine.stand_in("apt-get", f"{APT}; exit 100")
    machine.stand_in("python3", NO_VENV)
    done = machine.run("sh", f".ci/{script}", "python3", "/nonexistent/venv", "up")
    assert done.returncode == 100
    assert len(machine.logged) == 1


@needs_make
def test_suites_never_run_at_once() -> None:
    assert ".NOTPARALLEL:" in (ROOT / "Makefile").read_text().splitlines()
    assert os.access(ROOT / ".ci/apt-install", os.X_OK)
