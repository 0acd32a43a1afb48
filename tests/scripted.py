"""A runner that answers from a script, for everything that only looks."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import Any

from deployctl.outcomes import Command, CommandResult
from deployctl.runner import NOT_FOUND


def result(command: Command, code: int, stdout: str = "", stderr: str = "") -> CommandResult:
    """What a command leaves behind; stderr after stdout."""
    both = "\n".join(part for part in (stdout.rstrip("\n"), stderr.rstrip("\n")) if part)
    return CommandResult(
        command=command, exit_code=code, stdout=stdout.rstrip("\n"), output=both, seconds=0.0
    )


class ScriptedRunner:
    """Answers a command whose line contains a key of the script: text, or (code, stdout, stderr).

    A list is used up one answer at a time, its last one for ever. Everything else is a program
    that does not exist. Remembers the lines.
    """

    def __init__(self, script: Mapping[str, Any]) -> None:
        self.script = dict(script)
        self.lines: list[str] = []
        self.commands: list[Command] = []

    def run(
        self, command: Command, *, on_line: Callable[[str], None] | None = None
    ) -> CommandResult:
        line = shlex.join(command.argv)
        self.lines.append(line)
        self.commands.append(command)
        for key, answer in self.script.items():
            if key not in line:
                continue
            if isinstance(answer, list):
                answer = answer.pop(0) if len(answer) > 1 else answer[0]
            if isinstance(answer, BaseException):
                raise answer
            return (
                result(command, 0, answer) if isinstance(answer, str) else result(command, *answer)
            )
        return result(command, NOT_FOUND, "", f"{command.argv[0]}: No such file or directory")
