"""Has pairs of answers judged by math-verify, in a process that may hang or die over one."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from deployctl.errors import DeployctlError
from deployctl.evals import judge
from deployctl.outcomes import Command

if TYPE_CHECKING:
    from deployctl.runner import Runner

#: Pairs for one process: they are all written before the first result is read.
_AT_ONCE = 1000

#: Seconds for one pair, at the very most, and for the start of the process.
_PAIR_S, _START_S = 25.0, 60.0


class MathVerify:
    """See :class:`deployctl.evals.marking.Judge`."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def __call__(self, pairs: Sequence[tuple[str, str]]) -> Sequence[bool | None]:
        """Judge each pair; one over which the process ends, or is ended, has no result."""
        found: list[bool | None] = []
        while len(found) < len(pairs):
            rest = pairs[len(found) : len(found) + _AT_ONCE]
            told = self._told(rest)
            found += told
            if len(told) < len(rest):
                found.append(None)
        return found

    def _told(self, pairs: Sequence[tuple[str, str]]) -> list[bool | None]:
        lines = (json.dumps({"gold": gold, "answer": answer}) for gold, answer in pairs)
        command = Command(
            # -P: else the folder of the program comes before Python's own modules.
            argv=(sys.executable, "-P", judge.__file__),
            label="math-verify",
            timeout_s=_START_S + _PAIR_S * len(pairs),
            stdin="".join(f"{line}\n" for line in lines),
            private=True,
        )
        done = self._runner.run(command)
        ready, *told = done.stdout.splitlines() or [""]
        if ready != judge.READY:
            raise DeployctlError(
                "The program that compares answers does not start.",
                code="bug",
                where=judge.__file__,
                hint=f"{sys.executable} -m pip install --force-reinstall 'deployctl[eval]'",
                details=done.tail(6),
            )
        return [_VERDICTS[line] for line in told if line in _VERDICTS]


_VERDICTS = {"true": True, "false": False, "null": None}
