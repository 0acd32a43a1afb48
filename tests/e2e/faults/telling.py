"""What every failure must tell, and typing what it tells to type."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.product import PATIENCE_S, Outcome, Product, Stack

#: What a hint may begin a command with; everything else in it is prose.
_PROGRAMS = ("deployctl", "docker", "chmod", "chown", "sudo", "ls", "df", "kill", "ss", "unset")

#: Docker starts a container that ends at once again after 0.1 s, 0.2 s, … up to a minute.
LOOP_S = 60.0

#: What stands for something that only the operator knows is no command yet.
_UNFILLED = re.compile(r"\bNone\b|\{[a-z_]+\}|<[a-z_ ]+>")


def told(
    outcome: Outcome, exit_code: int, code: str, *, says: tuple[str, ...], hint: str = ""
) -> dict[str, Any]:
    """Assert how a command failed, and that it says why and what to type; returns the error.

    Each of ``says`` must be in the message or the evidence, ``hint`` in the hint.
    """
    assert outcome.exit_code == exit_code, str(outcome)
    error: dict[str, Any] = outcome.error
    assert error["code"] == code, str(outcome)
    _worded(error["message"], error.get("details") or [], error["hint"], says, hint)
    assert "Traceback" not in outcome.stderr
    return error


def noticed(
    status: Outcome, code: str, *, says: tuple[str, ...] = (), hint: str = ""
) -> dict[str, Any]:
    """Assert that ``status`` found something wrong, under this code; returns the check."""
    assert status.exit_code == 6, str(status)
    found = [c for c in status.envelope["data"]["checks"] if c["status"] == "failed"]
    check: dict[str, Any] | None = next((c for c in found if c["code"] == code), None)
    assert check is not None, f"no check failed with {code}:\n{status}"
    _worded(check["summary"], check.get("details") or [], check["hint"], says, hint)
    return check


def noticed_in_a_loop(stack: Stack, code: str, *, says: tuple[str, ...] = ()) -> None:
    """Assert that ``status`` finds it while the container is started again and again.

    One look may fall into the moment in which it runs once more, and sees nothing but that.
    """
    deadline = time.monotonic() + LOOP_S
    while True:
        status = stack.status()
        codes = [check["code"] for check in status.envelope["data"]["checks"]]
        if code in codes or time.monotonic() > deadline:
            noticed(status, code, says=says)
            return


def _worded(
    message: str, details: list[str], proposed: str, says: tuple[str, ...], hint: str
) -> None:
    everything = "\n".join((message, *details))
    assert [word for word in says if word not in everything] == [], everything
    assert hint in proposed, proposed
    assert commands(proposed), f"nothing to type: {proposed}"
    assert not _UNFILLED.search(proposed), proposed


def commands(hint: str) -> list[str]:
    """The command lines in a hint: what is in backticks, else from the program's name on."""
    quoted = [text for text in re.findall(r"`([^`]+)`", hint) if _is_command(text)]
    if quoted:
        return quoted
    if _is_command(hint):
        return [hint.partition("  #")[0].strip()]
    pieces = [piece.strip() for piece in re.split(r"(?:; |, | then: |: )", hint)]
    return [piece.partition("  #")[0].strip() for piece in pieces if _is_command(piece)]


def _is_command(text: str) -> bool:
    words = [word for word in text.split() if "=" not in word.split("/")[0] or word.startswith("-")]
    return bool(words) and words[0] in _PROGRAMS


@dataclass(frozen=True, kw_only=True)
class Terminal:
    """A shell in which `deployctl` is the product under test."""

    product: Product
    folder: Path

    def type(self, line: str) -> Outcome:
        """Type one command line, as it stands."""
        program = self.folder / "deployctl"
        if not program.exists():
            words = shlex.join(self.product.argv)
            program.write_text(f'#!/bin/sh\nexec {words} "$@"\n', encoding="utf-8")
            program.chmod(0o755)
        done = subprocess.run(
            ["sh", "-c", line],
            cwd=self.product.cwd,
            env=self.product.env({"PATH": f"{self.folder}:{os.environ['PATH']}"}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
        return Outcome(
            exit_code=done.returncode, stdout=done.stdout, stderr=done.stderr, seconds=0.0
        )

    def follow(self, hint: str) -> None:
        """Type every command of a hint, in its order; each must work."""
        for line in commands(hint):
            outcome = self.type(line)
            assert outcome.exit_code == 0, f"$ {line}\n{outcome}"
