"""The rule of tests/conftest.py for tests that need Docker, held by running it without one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("ci", "exit_code"), [("true", 1), ("", 0)])
def test_a_run_without_docker_says_why_and_fails_only_in_ci(ci: str, exit_code: int) -> None:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/docker"]
    done = subprocess.run(
        [*command, "-k", "a_stack_nobody_started"],
        cwd=ROOT,
        env={**os.environ, "DOCKER_HOST": "unix:///nonexistent.sock", "CI": ci},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == exit_code, done.stdout
    assert "needs Docker: " in done.stdout
    assert ("this run proves nothing" in done.stdout) is bool(exit_code)
